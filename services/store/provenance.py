"""Entries whose source changed: stale or moved in one revision, each stale one in the queue; and verdicts whose
evidence moved. Functions here take an open transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from router import wording
from router.types import Citation, CuratedEntry, EntryStatus, ReviewItem
from services.store import audit, curated, reviews, verdicts
from services.store.records import now
from services.store.review_records import VerdictState

WHO = "provenance"


@dataclass(frozen=True, slots=True)
class Renewal:
    """before: the entry as it was looked at. after: as it is to be. moved: old and new passage ids. changed: what a
    reviewer is shown of each source that changed; empty where citations only moved."""

    before: CuratedEntry
    after: CuratedEntry
    moved: tuple[tuple[str, str], ...]
    changed: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Rebinding:
    """moved: citations of a verdict, each as it was and as it is to be."""

    verdict_id: str
    moved: tuple[tuple[Citation, Citation], ...]


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


def rebind(connection: Connection, wanted: Sequence[Rebinding], version: str) -> list[str]:
    """The ids of the verdicts that cite something else now. What the reviewer said stays as it was said; one that was
    taken back meanwhile is left alone."""
    done = []
    for one in wanted:
        there, by = verdicts.get(connection, one.verdict_id), dict(one.moved)
        cited = tuple(by.get(citation, citation) for citation in there.citations)
        if there.state is VerdictState.FINAL and cited != there.citations:
            verdicts.put(connection, replace(there, citations=cited))
            before = {"evidence": [citation.passage_id for citation in there.citations]}
            after = {"evidence": [citation.passage_id for citation in cited], "index_version": version}
            audit.write(connection, WHO, "review.rebind", before, after, there.item_id)
            done.append(there.id)
    return done


def _open(connection: Connection, one: Renewal, version: str) -> None:
    entry = one.after
    language = wording.language_of(entry.question)
    item = ReviewItem(uuid4().hex, "", entry.question, language, "stale_source", "pending", now(), 0.0, entry.id)
    detail = {"entry_id": entry.id, "answer": entry.answer, "index_version": version, "changed": list(one.changed)}
    item_id = reviews.attach(connection, item, wording.normalise(entry.question), detail)
    after = {"entry_id": entry.id, "status": EntryStatus.STALE.value, "index_version": version}
    audit.write(connection, WHO, "review.stale", None, after, item_id)
