"""Curated entries across the HTTP wall. Bounds of texts are in `services.curated.checks`: the import needs them too."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from router.types import Citation, CuratedEntry, EntryStatus
from services.api.wire import CitationOut, ShortText, Strict, Text

Offset = Annotated[int, Field(ge=0, lt=2**31)]


class CitationIn(Strict):
    source: Text = Field(examples=["docs/en/backup.md"])
    heading: Text = ""
    quote: Text = Field("", description="The words of the document that support the answer.")
    start: Offset = 0
    end: Offset = 0
    revision: Text = ""
    passage_id: Text = Field("", description="The passage that was quoted; when it changes, the entry goes stale.")
    aliases: list[Text] = Field(default_factory=list)


class EntryFields(Strict):
    question: Text = Field(examples=["How long are backups kept?"])
    answer: Text = Field(description="Sent word for word.", examples=["Seven days."])
    variants: list[Text] = Field(default_factory=list, description="Other ways to ask it.")
    negatives: list[Text] = Field(default_factory=list, description="Questions that look alike and it must not answer.")
    citations: list[CitationIn] = Field(default_factory=list)
    status: Literal["live", "stale", "retired"] = "live"

    def entry(self, entry_id: str) -> CuratedEntry:
        """Not checked yet."""
        return CuratedEntry(
            entry_id,
            self.question,
            self.answer,
            tuple(self.variants),
            tuple(self.negatives),
            tuple(Citation(**{**one.model_dump(), "aliases": tuple(one.aliases)}) for one in self.citations),
            EntryStatus(self.status),
        )


class NewEntry(EntryFields):
    id: ShortText | None = Field(None, description="Made up where there is none.")


class ChangedEntry(EntryFields):
    version: int | None = Field(
        None, ge=1, lt=2**31, description="The version that was read; or send it as `If-Match`. 409 when it is old."
    )


class ExplainRequest(Strict):
    question: Text = Field(examples=["How long do you keep backups?"])


class EntryOut(BaseModel):
    """revision: of the whole store, by the edit that made this version."""

    id: str
    question: str
    answer: str
    variants: list[str]
    negatives: list[str]
    citations: list[CitationOut]
    status: Literal["live", "stale", "retired"]
    version: int = Field(ge=1)
    revision: str
    updated: str
    updated_by: str
    deleted: bool


class EntriesReply(BaseModel):
    """total: on all pages. revision: of the curated store."""

    entries: list[EntryOut]
    total: int
    revision: str


class HistoryReply(BaseModel):
    versions: list[EntryOut]


class FindingOut(BaseModel):
    problem: str
    entry_id: str
    wording: str
    other_id: str
    other_wording: str
    probability: float


class SelfTestReply(BaseModel):
    """words_alone: why no embedder took part; "" where one did."""

    revision: str
    entries: int
    live: int
    asked: int
    findings: list[FindingOut]
    seconds: float
    words_alone: str
    counts: dict[str, int]
    passed: bool


class EditReply(BaseModel):
    """self_test: of this entry and its nearest neighbours, after the edit."""

    entry: EntryOut
    revision: str
    changed: bool
    self_test: SelfTestReply


class SkippedRowOut(BaseModel):
    line: int
    reason: str


class DuplicateOut(BaseModel):
    line: int
    id: str
    question: str
    same_as: str


class ImportReply(BaseModel):
    """self_test: of the entries that changed, where they are few; else null: run POST /admin/curated/self-test."""

    revision: str
    created: int
    updated: int
    unchanged: int
    skipped_total: int
    skipped: list[SkippedRowOut]
    duplicates_total: int
    duplicates: list[DuplicateOut]
    fields_left_out: list[str]
    self_test: SelfTestReply | None


class BesideOut(BaseModel):
    entry_id: str
    status: str
    asked: str
    case: str
    score: float
    cosine: float | None
    probability: float
    line: float
    guards: list[str]
    only_asked: list[str]
    only_theirs: list[str]
    features: dict[str, Any]
    why: str


class CuratedExplainReply(BaseModel):
    """words_alone: why no embedder took part; "" where one did, or where the same words need none."""

    question: str
    normal: str
    how: Literal["exact", "near", "unsure", "none"]
    entry_id: str
    probability: float
    margin: float
    needed_margin: float
    why: str
    candidates: list[BesideOut]
    revision: str
    words_alone: str
