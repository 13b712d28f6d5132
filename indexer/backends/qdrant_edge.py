"""The embedded engine: Qdrant Edge, in this process. Dense vectors and BM25 in one store; same points and the same
query shape as the server.

What to know (measured with 0.9.0): a call holds the interpreter lock until it returns, and `optimize` stops every
thread for seconds, so indexes are built in a process of their own; one process
owns a folder (`indexer.version.Lock`). A vector with NaN is taken without a word, so it is refused here.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from indexer.engine import check_point
from router.errors import IndexUnavailable
from router.ports import EnginePoint, EngineQuery, Found

BM25 = "bm25"
_EXACT_UP_TO = 10_000  # passages; below this an exact scan is as fast as a graph and needs none
_BATCH = 500


def _config(dimensions: Mapping[str, int]) -> edge.EdgeConfig:
    dense = {
        name: edge.EdgeVectorParams(size=size, distance=edge.Distance.Dot, datatype=edge.VectorStorageDatatype.Float16)
        for name, size in dimensions.items()
    }
    largest = max(dimensions.values(), default=1)
    kilobytes = _EXACT_UP_TO * largest * 2 // 1024
    return edge.EdgeConfig(
        vectors=dense,
        sparse_vectors={BM25: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        hnsw_config=edge.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=kilobytes),
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=kilobytes, default_segment_number=1),
        wal_enabled=False,
    )


class EdgeIndex:
    """`router.ports.PassageIndex` on one folder."""

    def __init__(self, shard: edge.EdgeShard, dimensions: Mapping[str, int]) -> None:
        self._shard = shard
        self._dimensions = dict(dimensions)

    @classmethod
    def create(cls, folder: Path, dimensions: Mapping[str, int]) -> EdgeIndex:
        """A new, empty index. dimensions: the dense channels with the length of their vectors.

        No write-ahead log: a build is only used once `finish` has returned, and is thrown away before that.
        """
        folder.mkdir(parents=True)
        return cls(edge.EdgeShard.create(str(folder), _config(dimensions)), dimensions)

    @classmethod
    def open(cls, folder: Path, dimensions: Mapping[str, int]) -> EdgeIndex:
        """Raises IndexUnavailable when the folder is missing or damaged."""
        try:
            shard = edge.EdgeShard.load(str(folder))
        except Exception as error:
            raise IndexUnavailable(f"{folder}: the index cannot be opened: {error}") from error
        return cls(shard, dimensions)

    @classmethod
    def derive(cls, parent: Path, folder: Path, dimensions: Mapping[str, int]) -> EdgeIndex:
        """A copy of the parent's folder, opened. Raises IndexUnavailable when there is no parent."""
        try:
            shutil.copytree(parent, folder)
        except FileNotFoundError as error:
            raise IndexUnavailable(f"{parent}: no index is there: {error}") from error
        return cls.open(folder, dimensions)

    @staticmethod
    def drop(folder: Path) -> None:
        """Everything is in the folder."""

    def upsert(self, points: Sequence[EnginePoint]) -> None:
        for point in points:
            check_point(point, self._dimensions)
        for at in range(0, len(points), _BATCH):
            batch = [_point(point) for point in points[at : at + _BATCH]]
            self._shard.update(edge.UpdateOperation.upsert_points(batch))

    def delete(self, keys: Sequence[int]) -> None:
        if keys:
            self._shard.update(edge.UpdateOperation.delete_points(list(keys)))

    def finish(self) -> None:
        self._shard.optimize()
        self._shard.flush()

    def candidates(self, queries: Sequence[EngineQuery], limit: int) -> list[Found]:
        shape = [self._requests(query, limit) for query in queries]
        flat = [request for requests in shape for request in requests.values()]
        if not flat:
            return [{} for _ in queries]
        answers = iter(self._shard.query_batch(edge.QueryBatchRequest(flat)))
        return [{channel: _columns(next(answers)) for channel in requests} for requests in shape]

    def close(self) -> None:
        self._shard.close()

    def _requests(self, query: EngineQuery, limit: int) -> dict[str, edge.QueryRequest]:
        only = _filter(query.filters)
        wanted: dict[str, Any] = {}
        if len(query.sparse[0]):
            wanted[BM25] = edge.SparseVector(list(query.sparse[0]), list(query.sparse[1]))
        wanted.update({name: vector for name, vector in query.vectors.items() if name in self._dimensions})
        return {
            name: edge.QueryRequest(limit=limit, query=edge.Query.Nearest(vector, using=name), filter=only)
            for name, vector in wanted.items()
        }


def _point(point: EnginePoint) -> edge.Point:
    vectors: dict[str, Any] = {BM25: edge.SparseVector(list(point.sparse[0]), list(point.sparse[1]))}
    return edge.Point(
        id=point.key,
        vector=vectors | dict(point.vectors),
        payload={name: list(values) for name, values in point.payload.items()},
    )


def _filter(filters: Mapping[str, str]) -> edge.Filter | None:
    if not filters:
        return None
    return edge.Filter(
        must=[edge.FieldCondition(key=key, match=edge.MatchValue(value)) for key, value in filters.items()]
    )


def _columns(points: Sequence[edge.ScoredPoint]) -> tuple[list[int], list[float]]:
    return [int(point.id) for point in points], [point.score for point in points]
