"""One question from start to finish. READ FIRST.

A message goes down the cascade until a step answers it: a curated answer for this very question; small talk, a person
asked for, or a question back; an answer grounded in passages; or an abstention, which goes to people. What is sent is
decided in `router.deciding` and nowhere else; what happened is in the trace, which is durable before the reply leaves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from router import advice, confidence, deciding, policy, wording
from router.confidence import Calibration
from router.continuity import on_topic, spoken_of
from router.conversation import understand
from router.deciding import Grounds
from router.errors import GeneratorUnavailable, IndexUnavailable
from router.policy import Policy
from router.ports import Adviser, Curated, Generator, Retriever, Store
from router.references import pointed_at
from router.types import (
    Answer,
    Citation,
    CuratedCandidate,
    CuratedMatch,
    Draft,
    Hit,
    How,
    MessageKind,
    Passage,
    Question,
    ReviewItem,
    Route,
    SearchResult,
    Trace,
    Understood,
)

HITS = 8  # passages that a generator sees


def _any_deed(_question: str, _passage: Passage) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Parts:
    """What answering needs, pinned by one release. quoting: the generator that is always there.
    cite: a passage as a citation, whole. new_id, now: an id and the time for each trace.
    another_deed: which action a passage is about instead of the one that a question asks for, "" where it is not; see
    `router.guards.another_deed`. adviser: a model that is asked beside answering, where there is one.
    prompt: the hash of what `generator` asks its model with, see `router.prompt`."""

    curated: Curated
    retriever: Retriever
    generator: Generator
    quoting: Generator
    calibration: Calibration
    store: Store
    release: str
    cite: Callable[[tuple[Hit, ...]], tuple[Citation, ...]]
    new_id: Callable[[], str]
    now: Callable[[], str]
    policy: Policy = field(default_factory=Policy)
    another_deed: Callable[[str, Passage], str] = _any_deed
    adviser: Adviser | None = None
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a step of the cascade decided, and what it looked at."""

    answer: Answer
    found: SearchResult
    features: Mapping[str, float] = field(default_factory=dict)


async def answer(question: Question, parts: Parts) -> tuple[Trace, ReviewItem | None]:
    """Decide the answer and make it durable. Returns the trace, and the review item that holds it, if any.

    Raises `Overloaded` or `Unavailable` when nothing can be recorded: then nothing is sent either.
    """
    watch = _Watch()
    trace, item = await propose(question, parts, watch)
    held_by = await parts.store.record(trace, item)
    return trace, _renamed(item, held_by)


async def propose(question: Question, parts: Parts, watch: _Watch | None = None) -> tuple[Trace, ReviewItem | None]:
    """Decide, and record nothing: for explaining an answer."""
    watch = watch or _Watch()
    understood, match = await _understood(question, parts)
    watch.lap("curated")
    outcome = (
        _curated(understood, match, parts)
        or _talk(understood)
        or await _grounded(question, understood, match, parts, watch)
    )
    trace = _trace(question, understood, match, outcome, parts, watch.done())
    return trace, policy.review(trace, parts.policy)


async def _understood(question: Question, parts: Parts) -> tuple[Understood, CuratedMatch]:
    """Where the message stands for itself and its very words are approved, nothing else is to be understood."""
    if question.history:
        understood = await advice.whole(understand(question), question, parts.adviser)
        match = deciding.within(await parts.curated.match(understood.standalone), question.filters)
    else:
        match = deciding.within(await parts.curated.match(question.text), question.filters)
        if match.how is How.EXACT:
            return Understood(MessageKind.QUESTION, question.text, wording.language_of(question.text)), match
        understood = understand(question)
    return understood, await advice.confirmed(match, understood, parts.adviser)


def _curated(understood: Understood, match: CuratedMatch, parts: Parts) -> _Outcome | None:
    """A greeting is not nearly a question: only the very words of an entry answer what is not one."""
    noted = policy.noted(match, parts.policy, understood.language)
    if noted is not None:
        return _Outcome(noted, _nothing(understood))
    sure = match.how is How.EXACT or (match.how is How.NEAR and understood.kind is MessageKind.QUESTION)
    if not sure or match.entry is None or _below_budget(match, parts.calibration, understood.language):
        return None
    return _Outcome(deciding.curated(match.entry, match, understood.language), _nothing(understood))


def _below_budget(match: CuratedMatch, calibration: Calibration, language: str) -> bool:
    """Matching has a line of its own; the error budget's, where it has set one, speaks of all that is sent."""
    return bool(calibration.lines) and match.probability < calibration.line_for(language, Route.CURATED.value)


def _talk(understood: Understood) -> _Outcome | None:
    answer = deciding.talk(understood)
    return _Outcome(answer, _nothing(understood)) if answer else None


