"""What a model said in shadow, beside what was sent: agreement, support, refusals, time; and a gate on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from router import prompt
from router.types import Answer, Route
from services.review.replay import Change, compare, judged
from services.store import shadows
from services.store.shadows import Shadow, ShadowAnswer
from services.store.sql import SqlStore
from services.store.traces import SENT
from services.training.gates import FEWEST, Gate
from services.training.judging import is_right
from services.training.metrics import Interval, bootstrap

GATE = "shadow"
LISTED = 50  # changed answers in the report, the worst
_SHUT_BY = (Change.WRONG_AGAIN, Change.APPROVED_LOST)


@dataclass(frozen=True, slots=True)
class Compared:
    """One real question by both. asked: as it is normalised. problem: why the candidate did not answer, "" if it did:
    then askers would have had a quote, which says nothing for the candidate. change: None for the same answer."""

    question: str
    asked: str
    live: Answer
    candidate: Answer
    live_ms: float
    candidate_ms: float
    supported: float | None
    problem: str
    change: Change | None

    @property
    def sent(self) -> tuple[bool, bool]:
        """By the live model, by the candidate."""
        return self.live.route in SENT, self.candidate.route in SENT and not self.problem

    @property
    def agrees(self) -> bool:
        """Both say nothing, or the one's answer is right if the other's is."""
        if self.sent[0] and self.sent[1]:
            one, other = (prompt.without_citations(side.text) for side in (self.live, self.candidate))
            return is_right(one, other) or is_right(other, one)
        return self.sent[0] == self.sent[1]


async def compared(store: SqlStore, shadow: Shadow) -> list[Compared]:
    good, bad = await judged(store)
    blocked = (await store.reviews.blocked())[1]
    found = await store.read(lambda c: shadows.answers(c, shadow.id))
    return [_compared(one, good, bad | blocked) for one in found]


def _compared(one: ShadowAnswer, good: Mapping[str, frozenset[str]], bad: frozenset[str]) -> Compared:
    said = one.payload
    live, candidate = _answer(said["live"]), _answer(said["candidate"])
    change = None if said["problem"] else compare(live, candidate, good.get(said["asked"], frozenset()), bad)
    times = said["live"]["ms"], said["candidate"]["ms"]
    supported = said["candidate"]["supported"]
    return Compared(said["question"], said["asked"], live, candidate, *times, supported, said["problem"], change)


def _answer(side: Mapping[str, Any]) -> Answer:
    return Answer(side["answer"], Route(side["route"]), side["confidence"], (), "", side["model"])


def report(shadow: Shadow, rows: Sequence[Compared]) -> dict[str, Any]:
    """JSON-ready. Shares are 0..1; an interval is the bootstrap's over different questions."""
    order = {kind: place for place, kind in enumerate(Change)}
    changed = sorted(
        (one for one in rows if one.change), key=lambda one: (order[one.change or Change.NEW], one.question)
    )
    supported = [one.supported for one in rows if one.supported is not None]
    return {
        "shadow": asdict(shadow),
        "answers": len(rows),
        "questions": len({one.asked for one in rows}),
        "needed": max(FEWEST - len({one.asked for one in rows}), 0),
        "agreement": _share(rows, lambda one: one.agrees),
        "sent_live": _share(rows, lambda one: one.sent[0]),
        "sent_candidate": _share(rows, lambda one: one.sent[1]),
        "failures": _share(rows, lambda one: bool(one.problem)),
        "supported": sum(supported) / len(supported) if supported else None,
        "ms": {"live": _times([one.live_ms for one in rows]), "candidate": _times([one.candidate_ms for one in rows])},
        "counts": {kind.value: sum(one.change is kind for one in rows) for kind in Change},
        "problems": sorted({one.problem for one in rows if one.problem})[:5],
        "changed": [_shown(one) for one in changed[:LISTED]],
    }


def _share(rows: Sequence[Compared], holds: Callable[[Compared], bool]) -> dict[str, Any] | None:
    return _interval(rows, lambda one: float(holds(one))).to_json() if rows else None


def _interval(rows: Sequence[Compared], value: Callable[[Compared], float]) -> Interval:
    by_question: dict[str, list[float]] = defaultdict(list)
    for one in rows:
        by_question[one.asked].append(value(one))
    return bootstrap(by_question)


def _times(found: Sequence[float]) -> dict[str, float] | None:
    ordered = sorted(found)
    return (
        {f"p{share}": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] for share in (50, 95)}
        if found
        else None
    )


def _shown(one: Compared) -> dict[str, Any]:
    sides = {"before": one.live, "after": one.candidate}
    answers = {name: {"route": side.route.value, "answer": side.text} for name, side in sides.items()}
    return {"change": one.change, "question": one.question, **answers}


def gate(rows: Sequence[Compared]) -> Gate:
    """Shut by too few different questions, by one answer that people called wrong or one they approved that is lost,
    and where the candidate answers fewer questions than the live model, with an interval that says so. An answer that
    it failed to give in time was not given."""
    questions = len({one.asked for one in rows})
    if questions < FEWEST:
        return Gate(GATE, False, f"only {questions} different questions so far; at least {FEWEST} are needed")
    worse = [one for one in rows if one.change in _SHUT_BY]
    if worse:
        listed = "; ".join(f"{one.question!r} {one.change}" for one in worse[:5])
        return Gate(GATE, False, f"{len(worse)} answers on real traffic are for the worse: {listed}")
    found = _interval(rows, lambda one: float(one.sent[1]) - float(one.sent[0]))
    held = found.high >= 0
    said = f"{questions} different questions; {'not fewer' if held else 'fewer'} of them answered: {found.mean:+.3f}"
    return Gate(GATE, held, f"{said}, interval {found.low:+.3f} to {found.high:+.3f}", found)
