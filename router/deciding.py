"""What is sent, by which route, and why. Pure: every answer that leaves is made here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from router import wording
from router.confidence import VALUE
from router.types import (
    Answer,
    Citation,
    CuratedEntry,
    CuratedMatch,
    Draft,
    Hit,
    How,
    MessageKind,
    Passage,
    Route,
    SearchResult,
    Understood,
)

SUGGESTED = 3  # passages offered with an abstention
POOLED = 2  # curated entries that may join what was found
CURATED_SOURCE = "curated"  # the source that an entry is cited as when it joins the pool

_TALK = {
    MessageKind.GREETING: (Route.SMALLTALK, wording.GREETING),
    MessageKind.THANKS: (Route.SMALLTALK, wording.THANKS),
    MessageKind.GOODBYE: (Route.SMALLTALK, wording.GOODBYE),
    MessageKind.HANDOFF: (Route.HANDOFF, wording.HANDOFF),
    MessageKind.UNCLEAR: (Route.CLARIFY, wording.CLARIFY),
}


@dataclass(frozen=True, slots=True)
class Grounds:
    """What is known when a draft is judged. probability, line: 0..1. degraded: why the model did not write it, if so.
    refused: why it must not be sent whatever its confidence, if so. filtered: whether only a part was searched.
    by_words: whether it is unsure only because words alone speak for it, see `router.confidence.WITNESS`."""

    draft: Draft | None
    probability: float
    line: float
    found: SearchResult
    language: str
    degraded: str = ""
    refused: str = ""
    filtered: bool = False
    by_words: bool = False

    @property
    def without_value(self) -> bool:
        """Whether the quote lacks the figure, time, price or default that is asked for."""
        return self.draft is not None and self.draft.support.get(VALUE) == 0.0


def curated(entry: CuratedEntry, match: CuratedMatch, language: str) -> Answer:
    """The approved text, word for word. language: in which it is said why."""
    name = "near" if match.how is How.NEAR else "exact"
    why = wording.reason(name, language, probability=match.probability, margin=match.margin)
    return Answer(entry.answer, Route.CURATED, match.probability, entry.citations, why, "curated")


def talk(understood: Understood) -> Answer | None:
    """A reply to what is no question, or to one that nobody could answer; None for a question."""
    if understood.kind not in _TALK:
        return None
    route, texts = _TALK[understood.kind]
    why = wording.reason(understood.kind.value, understood.language)
    return Answer(wording.in_language(texts, understood.language), route, 1.0, (), why, "none")


def grounded(on: Grounds) -> Answer | None:
    """The draft, if it quotes something that may be what is asked for, and is sure enough."""
    if on.draft is None or not on.draft.citations or on.refused or on.without_value or on.probability < on.line:
        return None
    reason = on.degraded + wording.reason("sent", on.language, confidence=on.probability, line=on.line)
    return Answer(on.draft.text, Route.GROUNDED, on.probability, on.draft.citations, reason, on.draft.model)


def asked_back(on: Grounds, pointed: str) -> Answer | None:
    """A question back in place of an abstention, where the message points at what nothing names (`pointed`, "" where it
    does not): who asked can say it, people who review cannot."""
    if not pointed or on.refused or on.found.problem:
        return None
    text = wording.in_language(wording.WHICH, on.language).format(pointed=pointed)
    return Answer(text, Route.CLARIFY, 1.0, (), wording.reason("points", on.language, pointed=pointed), "none")


def abstained(on: Grounds, cite: Callable[[tuple[Hit, ...]], tuple[Citation, ...]]) -> Answer:
    return Answer(
        wording.in_language(wording.REFUSAL, on.language),
        Route.ABSTAINED,
        on.probability if on.draft and on.draft.citations and not on.without_value else 0.0,
        (),
        on.degraded + _why_not(on),
        on.draft.model if on.draft else "none",
        cite(_suggested(on.found.hits, on.language)),
    )


def _suggested(hits: Sequence[Hit], language: str) -> tuple[Hit, ...]:
    """The best passage of each section, those in the asker's language first: three of one section would be the same
    place three times."""
    best: dict[tuple[str, tuple[str, ...]], Hit] = {}
    for hit in sorted(hits, key=lambda hit: hit.passage.language != language):
        best.setdefault((hit.passage.document, hit.passage.heading), hit)
    return tuple(best.values())[:SUGGESTED]


def _why_not(on: Grounds) -> str:
    if on.found.problem:
        return wording.reason("no index", on.language, problem=on.found.problem)
    if not on.found.hits:
        return wording.reason("no word within" if on.filtered else "no word", on.language)
    if on.refused:
        return on.refused
    if on.draft is None or not on.draft.citations:
        return wording.reason("no quote", on.language)
    if on.without_value:
        return wording.reason("no value", on.language)
    places = next((places for places in (2, 3, 4) if round(on.probability, places) < round(on.line, places)), 5)
    confidence, line = f"{on.probability:.{places}f}", f"{on.line:.{places}f}"
    name = "words alone" if on.by_words else "unsure"
    return wording.reason(name, on.language, confidence=confidence, line=line)


def within(match: CuratedMatch, filters: Mapping[str, str]) -> CuratedMatch:
    """Without the approved answers that an asker who searches a part of the documents does not want: those in another
    language, and those that cite documents, but none of that part."""
    if not filters:
        return match
    pool = tuple(entry for entry in match.pool if _inside(entry, filters))
    stale = match.stale if match.stale and _inside(match.stale, filters) else None
    if match.entry is None or _inside(match.entry, filters):
        return replace(match, pool=pool, stale=stale)
    return CuratedMatch(How.NONE, candidates=match.candidates, pool=pool, revision=match.revision, stale=stale)


def _inside(entry: CuratedEntry, filters: Mapping[str, str]) -> bool:
    if filters.get("language", language := wording.language_of(entry.question)) != language:
        return False
    cited = [one.source for one in entry.citations if one.source]
    source, document = filters.get("source"), filters.get("document")
    return not cited or any(source in (None, path.partition("/")[0]) and document in (None, path) for path in cited)


def pooled(found: SearchResult, match: CuratedMatch) -> SearchResult:
    """What was found, with the curated entries that may help but are not certain, each as a passage of its own.

    An entry stands as high as it probably asks the same: fused scores are comparable within one list only.
    """
    if not match.pool:
        return found
    probabilities = {one.entry_id: one.probability for one in match.candidates}
    best = found.hits[0].fused if found.hits else 1.0
    joined = [_as_hit(entry, best * probabilities.get(entry.id, 0.0)) for entry in match.pool[:POOLED]]
    hits = sorted((*found.hits, *joined), key=lambda hit: -hit.fused)
    return replace(found, hits=tuple(hits))


def kind_differs(passage: Passage, match: CuratedMatch) -> str:
    """How a pooled entry is asked otherwise: why for how, whether for when; "" for another passage and for an entry
    that is asked alike."""
    beside = [one for one in match.candidates if passage.document == f"{CURATED_SOURCE}/{one.entry_id}"]
    return next((guard for one in beside for guard in one.guards if guard.startswith("kind: ")), "")


def _as_hit(entry: CuratedEntry, fused: float) -> Hit:
    identity = hashlib.sha256(f"{entry.id}\n{entry.question}\n{entry.answer}".encode()).hexdigest()[:32]
    language = wording.language_of(entry.question)
    path = f"{CURATED_SOURCE}/{entry.id}"
    return Hit(Passage(identity, path, (entry.question,), 0, len(entry.answer), entry.answer, language), {}, fused)
