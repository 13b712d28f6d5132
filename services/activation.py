"""A release that was just made is served once it is seen what it changes: past questions are asked of the one that is
served and of the new one, and the answers that change are kept with the release, the worst first.

It waits for a person's word where it surely makes too many answers worse: a source that lost half of its pages is no
reason to stop answering, and one answer whose page was deleted is none to keep old pages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from indexer.build import version_folder
from router.errors import Conflict, IndexUnavailable, Mismatch, NotFound
from router.ports import Curated, Progress
from router.types import Release
from services.compose import System, index_home
from services.curated.matcher import Matcher
from services.review import rehearsal
from services.review.following import follow, will_be_stale
from services.review.rehearsal import Tell, too_bad, untold
from services.review.replay import Replayed, replay
from services.settings import Settings
from services.store.sql import SqlStore

MOST = 200  # different questions, the newest: this waits between a build and its documents, so seconds

log = logging.getLogger("answerloop.activation")


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
    base: Release | None,
    made: Release,
    who: str,
    progress: Progress,
    tell: Tell = untold,
    force: bool = False,
    deliberate: bool = False,
) -> Activated:
    """Activates a release with other documents or another line than `base`, which is served; None for the first. tell:
    is given what changes before that. force: nothing is asked. deliberate: somebody chose what it changes, so it is
    shown, and does not wait. It also waits where another one than `base` is served by now.

    Raises `IndexUnavailable` and `Mismatch` where questions are asked of it and it cannot be opened."""
    if base is not None and base.id == made.id:
        return Activated(made.id, asyncio.run(_kept_up(settings, store, made)))
    seen = {} if force or base is None else _seen(settings, store, base, made, who, progress)
    if seen.get("questions"):
        tell(seen)
    counts = {"questions": seen.get("questions", 0), "changes": seen.get("counts", {})}
    waits = "" if deliberate else too_bad(seen, settings)
    if not waits:
        try:
            asyncio.run(_activate(settings, store, base, made, who))
            return Activated(made.id, True, **counts)
        except Conflict as error:
            waits = str(error)
    return Activated(made.id, False, **counts, waits=f"{waits} To serve it: answerloop releases activate {made.id}")


async def _kept_up(settings: Settings, store: SqlStore, made: Release) -> bool:
    """Nothing changed; but what was approved is looked at again where it is served, because the last time may have been
    cut short. False where another one is served by now."""
    active = await store.active_release()
    if active is None or active.id != made.id:
        return False
    await follow(store, version_folder(index_home(settings), made.index_version))
    return True


async def _activate(settings: Settings, store: SqlStore, base: Release | None, made: Release, who: str) -> None:
    """First activated, so that the release that is left keeps its approved answers as they were; then these are looked
    at. Who serves does that, too, before anything is answered from it (`System.refresh`), so a kill in between does no
    harm. Raises `Conflict` where another release than `base` is served."""
    await store.activate_release(made.id, who, over=base.id if base else None)
    await follow(store, version_folder(index_home(settings), made.index_version))


def _seen(
    settings: Settings, store: SqlStore, base: Release, made: Release, who: str, progress: Progress
) -> Mapping[str, Any]:
    """{} where nothing was asked of late."""
    since = rehearsal.start_of(rehearsal.SINCE)
    newest = asyncio.run(store.list_traces(1))
    if not newest or newest[0].created < since:
        return {}

    def ask(reported: Progress) -> Replayed:
        return asyncio.run(_ask_both(settings, base, made, since, reported))

    return rehearsal.kept(settings, made.id, rehearsal.SINCE, who, progress, ask, alone=False, beside=base.id)


async def _ask_both(settings: Settings, base: Release, made: Release, since: str, progress: Progress) -> Replayed:
    """Both quote, whoever writes: no model is loaded for this, and what changes is the documents' doing. Where only
    they differ, the lines are the new one's in both: that a certificate ends with its documents is said elsewhere.

    A served version that cannot be opened (the embedder was changed, the folder is lost) answers nothing, so there is
    nothing to compare, and no reason to wait."""
    system = System(settings, SqlStore.open(settings.store_url))
    try:
        async with AsyncExitStack() as stack:
            tried = await stack.enter_async_context(system.trying(made.id))
            try:
                served = await stack.enter_async_context(system.trying(base.id))
            except (IndexUnavailable, Mismatch, NotFound) as error:
                log.warning("nothing can be compared with release %s: %s", base.id, error)
                return Replayed(made.id, 0, 0, 0, ())
            now, then = await _approved(system, made)
            lines = tried.calibration if base.calibration == made.calibration else served.calibration
            before = replace(served, curated=now, calibration=lines)
            return await replay(system.store, replace(tried, curated=then), since, MOST, progress, before)
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
