"""What would another release have answered? Past questions are asked again, and the answers that change come worst
first. Nothing is recorded, and what is served stays as it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from router import answering, wording
from router.answering import Parts
from router.ports import Progress
from router.types import Answer, Route, Trace
from services.store.review_records import VerdictKind
from services.store.sql import SqlStore
from services.store.traces import SENT, answer_key

_PAGE = 500
_BAD = frozenset({VerdictKind.WRONG, VerdictKind.CORRECTED, VerdictKind.INCOMPLETE, VerdictKind.STALE_SOURCE})


class Change(StrEnum):
    """The worst first."""

    WRONG_AGAIN = "wrong_again"  # people called this very answer wrong, or called it back
    APPROVED_LOST = "approved_lost"  # people called the answer right, and it would not be given any more
    LOST = "lost"  # was answered, would go to people
    OTHER = "other"  # another answer
    ROUTE = "route"  # the same words by another route
    NEW = "new"  # went to people, would be answered


@dataclass(frozen=True, slots=True)
class Changed:
    """asks: past questions in these words. before: what was sent, or what the served release would send now. after:
    what the other one would."""

    change: Change
    trace_id: str
    question: str
    asks: int
    before: Answer
    after: Answer

    def to_json(self) -> dict[str, Any]:
        sides = {"before": self.before, "after": self.after}
        shown = {name: _shown(answer) for name, answer in sides.items()}
        return {**{k: v for k, v in asdict(self).items() if k not in sides}, **shown}


@dataclass(frozen=True, slots=True)
class Replayed:
    """questions: different ones that were asked again. grounded: those of them that were answered from the documents.
    changed: the worst first, then those asked most."""

    release: str
    asked: int
    questions: int
    grounded: int
    changed: tuple[Changed, ...]

    def to_json(self) -> dict[str, Any]:
        counts = {kind.value: sum(one.change is kind for one in self.changed) for kind in Change}
        figures = {name: getattr(self, name) for name in ("release", "asked", "questions", "grounded")}
        return {**figures, "counts": counts, "changed": [one.to_json() for one in self.changed]}


async def replay(
    store: SqlStore, parts: Parts, since: str, most: int, progress: Progress, before: Parts | None = None
) -> Replayed:
    """since: ISO 8601, UTC; questions from then on, each wording (with its history) once, by its newest answer.
    most: questions at most, the newest. before: asked in the same way, for what only the release changes; None: what
    was answered then. How often each was asked is counted in whole only without it, because that reads every trace."""
    past = await _past(store, since, most, all_asks=before is None)
    good, bad = await judged(store)
    blocked = (await store.reviews.blocked())[1]
    found, grounded = [], 0
    for number, (trace, asks) in enumerate(past, 1):
        old = (await answering.propose(trace.question, before))[0].answer if before else trace.answer
        new = (await answering.propose(trace.question, parts))[0].answer
        grounded += old.route is Route.GROUNDED
        change = compare(old, new, good.get(trace.normalised, frozenset()), bad | blocked)
        if change is not None and not (before and _alike(old, new)):
            found.append(Changed(change, trace.id, trace.question.text, asks, old, new))
        progress("replay", number, len(past))
    order = {kind: place for place, kind in enumerate(Change)}
    found.sort(key=lambda one: (order[one.change], -one.asks, one.question))
    return Replayed(parts.release, sum(asks for _, asks in past), len(past), grounded, tuple(found))


def compare(before: Answer, after: Answer, good: frozenset[str], bad: frozenset[str]) -> Change | None:
    """good: keys of answers that people called right for this question; bad: of those that they called wrong."""
    new, old = answer_key(after.text), answer_key(before.text)
    if after.route in SENT and new in bad and new not in good:
        return Change.WRONG_AGAIN
    if before.route in SENT and old in good and new not in good:
        return Change.APPROVED_LOST
    if before.route in SENT and after.route not in SENT:
        return Change.LOST
    if before.route not in SENT and after.route in SENT:
        return Change.NEW
    if after.route in SENT and new != old:
        return Change.OTHER
    return Change.ROUTE if after.route is not before.route else None


def _alike(old: Answer, new: Answer) -> bool:
    """Also where it is wrong in both: this release does not bring it."""
    return old.route is new.route and answer_key(old.text) == answer_key(new.text)


async def _past(store: SqlStore, since: str, most: int, all_asks: bool) -> list[tuple[Trace, int]]:
    """Different questions with how often they were asked, the newest first. A conversation's question is its own.
    all_asks: also after the last of `most` was found."""
    counted: dict[tuple[str, tuple[str, ...]], tuple[Trace, int]] = {}
    before: int | None = None
    while True:
        lines = await store.list_traces(_PAGE, before=before)
        for line in lines:
            if line.created < since or (len(counted) == most and not all_asks):
                return list(counted.values())
            trace = await store.get_trace(line.id)
            key = trace.normalised, tuple(turn.content for turn in trace.question.history)
            first, asks = counted.get(key, (trace, 0))
            if asks or len(counted) < most:
                counted[key] = first, asks + 1
        if len(lines) < _PAGE:
            return list(counted.values())
        before = lines[-1].seq


async def judged(store: SqlStore) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """Keys of the answers that people called right, by the question as it is normalised; of those they called wrong."""
    good: dict[str, frozenset[str]] = {}
    bad: set[str] = set()
    for verdict in await store.reviews.final_verdicts():
        right = {answer_key(verdict.answer)} if verdict.answer else set()
        for question in verdict.questions:
            known = wording.normalise(question)
            good[known] = good.get(known, frozenset()) | right
        if verdict.judgement.kind in _BAD:
            bad |= {answer_key(text) for text in verdict.judged} - right
    return good, frozenset(bad)


def _shown(answer: Answer) -> dict[str, Any]:
    return {"route": Route(answer.route).value, "answer": answer.text, "confidence": round(answer.confidence, 4)}
