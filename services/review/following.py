"""After a reindex the curated store follows its sources: done by whoever makes or opens a version, twice is no harm."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from indexer.version import read_manifest
from services.review.provenance import Affected, examine
from services.store.provenance import Renewal
from services.store.sql import SqlStore

_TRIES = 3  # an entry edited while we look is looked at again

log = logging.getLogger("answerloop.provenance")


@dataclass(frozen=True, slots=True)
class Followed:
    """Ids of entries that went stale, and of those whose citations moved by themselves."""

    stale: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()


async def follow(store: SqlStore, folder: Path) -> Followed:
    """folder: of the index version to serve."""
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
    if stale or moved:
        log.info("index %s: %d curated answers are stale, %d follow their source", folder.name, len(stale), len(moved))
    return Followed(tuple(stale), tuple(moved))


def _renewal(one: Affected) -> Renewal:
    ids = tuple((pair.before.passage_id, pair.after.passage_id) for pair in one.moved)
    return Renewal(one.entry, one.renewed(), ids, tuple(gone.to_json() for gone in one.gone))
