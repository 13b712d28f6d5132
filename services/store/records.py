"""What the store hands out, beyond the records of `router.types`. Times are UTC, ISO 8601."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from router.types import CuratedEntry, ReviewItem


def now() -> str:
    """As `stamp` says it. The second is worked out once: each trace asks for the time."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_second(seconds)}.{nanoseconds // 1_000:06}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def stamp(moment: datetime) -> str:
    """Microseconds and "Z", always the same width: text order is time order. moment: in UTC."""
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


class Role(StrEnum):
    """What a key may do; each role may do everything the one before it may."""

    ASKER = "asker"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    def allows(self, needed: Role) -> bool:
        return self is needed or _RANKS[self] >= _RANKS[needed]


_RANKS = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """prefix: the first characters of the key, enough for a person to recognise it."""

    id: str
    name: str
    role: Role
    prefix: str
    created: str
    revoked: str | None = None


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def final(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Job:
    """Long work. done, total: units of the stage. pid: the process that does it, on `host`."""

    id: str
    kind: str
    state: JobState
    stage: str
    done: int
    total: int
    message: str
    params: dict[str, Any]
    result: dict[str, Any] | None
    host: str
    pid: int
    created: str
    updated: str
    started: str | None
    finished: str | None


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One line of a list of traces. seq: order of arrival, the cursor for the next page."""

    seq: int
    id: str
    created: str
    question: str
    language: str
    route: str
    confidence: float
    release_id: str
    session_id: str | None


@dataclass(frozen=True, slots=True)
class QueuedItem:
    """A review item with how many traces ask it and when it last changed. risk: 1 and more. worth: askers times risk
    times age in hours, by which the queue is ordered. claimed_by: who works on it until `lease_until`."""

    item: ReviewItem
    asks: int
    updated: str
    risk: float = 1.0
    worth: float = 0.0
    claimed_by: str = ""
    lease_until: str = ""


@dataclass(frozen=True, slots=True)
class Activation:
    release_id: str
    created: str
    who: str


@dataclass(frozen=True, slots=True)
class Calibration:
    id: str
    created: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """before, after: JSON-ready, or None where there is nothing to compare."""

    created: str
    who: str
    what: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class CuratedVersion:
    """An entry as one edit left it, or as it was when that edit deleted it. version: 1, 2, 3, … for each id, on across
    a deletion. revision: what that edit made of the whole curated store."""

    entry: CuratedEntry
    version: int
    revision: int
    created: str
    who: str
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class CuratedChange:
    """before: None for an entry that was not there."""

    before: CuratedVersion | None
    after: CuratedVersion


@dataclass(frozen=True, slots=True)
class CuratedEdit:
    """What one edit did. revision: the curated store's after it; the same as before when nothing changed."""

    revision: int
    changes: tuple[CuratedChange, ...] = ()


@dataclass(frozen=True, slots=True)
class CuratedDelta:
    """What there is to do to come from an earlier revision to this one."""

    revision: int
    changed: tuple[CuratedEntry, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CuratedPage:
    """total: how many there are on all pages. revision: of the curated store."""

    versions: tuple[CuratedVersion, ...]
    total: int
    revision: int
