"""What crosses the HTTP wall: pydantic models in, plain dictionaries out. Models of replies document and test the
replies; they are not run for each reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from router.types import Citation, Hit, Question, Release, ReviewItem, SearchResult, Trace, Turn
from services.api.errors import Refused
from services.settings import Settings
from services.store.records import Job, KeyInfo, QueuedItem

_UNFIT = {code: " " for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"}
_UNFIT |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def clean(text: str) -> str:
    """Control characters become spaces and half surrogate pairs (a cut emoji) the replacement character: no database
    and no terminal should ever see them."""
    return text.translate(_UNFIT)


Text = Annotated[str, AfterValidator(clean)]
ShortText = Annotated[str, StringConstraints(max_length=200), AfterValidator(clean)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TurnIn(Strict):
    role: Literal["user", "assistant"]
    content: Text


class Filters(Strict):
    source: ShortText | None = None
    document: Annotated[str, StringConstraints(max_length=1000), AfterValidator(clean)] | None = None
    language: ShortText | None = None


class AskRequest(Strict):
    question: Text = Field(examples=["How do I add a read-only node?"])
    history: list[TurnIn] = Field(default_factory=list)
    session_id: ShortText | None = None
    filters: Filters = Field(default_factory=Filters)
    stream: bool = Field(False, description="Answer as server-sent events: `delta` events, then one `done`.")


class SearchRequest(Strict):
    question: Text = Field(examples=["read-only node"])
    limit: int = Field(10, ge=1, le=100)
    filters: Filters = Field(default_factory=Filters)


class FeedbackRequest(Strict):
    id: ShortText = Field(description="The `id` of the reply that is rated.")
    rating: Literal["up", "down"]
    comment: Annotated[str, StringConstraints(max_length=4000), AfterValidator(clean)] = ""


class CitationOut(BaseModel):
    source: str
    heading: str
    quote: str
    start: int
    end: int
    revision: str
    passage_id: str
    aliases: list[str]


class ReviewOut(BaseModel):
    queued: bool
    item_id: str | None


class AskReply(BaseModel):
    id: str
    answer: str
    route: Literal["curated", "grounded", "abstained", "clarify", "smalltalk", "handoff"]
    confidence: float = Field(ge=0, le=1)
    citations: list[CitationOut]
    maybe_useful: list[CitationOut]
    reason: str
    review: ReviewOut
    release: str
    model: str
    timings_ms: dict[str, float]


class LocationOut(BaseModel):
    document: str
    start: int
    end: int


class HitOut(BaseModel):
    passage_id: str
    document: str
    heading: str
    text: str
    preamble: str
    start: int
    end: int
    language: str
    scores: dict[str, float]
    fused: float
    also_at: list[LocationOut]


class SearchReply(BaseModel):
    hits: list[HitOut]
    language: str
    index_version: str
    timings_ms: dict[str, float]


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, str]] | None = None


class OpenAIErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class OpenAIError(BaseModel):
    """The shape that OpenAI's clients know."""

    error: OpenAIErrorBody


Responses = dict[int | str, dict[str, Any]]

_REFUSALS = (400, 401, 403, 404, 409, 413, 422, 429, 503)
_PROBLEM_SCHEMA = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS: Responses = {
    status: {"description": "A problem document", "content": _PROBLEM_SCHEMA} for status in _REFUSALS
}
OPENAI_ERRORS: Responses = {code: {"model": OpenAIError} for code in _REFUSALS}


class ReviewItemOut(BaseModel):
    id: str
    trace_id: str
    question: str
    language: str
    cause: str
    state: str
    created: str
    updated: str
    asks: int


class ReviewItems(BaseModel):
    items: list[ReviewItemOut]


class ReleaseOut(BaseModel):
    id: str
    created: str
    index_version: str
    curated_revision: str
    model: str
    prompt_hash: str
    calibration: str
    note: str
    active: bool


class ReleasesReply(BaseModel):
    releases: list[ReleaseOut]


class ReadyReply(BaseModel):
    ready: bool
    parts: dict[str, str]


class VersionReply(BaseModel):
    version: str
    release: str | None


class ReindexRequest(Strict):
    full: bool = Field(False, description="Read and embed everything again, not only what changed.")


class JobStarted(BaseModel):
    id: str
    url: str


class JobOut(BaseModel):
    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "interrupted"]
    stage: str
    done: int
    total: int
    message: str
    params: dict[str, Any]
    result: dict[str, Any] | None
    created: str
    started: str | None
    finished: str | None


class JobsReply(BaseModel):
    jobs: list[JobOut]


class DocumentOut(BaseModel):
    path: str
    size: int
    modified: str


