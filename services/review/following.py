"""After a reindex approved answers and verdicts follow their sources: done by whoever makes or opens a version.

Done twice it is no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from indexer.version import read_manifest
from router.types import CuratedEntry
from services.review.provenance import Affected, examine, moved_evidence
from services.store.provenance import Rebinding, Renewal
from services.store.sql import SqlStore

_TRIES = 3  # an entry edited while we look is looked at again

log = logging.getLogger("answerloop.provenance")


@dataclass(frozen=True, slots=True)
class Followed:
    """Ids of entries that went stale, and of those whose citations moved by themselves. verdicts: ids of those whose
    evidence moved."""

    stale: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()


async def follow(store: SqlStore, folder: Path) -> Followed:
    """folder: of the index version to serve."""
    followed = await _follow_entries(store, folder)
    verdicts = await _follow_verdicts(store, folder)
    if followed.stale or followed.moved or verdicts:
        log.info(
            "index %s: %d curated answers are stale, %d follow their source, with the evidence of %d verdicts",
            folder.name,
            len(followed.stale),
            len(followed.moved),
            len(verdicts),
        )
    return replace(followed, verdicts=verdicts)


def will_be_stale(entries: Iterable[CuratedEntry], folder: Path) -> list[CuratedEntry]:
    """What `follow` will make of the entries whose evidence that version does not hold. Nothing is written."""
    return [one.renewed() for one in examine(entries, folder / "content.db", None) if one.gone]


async def _follow_entries(store: SqlStore, folder: Path) -> Followed:
    parent = (await asyncio.to_thread(read_manifest, folder)).parent
    before = folder.parent / parent / "content.db" if parent else None
    stale: list[str] = []
    moved: list[str] = []
    again: Collection[str] | None = None
    for _ in range(_TRIES):
        entries = (await store.curated.entries_at()).changed
        chosen = [entry for entry in entries if again is None or entry.id in again]
        affected = await asyncio.to_thread(examine, chosen, folder / "content.db", before)
        if not affected:
            break
        again = await store.reviews.renew([_renewal(one) for one in affected], folder.name)
        done = [one for one in affected if one.entry.id not in again]
        stale += [one.entry.id for one in done if one.gone]
        moved += [one.entry.id for one in done if not one.gone]
        if not again:
            break
    return Followed(tuple(stale), tuple(moved))


async def _follow_verdicts(store: SqlStore, folder: Path) -> tuple[str, ...]:
    verdicts = await store.reviews.final_verdicts()
    found = await asyncio.to_thread(moved_evidence, verdicts, folder / "content.db")
    wanted = [Rebinding(name, tuple((one.before, one.after) for one in moved)) for name, moved in found.items()]
    return tuple(await store.reviews.rebind(wanted, folder.name)) if wanted else ()


def _renewal(one: Affected) -> Renewal:
    ids = tuple((pair.before.passage_id, pair.after.passage_id) for pair in one.moved)
    return Renewal(one.entry, one.renewed(), ids, tuple(gone.to_json() for gone in one.gone))
