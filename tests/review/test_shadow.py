"""A candidate gets a share of the real questions after their replies: unseen by askers, bounded, compared, recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router.errors import Conflict, InvalidInput
from router.prompt import prompt_hash
from router.types import Question, Route
from services.calibrations import packaged_calibration
from services.compose import System, open_system
from services.indexing import release_with, run_index
from services.review import rehearsal
from services.review.replay import Change
from services.review.shadowing import WAITING
from services.settings import Settings
from services.store import shadows
from services.store.records import now
from services.store.sql import SqlStore
from services.training import shadow_report
from services.training.gates import FEWEST
from tests.serving.speaker import Speaker, speaking
from tests.store.samples import trace

PAGE = "# Backup\n\n## Keeping backups\n\nBackups are kept for seven days on the server. They lie in the folder data.\n"
LIVE, OTHER = "Backups are kept for seven days on the server [1].", "They lie in the folder data [1]."
QUESTION = "How long are backups kept?"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Settings, Speaker, Speaker]]:
    """A home with a page, and two model servers."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "backup.md").write_text(PAGE, "utf-8")
    settings = Settings(home=tmp_path / "home", corpus_seconds=1.0, audit_share=0.0)
    settings.make_home()
    with SqlStore.open(settings.store_url) as store:
        asyncio.run(store.put_calibration(replace(packaged_calibration().with_line(0.02), origin="fitted").to_json()))
    run_index(settings, [f"m={tmp_path / 'docs'}"], "test", lambda *_: None)
    with (
        speaking(Speaker("live-1", LIVE, window=20_000)) as live,
        speaking(Speaker("next-1", OTHER, window=20_000)) as new,
    ):
        urls = f"{live.endpoint.url},{new.endpoint.url}"
        yield replace(settings, generator_url=urls, model="live-1"), live, new


async def begin(system: System, model: str = "next-1", share: float = 1.0) -> shadows.Shadow:
    active = await system.store.active_release()
    assert active
    return await system.store.write(lambda c: shadows.start(c, model, active.id, share, "test"))


async def until(system: System, so: Callable[[], bool], seconds: float = 60.0) -> None:
    for _ in range(int(seconds / 0.05)):
        await system.refresh()
        if so():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(system.readiness())


async def kept(system: System, shadow: shadows.Shadow, count: int) -> list[shadow_report.Compared]:
    for _ in range(1_200):
        found = await shadow_report.compared(system.store, shadow)
        if len(found) >= count:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{len(found)} of {count}")


def ready(system: System) -> bool:
    assert system.shadow
    return ": ok" in system.shadow.status().get("shadow", "")


def story(settings: Settings, told: Callable[[System], Any]) -> None:
    system = open_system(settings, own_model=True)

    async def run() -> None:
        try:
            await until(system, lambda: "live-1" in system.readiness().parts.get("generator", ""))
            await told(system)
        finally:
            await system.close()

    asyncio.run(asyncio.wait_for(run(), 240))


def test_a_model_that_was_tuned_with_other_prompts_is_told_of(place: tuple[Settings, Speaker, Speaker]) -> None:
    """As after an upgrade that renders prompts anew: the release still names the hash of those it was promoted with."""
    settings, _, _ = place

    async def told(system: System) -> None:
        active = await system.store.active_release()
        assert active and "other prompts" not in system.readiness().parts["generator"]
        for hashed, said in ((prompt_hash(), False), ("of another version", True)):
            made = await release_with(system.store, active, "test", prompt_hash=hashed)
            await system.store.activate_release(made.id, "test")
            await system.refresh()
            assert ("other prompts" in system.readiness().parts["generator"]) is said

    story(settings, told)


def test_the_candidate_is_asked_and_nobody_sees_it(place: tuple[Settings, Speaker, Speaker]) -> None:
    settings, live, new = place

    async def told(system: System) -> None:
        shadow = await begin(system)
        await until(system, lambda: ready(system))
        warmed = len(new.bodies)
        outcome = await system.ask(Question(QUESTION))
        assert outcome.trace.answer.model == "live-1" and "seven days" in outcome.trace.answer.text
        (row,) = await kept(system, shadow, 1)
        assert (row.live.text, row.question) == (outcome.trace.answer.text, QUESTION)
        assert row.candidate.model == "next-1" and "folder data" in row.candidate.text
        assert row.change is Change.OTHER and not row.agrees and row.problem == "" and row.supported == 1.0
        assert len(new.bodies) == warmed + 1 and new.most_at_once == 1
        assert len(await system.store.list_traces(10)) == 1, "a shadow leaves no trace of its own"
        made = shadow_report.report(shadow, [row])
        assert (made["answers"], made["needed"], made["counts"]["other"]) == (1, FEWEST - 1, 1)
        assert made["ms"]["candidate"]["p95"] > 0 and json.dumps(made)
        # it ends as soon as somebody says so, whatever process that was
        await system.store.write(lambda c: shadows.stop(c, "test"))
        await until(system, lambda: "shadow" not in system.readiness().parts)
        await system.ask(Question(QUESTION))
        assert len(new.bodies) == warmed + 1

    story(settings, told)
    assert live.name == "live-1"