class DocumentsReply(BaseModel):
    documents: list[DocumentOut]


class DocumentReply(BaseModel):
    path: str
    size: int | None = None
    modified: str | None = None
    job: JobStarted | None


class KeyRequest(Strict):
    name: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(clean)]
    role: Literal["asker", "reviewer", "admin"]


class KeyOut(BaseModel):
    id: str
    name: str
    role: Literal["asker", "reviewer", "admin"]
    prefix: str
    created: str
    revoked: str | None


class KeysReply(BaseModel):
    keys: list[KeyOut]


class KeyCreated(BaseModel):
    id: str
    name: str
    role: Literal["asker", "reviewer", "admin"]
    key: str


def question_from(body: AskRequest, settings: Settings) -> Question:
    """Raises `Refused` (422) for a blank or overlong question and an overlong history."""
    check_question(body.question, settings)
    turns = tuple(Turn(turn.role, turn.content) for turn in body.history)
    check_history(turns, settings)
    return Question(body.question.strip(), turns, body.session_id, filters_from(body.filters))


def filters_from(filters: Filters) -> dict[str, str]:
    return filters.model_dump(exclude_none=True)


def check_question(text: str, settings: Settings) -> None:
    if not any(char.isprintable() and not char.isspace() for char in text):
        raise Refused(422, "blank_question", "The question is blank.")
    if len(text) > settings.max_question_chars:
        detail = f"The question has {len(text)} characters; at most {settings.max_question_chars} are accepted."
        raise Refused(422, "question_too_long", detail)


def check_history(turns: tuple[Turn, ...], settings: Settings) -> None:
    if len(turns) > settings.max_history_turns:
        detail = f"The history has {len(turns)} messages; at most {settings.max_history_turns} are accepted."
        raise Refused(422, "history_too_long", detail)
    size = sum(len(turn.content) for turn in turns)
    if size > settings.max_history_chars:
        detail = f"The history has {size} characters; at most {settings.max_history_chars} are accepted."
        raise Refused(422, "history_too_long", detail)


def ask_reply(trace: Trace, item: ReviewItem | None) -> dict[str, Any]:
    answer = trace.answer
    return {
        "id": trace.id,
        "answer": answer.text,
        "route": answer.route.value,
        "confidence": round(float(answer.confidence), 4),
        "citations": [citation_out(citation) for citation in answer.citations],
        "maybe_useful": [citation_out(citation) for citation in answer.maybe_useful],
        "reason": answer.reason,
        "review": {"queued": item is not None, "item_id": item.id if item else None},
        "release": trace.release,
        "model": answer.model,
        "timings_ms": _rounded(trace.timings_ms),
    }


def citation_out(citation: Citation) -> dict[str, Any]:
    return {
        "source": citation.source,
        "heading": citation.heading,
        "quote": citation.quote,
        "start": citation.start,
        "end": citation.end,
        "revision": citation.revision,
        "passage_id": citation.passage_id,
        "aliases": list(citation.aliases),
    }


def search_reply(found: SearchResult) -> dict[str, Any]:
    return {
        "hits": [_hit_out(hit) for hit in found.hits],
        "language": found.language,
        "index_version": found.index_version,
        "timings_ms": _rounded(found.timings_ms),
    }


def _hit_out(hit: Hit) -> dict[str, Any]:
    passage = hit.passage
    return {
        "passage_id": passage.id,
        "document": passage.document,
        "heading": " > ".join(passage.heading),
        "text": passage.text,
        "preamble": passage.preamble,
        "start": passage.start,
        "end": passage.end,
        "language": passage.language,
        "scores": {name: float(score) for name, score in hit.scores.items()},
        "fused": float(hit.fused),
        "also_at": [{"document": at.path, "start": at.start, "end": at.end} for at in passage.also_at],
    }


def release_out(release: Release, active: str | None) -> dict[str, Any]:
    return {**asdict(release), "active": release.id == active}


def review_item_out(queued: QueuedItem) -> dict[str, Any]:
    item = queued.item
    return {
        "id": item.id,
        "trace_id": item.trace_id,
        "question": item.question,
        "language": item.language,
        "cause": item.cause,
        "state": item.state,
        "created": item.created,
        "updated": queued.updated,
        "asks": queued.asks,
    }


def job_link(job: Job) -> dict[str, str]:
    return {"id": job.id, "url": f"/admin/jobs/{job.id}"}


def job_out(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in JobOut.model_fields}


def key_out(key: KeyInfo) -> dict[str, Any]:
    return {name: getattr(key, name) for name in KeyOut.model_fields}


def _rounded(timings: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in timings.items()}
