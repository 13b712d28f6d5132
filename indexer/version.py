"""One version of an index: a folder that is complete or does not exist.

versions/<id>/
    manifest.json     what it was made with, and the figures that led to its weights
    content.db        documents and passages                    (indexer.content)
    engine/           dense vectors and BM25                    (indexer.backends.qdrant_edge)
    corpus/           the corpus embedder's table               (indexer.backends.corpus_embedder)
    arrays/           one row per passage or unit, see Arrays
    above-1/          words of headings and paths               (indexer.above)

A build works in `versions/.building-*` and renames it at the end, so a killed one leaves nothing that could be served.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from indexer import analysis, chunking, corpus_embedder, lexical
from indexer.runs import ranges
from router.errors import Conflict, IndexUnavailable, Mismatch

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """dimensions: dense channels that are in the engine. weights: language → channel → share of the fused score.
    measured: language → the figures that led to the weights. trained: how the corpus embedder came about."""

    id: str
    created: str
    parent: str | None
    sources: tuple[Mapping[str, Any], ...]
    documents: int
    passages: int
    analyser: str
    chunker: str
    embedder: str
    corpus_embedder: str
    dimensions: Mapping[str, int]
    bm25: Mapping[str, float]
    unit_terms: float
    weights: Mapping[str, Mapping[str, float]]
    measured: Mapping[str, Any]
    trained: Mapping[str, Any]
    format: int = FORMAT

    def weights_for(self, language: str) -> Mapping[str, float]:
        """Those of the language, else of the largest one: a language the corpus does not hold has no figures."""
        return self.weights.get(language) or next(iter(self.weights.values()), {"bm25": 1.0})

    @property
    def bm25_parameters(self) -> lexical.Bm25:
        return lexical.Bm25(**self.bm25)


def read_manifest(folder: Path) -> Manifest:
    """Raises IndexUnavailable when there is none, Mismatch when it is of another format."""
    try:
        raw = json.loads((folder / MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        raise IndexUnavailable(f"{folder}: no index version there; make one with `answerloop index`") from None
    if raw.get("format") != FORMAT:
        raise Mismatch(f"{folder}: index format {raw.get('format')}, this program reads {FORMAT}; {_REBUILD}")
    raw["sources"] = tuple(raw["sources"])
    return Manifest(**raw)


def sources_of(folder: Path) -> tuple[Mapping[str, Any], ...]:
    """What a version was made of, by whatever program; () where it is gone."""
    try:
        return tuple(json.loads((folder / MANIFEST).read_text("utf-8"))["sources"])
    except FileNotFoundError:
        return ()


_REBUILD = "run `answerloop index --full` to make it anew"


def check(manifest: Manifest, embedder: str) -> None:
    """Raises Mismatch when questions would be read by other rules than the passages were."""
    for what, indexed, running in (
        ("text analysis", manifest.analyser, analysis.FINGERPRINT),
        ("chunker", manifest.chunker, chunking.FINGERPRINT),
        ("embedder", manifest.embedder, embedder),
        ("corpus embedder", manifest.corpus_embedder, corpus_embedder.FINGERPRINT),
    ):
        if indexed != running:
            raise Mismatch(
                f"index version {manifest.id} was made with {what} {indexed!r}, this process uses {running!r}; "
                f"{_REBUILD}"
            )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    text = json.dumps(asdict(manifest), ensure_ascii=False, indent=1)
    (folder / MANIFEST).write_text(text, "utf-8")


@dataclass(frozen=True)
class Arrays:
    """Row r of `keys` belongs to passage row r; its units are rows unit_offsets[r] to unit_offsets[r + 1].

    keys: uint64 [n], the engine's ids. lengths: int32 [n], terms in the passage. corpus: float16 [n, 256].
    dense: float16 [n, d], dense_units: float16 [m, d]: zeros where has_dense (bool [n]) is False, because questions
    in the passage's language do not use the channel.
    unit_terms: uint32 [t], distinct terms of each unit, one unit after the other; unit_term_offsets: int64 [m + 1].
    term_ids, term_counts: the term statistics.
    """

    keys: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.int32]
    unit_offsets: npt.NDArray[np.int64]
    unit_terms: npt.NDArray[np.uint32]
    unit_term_offsets: npt.NDArray[np.int64]
    term_ids: npt.NDArray[np.uint32]
    term_counts: npt.NDArray[np.int32]
    corpus: npt.NDArray[np.float16]
    has_dense: npt.NDArray[np.bool_]
    dense: npt.NDArray[np.float16]
    dense_units: npt.NDArray[np.float16]

    @classmethod
    def load(cls, folder: Path) -> Arrays:
        """Mapped from disk: pages come into memory when touched. Plain arrays over the map: numpy's own class for
        mapped files makes every slice five times as slow."""
        names = cls.__dataclass_fields__
        return cls(**{name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in names})

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        rows = np.flatnonzero(self.has_dense)
        filled = {"dense": rows, "dense_units": ranges(self.unit_offsets[rows], self.unit_offsets[rows + 1])}
        for name in self.__dataclass_fields__:
            array, path = getattr(self, name), folder / f"{name}.npy"
            if name in filled and 0 < len(filled[name]) < len(array):
                _save_rows(path, array, filled[name])
            else:
                np.save(path, array)


def _save_rows(path: Path, array: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> None:
    """Only these rows hold anything: the others, often most of a Chinese corpus, become holes that cost no disk."""
    make: Callable[..., npt.NDArray[Any]] = np.lib.format.open_memmap  # typed in some releases of numpy, not in others
    out = cast(np.memmap[Any, Any], make(path, mode="w+", dtype=array.dtype, shape=array.shape))
    out[rows] = array[rows]
    out.flush()


def key_of(passage_id: str) -> int:
    """The engine's id of a passage: 63 bits of its content hash (a clash among a million passages: 1 in 10^7)."""
    return int(passage_id[:16], 16) >> 1


@dataclass
class Lock:
    """An exclusive lock that ends with the process, whatever ends it. what: for the message, e.g. "index build"."""

    path: Path
    what: str
    _file: int | None = field(default=None, init=False)

    def acquire(self) -> None:
        """Raises Conflict, naming the holder."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 100).decode(errors="replace").strip() or "another process"
            os.close(file)
            raise Conflict(f"{self.what}: {holder} is at it; wait until it has finished, or stop it") from None
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()}".encode())
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()
