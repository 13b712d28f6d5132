"""Entries whose source changed: stale or moved in one revision, each stale one in the queue. Functions here take an
open transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from router import wording
from router.types import CuratedEntry, EntryStatus, ReviewItem
from services.store import audit, curated, reviews
from services.store.records import now

WHO = "provenance"


@dataclass(frozen=True, slots=True)
class Renewal:
    """before: the entry as it was looked at. after: as it is to be. moved: old and new passage ids. changed: what a
    reviewer is shown of each source that changed; empty where citations only moved."""

    before: CuratedEntry
    after: CuratedEntry
    moved: tuple[tuple[str, str], ...]
    changed: tuple[Mapping[str, Any], ...]


def renew(connection: Connection, wanted: Sequence[Renewal], version: str) -> list[str]:
    """The ids of entries that somebody changed meanwhile, which are left alone: look at them again."""
    ids = [one.before.id for one in wanted]
    there = curated.latest(connection, ids)
    current = [one for one in wanted if one.before.id in there and there[one.before.id].entry == one.before]
    put = tuple(one.after for one in current)
    curated.edit(connection, lambda _: curated.Wanted(put=put), WHO, f"provenance {version}", ids)
    for one in current:
        if one.changed:
            _open(connection, one, version)
        if one.moved:
            after = {"entry_id": one.after.id, "moved": one.moved, "index_version": version}
            audit.write(connection, WHO, "curated.rebind", None, after, one.after.id)
    done = {one.before.id for one in current}
    return [one for one in ids if one not in done and one in there and not there[one].deleted]


def _open(connection: Connection, one: Renewal, version: str) -> None:
    entry = one.after
    language = wording.language_of(entry.question)
    item = ReviewItem(uuid4().hex, "", entry.question, language, "stale_source", "pending", now(), 0.0, entry.id)
    detail = {"entry_id": entry.id, "answer": entry.answer, "index_version": version, "changed": list(one.changed)}
    item_id = reviews.attach(connection, item, wording.normalise(entry.question), detail)
    after = {"entry_id": entry.id, "status": EntryStatus.STALE.value, "index_version": version}
    audit.write(connection, WHO, "review.stale", None, after, item_id)
