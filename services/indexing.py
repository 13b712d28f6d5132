"""From sources to a release that is served: build a version, register it with what belongs to it, have it activated."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from indexer.build import BuildOptions, BuildReport, build, prune, version_folder
from indexer.content import Content
from indexer.sources import Limits, Source, parse_source
from indexer.version import MANIFEST, read_manifest, sources_of
from router.errors import IndexUnavailable, InvalidInput, Mismatch
from router.ports import Progress
from router.types import Release
from services.activation import Activated, serve
from services.calibrations import packaged_calibration
from services.compose import embedder_of, engines_of, index_home
from services.generation import readings
from services.pinned import pinned_versions, waiting_releases
from services.review.rehearsal import Tell, untold
from services.settings import Settings
from services.store.records import now
from services.store.sql import SqlStore

UPLOADS = "uploads"

log = logging.getLogger("answerloop.indexing")


@dataclass(frozen=True, slots=True)
class IndexReport:
    """removed_versions: that no release is kept for any more."""

    build: BuildReport
    activation: Activated
    removed_versions: tuple[str, ...]

    @property
    def release(self) -> str:
        """Its id."""
        return self.activation.release

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self.build), **asdict(self.activation), "removed_versions": list(self.removed_versions)}


def run_index(
    settings: Settings,
    sources: Sequence[str] | None,
    who: str,
    progress: Progress,
    full: bool = False,
    hold: bool = False,
    force: bool = False,
    tell: Tell = untold,
) -> IndexReport:
    """Index `sources` ("NAME=PATH_OR_GIT_URL"; None: those of the active version) and what was uploaded. hold: the
    release is made and not activated, unless it is the first. force, tell: see `services.activation.serve`.

    Raises InvalidInput, Conflict and Misconfigured as `indexer.build.build` does, Conflict on a replica.
    """
    settings.refuse_on_replica()
    settings.make_home()
    store = SqlStore.open(settings.store_url)
    try:
        active = asyncio.run(store.active_release())
        home = index_home(settings)
        served = version_folder(home, active.index_version) if active else None
        wanted = _wanted(settings, sources, served)
        parent = active.index_version if active and served and _is_readable(served) else None
        options = BuildOptions(own_limits=_own_limits(settings), corpus_seconds=settings.corpus_seconds, full=full)
        report = build(home, wanted, embedder_of(settings), engines_of(settings), parent, options, progress)
        readings.write(version_folder(home, report.version), version_folder(home, parent) if parent else None, progress)
        if active and not report.documents and not (parent and served and _were_deleted(settings, served)):
            raise InvalidInput("the sources hold no document that can be read; what was served before still is")
        made = asyncio.run(_release(store, home, report.version, active, who, full))
        if hold and active and made.id != active.id:
            done = Activated(made.id, False, waits=f"It is held. To serve it: answerloop releases activate {made.id}")
        else:
            deliberate = bool(sources) and _are_others(wanted, served)
            done = serve(settings, store, active, made, who, progress, tell, force, deliberate)
        removed = prune(home, asyncio.run(pinned_versions(store)), engines_of(settings))
        return IndexReport(replace(report, version=made.index_version), done, tuple(removed))
    finally:
        store.close()


def _is_readable(served: Path) -> bool:
    """Whether a build can go on from this version: not where it is lost, or of another program."""
    try:
        read_manifest(served)
    except (IndexUnavailable, Mismatch) as error:
        log.warning("everything is made anew: %s", error)
        return False
    return True


def _wanted(settings: Settings, sources: Sequence[str] | None, served: Path | None) -> list[Source]:
    if not sources and served and not (served / MANIFEST).is_file():
        raise InvalidInput(
            f"{served} is gone, and with it what the documents came from: name the sources again, `answerloop index "
            "--source NAME=FOLDER_OR_GIT_URL`"
        )
    named = [parse_source(text).located() for text in sources] if sources else _known(served)
    uploads = settings.uploads.resolve()
    wanted = [source for source in named if source.name != UPLOADS]
    if uploads.is_dir() and (wanted != named or any(uploads.iterdir())):  # also after the last one was deleted
        wanted.append(Source(UPLOADS, str(uploads)))
    names = [source.name for source in wanted]
    if len(set(names)) < len(names):
        raise InvalidInput(f"two sources have the same name: {', '.join(sorted(names))}; give each its own")
    if not wanted:
        raise InvalidInput("nothing to index: name a source, `answerloop index --source NAME=FOLDER_OR_GIT_URL`")
    return wanted


def _known(served: Path | None) -> list[Source]:
    """Those of the served version. One that an earlier program made may name a folder from where that was started; it
    is taken from here, as it always was, and named from the root from then on."""
    found = sources_of(served) if served else ()
    return [Source(source["name"], source["location"], source["branch"]).located() for source in found]


def _own_limits(settings: Settings) -> dict[str, Limits]:
    """What may be uploaded is indexed."""
    usual = Limits()
    return {UPLOADS: replace(usual, max_file_bytes=max(usual.max_file_bytes, settings.max_upload_bytes))}


def _were_deleted(settings: Settings, served: Path) -> bool:
    """Whether all documents of the served version are uploads that somebody deleted: that takes the file and leaves its
    folder. Where the folder is gone, too, or cannot be looked into, a disk is missing, and nobody's word was given."""
    with closing(Content(served / "content.db")) as content:
        documents = [settings.home / path for path in content.hashes()]  # uploads/… in the index as in the home
    return all(
        path.is_relative_to(settings.uploads) and os.access(path.parent, os.R_OK | os.X_OK) and not path.exists()
        for path in documents
    )


