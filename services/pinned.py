"""The releases that may be served again, and the index versions that are kept for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.store.sql import SqlStore

KEPT = 5  # releases that were served, the active one included
WAITING = 2  # that wait for somebody to serve them: an hourly reindex that is held must not push the others out
_LOOKED_AT = 500  # activations and releases, the newest


async def served_releases(store: SqlStore) -> list[str]:
    """Ids of those that are or were served, the one that was activated last first."""
    return list(dict.fromkeys(one.release_id for one in await store.list_activations(_LOOKED_AT)))


async def pinned_versions(store: SqlStore) -> set[str]:
    """Those of the active release and of those that a rollback, or somebody who has looked, may want."""
    active, served = await store.active_release(), await served_releases(store)
    found = await store.list_releases(_LOOKED_AT)
    waiting = [one for one in found if one.id not in served][:WAITING]
    back = [one for one in found if one.id in served[:KEPT]]
    return {one.index_version for one in (*waiting, *back, *([active] if active else []))}
