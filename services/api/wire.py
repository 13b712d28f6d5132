"""What crosses the HTTP wall, as pydantic models. Those of requests are run; those of replies document and test what
`render` makes, and are not run for each reply.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

_UNFIT = {code: " " for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"}
_UNFIT |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def clean(text: str) -> str:
    """Control characters become spaces and half surrogate pairs (a cut emoji) the replacement character: no database
    and no terminal should ever see them."""
    return text if text.isprintable() else text.translate(_UNFIT)


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


class FeatureOut(BaseModel):
    feature: str
    value: float
    pull: float | None
    meaning: str


class FoundOut(BaseModel):
    document: str
    fused: float
    scores: str
    id: str


class ExplainReply(BaseModel):
    id: str
    created: str
    question: str
    standalone: str
    language: str
    route: str
    answer: str
    confidence: float
    line: float | None
    reason: str
    model: str
    release: str
    curated: dict[str, Any]
    features: list[FeatureOut]
    passages: list[FoundOut]
    timings_ms: dict[str, float]


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


class ActivateRequest(Strict):
    keep_curated: bool = Field(default=False, description="Leave the curated answers as they are.")
    force: bool = Field(default=False, description="Do not ask for a fresh replay: for what cannot wait.")


class AdapterRequest(Strict):
    folder: str = Field(min_length=1, max_length=1000, description="The adapter, as `answerloop train` wrote it.")
    share: float = Field(gt=0, le=1, description="Of the questions, 0 to 1.")


class AdapterReply(BaseModel):
    model: str = Field(description="The name that its answers carry; never used before.")
    share: float


class ReplayRequest(Strict):
    since: ShortText = Field(default="7d", description="A date, a time, or days back.")


class ReadyReply(BaseModel):
    ready: bool
    parts: dict[str, str]


class VersionReply(BaseModel):
    version: str
    release: str | None


class ReindexRequest(Strict):
    full: bool = Field(default=False, description="Read and embed everything again, not only what changed.")
    hold: bool = Field(default=False, description="Make the release and do not serve it yet.")
    force: bool = Field(default=False, description="Serve it whatever it changes; past questions are not asked.")


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


class ReplayReply(BaseModel):
    job: JobOut
    fresh: bool = Field(description="Done, against what is served now, and less than a day old.")
    worse: int = Field(description="Questions that would be answered wrongly again, or not any more.")


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