def _are_others(wanted: Sequence[Source], served: Path | None) -> bool:
    """Whether somebody named other sources than those of the served version, in whatever order."""
    return {one for one in wanted if one.name != UPLOADS} != {one for one in _known(served) if one.name != UPLOADS}


async def _release(store: SqlStore, home: Path, version: str, active: Release | None, who: str, full: bool) -> Release:
    """The release of a version: the active one when it serves that already, or one that waits and holds the same
    (unless all was to be made anew), else a new one, not active yet."""
    calibration = await _calibration(store, active)
    if active and (active.index_version, active.calibration) == (version, calibration):
        return active
    base = active or Release("", "", version, "none", "extractive", "none", calibration)
    wanted = replace(base, index_version=version, calibration=calibration)
    waiting = [] if full else await waiting_releases(store)
    again = [one for one in waiting if _holds_the_same(home, one, wanted)]
    return again[0] if again else await release_with(store, base, who, index_version=version, calibration=calibration)


def _holds_the_same(home: Path, waiting: Release, wanted: Release) -> bool:
    """Whether the one that waits would answer just like it: an hourly reindex that is held makes one release, and not
    one every hour."""
    if any(getattr(waiting, name) != getattr(wanted, name) for name in ("model", "prompt_hash", "calibration")):
        return False
    folders = [version_folder(home, one.index_version) for one in (waiting, wanted)]
    try:
        one, other = (_identity(folder) for folder in folders)
    except (IndexUnavailable, Mismatch):
        return False
    return one == other


def _identity(folder: Path) -> tuple[object, ...]:
    """What a version was made of and by, without when. Raises `IndexUnavailable`, `Mismatch`."""
    made = read_manifest(folder)
    rules = made.analyser, made.chunker, made.embedder, made.corpus_embedder
    with closing(Content(folder / "content.db")) as content:
        return made.parent, made.sources, rules, content.hashes()


async def _calibration(store: SqlStore, active: Release | None) -> str:
    """The team's own that is served, or that was fitted before anything was, else the packaged one: kept in the store,
    so that a release finds it after an upgrade. Not the newest: that may be a model's which was rolled back."""
    own = await store.get_calibration(active.calibration) if active else await store.latest_calibration()
    if own and own.payload.get("origin") != "packaged":
        return own.id
    return await store.put_calibration(packaged_calibration().to_json())


async def release_with(store: SqlStore, base: Release, who: str, **changes: str) -> Release:
    """A new release that differs from `base` in these fields, added and not active yet."""
    release = replace(
        base, id=f"r-{uuid.uuid4().hex[:12]}", created=now(), note=f"{', '.join(changes)} by {who}", **changes
    )
    await store.add_release(release)
    return release
