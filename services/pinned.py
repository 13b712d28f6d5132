"""The releases that may be served again, and the index versions that are kept for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.types import Release

if TYPE_CHECKING:
    from services.store.sql import SqlStore

KEPT = 5  # releases that were served, the active one included
WAITING = 5  # versions that wait for somebody to serve them, the newest: they must not push the others out
_LOOKED_AT = 500  # activations and releases, the newest


async def served_ids(store: SqlStore) -> list[str]:
    """Of the releases that are or were served, the one that was activated last first."""
    return list(dict.fromkeys(one.release_id for one in await store.list_activations(_LOOKED_AT)))


async def waiting_releases(store: SqlStore) -> list[Release]:
    """Those that nobody has served yet, the newest first."""
    served = frozenset(await served_ids(store))
    return [one for one in await store.list_releases(_LOOKED_AT) if one.id not in served]


async def pinned_versions(store: SqlStore) -> set[str]:
    """Those of the releases that a rollback, or somebody who has looked, may want; the active one is among them."""
    back = {(await store.get_release(one)).index_version for one in (await served_ids(store))[:KEPT]}
    waiting = dict.fromkeys(one.index_version for one in await waiting_releases(store))
    return back | set([one for one in waiting if one not in back][:WAITING])
