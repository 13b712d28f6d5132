"""The words of the house, as frozen records. Nothing here does anything.

Offsets are character offsets into `Document.text`, start inclusive, end exclusive. Languages are
ISO 639-1 codes ("zh" for simplified and traditional Chinese alike, "en", …) or "und".
Times are UTC, ISO 8601. Durations are milliseconds where the name says `_ms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """One source file at one revision, as Markdown text.

    path: "<source name>/<path inside the source>", always with forward slashes; unique in an index.
    text: what the passages are cut from. Markdown files keep their own text (newlines normalised to
        "\\n"); every other format is converted to Markdown first.
    revision: git commit of the source, or "sha256:<first 12 hex digits of the content hash>".
    content_hash: sha256 hex of the file's bytes (and of the files it includes).
    modified: the date the document gives for itself (front matter, git commit date), or None.
    aliases: other paths with the same or nearly the same content, which are not searched again.
    """

    path: str
    source: str
    title: str
    language: str
    text: str
    revision: str
    content_hash: str
    modified: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not in the index, and the reason in one sentence a person can act on."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Location:
    """Where a passage stands: a document path and the offsets in that document's text."""

    path: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Passage:
    """An immutable piece of a document; `text == document.text[start:end]`.

    id: 32 hex digits, a hash of heading path and text: the same words under the same headings have
        the same id in every document, every version and on every machine.
    heading: the titles from the top of the document down to the section that holds the passage.
    preamble: context that a cut took away and that is repeated for search and display only (the header
        row of a table that was cut by rows); "" for most passages.
    also_at: other places where the very same passage stands.
    """

    id: str
    document: str
    heading: tuple[str, ...]
    start: int
    end: int
    text: str
    language: str
    preamble: str = ""
    also_at: tuple[Location, ...] = ()


