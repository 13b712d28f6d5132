"""Edits as a person makes them: kept for good, served at once here, and tried out against the rest of the store."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Collection
from dataclasses import dataclass, replace

from router.types import CuratedEntry
from services.curated.checks import checked
from services.curated.importing import ImportReport, import_entries
from services.curated.live import LiveCurated
from services.curated.self_test import SelfTest
from services.store.curated_store import CuratedStore
from services.store.records import CuratedEdit, CuratedVersion

TESTED = 300  # entries of an import that are tested before it is acknowledged: some two seconds


@dataclass(frozen=True, slots=True)
class Edited:
    """version: the entry as it is now. changed: False where it was like this before."""

    version: CuratedVersion
    revision: int
    changed: bool
    tested: SelfTest


class Editor:
    """Raises `InvalidInput` for what cannot be kept, `Conflict`, `NotFound`, and what the store raises."""

    def __init__(self, store: CuratedStore, live: LiveCurated) -> None:
        self._store, self._live = store, live

    async def create(self, entry: CuratedEntry, who: str) -> Edited:
        """An entry without an id gets one."""
        named = entry if entry.id else replace(entry, id=f"c-{secrets.token_hex(6)}")
        return await self._edited(named.id, self._store.create(checked(named), who))

    async def update(self, entry: CuratedEntry, version: int, who: str) -> Edited:
        wanted = checked(entry)
        return await self._edited(wanted.id, self._store.update(wanted, version, who))

    async def delete(self, entry_id: str, who: str, version: int | None = None) -> Edited:
        return await self._edited(entry_id, self._store.delete(entry_id, who, version))

    async def bring_in(
        self, content: bytes, format: str, who: str, strict: bool = False, patient: bool = False
    ) -> tuple[ImportReport, SelfTest | None]:
        """The test of what changed; where that is much, of the whole store if somebody is patient, else none."""
        report = await import_entries(self._store, content, format, who, strict)
        await self._live.refresh()
        if len(report.changed) <= TESTED:
            return report, await self._test_of(report.changed)
        return report, await self._live.self_test() if patient else None

    async def _edited(self, entry_id: str, edit: Awaitable[CuratedEdit]) -> Edited:
        done = await edit
        await self._live.refresh()
        version = done.changes[0].after if done.changes else await self._store.get(entry_id)
        return Edited(version, done.revision, bool(done.changes), await self._test_of([entry_id]))

    async def _test_of(self, ids: Collection[str]) -> SelfTest:
        return together(await self._live.self_test_of(ids or [""]))


def together(reports: Collection[SelfTest]) -> SelfTest:
    """Of several entries as one; what two of them say alike is said once."""
    first = next(iter(reports))
    findings = dict.fromkeys(finding for report in reports for finding in report.findings)
    asked = sum(report.asked for report in reports)
    seconds = round(sum(report.seconds for report in reports), 3)
    return SelfTest(first.revision, first.entries, first.live, asked, tuple(findings), seconds, first.words_alone)
