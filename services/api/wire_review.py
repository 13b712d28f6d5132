"""The review queue across the HTTP wall."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from router.types import Citation
from services.api.wire import CitationOut, ReviewItemOut, ShortText, Strict, Text, clean
from services.api.wire_curated import CitationIn, FindingOut
from services.store.review_records import Judgement, VerdictKind

Kind = Literal["correct", "corrected", "incomplete", "wrong", "stale_source", "out_of_scope", "duplicate"]
Comment = Annotated[str, StringConstraints(max_length=4000), AfterValidator(clean)]


class VerdictIn(Strict):
    kind: Kind
    answer: Text = Field("", description="The right answer; needed with `corrected`.", examples=["Seven days."])
    evidence: list[CitationIn] = Field(default_factory=list, max_length=50, description="Passages that hold it.")
    variants: list[Text] = Field(default_factory=list, max_length=500, description="Other ways to ask it.")
    negatives: list[Text] = Field(default_factory=list, max_length=500, description="What looks alike and is not it.")
    entry_id: ShortText = Field("", description="The entry that `duplicate` names, or the one to write.")
    comment: Comment = ""
    retract: bool = Field(False, description="Call back what was answered: it is not sent again.")
    curate: bool | None = Field(None, description="Write a curated entry; by default where there is a new answer.")

    def judgement(self) -> Judgement:
        evidence = tuple(Citation(**{**one.model_dump(), "aliases": tuple(one.aliases)}) for one in self.evidence)
        return Judgement(
            VerdictKind(self.kind),
            self.answer.strip(),
            evidence,
            tuple(self.variants),
            tuple(self.negatives),
            self.entry_id,
            self.comment,
            self.retract,
            self.curate,
        )


class SplitIn(Strict):
    wordings: list[ShortText] = Field(min_length=1, max_length=500, description="Ids of wordings of this item.")


class MergeIn(Strict):
    items: list[ShortText] = Field(min_length=1, max_length=100, description="Ids of open items that ask the same.")


class RetractIn(Strict):
    reason: Comment = ""


class ItemOut(ReviewItemOut):
    """risk: 1 to 4. worth: askers × risk × age in hours. probability: of the audit's draw. entry_id: the curated entry
    that it is about."""

    risk: float
    worth: float
    claimed_by: str
    lease_until: str
    probability: float
    entry_id: str


class ItemsReply(BaseModel):
    items: list[ItemOut]
    total: int


class WordingOut(BaseModel):
    id: str
    question: str
    asks: int
    cause: str


class SimilarOut(BaseModel):
    item_id: str
    likeness: float
    wording: str
    guards: list[str]


class HeldTraceOut(BaseModel):
    id: str
    created: str
    question: str
    session_id: str | None
    cause: str
    probability: float
    route: str
    answer: str
    confidence: float
    reason: str
    model: str
    release: str
    citations: list[CitationOut]
    maybe_useful: list[CitationOut]
    passages: list[dict[str, Any]]


class VerdictOut(BaseModel):
    id: str
    item_id: str
    state: Literal["final", "proposed", "replaced", "undone"]
    kind: Kind
    who: str
    second: str
    created: str
    question: str
    answer: str
    citations: list[CitationOut]
    comment: str
    entry_id: str
    entry_version: int | None
    retractions: list[str]


class VerdictReply(VerdictOut):
    """collisions: what the self-test finds of the curated entry that the verdict wrote."""

    collisions: list[FindingOut]


class AuditOut(BaseModel):
    created: str
    who: str
    what: str
    before: Any
    after: Any


class SuggestedOut(BaseModel):
    variants: list[str]
    negatives: list[str]


class ItemReply(BaseModel):
    """detail: for a stale source, what changed."""

    item: ItemOut
    wordings: list[WordingOut]
    traces: list[HeldTraceOut]
    verdicts: list[VerdictOut]
    history: list[AuditOut]
    similar: list[SimilarOut]
    suggested: SuggestedOut
    detail: dict[str, Any]


class ItemChanged(BaseModel):
    item: ItemOut


class ItemNamed(BaseModel):
    item_id: str


class RetractionOut(BaseModel):
    id: str
    answer: str
    question: str
    created: str
    who: str
    reason: str
    recipients: int
    entries: list[str]
    lifted: str | None


class RetractionsReply(BaseModel):
    retractions: list[RetractionOut]


class RecipientOut(BaseModel):
    trace_id: str
    session_id: str | None
    question: str
    created: str


class RecipientsReply(BaseModel):
    recipients: list[RecipientOut]


class ResolutionOut(BaseModel):
    verdict: Kind
    answer: str
    citations: list[CitationOut]
    decided: str
    current: bool = Field(description="False: it was called back since, or its approved answer is stale or changed.")


class StandingReply(BaseModel):
    """answer: what was sent at once. resolution: what people decided, where they did."""

    id: str
    question: str
    created: str
    state: Literal["answered", "waiting", "resolved", "retracted"]
    route: str
    answer: str
    citations: list[CitationOut]
    resolution: ResolutionOut | None


class BudgetReply(BaseModel):
    """stated: the state in one sentence, by language. line: in force for what has none of its own. certificate,
    history: see the manual. coverage_risk, reliability: estimates to look at; only a certificate promises anything."""

    state: Literal["certified", "not_certifiable", "invalidated"]
    stated: dict[str, str]
    line: float
    audited: int
    undecided: int
    needed: int
    certificate: dict[str, Any] | None
    history: list[dict[str, Any]]
    coverage_risk: list[dict[str, float]]
    reliability: list[dict[str, float]]
