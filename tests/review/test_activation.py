"""What a release changes is seen before it is served; too much for the worse is not served without a person's word."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from indexer.build import BuildReport
from router.errors import InvalidInput
from router.types import CuratedEntry, Question, Route
from services import indexing
from services.activation import serve
from services.calibrations import packaged_calibration
from services.compose import System, open_system
from services.indexing import IndexReport, release_with, run_index
from services.review import rehearsal
from services.review.rehearsal import written
from services.review.replay import Change
from services.settings import Settings
from services.store.records import JobState
from services.store.sql import SqlStore

TOPICS = ("backup", "cache", "index", "queue", "session", "snapshot", "token", "trace")
CHANGED = (Change.WRONG_AGAIN, Change.APPROVED_LOST, Change.LOST, Change.OTHER, Change.ROUTE, Change.NEW)


def page(topic: str, days: str) -> str:
    heading = f"# The {topic}\n\n## How long a {topic} is kept\n\n"
    return f"{heading}A {topic} is kept for {days} days on the {topic} server.\n"


def asked(topic: str) -> str:
    return f"How long is a {topic} kept?"


@dataclass(frozen=True, slots=True)
class Site:
    """Documents on which each topic's question was asked and answered."""

    docs: Path
    settings: Settings

    def index(self, **options: Any) -> IndexReport:
        return run_index(self.settings, [f"m={self.docs}"], "test", lambda *_: None, **options)

    def active(self) -> str:
        with SqlStore.open(self.settings.store_url) as store:
            found = asyncio.run(store.active_release())
            assert found
            return found.id

    def rehearsed(self, release: str) -> rehearsal.Rehearsed | None:
        with SqlStore.open(self.settings.store_url) as store:
            return asyncio.run(rehearsal.rehearsed(store, release))

    def ask(self, *questions: str) -> list[Route]:
        async def every() -> list[Route]:
            return [(await system.ask(Question(text))).trace.answer.route for text in questions]

        system = open_system(self.settings)
        try:
            return asyncio.run(every())
        finally:
            asyncio.run(system.close())


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    made = Site(folder / "docs", Settings(home=folder / "home", corpus_seconds=1.0))
    made.docs.mkdir()
    for topic in TOPICS:
        (made.docs / f"{topic}.md").write_text(page(topic, "seven"))
    made.settings.make_home()
    with SqlStore.open(made.settings.store_url) as store:  # what is sent is not what is tested here
        asyncio.run(store.put_calibration(replace(packaged_calibration().with_line(0.3), origin="fitted").to_json()))
    assert made.index().activation.questions == 0, "nothing to compare the first one with"
    assert set(made.ask(*map(asked, TOPICS))) == {Route.GROUNDED}
    return made


@pytest.fixture
def site(indexed: Site, tmp_path: Path) -> Site:
    """A copy of its own."""
    shutil.copytree(indexed.docs, tmp_path / "docs")
    shutil.copytree(indexed.settings.home, tmp_path / "home")
    made = Site(tmp_path / "docs", replace(indexed.settings, home=tmp_path / "home"))
    made.index(force=True)  # its documents are in another folder
    return made


def test_what_a_page_changes_is_kept_with_the_release_and_does_not_hold_it_up(site: Site) -> None:
    (site.docs / "cache.md").write_text(page("cache", "thirty"))
    seen: list[Mapping[str, Any]] = []
    served: list[str] = []

    def tell(found: Mapping[str, Any]) -> None:
        served.append(site.active())
        seen.append(found)

    before = site.active()
    done = site.index(tell=tell).activation
    assert (done.served, done.waits, done.questions) == (True, "", len(TOPICS))
    assert site.active() == done.release and served == [before], "shown before it is served"
    (whole,) = seen
    (changed,) = whole["changed"]
    assert (changed["change"], changed["question"]) == (Change.OTHER, asked("cache"))
    assert "seven days" in changed["before"]["answer"] and "thirty days" in changed["after"]["answer"]
    assert done.changes == whole["counts"] == {one.value: int(one is Change.OTHER) for one in CHANGED}
    kept = site.rehearsed(done.release)
    assert kept and kept.result["changed"] == whole["changed"] and kept.job.params["served"] == before


