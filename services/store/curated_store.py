"""The curated part of the relational store: `SqlStore.curated`. What the statements mean is in `curated`."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from router.errors import InvalidInput
from router.types import CuratedEntry, EntryStatus
from services.store import curated
from services.store.paging import check_page
from services.store.records import CuratedDelta, CuratedEdit, CuratedPage, CuratedVersion

if TYPE_CHECKING:
    from services.store.sql import SqlStore


class CuratedStore:
    """Every edit is one revision and durable when its call returns. Raises what `SqlStore` raises besides.

    Entries are kept as they come: `services.curated.checks` says what may come.
    """

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def head(self) -> int:
        """The newest revision, 0 before the first edit. Cheap: asked for many times a second."""
        return await self._store.read(curated.head)

    async def get(self, entry_id: str) -> CuratedVersion:
        """Raises `NotFound`, also for a deleted one."""
        return await self._store.read(lambda c: curated.get(c, entry_id))

    async def page(self, text: str = "", status: str | None = None, limit: int = 50, offset: int = 0) -> CuratedPage:
        """What was changed last comes first. text: what id, questions or answer must hold, in any case or width.

        Raises `InvalidInput` for a status that does not exist.
        """
        check_page(limit, offset)
        if status is not None and status not in list(EntryStatus):
            raise InvalidInput(f"the status {status!r} is none of {', '.join(EntryStatus)}")
        return await self._store.read(lambda c: curated.page(c, text, status, limit, offset))

    async def history(self, entry_id: str, limit: int = 50, offset: int = 0) -> list[CuratedVersion]:
        """All versions, newest first, also of a deleted entry. Raises `NotFound` for an id that never was."""
        check_page(limit, offset)
        return await self._store.read(lambda c: curated.history(c, entry_id, limit, offset))

    async def entries_at(self, revision: int | None = None) -> CuratedDelta:
        """Every entry at a revision (None: the newest), whatever its status, and which revision that is.

        Raises `NotFound` for a revision that never was.
        """
        return await self._store.read(lambda c: curated.entries_at(c, revision))

    async def since(self, revision: int) -> CuratedDelta:
        """What there is to do to come from `revision` to the newest one."""
        return await self._store.read(lambda c: curated.since(c, revision))

    async def create(self, entry: CuratedEntry, who: str) -> CuratedEdit:
        """Raises `Conflict` when the id is taken. The id of a deleted entry may be used again."""
        return await self._store.write(lambda c: curated.create(c, entry, who))

    async def update(self, entry: CuratedEntry, version: int, who: str) -> CuratedEdit:
        """version: the one that the caller has seen. Raises `NotFound`, and `Conflict` when there is a later one."""
        return await self._store.write(lambda c: curated.update(c, entry, version, who))

    async def delete(self, entry_id: str, who: str, version: int | None = None) -> CuratedEdit:
        """Its versions stay. Raises as `update`; without `version` whichever is there is deleted."""
        return await self._store.write(lambda c: curated.delete(c, entry_id, version, who))

    async def edit(self, plan: curated.Plan, who: str, what: str, ids: Collection[str] | None = None) -> CuratedEdit:
        """Many changes as one revision. plan: sees the newest versions of `ids` (None: of all entries, deleted ones
        included) and says what is wanted; nobody else writes meanwhile."""
        return await self._store.write(lambda c: curated.edit(c, plan, who, what, ids))

    async def revert(self, revision: int, who: str) -> CuratedEdit:
        """A new revision that holds what `revision` held. Raises `NotFound` for one that never was."""
        return await self._store.write(lambda c: curated.revert(c, revision, who))