async def _grounded(
    question: Question, understood: Understood, match: CuratedMatch, parts: Parts, watch: _Watch
) -> _Outcome:
    whole = replace(question, text=understood.standalone)
    found = deciding.pooled(await _search(whole, understood, parts), match)
    watch.lap("retrieve")
    draft, degraded = await _draft(whole, found, parts, understood.language)
    watch.lap("generate")
    pointed = "" if understood.carried else pointed_at(question.text, question.history)
    quoted = _quoted(draft, found)
    topical = on_topic(understood, quoted) if quoted else 1.0
    spoken = quoted is not None and spoken_of(understood, quoted, question.text)
    features = confidence.features(found, draft, match, pointed, topical, spoken)
    probability = parts.calibration.probability(features)
    line = parts.calibration.line_of(features, found.language)
    refused = _refused(draft, match, parts, understood.language) or _misses(understood, quoted, match, parts)
    narrowed, usual = bool(question.filters), parts.calibration.line_for(found.language, Route.GROUNDED.value)
    by_words = usual <= probability < line
    grounds = Grounds(draft, probability, line, found, understood.language, degraded, refused, narrowed, by_words)
    decided = deciding.grounded(grounds) or deciding.asked_back(grounds, pointed)
    return _Outcome(decided or deciding.abstained(grounds, parts.cite), found, features)


def _refused(draft: Draft | None, match: CuratedMatch, parts: Parts, language: str) -> str:
    """Why people do not want this draft sent, whatever its confidence; "" where they do not mind."""
    if policy.held(match, parts.policy):
        return wording.reason("held", language)
    if draft is not None and parts.policy.blocked(draft.text):
        return wording.reason("called back", language)
    return ""


def _quoted(draft: Draft | None, found: SearchResult) -> Passage | None:
    """What the draft rests on most; None where that was not found."""
    best = draft.citations[0].passage_id if draft and draft.citations else ""
    return next((hit.passage for hit in found.hits if hit.passage.id == best), None)


def _misses(asked: Understood, passage: Passage | None, match: CuratedMatch, parts: Parts) -> str:
    """Why the passage that a draft rests on most answers another question, however sure the rest looks; "" where it
    does not. A near miss is no better quoted from a page than sent from the curated store."""
    if passage is None:
        return ""
    if kind := deciding.kind_differs(passage, match):
        return wording.reason("other kind", asked.language, kind=kind)
    differs = parts.another_deed(asked.standalone, passage)
    return wording.reason("other action", asked.language, action=differs) if differs else ""


async def _search(question: Question, understood: Understood, parts: Parts) -> SearchResult:
    """An index that is down finds nothing, and says so in the reason; the process goes on."""
    try:
        return await parts.retriever.search(question.text, HITS, question.filters, frugal=True)
    except IndexUnavailable as error:
        return replace(_nothing(understood), problem=str(error))


async def _draft(question: Question, found: SearchResult, parts: Parts, language: str) -> tuple[Draft | None, str]:
    """The draft, and why it is not the model's where that is so."""
    if not found.hits:
        return None, ""
    try:
        return await parts.generator.generate(question, found), ""
    except GeneratorUnavailable as error:
        return await parts.quoting.generate(question, found), wording.reason("no model", language, problem=error)


def _nothing(understood: Understood) -> SearchResult:
    return SearchResult((), {}, understood.language, "none")


def _renamed(item: ReviewItem | None, held_by: str | None) -> ReviewItem | None:
    """The item as the store keeps it: the same question asked again joins the item that is there."""
    if item is None or held_by is None or held_by == item.id:
        return item
    return replace(item, id=held_by)


def _trace(
    question: Question,
    understood: Understood,
    match: CuratedMatch,
    outcome: _Outcome,
    parts: Parts,
    timings: Mapping[str, float],
) -> Trace:
    found = outcome.found
    return Trace(
        id=parts.new_id(),
        created=parts.now(),
        question=question,
        normalised=wording.normalise(understood.standalone),
        language=found.language,
        answer=outcome.answer,
        candidates=tuple(_candidate(hit) for hit in found.hits),
        features=outcome.features,
        guards=tuple(f"{one.entry_id}: {guard}" for one in match.candidates for guard in one.guards),
        release=parts.release,
        timings_ms={**timings, **{f"search_{name}": value for name, value in found.timings_ms.items()}},
        standalone=understood.standalone,
        curated=_matched(match),
        prompt=parts.prompt,
    )


def _matched(match: CuratedMatch) -> Mapping[str, Any]:
    return {
        "how": match.how.value,
        "entry": match.entry.id if match.entry else None,
        "probability": round(match.probability, 4),
        "margin": round(match.margin, 4),
        "revision": match.revision,
        "candidates": [_considered(one) for one in match.candidates],
    }


def _considered(one: CuratedCandidate) -> Mapping[str, Any]:
    """As `dataclasses.asdict`, which copies every string on its way."""
    return {
        "entry_id": one.entry_id,
        "asked": one.asked,
        "score": one.score,
        "probability": one.probability,
        "cosine": one.cosine,
        "guards": one.guards,
    }


def _candidate(hit: Hit) -> Mapping[str, Any]:
    return {
        "passage_id": hit.passage.id,
        "document": hit.passage.document,
        "start": hit.passage.start,
        "end": hit.passage.end,
        "scores": dict(hit.scores),
        "fused": round(hit.fused, 5),
        "best_unit": hit.best_unit,
    }


class _Watch:
    """Milliseconds by stage, and in total."""

    def __init__(self) -> None:
        self._begun = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps[stage] = round((now - self._last) * 1e3, 3)
        self._last = now

    def done(self) -> dict[str, float]:
        return {**self._laps, "total": round((time.perf_counter() - self._begun) * 1e3, 3)}
