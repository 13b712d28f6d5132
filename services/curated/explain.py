"""Why each curated entry did or did not answer a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from router.curated import SHOWN, Entries
from router.curated_near import Judged
from router.curated_text import normal_form
from router.guards import facts_of, shown
from router.types import CuratedMatch, How


@dataclass(frozen=True, slots=True)
class Beside:
    """One entry beside the question. case: exact, words, pair or votes, the model that gave the probability. line: the
    least probability that is sent. only_asked, only_theirs: words on one side only. why: one sentence."""

    entry_id: str
    status: str
    asked: str
    case: str
    score: float
    cosine: float | None
    probability: float
    line: float
    guards: tuple[str, ...]
    only_asked: tuple[str, ...]
    only_theirs: tuple[str, ...]
    features: Mapping[str, float]
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """normal: the question as it is compared. needed_margin: how far ahead of the next entry the best one must be.
    words_alone: why no embedder took part, "" where one did or the same words need none."""

    question: str
    normal: str
    how: str
    entry_id: str
    probability: float
    margin: float
    needed_margin: float
    why: str
    candidates: tuple[Beside, ...]
    revision: str
    words_alone: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def explain(entries: Entries, question: str, cosines: Mapping[str, float] | None = None) -> Explanation:
    """What `entries.match` decides, and why; candidates best first."""
    normal = normal_form(question, entries.guards.wording)
    exact = entries.exact(normal)
    match = exact or entries.near(normal, cosines or {})
    if exact:
        beside = tuple(_same_words(entries, match, number) for number in range(len(match.candidates)))
    else:
        beside = tuple(_beside(entries, normal, one) for one in entries.judged(normal, cosines or {})[:SHOWN])
    return Explanation(
        question,
        normal,
        match.how.value,
        match.entry.id if match.entry else "",
        round(match.probability, 4),
        round(match.margin, 4),
        entries.guards.near.margin,
        _why(match, beside, entries.guards.near.margin),
        beside,
        match.revision,
    )


def _same_words(entries: Entries, match: CuratedMatch, number: int) -> Beside:
    one = match.candidates[number]
    sent = match.entry is not None and match.entry.id == one.entry_id
    why = "the same words" if sent else f"the same words, but {', '.join(one.guards) or 'another entry answers first'}"
    status = entries.entries[one.entry_id].status.value
    return Beside(one.entry_id, status, one.asked, "exact", 1.0, None, 1.0, 1.0, one.guards, (), (), {}, why)


def _beside(entries: Entries, normal: str, judged: Judged) -> Beside:
    one = judged.candidate
    ours = facts_of(normal, entries.guards).words
    theirs = facts_of(one.asked, entries.guards).words
    return Beside(
        one.entry_id,
        entries.entries[one.entry_id].status.value,
        one.asked,
        judged.case,
        round(one.score, 4),
        None if one.cosine is None else round(one.cosine, 4),
        round(one.probability, 4),
        judged.line,
        one.guards,
        tuple(sorted(map(shown, ours - theirs))),
        tuple(sorted(map(shown, theirs - ours))),
        {name: round(value, 4) for name, value in judged.features.items()},
        _verdict(judged),
    )


def _verdict(judged: Judged) -> str:
    one = judged.candidate
    if one.guards:
        return f"not the same question: {'; '.join(one.guards)}"
    if one.probability < judged.line:
        return f"not sure enough: probability {one.probability:.2f}, the line is {judged.line:.2f}"
    return f"near enough: probability {one.probability:.2f}, the line is {judged.line:.2f}"


def _why(match: CuratedMatch, beside: tuple[Beside, ...], needed: float) -> str:
    if match.how is How.EXACT:
        return "An entry is asked in the same words."
    if match.how is How.NEAR:
        return f"One entry is near enough, and {match.margin:.2f} ahead of the next one."
    if not beside:
        return "No entry shares a word with the question."
    best = beside[0]
    if not best.guards and best.probability >= best.line:
        return f"Two entries are about as near: {match.margin:.2f} apart, {needed:.2f} are needed."
    return f"The nearest entry, {best.entry_id}, does not answer it: {best.why}."