def test_a_candidate_that_fails_or_is_slow_hurts_nobody(place: tuple[Settings, Speaker, Speaker]) -> None:
    settings, _, new = place

    async def told(system: System) -> None:
        shadow = await begin(system)
        await until(system, lambda: ready(system))
        new.fails.extend([400])
        failed = await system.ask(Question(QUESTION))
        assert failed.trace.answer.model == "live-1"
        (row,) = await kept(system, shadow, 1)
        assert row.problem and row.sent == (True, False) and row.change is None
        new.token_s = 0.2
        asked = [await system.ask(Question(f"{QUESTION} {at}")) for at in range(WAITING + 6)]
        assert {one.trace.answer.model for one in asked} == {"live-1"}, "nobody waited for it"
        assert new.most_at_once == 1, "one at a time"
        assert system.shadow and system.shadow._waiting.qsize() <= WAITING

    story(settings, told)


def test_only_a_share_is_sent_and_only_of_this_release(place: tuple[Settings, Speaker, Speaker]) -> None:
    settings, _, new = place

    async def told(system: System) -> None:
        active = await system.store.active_release()
        assert active
        await system.store.write(lambda c: shadows.start(c, "next-1", "r-other", 1.0, "test"))
        await until(system, lambda: ready(system))
        warmed = len(new.bodies)
        await system.ask(Question(QUESTION))
        await asyncio.sleep(0.3)
        assert len(new.bodies) == warmed
        with pytest.raises(Conflict, match="tried already"):
            await begin(system)

    story(settings, told)


def test_shares_that_are_none(tmp_path: Path) -> None:
    with SqlStore.open(f"sqlite:///{tmp_path}/s.db") as store:
        for share in (0.0, 1.5):
            with pytest.raises(InvalidInput):
                asyncio.run(store.write(lambda c, share=share: shadows.start(c, "m", "r", share, "t")))
        assert asyncio.run(store.read(shadows.current)) is None
        assert asyncio.run(store.write(lambda c: shadows.stop(c, "t"))) is None


def rows(count: int, live: str, candidate: str, **more: Any) -> list[shadow_report.Compared]:
    """ "" for nothing sent."""

    def side(text: str) -> Any:
        route = Route.GROUNDED if text else Route.ABSTAINED
        return replace(_ANSWER, text=text or "I do not know.", route=route)

    base = {"live_ms": 1.0, "candidate_ms": 9.0, "supported": None, "problem": "", "change": None} | more
    return [
        shadow_report.Compared(f"q{at}", f"q{live}{candidate}{at}", side(live), side(candidate), **base)
        for at in range(count)
    ]


_ANSWER = shadow_report._answer({"answer": "", "route": "grounded", "confidence": 0.9, "model": "m"})


@pytest.mark.parametrize(
    ("found", "held", "said"),
    [
        (rows(FEWEST - 1, "a b", "a b"), False, "at least"),
        (rows(FEWEST, "a b", "a b"), True, "not fewer"),
        (rows(FEWEST, "", "a b"), True, "not fewer"),
        (rows(FEWEST, "a b", ""), False, ": fewer"),
        (rows(FEWEST, "a b", "a b", problem="its server failed"), False, ": fewer"),
        (rows(FEWEST, "a b", "a b") + rows(1, "a b", "bad", change=Change.WRONG_AGAIN), False, "wrong_again"),
        (rows(FEWEST, "a b", "a b") + rows(1, "a b", "c d", change=Change.OTHER), True, "not fewer"),
    ],
)
def test_the_gate(found: Sequence[shadow_report.Compared], held: bool, said: str) -> None:
    gate = shadow_report.gate(found)
    assert (gate.held, said in gate.said.replace("; fewer", ": fewer")) == (held, True), gate.said


def test_what_people_called_wrong_is_seen_in_shadow(place: tuple[Settings, Speaker, Speaker]) -> None:
    settings, _, _ = place

    async def told(system: System) -> None:
        shadow = await begin(system)
        await until(system, lambda: ready(system))
        sent = await system.ask(Question(QUESTION))
        (row,) = await kept(system, shadow, 1)
        # the candidate's answer was sent by an older model once, and called back
        wrong = replace(sent.trace, id="old", answer=replace(sent.trace.answer, text=row.candidate.text))
        await system.store.record(wrong, None)
        await system.review.desk.retract("old", "anna", "not what was asked")
        (again,) = await shadow_report.compared(system.store, shadow)
        assert again.change is Change.WRONG_AGAIN

    story(settings, told)


def test_a_replay_asks_the_model_of_its_release(place: tuple[Settings, Speaker, Speaker]) -> None:
    """Not the one that is served, and no quote in its place: what would be sent is what is shown."""
    settings, live, new = place
    settings = replace(settings, model="")

    async def begin_with() -> None:
        with SqlStore.open(settings.store_url) as store:
            active = await store.active_release()
            assert active
            await store.add_release(replace(active, id="r-next", model="next-1"))
            asked = trace(QUESTION)
            await store.record(replace(asked, created=now(), question=Question(QUESTION)), None)

    asyncio.run(begin_with())
    found = rehearsal.run(settings, "r-next", "7d", 100, "test", lambda *_: None)
    (one,) = found["changed"]
    assert (one["change"], found["questions"]) == ("other", 1) and "folder data" in one["after"]["answer"]
    assert new.bodies and not live.bodies
    with SqlStore.open(settings.store_url) as store:
        kept = asyncio.run(rehearsal.rehearsed(store, "r-next"))
    assert kept and kept.fresh and kept.result == found
