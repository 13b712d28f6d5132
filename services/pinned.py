"""The index versions that are kept for rolling back."""

from __future__ import annotations

from services.store.sql import SqlStore

KEPT = 5  # releases whose index versions are kept, the active one included


async def pinned_versions(store: SqlStore) -> set[str]:
    """Those of the newest releases and of the active one: the ones that a rollback may want."""
    active = await store.active_release()
    newest = await store.list_releases(KEPT)
    return {release.index_version for release in newest} | ({active.index_version} if active else set())
