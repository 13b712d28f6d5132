"""One question from start to finish. READ FIRST.

A question goes down the cascade until a step answers it: curated (in a later release), grounded in passages, or
abstained. What is sent is decided here and nowhere else; what happened is in the trace, which is durable before the
reply leaves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from router import confidence, wording
from router.confidence import Calibration
from router.errors import GeneratorUnavailable, IndexUnavailable
from router.ports import Generator, Retriever, Store
from router.types import Answer, Citation, Draft, Hit, Question, ReviewItem, Route, SearchResult, Trace

HITS = 8  # passages that a generator sees
SUGGESTED = 3  # passages offered with an abstention


@dataclass(frozen=True, slots=True)
class Parts:
    """What answering needs, pinned by one release. quoting: the generator that is always there.
    cite: a passage as a citation, whole. new_id, now: an id and the time for each trace."""

    retriever: Retriever
    generator: Generator
    quoting: Generator
    calibration: Calibration
    store: Store
    release: str
    cite: Callable[[tuple[Hit, ...]], tuple[Citation, ...]]
    new_id: Callable[[], str]
    now: Callable[[], str]


async def answer(question: Question, parts: Parts) -> tuple[Trace, ReviewItem | None]:
    """Decide the answer and make it durable. Returns the trace, and the review item that holds it, if any.

    Raises `Overloaded` or `Unavailable` when nothing can be recorded: then nothing is sent either.
    """
    watch = _Watch()
    found = await _search(question, parts)
    watch.lap("retrieve")
    draft, degraded = await _draft(question, found, parts)
    watch.lap("generate")
    features = confidence.features(found, draft)
    probability = parts.calibration.probability(features)
    decided = _decide(draft, probability, found, parts, degraded)
    trace = _trace(question, found, decided, features, parts, watch.done())
    item = _review(trace) if decided.route is Route.ABSTAINED else None
    held_by = await parts.store.record(trace, item)
    return trace, _renamed(item, held_by)


async def _search(question: Question, parts: Parts) -> SearchResult:
    """An index that is down finds nothing, and says so in the reason; the process goes on."""
    try:
        return await parts.retriever.search(question.text, HITS, question.filters)
    except IndexUnavailable as error:
        return SearchResult((), {}, wording.language_of(question.text), "none", problem=str(error))


async def _draft(question: Question, found: SearchResult, parts: Parts) -> tuple[Draft | None, str]:
    """The draft, and why it is not the model's where that is so."""
    if not found.hits:
        return None, ""
    try:
        return await parts.generator.generate(question, found), ""
    except GeneratorUnavailable as error:
        return await parts.quoting.generate(question, found), f"The model is not available ({error}); quoted instead. "


def _decide(draft: Draft | None, probability: float, found: SearchResult, parts: Parts, degraded: str) -> Answer:
    language, line = found.language, parts.calibration.line
    if draft and draft.citations and probability >= line:
        reason = f"{degraded}The quoted passages answer it: confidence {probability:.2f}, the line is {line:.2f}."
        return Answer(draft.text, Route.GROUNDED, probability, draft.citations, reason, draft.model)
    return Answer(
        wording.REFUSAL.get(language, wording.REFUSAL["en"]),
        Route.ABSTAINED,
        probability if draft else 0.0,
        (),
        degraded + _why_not(draft, probability, line, found),
        draft.model if draft else "none",
        parts.cite(found.hits[:SUGGESTED]),
    )


def _why_not(draft: Draft | None, probability: float, line: float, found: SearchResult) -> str:
    if found.problem:
        return f"The index is not available ({found.problem})."
    if not found.hits:
        return "No passage has a word of the question."
    if draft is None or not draft.citations:
        return "Nothing in the passages found can be quoted as an answer."
    return f"Not sure enough: confidence {probability:.2f} is below the line {line:.2f}."


def _review(trace: Trace) -> ReviewItem:
    text = trace.question.text
    return ReviewItem(f"item-{trace.id}", trace.id, text, trace.language, "abstained", "pending", trace.created)


def _renamed(item: ReviewItem | None, held_by: str | None) -> ReviewItem | None:
    """The item as the store keeps it: the same question asked again joins the item that is there."""
    if item is None or held_by is None or held_by == item.id:
        return item
    return ReviewItem(held_by, item.trace_id, item.question, item.language, item.cause, item.state, item.created)


def _trace(
    question: Question,
    found: SearchResult,
    decided: Answer,
    features: Mapping[str, float],
    parts: Parts,
    timings: Mapping[str, float],
) -> Trace:
    return Trace(
        id=parts.new_id(),
        created=parts.now(),
        question=question,
        normalised=wording.normalise(question.text),
        language=found.language,
        answer=decided,
        candidates=tuple(_candidate(hit) for hit in found.hits),
        features=features,
        guards=(),
        release=parts.release,
        timings_ms={**timings, **{f"search_{name}": value for name, value in found.timings_ms.items()}},
    )


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
        self._laps: dict[str, float] = {"curated": 0.0}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps[stage] = round((now - self._last) * 1e3, 3)
        self._last = now

    def done(self) -> dict[str, float]:
        return {**self._laps, "total": round((time.perf_counter() - self._begun) * 1e3, 3)}
