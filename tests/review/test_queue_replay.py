"""Past questions asked again of another release; what people decided, for training and for gates."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from router.answering import Parts
from router.types import Answer, Citation, CuratedMatch, Draft, Hit, How, Passage, Question, Route, SearchResult
from services.calibrations import packaged_calibration
from services.review.decisions import decisions, regressions
from services.review.replay import Change, compare, replay
from services.review.writing import entry_of
from services.store.records import now
from services.store.review_records import ItemFilter, Judgement, VerdictKind
from services.store.sql import SqlStore
from services.store.traces import answer_key
from services.store.verdicts import Rules
from tests.store.samples import review, trace

PASSAGE = Passage("p1", "docs/a.md", ("A",), 0, 4, "text", "en")
CITED = Citation("p1", "docs/a.md", "A", "text", 0, 4, "r")


class NoEntries:
    async def match(self, question: str) -> CuratedMatch:  # noqa: ARG002
        return CuratedMatch(How.NONE)


class OneHit:
    async def search(self, question: str, limit: int, filters: Mapping[str, str], **_: object) -> SearchResult:  # noqa: ARG002
        return SearchResult((Hit(PASSAGE, {"bm25": 1.0}, 1.0),), {"q": 1.0}, "en", "v2")


@dataclass
class Says:
    """What the candidate's generator writes, by question."""

    answers: Mapping[str, str]
    name: str = "candidate"

    async def generate(self, question: Question, found: SearchResult) -> Draft:  # noqa: ARG002
        text = self.answers.get(question.text, "")
        return Draft(text, (CITED,) if text else (), self.name)


def candidate(store: SqlStore, answers: Mapping[str, str]) -> Parts:
    says, sure = Says(answers), packaged_calibration().with_line(0.0)
    return Parts(NoEntries(), OneHit(), says, says, sure, store, "r2", lambda _hits: (), lambda: "new", now)


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return SqlStore.open(f"sqlite:///{tmp_path}/store.db")


async def asked(store: SqlStore, question: str, text: str, route: Route = Route.GROUNDED) -> str:
    one = trace(question, route)
    question_ = Question(question)
    one = replace(one, question=question_, created=now(), answer=replace(one.answer, text=text))
    return await store.record(one, review(one)) or ""


async def decide(store: SqlStore, item: str, judgement: Judgement) -> None:
    await store.reviews.decide(item, judgement, "anna", item, Rules(), entry_of)


def test_what_changes_comes_worst_first(store: SqlStore) -> None:
    async def scenario() -> None:
        for question in (
            "what is same here",
            "what is other here",
            "what is other here",
            "what is lost here",
            "what is good here",
        ):
            item = await asked(store, question, f"old {question}")
        await decide(store, item, Judgement(VerdictKind.CORRECT))
        await decide(
            store,
            await asked(store, "what is bad here", "a mistake"),
            Judgement(VerdictKind.CORRECTED, "right", (CITED,)),
        )
        await asked(store, "what is gap here", "I do not know.", Route.ABSTAINED)
        before = await store.list_traces(100)
        answers = {
            "what is same here": "old what is same here",
            "what is other here": "new",
            "what is good here": "new",
            "what is bad here": "A  mistake",
            "what is gap here": "an answer",
        }
        shown: list[int] = []
        found = await replay(store, candidate(store, answers), "2000", 100, lambda _s, done, _t: shown.append(done))
        kinds = [(one.change, one.question, one.asks) for one in found.changed]
        assert kinds == [
            (Change.WRONG_AGAIN, "what is bad here", 1),
            (Change.APPROVED_LOST, "what is good here", 1),
            (Change.LOST, "what is lost here", 1),
            (Change.OTHER, "what is other here", 2),
            (Change.NEW, "what is gap here", 1),
        ]
        assert (found.asked, found.questions, shown[-1]) == (7, 6, 6)
        assert found.to_json()["counts"]["wrong_again"] == 1
        assert await store.list_traces(100) == before, "nothing is recorded"
        assert (await replay(store, candidate(store, answers), "2999", 100, lambda *_: None)).questions == 0
        assert (await replay(store, candidate(store, answers), "2000", 2, lambda *_: None)).questions == 2

    asyncio.run(scenario())
    store.close()


@pytest.mark.parametrize("after", list(Route))
def test_an_answer_that_was_called_wrong_is_only_worse_where_it_is_sent(after: Route) -> None:
    old = Answer("x", Route.ABSTAINED, 0.1, (), "", "")
    new = Answer("wrong", after, 0.9, (), "", "")
    bad = frozenset({answer_key("wrong")})
    sent = after in (Route.GROUNDED, Route.CURATED)
    assert (compare(old, new, frozenset(), bad) is Change.WRONG_AGAIN) == sent


def test_what_was_only_called_back_must_not_be_said_again(store: SqlStore) -> None:
    """By no verdict: an answer that somebody called back, and nobody has said yet what is right."""

    async def scenario() -> None:
        said = trace("no", Route.GROUNDED)
        said = replace(said, answer=replace(said.answer, text="nonsense"))
        await store.record(said, None)
        made = await store.reviews.retract(said.id, "anna", "wrong")
        (one,) = await regressions(store)
        assert (one.question, one.language, one.wrong, one.right) == ("no", said.language, ("nonsense",), "")
        (item,) = (await store.reviews.find(ItemFilter(cause="retracted"))).items
        await decide(store, item.item.id, Judgement(VerdictKind.CORRECTED, "right", (CITED,)))
        (one,) = await regressions(store)
        assert (one.wrong, one.right) == (("nonsense",), "right"), "once, with what people said instead"
        await store.reviews.undo(item.item.id, "anna")
        await store.reviews.lift(made.id, "anna")
        assert await regressions(store) == []

    asyncio.run(scenario())
    store.close()


def test_verdicts_become_training_rows_and_gates(store: SqlStore) -> None:
    async def scenario() -> None:
        await decide(
            store,
            await asked(store, "what is bad here", "a mistake"),
            Judgement(VerdictKind.CORRECTED, "right", (CITED,)),
        )
        await decide(store, await asked(store, "far", "weather"), Judgement(VerdictKind.OUT_OF_SCOPE))
        await decide(store, await asked(store, "good", "fine"), Judgement(VerdictKind.CORRECT))
        await decide(store, await asked(store, "no", "nonsense"), Judgement(VerdictKind.WRONG, retract=True))
        rows = {one.question: one for one in await decisions(store)}
        assert set(rows) == {"what is bad here", "far", "good"}
        assert (rows["what is bad here"].answer, rows["what is bad here"].wrong, rows["what is bad here"].evidence) == (
            "right",
            ("a mistake",),
            ("p1",),
        )
        assert (rows["far"].answer, rows["far"].wrong) == ("", ("weather",))
        assert (rows["good"].answer, rows["good"].wrong) == ("fine", ())
        gates = {one.question: (one.wrong, one.right) for one in await regressions(store)}
        assert gates == {
            "what is bad here": (("a mistake",), "right"),
            "far": (("weather",), ""),
            "no": (("nonsense",), ""),
        }

    asyncio.run(scenario())
    store.close()