class UnitKind(StrEnum):
    SENTENCE = "sentence"
    ITEM = "item"  # one list item or step, its continuation lines included
    ROW = "row"  # one table row (never the header or the delimiter row)
    CODE = "code"  # one whole fenced or indented code block
    HEADING = "heading"


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest thing that can be quoted. Offsets are relative to the passage's text."""

    kind: UnitKind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found, with its channel scores kept apart.

    scores: raw score per channel that was computed for this question's language; the names are
        "bm25" (>= 0), "dense" and "corpus" (cosines, -1..1), "dense_unit" and "corpus_unit" (the best
        single unit's cosine).
    fused: the weighted sum of scaled scores, comparable within one result list only: never threshold it.
    best_unit: index into `router.units.split(passage.text)` of the unit nearest to the question, or None.
    unit_cosines: cosine of the question and each of these units, where the text embedder was asked, else nothing.
    """

    passage: Passage
    scores: Mapping[str, float]
    fused: float
    best_unit: int | None = None
    unit_cosines: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchResult:
    """terms: each distinct token of the question with its inverse document frequency in this index
    (Lucene's idf, > 0; a token that no passage holds has the largest).
    problem: why nothing could be searched, or ""."""

    hits: tuple[Hit, ...]
    terms: Mapping[str, float]
    language: str
    index_version: str
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """A quoted span of a document. `heading` is joined with " > " for display."""

    passage_id: str
    source: str
    heading: str
    quote: str
    start: int
    end: int
    revision: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """What a generator wrote, before anyone decided to send it.

    support: what the generator knows about its own answer, by feature name (each a float; see
        `router.confidence`), for example how much of the question the quotes cover.
    """

    text: str
    citations: tuple[Citation, ...]
    model: str
    logprobs: tuple[float, ...] = ()
    support: Mapping[str, float] = field(default_factory=dict)


class Route(StrEnum):
    CURATED = "curated"
    GROUNDED = "grounded"
    ABSTAINED = "abstained"
    CLARIFY = "clarify"
    SMALLTALK = "smalltalk"
    HANDOFF = "handoff"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation before the question. role: "user" or "assistant"."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    history: tuple[Turn, ...] = ()
    session_id: str | None = None
    filters: Mapping[str, str] = field(default_factory=dict)  # {"source": …} and/or {"document": …, "language": …}


@dataclass(frozen=True, slots=True)
class Answer:
    """confidence: probability that the answer is right, 0..1. maybe_useful: only when abstained."""

    text: str
    route: Route
    confidence: float
    citations: tuple[Citation, ...]
    reason: str
    model: str
    maybe_useful: tuple[Citation, ...] = ()


class EntryStatus(StrEnum):
    LIVE = "live"  # served
    STALE = "stale"  # a passage it cites has changed: not served as certain until somebody looks
    RETIRED = "retired"  # kept for its history, never served


@dataclass(frozen=True, slots=True)
class CuratedEntry:
    """A question that people answered. variants: other ways to ask it. negatives: questions that look alike and that
    it must NOT answer. The answer is sent word for word."""

    id: str
    question: str
    answer: str
    variants: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()
    status: EntryStatus = EntryStatus.LIVE


class How(StrEnum):
    """How a curated entry matched."""

    EXACT = "exact"  # the same words after normalisation
    NEAR = "near"  # surely the same question in other words
    UNSURE = "unsure"  # perhaps: candidates join the retrieval pool
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CuratedCandidate:
    """One entry beside one question. asked: the question, variant or negative of it that is nearest.

    score: 0..1 from words alone. cosine: -1..1 where an embedder was asked. probability: 0..1 that both ask the same.
    guards: what differs, as "name: theirs / ours"; any of them forbids a near match.
    """

    entry_id: str
    asked: str
    score: float
    probability: float
    cosine: float | None = None
    guards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CuratedMatch:
    """entry: the one that answers, only with EXACT and NEAR. probability: 0..1 that it is the right one. margin: how
    far the best candidate's probability is ahead of the next entry's. candidates: best first, a few. pool: entries
    that may help but are not certain (no guard fired), best first. revision: of the curated store. stale: the entry
    that was asked in its very words, when a source of it has changed."""

    how: How
    entry: CuratedEntry | None = None
    probability: float = 0.0
    margin: float = 0.0
    candidates: tuple[CuratedCandidate, ...] = ()
    pool: tuple[CuratedEntry, ...] = ()
    revision: str = ""
    stale: CuratedEntry | None = None


class MessageKind(StrEnum):
    """What kind of message the last one is."""

    QUESTION = "question"
    GREETING = "greeting"
    THANKS = "thanks"
    GOODBYE = "goodbye"
    HANDOFF = "handoff"  # asks for a person
    UNCLEAR = "unclear"  # a question that cannot be understood, and history does not settle it


@dataclass(frozen=True, slots=True)
class Understood:
    """A message beside its history. standalone: the question made whole, which is what is matched and searched; equal
    to the message's text where nothing was missing. carried: what was taken from history, for the trace. language: of
    the asker, for our own sentences. spoken: stems of what was asked and answered before it."""

    kind: MessageKind
    standalone: str
    language: str
    carried: str = ""
    spoken: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything needed to explain and replay one answer. JSON-ready values only in `candidates`, `features` and
    `curated`. standalone: the question made whole, as it was matched and searched. guards: "entry: what differs".
    curated: how the curated store was matched, see `router.answering`. prompt: the hash of what a model was asked with,
    where one wrote: see `router.prompt`."""

    id: str
    created: str
    question: Question
    normalised: str
    language: str
    answer: Answer
    candidates: tuple[Mapping[str, Any], ...]
    features: Mapping[str, float]
    guards: tuple[str, ...]
    release: str
    timings_ms: Mapping[str, float]
    standalone: str = ""
    curated: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A question waiting for people. state: pending | claimed | merged | decided. trace_id: "" where nobody asked (a
    source changed). probability: with which the audit drew the answer, 0 when it came in any other way. entry_id: the
    curated entry it is about, or ""."""

    id: str
    trace_id: str
    question: str
    language: str
    cause: str  # see `services.store.review_records.RISK`
    state: str
    created: str
    probability: float = 0.0
    entry_id: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """ONE pinned set. Asked questions name it; activating another one moves all of it."""

    id: str
    created: str
    index_version: str
    curated_revision: str
    model: str
    prompt_hash: str
    calibration: str
    note: str = ""