def test_half_of_the_pages_gone_waits_for_a_word(site: Site) -> None:
    for topic in TOPICS[::2]:
        (site.docs / f"{topic}.md").unlink()
    before = site.active()
    report = site.index()
    held = report.activation
    assert not held.served and site.active() == before
    assert f"4 of {len(TOPICS)} past questions" in held.waits and held.waits.endswith(f"activate {held.release}")
    assert held.changes["lost"] == 4 and report.to_json()["waits"] == held.waits
    kept = site.rehearsed(held.release)
    assert kept and kept.fresh, "so it can be served without asking again"
    again = site.index()
    assert again.release == held.release, "one that waits, and not one every hour"
    assert again.build.version not in again.removed_versions and len(again.removed_versions) == 1
    (site.docs / f"{TOPICS[1]}.md").write_text(page(TOPICS[1], "ninety"))
    assert site.index().release != held.release, "it holds something else"
    for topic in TOPICS[::2]:
        (site.docs / f"{topic}.md").write_text(page(topic, "seven"))
    back = site.index().activation
    assert back.served and site.active() == back.release, "mended, it is served by itself"


def test_in_a_hurry_nothing_is_asked(site: Site) -> None:
    for topic in TOPICS:
        (site.docs / f"{topic}.md").unlink()
    (site.docs / "other.md").write_text("# Other\n\nNothing of all that.\n")
    done = site.index(force=True).activation
    assert (done.served, done.questions, site.active()) == (True, 0, done.release)
    assert site.rehearsed(done.release) is None


def test_the_same_documents_change_nothing_and_ask_nothing(site: Site) -> None:
    before = site.active()
    done = site.index().activation
    assert (done.release, done.served, done.questions, site.active()) == (before, True, 0, before)


def test_approved_answers_are_taken_as_they_will_be(site: Site) -> None:
    """Its source changes: it goes stale when the release is served, which is seen before, and no reason to wait."""

    async def approve() -> None:
        cited = next(iter((await system.ask(Question(asked("token")))).trace.answer.citations))
        entry = CuratedEntry("e1", "How many days for tokens?", "Seven.", (), (), (cited,))
        await system.store.curated.create(entry, "anna")
        await system.curated.refresh()
        assert (await system.ask(Question("How many days for tokens?"))).trace.answer.route is Route.CURATED

    system = open_system(site.settings)
    asyncio.run(approve())
    asyncio.run(system.close())
    (site.docs / "token.md").write_text(page("token", "ninety"))
    seen: list[Mapping[str, Any]] = []
    done = site.index(tell=seen.append).activation
    assert done.served
    changed = {one["question"]: one for one in seen[0]["changed"]}
    assert changed["How many days for tokens?"]["before"]["route"] == Route.CURATED
    assert changed["How many days for tokens?"]["after"]["route"] != Route.CURATED
    assert site.ask("How many days for tokens?")[0] is not Route.CURATED, "as it was foreseen"


def test_another_line_is_seen_too(site: Site) -> None:
    with SqlStore.open(site.settings.store_url) as store:
        active = asyncio.run(store.active_release())
        assert active
        strict = replace(packaged_calibration().with_line(0.999), origin="fitted")
        kept = asyncio.run(store.put_calibration(strict.to_json()))
        made = asyncio.run(release_with(store, active, "test", calibration=kept))
        done = serve(site.settings, store, active, made, "test", lambda *_: None)
        chosen = replace(site.settings, generator_url="http://127.0.0.1:9/v1")
        assert written(chosen, active) and not written(site.settings, active)
    assert not done.served and done.changes["lost"] == len(TOPICS) and site.active() == active.id


def test_what_somebody_else_serves_meanwhile_is_not_undone(site: Site) -> None:
    (site.docs / "cache.md").write_text(page("cache", "thirty"))
    before = site.active()

    def overtake(_seen: Mapping[str, Any]) -> None:
        with SqlStore.open(site.settings.store_url) as store:
            asyncio.run(store.add_release(replace(asyncio.run(store.get_release(before)), id="another")))
            asyncio.run(store.activate_release("another", "somebody else"))

    done = site.index(tell=overtake).activation
    assert not done.served and "another is served by now" in done.waits and site.active() == "another"
    found = site.rehearsed(done.release)
    assert found and found.job.params["served"] == before and not found.fresh, "it was not compared with that one"


