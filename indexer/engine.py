"""The engine's folder of a new version: the parent's, copied and brought up to date, or a new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from indexer.content import Content
from indexer.lexical import Bm25
from indexer.material import Material
from indexer.version import Arrays, Manifest
from router.ports import EnginePoint, Engines, PassageIndex, Progress
from router.types import Passage

_DRIFT = 0.05
"""How far the average passage length may move before every passage's BM25 weights are computed again (below it they
change by less than b × 5 % of the length norm, which moved no rank on CMRC)."""
_BATCH = 1000


def write(
    engines: Engines,
    folder: Path,
    material: Material,
    arrays: Arrays,
    dimensions: Mapping[str, int],
    parent: tuple[Path, Manifest, Arrays] | None,
    progress: Progress,
) -> Bm25:
    """Returns the BM25 that the points were made with. parent: None when its vectors are of no use any more."""
    average = float(arrays.lengths.mean()) if len(arrays.lengths) else 1.0
    if parent and _usable(parent[1], dimensions, average):
        bm25 = parent[1].bm25_parameters
        index = engines.derive(parent[0] / "engine", folder, dimensions)
        rows = sorted({*material.fresh, *_moved(material, parent[0])})
        index.delete(np.setdiff1d(parent[2].keys, arrays.keys).tolist())
    else:
        bm25 = Bm25(average)
        index = engines.create(folder, dimensions)
        rows = list(range(len(material.passages)))
    _fill(index, rows, material, arrays, bm25, list(dimensions), progress)
    index.finish()
    index.close()
    return bm25


def _usable(manifest: Manifest, dimensions: Mapping[str, int], average: float) -> bool:
    same = dict(manifest.dimensions) == dict(dimensions)
    return same and abs(average / manifest.bm25_parameters.average - 1) < _DRIFT


def _moved(material: Material, parent: Path) -> list[int]:
    """Rows of passages that the parent holds too, but at another place: filters would miss them."""
    before = Content(parent / "content.db")
    try:
        documents = before.places()
    finally:
        before.close()
    kept = [(row, old) for row, old in enumerate(material.parent_rows.tolist()) if old >= 0]
    return [row for row, old in kept if documents[old] != _place(material.passages[row])]


def _place(passage: Passage) -> tuple[str, str]:
    return passage.document, passage.language


def _payload(passage: Passage) -> dict[str, list[str]]:
    """What filters match: every place where the passage stands."""
    documents = sorted({passage.document, *(place.path for place in passage.also_at)})
    return {
        "source": sorted({path.split("/", 1)[0] for path in documents}),
        "document": documents,
        "language": [passage.language],
    }


def _fill(
    index: PassageIndex,
    rows: Sequence[int],
    material: Material,
    arrays: Arrays,
    bm25: Bm25,
    channels: Sequence[str],
    progress: Progress,
) -> None:
    for at in range(0, len(rows), _BATCH):
        index.upsert(list(_points(rows[at : at + _BATCH], material, arrays, bm25, channels)))
        progress("index", min(at + _BATCH, len(rows)), len(rows))


def _points(
    rows: Sequence[int], material: Material, arrays: Arrays, bm25: Bm25, channels: Sequence[str]
) -> Iterator[EnginePoint]:
    for row in rows:
        passage = material.passages[row]
        vectors = {}
        if "dense" in channels and arrays.has_dense[row]:
            vectors["dense"] = np.asarray(arrays.dense[row], np.float32)
        if "corpus" in channels:
            vectors["corpus"] = np.asarray(arrays.corpus[row], np.float32)
        yield EnginePoint(int(arrays.keys[row]), bm25.weights(material.words(row).terms), vectors, _payload(passage))


def check_point(point: EnginePoint, dimensions: Mapping[str, int]) -> None:
    """Raises ValueError for what an engine might take without a word: NaN, another length, a channel it has not."""
    numbers = np.asarray(point.sparse[1], np.float32)
    if len(point.sparse[0]) != len(numbers) or not np.isfinite(numbers).all():
        raise ValueError(f"passage {point.key}: the sparse vector must be one finite number for each term")
    for name, vector in point.vectors.items():
        if len(vector) != dimensions.get(name) or not np.isfinite(vector).all():
            raise ValueError(f"passage {point.key}: {name} vector must be {dimensions.get(name)} finite numbers")
