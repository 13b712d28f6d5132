"""Sources in, a new index version out. Start with `build`, which reads as the steps it takes.

Incremental by content: a document whose bytes are unchanged keeps its passages, a passage that the parent version
holds keeps its vectors, only new passages are embedded. Vectors of a build that was killed are found again by the
next one. The new version appears by one rename; the parent is never touched.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer import analysis, chunking, content, corpus_embedder, engine
from indexer.above import Above, Ids, Place
from indexer.content import Content
from indexer.durable import flush, flush_tree
from indexer.learning import learn
from indexer.material import Material
from indexer.plan import Plan, Scanned, plan, scan, unchanged
from indexer.sources import Limits, Source
from indexer.vectors import arrays_of
from indexer.version import MANIFEST, Arrays, Lock, Manifest, read_manifest, write_manifest
from router.ports import Embedder, Engines, Progress
from router.types import Skipped


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """own_limits: by source, where it has others than `limits`. corpus_seconds: most seconds for training the corpus
    embedder. full: use nothing of the parent."""

    limits: Limits = field(default_factory=Limits)
    own_limits: Mapping[str, Limits] = field(default_factory=dict)
    corpus_seconds: float = 180.0
    full: bool = False


@dataclass(frozen=True, slots=True)
class BuildReport:
    """version: the id to serve. changed: False when the parent already says all there is to say, and is the version.
    parsed: documents read anew; embedded: passages whose vectors were computed; seconds: by stage."""

    version: str
    changed: bool
    documents: int
    passages: int
    parsed: int
    embedded: int
    skipped: tuple[Skipped, ...]
    weights: Mapping[str, Mapping[str, float]]
    seconds: Mapping[str, float]


def build(
    home: Path,
    wanted: Sequence[Source],
    embedder: Callable[[], Embedder],
    engines: Engines,
    parent: str | None,
    options: BuildOptions,
    progress: Progress,
) -> BuildReport:
    """Make the version that holds what the sources hold now, or find that the parent does already.

    home: the index folder. parent: id of the version to go on from, or None. Raises `Conflict` while another build is
    at work in `home`, `InvalidInput` for a source that is not there, `Misconfigured` for an embedder that is not.
    """
    with Lock(home / "build.lock", "index build"):
        _sweep(home, engines)
        watch = _Watch()
        parent_folder = version_folder(home, parent) if parent and not options.full else None
        base = _Base.open(parent_folder, embedder)
        scanned = scan(home, wanted, options.limits, options.own_limits)
        watch.lap("scan")
        if base and _same_sources(base.manifest, wanted) and unchanged(scanned, base.content):
            return _report(base.manifest, False, 0, 0, base.content.skipped(), watch)
        planned = plan(scanned, base.content if base else None, embedder().count_tokens, progress)
        watch.lap("read")
        return _make(home, wanted, scanned, planned, base, embedder, engines, options, progress, watch)


def version_folder(home: Path, version: str) -> Path:
    return home / "versions" / version


def versions(home: Path) -> list[Manifest]:
    """All complete versions, oldest first."""
    folders = sorted(path.parent for path in (home / "versions").glob(f"[!.]*/{MANIFEST}"))
    return sorted((read_manifest(folder) for folder in folders), key=lambda manifest: manifest.created)


def prune(home: Path, keep: set[str], engines: Engines) -> list[str]:
    """Delete versions that nothing needs any more, also those of another program. Returns their ids, oldest first."""
    complete = sorted(path.parent.name for path in (home / "versions").glob(f"[!.]*/{MANIFEST}"))
    gone = [version for version in complete if version not in keep]
    for version in gone:
        doomed = version_folder(home, f".gone-{version}")
        version_folder(home, version).rename(doomed)  # first out of sight, whole, then away
        _remove(doomed, engines)
    return gone


@dataclass(frozen=True)
class _Base:
    """The parent version, opened for reading."""

    folder: Path
    manifest: Manifest
    content: Content
    arrays: Arrays

    @classmethod
    def open(cls, folder: Path | None, embedder: Callable[[], Embedder]) -> _Base | None:
        """None when there is no parent, or one that was made by other rules: then everything is made anew."""
        if folder is None or not (folder / MANIFEST).exists():
            return None
        manifest = read_manifest(folder)
        by = (manifest.analyser, manifest.chunker, manifest.embedder, manifest.corpus_embedder)
        now = (analysis.FINGERPRINT, chunking.FINGERPRINT, embedder().fingerprint, corpus_embedder.FINGERPRINT)
        if by != now:
            return None
        return cls(folder, manifest, Content(folder / "content.db"), Arrays.load(folder / "arrays"))

    def words_above(self) -> dict[Place, Ids]:
        return Above.load(self.folder, self.content).by_place(self.content)

    def terms_without(self, kept: Material) -> list[npt.NDArray[np.uint32]]:
        """The term ids of each passage that the new version does not hold any more."""
        rows = np.setdiff1d(np.arange(len(self.arrays.keys)), kept.parent_rows).tolist()
        gone = [passage for at in range(0, len(rows), 1000) for passage in self.content.passages(rows[at : at + 1000])]
        material = Material.of(gone, None)
        return [material.words(row).terms for row in range(len(gone))]


def _make(
    home: Path,
    wanted: Sequence[Source],
    scanned: Scanned,
    planned: Plan,
    base: _Base | None,
    embedder: Callable[[], Embedder],
    engines: Engines,
    options: BuildOptions,
    progress: Progress,
    watch: _Watch,
) -> BuildReport:
    material = Material.of(planned.passages, base.arrays.keys if base else None)
    learned = learn(
        material, (base.folder, base.manifest) if base else None, embedder, options.corpus_seconds, progress
    )
    watch.lap("learn")
    cache = home / "cache" / f"{embedder().fingerprint}.db"
    removed = base.terms_without(material) if base else []
    arrays, embedded = arrays_of(material, learned, base.arrays if base else None, removed, cache, embedder, progress)
    watch.lap("embed")
    working = version_folder(home, f".building-{os.getpid()}")
    working.mkdir(parents=True)
    content.write(working / "content.db", planned.documents, planned.passages, planned.skipped)
    arrays.save(working / "arrays")
    places = ((passage.document, passage.heading) for passage in planned.passages)
    Above.of(places, base.words_above() if base else None).save(working)
    if base and not learned.anew:
        shutil.copytree(base.folder / "corpus", working / "corpus", copy_function=_link)
    else:
        learned.corpus.save(working / "corpus")
    dimensions = {
        channel: size
        for channel, size in (("dense", arrays.dense.shape[1]), ("corpus", arrays.corpus.shape[1]))
        if learned.uses(channel)
    }
    usable = (base.folder, base.manifest, base.arrays) if base and not learned.anew else None
    bm25 = engine.write(engines, working / "engine", material, arrays, dimensions, usable, progress)
    made = datetime.now(UTC)
    manifest = Manifest(
        id=f"{made:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
        created=made.isoformat(timespec="milliseconds"),
        parent=base.manifest.id if base else None,
        sources=tuple({**asdict(source), "revision": scanned.revisions[source.name]} for source in wanted),
        documents=len(planned.documents),
        passages=len(planned.passages),
        analyser=analysis.FINGERPRINT,
        chunker=chunking.FINGERPRINT,
        embedder=embedder().fingerprint,
        corpus_embedder=corpus_embedder.FINGERPRINT,
        dimensions=dimensions,
        bm25=asdict(bm25),
        unit_terms=float(np.diff(arrays.unit_term_offsets).mean()) if len(arrays.unit_term_offsets) > 1 else 1.0,
        weights=learned.weights,
        measured=learned.measured,
        trained=learned.trained,
    )
    write_manifest(working, manifest)
    flush_tree(working)
    working.rename(version_folder(home, manifest.id))
    flush(home / "versions")
    cache.unlink(missing_ok=True)
    watch.lap("index")
    return _report(manifest, True, planned.parsed, embedded, [item for item, _ in planned.skipped], watch)


def _report(
    manifest: Manifest, changed: bool, parsed: int, embedded: int, skipped: Sequence[Skipped], watch: _Watch
) -> BuildReport:
    return BuildReport(
        version=manifest.id,
        changed=changed,
        documents=manifest.documents,
        passages=manifest.passages,
        parsed=parsed,
        embedded=embedded,
        skipped=tuple(skipped),
        weights=manifest.weights,
        seconds=watch.laps,
    )


def _same_sources(manifest: Manifest, wanted: Sequence[Source]) -> bool:
    then = [(source["name"], source["location"], source["branch"]) for source in manifest.sources]
    return then == [(source.name, source.location, source.branch) for source in wanted]


def _link(source: str, target: str) -> None:
    """Two versions share a large file that never changes, where the file system lets them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _remove(folder: Path, engines: Engines) -> None:
    engines.drop(folder / "engine")
    shutil.rmtree(folder)


def _sweep(home: Path, engines: Engines) -> None:
    """Clear away what killed builds left. Safe under the build lock."""
    for pattern in (".building-*", ".gone-*"):
        for left in (home / "versions").glob(pattern):
            _remove(left, engines)


class _Watch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.laps[stage] = round(now - self._last, 3)
        self._last = now
