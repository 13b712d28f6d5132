"""What the review queue hands out and takes in. Times are UTC, ISO 8601."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from router.types import Citation, Trace
from services.store.records import AuditEntry, QueuedItem

RISK: Mapping[str, float] = {
    "abstained": 1.0,
    "low_confidence": 1.0,
    "audit": 1.0,
    "handoff": 2.0,
    "disagreement": 2.0,
    "thumbs_down": 3.0,
    "stale_source": 3.0,
    "retracted": 4.0,
}
"""How much harm waiting does, by what brought the question: nobody got a wrong answer (1), somebody asked for a person
or two sources differ (2), a wrong answer probably stands somewhere (3), or surely does (4). A policy, not measured."""


class VerdictKind(StrEnum):
    CORRECT = "correct"
    CORRECTED = "corrected"
    INCOMPLETE = "incomplete"
    WRONG = "wrong"
    STALE_SOURCE = "stale_source"
    OUT_OF_SCOPE = "out_of_scope"
    DUPLICATE = "duplicate"


class VerdictState(StrEnum):
    FINAL = "final"
    PROPOSED = "proposed"  # a second reviewer has yet to confirm it
    REPLACED = "replaced"  # the second reviewer decided otherwise
    UNDONE = "undone"


class Stands(StrEnum):
    """How an asker's question stands."""

    ANSWERED = "answered"
    WAITING = "waiting"
    RESOLVED = "resolved"
    RETRACTED = "retracted"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a reviewer says. answer: the right one, with `corrected` and perhaps `incomplete`. evidence: passages that
    hold it. variants, negatives: for the curated entry. entry_id: the entry that `duplicate` names, or the one to
    write. retract: recall what was sent. curate: whether an entry is written; None: where there is an answer."""

    kind: VerdictKind
    answer: str = ""
    evidence: tuple[Citation, ...] = ()
    variants: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    entry_id: str = ""
    comment: str = ""
    retract: bool = False
    curate: bool | None = None


@dataclass(frozen=True, slots=True)
class Doubted:
    """A curated entry that a verdict made stale. version: the one that this made."""

    entry_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """question: the item's; questions: all its wordings. answer, citations: what the askers get, "" where nothing.
    judged: the answers that had been sent, each once. entry_id, before, after: the curated entry it wrote, with its
    version before (None: there was none) and after. doubted: the entries it made stale. second: who confirmed it,
    where two had to."""

    id: str
    item_id: str
    request_key: str
    state: VerdictState
    who: str
    created: str
    judgement: Judgement
    question: str
    language: str
    answer: str = ""
    citations: tuple[Citation, ...] = ()
    questions: tuple[str, ...] = ()
    judged: tuple[str, ...] = ()
    entry_id: str = ""
    before: int | None = None
    after: int | None = None
    retraction_ids: tuple[str, ...] = ()
    doubted: tuple[Doubted, ...] = ()
    second: str = ""


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """state: pending | claimed | decided, an expired claim is pending again. cause, language: "" for any. text: what
    the question holds. gaps: only questions that the documents did not answer. claimed_by: "" for anybody."""

    state: str = "pending"
    cause: str = ""
    language: str = ""
    text: str = ""
    gaps: bool = False
    claimed_by: str = ""
    order: str = "worth"  # or "gaps", "asks", "newest", "updated"
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class ItemPage:
    """total: on all pages."""

    items: tuple[QueuedItem, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AskedWording:
    """One wording of an item. id: to split by."""

    id: str
    question: str
    asks: int
    cause: str


@dataclass(frozen=True, slots=True)
class OpenWording:
    """A wording of an open item, for clustering."""

    id: str
    item_id: str
    question: str


@dataclass(frozen=True, slots=True)
class HeldTrace:
    """A trace in an item. cause: why it came to people. probability: with which the audit drew it."""

    trace: Trace
    cause: str
    probability: float


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item whole. traces: the newest, a few. detail: for a stale source {"changed": [{"source", "heading", "quote",
    "old", "new", "new_passage"}]}. history: its lines of the audit log, newest first."""

    item: QueuedItem
    wordings: tuple[AskedWording, ...]
    traces: tuple[HeldTrace, ...]
    verdicts: tuple[Verdict, ...]
    history: tuple[AuditEntry, ...]
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an asker sees of a question later. verdict: the one that decided it, if one did. current: False where what
    people decided is not said any more: it was called back, or its approved answer is stale, changed or gone."""

    trace: Trace
    state: Stands
    item_id: str = ""
    verdict: Verdict | None = None
    current: bool = True


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who got an answer."""

    trace_id: str
    session_id: str | None
    question: str
    created: str


@dataclass(frozen=True, slots=True)
class Retraction:
    """answer: the text that is not sent again. question: the one it was wrong for. recipients: traces that sent it.
    entries: curated ones that were retired with it. lifted: when it was allowed again. reopened: its questions went to
    people; else a verdict had decided them."""

    id: str
    answer: str
    question: str
    language: str
    created: str
    who: str
    reason: str
    recipients: int
    entries: tuple[str, ...] = ()
    lifted: str | None = None
    reopened: bool = False


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """A webhook call to make. attempts: made so far."""

    id: str
    event: str
    payload: Mapping[str, Any]
    created: str
    attempts: int
