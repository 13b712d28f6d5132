"""From sources to a release that is served: build a version, register it with what belongs to it, have it activated."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from indexer.build import BuildOptions, BuildReport, build, prune, version_folder
from indexer.sources import Source, parse_source
from indexer.version import read_manifest
from router.errors import InvalidInput
from router.ports import Progress
from router.types import Release
from services.activation import Activated, serve
from services.compose import embedder_of, engines_of, index_home, packaged_calibration
from services.generation import readings
from services.pinned import pinned_versions
from services.review.rehearsal import Agree, unattended
from services.settings import Settings
from services.store.records import now
from services.store.sql import SqlStore

UPLOADS = "uploads"


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
    agree: Agree = unattended,
) -> IndexReport:
    """Index `sources` ("NAME=PATH_OR_GIT_URL"; None: those of the active version) and what was uploaded. hold: the
    release is made and not activated, unless it is the first. force, agree: see `services.activation.serve`.

    Raises InvalidInput, Conflict and Misconfigured as `indexer.build.build` does, Conflict on a replica.
    """
    settings.refuse_on_replica()
    settings.make_home()
    store = SqlStore.open(settings.store_url)
    try:
        active = asyncio.run(store.active_release())
        parent = active.index_version if active else None
        wanted = _wanted(settings, sources, parent)
        home = index_home(settings)
        options = BuildOptions(corpus_seconds=settings.corpus_seconds, full=full)
        report = build(home, wanted, embedder_of(settings), engines_of(settings), parent, options, progress)
        readings.write(version_folder(home, report.version), version_folder(home, parent) if parent else None, progress)
        if active and not report.documents:
            raise InvalidInput("the sources hold no document that can be read; what was served before still is")
        made = asyncio.run(_release(store, report.version, active, who))
        done = Activated(made.id, False, waits="It is held.")
        if not (hold and active):
            deliberate = wanted != _wanted(settings, None, parent) if parent else False
            done = serve(settings, store, made, who, progress, agree, force, deliberate)
        removed = prune(home, asyncio.run(pinned_versions(store)), engines_of(settings))
        return IndexReport(report, done, tuple(removed))
    finally:
        store.close()


def _wanted(settings: Settings, sources: Sequence[str] | None, parent: str | None) -> list[Source]:
    wanted = [parse_source(text) for text in sources] if sources else _known(settings, parent)
    uploads = settings.home / UPLOADS
    wanted = [source for source in wanted if source.name != UPLOADS]
    if uploads.is_dir() and any(uploads.iterdir()):
        wanted.append(Source(UPLOADS, str(uploads)))
    names = [source.name for source in wanted]
    if len(set(names)) < len(names):
        raise InvalidInput(f"two sources have the same name: {', '.join(sorted(names))}; give each its own")
    if not wanted:
        raise InvalidInput("nothing to index: name a source, `answerloop index --source NAME=FOLDER_OR_GIT_URL`")
    return wanted


def _known(settings: Settings, parent: str | None) -> list[Source]:
    if parent is None:
        return []
    manifest = read_manifest(version_folder(index_home(settings), parent))
    return [Source(source["name"], source["location"], source["branch"]) for source in manifest.sources]


async def _release(store: SqlStore, version: str, active: Release | None, who: str) -> Release:
    """The release of a version: the active one when it serves that already, else a new one, not active yet."""
    calibration = await _calibration(store, active)
    if active and (active.index_version, active.calibration) == (version, calibration):
        return active
    first = Release("", "", version, "none", "extractive", "none", calibration)
    return await release_with(store, active or first, who, index_version=version, calibration=calibration)


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
