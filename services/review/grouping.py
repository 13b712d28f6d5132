"""The open items as clusters in this process, following the store; and putting new questions where they belong.

Every process keeps its own, and any of them may do the placing: the store joins only what is still open and unclaimed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.curated.vocabulary import packaged_guards
from services.review.clusters import Clusters, Join, Similar
from services.store.review_records import OpenWording
from services.store.sql import SqlStore

BATCH = 50  # wordings placed in one go; about a millisecond each


class Grouping:
    """Use from one event loop."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._clusters: Clusters | None = None
        self._seen: dict[str, str] = {}  # wording → the item it was in when last looked
        self._pairs = 0
        self._busy = asyncio.Lock()

    async def place(self, limit: int = BATCH) -> int:
        """Looks at the oldest new wordings; how many were looked at. Cheap where there are none."""
        async with self._busy:
            fresh = await self._store.reviews.unplaced(limit)
            if not fresh:
                return 0
            clusters = await self._follow()
            joins = await asyncio.to_thread(_joins, clusters, fresh)
            await self._store.reviews.placed(joins)
            return len(fresh)

    async def similar(self, item_id: str, limit: int) -> tuple[Similar, ...]:
        """Other open items in words that are near; () for an item that is not open."""
        async with self._busy:
            clusters = await self._follow()
            if not clusters.wordings(item_id):
                return ()
            return await asyncio.to_thread(clusters.similar, item_id, limit)

    async def _follow(self) -> Clusters:
        """The clusters as the store has them: open, placed wordings; and what reviewers said since."""
        wordings, pairs, last = await self._store.reviews.open_wordings(self._pairs)
        current = {one.id: one for one in wordings}
        clusters = self._clusters or Clusters(packaged_guards())
        await asyncio.to_thread(_update, clusters, self._seen, current)
        for one, other, together in pairs:
            (clusters.keep_together if together else clusters.keep_apart)([(one, other)])
        self._clusters, self._pairs = clusters, last
        self._seen = {one.id: one.item_id for one in wordings}
        return clusters


def _update(clusters: Clusters, seen: dict[str, str], current: dict[str, OpenWording]) -> None:
    """Items that lost or gained a wording are put in anew; most did not."""
    changed = {item for id, item in seen.items() if id not in current or current[id].item_id != item}
    changed |= {one.item_id for id, one in current.items() if seen.get(id) != one.item_id}
    for item_id in changed:
        clusters.close(item_id)
    for one in current.values():
        if one.item_id in changed:
            clusters.add(one.item_id, one.question)


def _joins(clusters: Clusters, fresh: Sequence[OpenWording]) -> list[tuple[str, str]]:
    """(wording, the item it belongs to, or its own) in the order of arrival."""
    found = []
    for one in fresh:
        placement = clusters.place(one.question)
        into = placement.item_id or one.item_id
        if placement.how is not Join.SAME or into == one.item_id:
            clusters.add(into, one.question)
        found.append((one.id, into))
    return found
