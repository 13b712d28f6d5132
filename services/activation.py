"""A release that was just made is served once it is seen what it changes: past questions are asked of the one that is
served and of the new one, and the answers that change are kept with the release, the worst first.

Whoever is there decides. Where nobody is, it is served unless it surely makes too many answers worse: a source that
lost half of its pages is no reason to stop answering, and one answer whose page was deleted is none to keep old pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from indexer.build import version_folder
from router.ports import Curated, Progress
from router.types import Release
from services.compose import System, index_home
from services.curated.matcher import Matcher
from services.review import rehearsal
from services.review.following import follow, will_be_stale
from services.review.rehearsal import Agree, too_bad, unattended
from services.review.replay import Replayed, replay
from services.settings import Settings
from services.store.sql import SqlStore

MOST = 200  # different questions, the newest: this waits between a build and its documents, so seconds


@dataclass(frozen=True, slots=True)
class Activated:
    """served: whether the release is the active one now. questions: that were asked again. changes: by kind, of
    `services.review.replay.Change`. waits: why it is not served yet, and what to do; "" where it is."""

    release: str
    served: bool
    questions: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)
    waits: str = ""


def serve(
    settings: Settings,
    store: SqlStore,
    made: Release,
    who: str,
    progress: Progress,
    agree: Agree = unattended,
    force: bool = False,
    deliberate: bool = False,
) -> Activated:
    """Activates a release with other documents or another line than the served one. force: without asking past
    questions. deliberate: somebody chose other documents, so that other answers are no surprise: they are shown.
    Raises `IndexUnavailable` and `Mismatch` where it cannot be opened."""
    active = asyncio.run(store.active_release())
    seen = {} if force or active is None else _seen(settings, store, active, made, who, progress)
    reason = "" if deliberate else too_bad(seen, settings)
    counts = {"questions": seen.get("questions", 0), "changes": seen.get("counts", {})}
    if seen and not agree(seen, reason):
        waits = f"{reason or 'It was not agreed to.'} It waits: answerloop releases activate {made.id}"
        return Activated(made.id, False, **counts, waits=waits)
    folder = version_folder(index_home(settings), made.index_version)
    asyncio.run(follow(store, folder))  # before anything is answered from it
    if active is None or active.id != made.id:
        asyncio.run(store.activate_release(made.id, who))
    return Activated(made.id, True, **counts)


def _seen(
    settings: Settings, store: SqlStore, active: Release, made: Release, who: str, progress: Progress
) -> Mapping[str, Any]:
    """{} where there is nothing to compare, or nothing was asked of late."""
    since = rehearsal.start_of(rehearsal.SINCE)
    newest = asyncio.run(store.list_traces(1))
    if active.id == made.id or not newest or newest[0].created < since:
        return {}

    def ask(reported: Progress) -> Replayed:
        return asyncio.run(_ask_both(settings, active, made, since, reported))

    return rehearsal.kept(settings, made.id, rehearsal.SINCE, who, progress, ask, alone=False)


async def _ask_both(settings: Settings, active: Release, made: Release, since: str, progress: Progress) -> Replayed:
    """Both quote, whoever writes: no model is loaded for this, and what changes is the documents' doing. Where only
    they differ, the lines are the new one's in both: that a certificate ends with its documents is said elsewhere."""
    system = System(settings, SqlStore.open(settings.store_url))
    try:
        async with system.trying(active.id) as served, system.trying(made.id) as tried:
            now, then = await _approved(system, made)
            lines = tried.calibration if active.calibration == made.calibration else served.calibration
            before = replace(served, curated=now, calibration=lines)
            after = replace(tried, curated=then)
            return await replay(system.store, after, since, MOST, progress, before)
    finally:
        await system.close()


async def _approved(system: System, made: Release) -> tuple[Curated, Curated]:
    """The approved answers as they are, and as they will be once their sources were looked at. Both are matched by
    words alone: vectors of thousands of wordings would take longer than all else here."""
    entries = system.curated.entries
    folder = version_folder(index_home(system.settings), made.index_version)
    stale = await asyncio.to_thread(will_be_stale, tuple(entries.entries.values()), folder)
    then = entries.replaced(stale, (), entries.revision)
    return Matcher(lambda: entries), Matcher(lambda: then)