def test_nothing_new_undoes_nothing_either(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hourly reindex that finds no change, during which somebody serves another release."""
    built = indexing.build

    def overtaken(*arguments: Any) -> BuildReport:
        with SqlStore.open(site.settings.store_url) as store:
            asyncio.run(store.add_release(replace(asyncio.run(store.get_release(site.active())), id="another")))
            asyncio.run(store.activate_release("another", "somebody else"))
        return built(*arguments)

    monkeypatch.setattr(indexing, "build", overtaken)
    done = site.index().activation
    assert (done.served, done.waits, site.active()) == (False, "", "another")


def test_who_goes_back_gets_the_approved_answers_back(site: Site) -> None:
    """Those whose page was dropped go stale with the new release; with the old one they are what they were."""

    async def approved(system: System) -> Route:
        cited = (await system.ask(Question(asked("trace")))).trace.answer.citations
        if not (await system.store.curated.page()).versions:
            await system.store.curated.create(CuratedEntry("e1", asks, "Seven.", (), (), cited[:1]), "anna")
            await system.curated.refresh()
        return (await system.ask(Question(asks))).trace.answer.route

    def route() -> Route:
        system = open_system(site.settings)
        try:
            return asyncio.run(approved(system))
        finally:
            asyncio.run(system.close())

    asks, before = "For how many days are there traces?", site.active()
    assert route() is Route.CURATED
    (site.docs / "trace.md").write_text(page("trace", "ninety"))
    assert site.index().activation.served and route() is not Route.CURATED
    with SqlStore.open(site.settings.store_url) as store:
        asyncio.run(store.activate_release(before, "test"))
    assert route() is Route.CURATED


@pytest.mark.parametrize("lost", ["embedder", "format", "folder"])
def test_what_cannot_be_opened_any_more_is_no_reason_to_wait(site: Site, lost: str) -> None:
    """After another embedder was set, an upgrade, or the loss of the index while the database was kept."""
    before = site.active()
    if lost == "folder":
        shutil.rmtree(site.settings.home / "index")
        site.settings.uploads.mkdir()
        (site.settings.uploads / "more.md").write_text("# More\n\nThere is more.\n")  # not all there ever was
        with pytest.raises(InvalidInput, match="name the sources again"):
            run_index(site.settings, None, "test", lambda *_: None)
        done = site.index().activation
    else:
        for manifest in (site.settings.home / "index" / "versions").glob("*/manifest.json"):
            told = json.loads(manifest.read_text("utf-8"))
            manifest.write_text(json.dumps({**told, lost: 0 if lost == "format" else "another"}), "utf-8")
        done = run_index(site.settings, None, "test", lambda *_: None, full=lost == "embedder").activation
    assert done.served and site.active() == done.release != before
    assert site.ask(asked("cache")) == [Route.GROUNDED]


def test_what_is_held_and_changes_nothing_is_served_already(site: Site) -> None:
    done = site.index(hold=True).activation
    assert done.served and not done.waits and done.release == site.active()
    (site.docs / "cache.md").write_text(page("cache", "thirty"))
    held = site.index(hold=True).activation
    assert not held.served and held.waits.endswith(f"activate {held.release}") and held.questions == 0


def test_quotes_say_nothing_of_what_a_model_writes(site: Site) -> None:
    """A release that names a model is activated after a replay by that model only."""
    with SqlStore.open(site.settings.store_url) as store:
        active = asyncio.run(store.active_release())
        assert active
        made = asyncio.run(release_with(store, active, "test", model="tuned-1"))
        params = {"release": made.id, "served": active.id}
        for quoted, fresh in ((True, False), (False, True)):
            job = asyncio.run(store.create_job(rehearsal.KIND, {**params, **({"quoted": True} if quoted else {})}))
            asyncio.run(store.update_job(job.id, state=JobState.DONE, result={"counts": {}}))
            found = asyncio.run(rehearsal.rehearsed(store, made.id))
            assert found and found.fresh is fresh


@pytest.mark.parametrize(
    ("lost", "questions", "held"),
    [(0, 0, False), (0, 50, False), (1, 1, False), (1, 3, False), (2, 2, True), (8, 100, False), (10, 100, True)],
)
def test_few_that_get_worse_prove_nothing(lost: int, questions: int, held: bool) -> None:
    one = {"change": Change.LOST, "before": {"route": "grounded"}, "after": {"route": "abstained"}}
    settings = Settings(home=Path("unused"))
    seen = {"questions": 200, "grounded": questions}  # most were about something else, or small talk
    assert bool(rehearsal.too_bad({**seen, "changed": [one] * lost}, settings)) is held
    curated = {**one, "change": Change.APPROVED_LOST, "before": {"route": "curated"}}
    assert not rehearsal.too_bad({**seen, "changed": [curated] * lost}, settings)
    again = {"change": Change.WRONG_AGAIN, "before": {"route": "abstained"}, "after": {"route": "grounded"}}
    silent = {"questions": 200, "grounded": questions - lost, "changed": [again] * lost}
    assert bool(rehearsal.too_bad(silent, settings)) is held, "also where nothing was sent until now"
