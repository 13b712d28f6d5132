"""The whole loop with a real index: asked, drawn, approved, served; the page changes, and the answer does not outlive
it; another release is tried out; an answer that was called back is not sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indexer.build import version_folder
from indexer.version import read_manifest
from router.policy import SENT
from router.prompt import prompt_hash
from router.types import Answer, Citation, EntryStatus, Question, Route, Turn
from services.calibrations import calibration_of, packaged_calibration
from services.compose import Outcome, System, index_home, model_of, open_system
from services.generation.endpoints import Canary
from services.indexing import run_index
from services.review.audit import Audited, Budget, drawn
from services.review.budget import Writer, certify, fingerprint
from services.review.replay import Change, replay
from services.review.writers import budgeting_beside
from services.settings import Settings
from services.store.review_records import ItemFilter, Judgement, Stands, VerdictKind
from services.store.sql import SqlStore
from tests.serving.speaker import Speaker, speaking

KEPT = "How long are backups kept?"
PAGE = """# Backup

## Keeping backups

Backups are kept for seven days on the backup server. After that they are removed every night by the cleanup job.

## Restoring a backup

Run the command `restore --latest` on the primary node to restore the newest backup.
"""


class Place:
    def __init__(self, home: Path) -> None:
        self.docs = home / "docs"
        self.docs.mkdir()
        self.settings = Settings(home=home / "home", corpus_seconds=1.0, audit_share=1.0)
        with SqlStore.open(self._made().store_url) as store:  # what is sent is not what is tested here
            easy = replace(packaged_calibration().with_line(0.2), origin="fitted")
            asyncio.run(store.put_calibration(easy.to_json()))
        self.index(PAGE)
        self.system = open_system(self.settings)

    def _made(self) -> Settings:
        self.settings.make_home()
        return self.settings

    def index(self, page: str, hold: bool = False) -> str:
        (self.docs / "backup.md").write_text(page)
        return run_index(self.settings, [f"m={self.docs}"], "test", lambda *_: None, hold=hold).release

    def reopened(self, **changes: Any) -> System:
        settings = replace(self.settings, **changes)
        return System(settings, SqlStore.open(settings.store_url), model_of(settings, own=False))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("system"))
    yield made


async def ask(system: System, question: str = KEPT) -> Outcome:
    return await system.ask(Question(question))


def test_the_loop(place: Place) -> None:
    """One story: each step needs the one before."""

    async def approve() -> str:
        system = place.system
        sent = await ask(system)
        assert sent.trace.answer.route is Route.GROUNDED and drawn(sent.trace.id, 1.0)
        assert sent.review_item is not None and sent.review_item.cause == "audit"
        assert (await system.review.desk.standing(sent.trace.id)).state is Stands.ANSWERED
        judged = Judgement(VerdictKind.CORRECT, curate=True)
        verdict = await system.review.desk.decide(sent.review_item.id, judged, "anna")
        again = await ask(system)
        assert (again.trace.answer.route, again.trace.answer.text) == (Route.CURATED, sent.trace.answer.text)
        state = await system.budget.state()
        assert (state.audited, state.undecided) == (1, 1)
        return verdict.entry_id

    async def outlived(entry_id: str, before: str, after: str) -> None:
        system = place.system
        await system.refresh()
        assert (await system.store.curated.get(entry_id)).entry.status is EntryStatus.STALE
        now = (await ask(system)).trace.answer
        assert now.route is not Route.CURATED and "seven" not in now.text
        (item,) = (await system.review.desk.items(ItemFilter(cause="stale_source"))).items
        (changed,) = (await system.review.desk.item(item.item.id)).detail["changed"]
        assert "seven days" in changed["old"] and "thirty days" in changed["new"]
        async with system.trying(before) as parts:
            found = await replay(system.store, parts, "2000", 100, lambda *_: None)
        assert found.release == before and before != after
        assert {one.change for one in found.changed} <= set(Change)

    async def policies() -> None:
        for policy, route in (("note", Route.CURATED), ("hold", Route.ABSTAINED)):
            system = place.reopened(stale_policy=policy)
            await system.refresh()
            answer = (await ask(system)).trace.answer
            assert answer.route is route, policy
            assert ("has changed since" in answer.text) == (policy == "note")
            await system.close()

    async def called_back() -> None:
        system = place.system
        question = "Which command restores the newest backup?"
        sent = await ask(system, question)
        assert sent.trace.answer.route is Route.GROUNDED
        await system.review.desk.retract(sent.trace.id, "anna", "wrong node")
        again = await ask(system, question)
        assert again.trace.answer.route is Route.ABSTAINED and "called back" in again.trace.answer.reason

    async def story() -> None:
        before = await place.system.store.active_release()
        assert before is not None
        entry_id = await approve()
        after = await asyncio.to_thread(place.index, PAGE.replace("seven days", "thirty days"))
        await outlived(entry_id, before.id, after)
        await policies()
        await called_back()
        await place.system.close()

    asyncio.run(asyncio.wait_for(story(), 120))


def test_every_drawn_answer_keeps_the_probability_of_its_draw(place: Place) -> None:
    async def story() -> None:
        system = place.reopened(audit_share=0.5)
        await system.refresh()
        texts = [f"When are backups removed by the cleanup job number {number}?" for number in range(80)]
        asked = [await ask(system, text) for text in texts]
        sent = {one.trace.id: one.review_item for one in asked if one.trace.answer.route in SENT}
        assert len(sent) > 60
        chosen = {trace_id for trace_id in sent if drawn(trace_id, 0.5)}
        assert 0.2 < len(chosen) / len(sent) < 0.8  # more than five standard deviations to either side
        assert {trace_id for trace_id, item in sent.items() if item is not None} == chosen
        release = asked[0].trace.release
        kept, _ = await system.store.reviews.drawn_answers([release])
        found = {one.trace_id: one.probability for one in kept if one.trace_id in {one.trace.id for one in asked}}
        assert found == dict.fromkeys(chosen, 0.5)
        await system.close()

    asyncio.run(asyncio.wait_for(story(), 120))


def test_who_asks_for_a_person_stands_in_the_queue_with_the_question(place: Place) -> None:
    about = {"备份保留多久？": "转人工", "How do I restore a backup?": "I want to talk to a person"}

    async def story() -> None:
        system, lost = place.reopened(), {}
        await system.refresh()
        for asked, message in about.items():
            history = (Turn("user", asked), Turn("assistant", "…"), Turn("user", "thanks"), Turn("assistant", "…"))
            outcome = await system.ask(Question(message, history))
            assert outcome.trace.answer.route is Route.HANDOFF
            lost[asked] = outcome.trace.id
        nothing = (await system.ask(Question("转人工"))).trace
        found = (await system.review.desk.items(ItemFilter(cause="handoff"))).items
        assert {one.item.question for one in found} == {*about, "转人工"}
        for asked, trace_id in lost.items():
            (one,) = (item for item in found if item.item.question == asked)
            view = await system.review.desk.item(one.item.id)
            assert [held.trace.id for held in view.traces] == [trace_id]
            assert view.traces[0].trace.question.text == about[asked], "what was said is shown as well"

        again = await system.ask(Question("人工客服", (Turn("user", "备份保留多久"), Turn("assistant", "…"))))
        assert again.review_item is not None
        seven = Judgement(VerdictKind.CORRECTED, "七天。", curate=False)
        await system.review.desk.decide(again.review_item.id, seven, "anna")
        for trace_id in (again.trace.id, lost["备份保留多久？"]):
            standing = await system.review.desk.standing(trace_id)
            assert (standing.state, standing.verdict and standing.verdict.answer) == (Stands.RESOLVED, "七天。")
        assert (await system.review.desk.standing(nothing.id)).state is Stands.WAITING
        await system.store.add_feedback(lost["How do I restore a backup?"], "down", "nobody came")
        (worse,) = (await system.review.desk.items(ItemFilter(cause="thumbs_down"))).items
        assert (worse.item.question, worse.asks) == ("How do I restore a backup?", 1)
        await system.close()

    asyncio.run(asyncio.wait_for(story(), 120))


def test_who_writes_ends_a_certificate_of_who_wrote_before(place: Place) -> None:
    """The release is the same all the time: a model server is named, and an adapter is tried on a share."""

    async def story() -> None:
        quoting = place.reopened()
        await quoting.refresh()
        await _certify(quoting, Writer())
        assert (await quoting.budget.state()).state == "certified"
        with speaking(
            Speaker("tuned-1", "Backups are kept for thirty days on the backup server [1].", window=8192)
        ) as speaker:
            named = {"generator_url": speaker.endpoint.url}
            system = place.reopened(**named)
            await system.refresh()
            assert system.model is not None and system.model.fleet.current is not None
            await system.refresh()  # the model was found after the release was opened
            state = system.budget.last
            assert state is not None and state.certificate is not None
            assert state.certificate.invalidated_by == ("model", "prompt")
            assert "because of: model, prompt" in system.readiness().parts["budget"]
            trace = (await ask(system, "Where are backups kept, and how long?")).trace
            assert (trace.answer.model, trace.prompt) == ("tuned-1", prompt_hash()), trace.answer.reason
            beside = await budgeting_beside(replace(place.settings, **named), system.store, index_home(place.settings))
            assert (await beside.state()).state == "invalidated", "the command line says the same"

            await _certify(system, Writer((("tuned-1", 1.0),), prompt_hash()))
            await system.refresh()
            assert system.budget.last.state == "certified"
            trial = replace(system.model.fleet.current, name="trial")
            system.model.fleet.try_out(Canary(trial, 0.1))
            await system.refresh()
            assert system.budget.last.certificate is not None
            assert system.budget.last.certificate.invalidated_by == ("model",)
            system.model.fleet.try_out(None)
            await system.refresh()
            assert system.budget.last.state == "certified"
            await system.close()
        assert (await quoting.budget.state()).state == "certified", "quoting is what it was"
        await quoting.close()

    asyncio.run(asyncio.wait_for(story(), 120))


async def _certify(system: System, writer: Writer) -> None:
    """On verdicts that are made up: what ends it is tested here."""
    release = await system.store.active_release()
    assert release is not None
    calibration = await calibration_of(system.store, release.calibration)
    version = version_folder(index_home(system.settings), release.index_version)
    embedder = read_manifest(version).embedder
    now = fingerprint(release, embedder, calibration, writer)
    audited = [Audited(f"q{n}", "en", "grounded", 0.9, False, 1.0, f"2026-01-01T{n:06}Z") for n in range(80)]
    made = certify(audited, Budget(), 0.5, fingerprint=now)
    await system.store.reviews.put_certificate("test", release.id, made.to_json())


class Hurried(System):
    """Somebody asks the very moment another release begins to answer."""

    first: Answer

    async def _switch(self, serving: Any) -> None:
        await super()._switch(serving)
        if serving is not None:
            self.first = (await ask(self)).trace.answer


def test_nothing_stale_is_certain_while_another_release_begins(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def story() -> None:
        await place.system.close()
        system = Hurried(place.settings, SqlStore.open(place.settings.store_url))
        await system.refresh()
        sent = await ask(system)
        assert sent.review_item is not None
        await system.review.desk.decide(sent.review_item.id, Judgement(VerdictKind.CORRECT, curate=True), "anna")
        held = await asyncio.to_thread(place.index, PAGE.replace("seven days", "thirty days"), True)
        assert (await ask(system)).trace.answer.route is Route.CURATED, "the held release is not served yet"

        await system.activate(held, "anna")
        assert system.first.route is not Route.CURATED and "seven" not in system.first.text

        (item,) = (await system.review.desk.items(ItemFilter(cause="stale_source"))).items
        (changed,) = (await system.review.desk.item(item.item.id)).detail["changed"]
        cited = Citation(changed["new_passage"], changed["source"], "", "thirty days", 0, 0, "")
        right = Judgement(VerdictKind.CORRECTED, "For thirty days.", (cited,))
        await system.review.desk.decide(item.item.id, right, "anna")
        await system.activate(sent.trace.release, "anna")
        assert system.first.text == sent.trace.answer.text, "the answers that it had"
        await system.activate(held, "anna")
        assert (system.first.route, system.first.text) == (Route.CURATED, "For thirty days.")
        await system.activate(sent.trace.release, "anna", keep_curated=True)
        assert system.first.route is not Route.CURATED and "thirty" not in system.first.text
        await system.close()

    asyncio.run(asyncio.wait_for(story(), 120))
