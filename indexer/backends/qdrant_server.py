"""A Qdrant server or cluster, through qdrant-client: same points and same query shape as `qdrant_edge`.

Every index version has a collection of its own, with a name that nothing else has; the engine's folder holds one small
file that says which. Import this module only where a server is wanted: its library is an extra.
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from indexer.engine import check_point
from router.errors import IndexUnavailable, Misconfigured
from router.ports import EnginePoint, EngineQuery, Found

try:
    from qdrant_client import QdrantClient, models
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ApiException, UnexpectedResponse
except ImportError as error:
    raise Misconfigured("A Qdrant server needs the library qdrant-client: pip install 'answerloop[qdrant]'") from error

BM25 = "bm25"
_MARKER = "collection.json"
_FILTERED = ("source", "document", "language")
_BATCH = 256  # points in one request: about 1 MB at 384 dimensions
_TIMEOUT_S = 15
_ATTEMPTS = 3
_PAUSE_S = 0.2  # before the second attempt; twice that before the third
_SETTLE_S = 600.0  # longest wait for the server's own indexing; it answers without it too, only more slowly

P = ParamSpec("P")
R = TypeVar("R")


class _Server:
    """A client whose requests are tried again, and fail in our words. Each of ours can be sent twice without harm."""

    def __init__(self, url: str, api_key: str | None) -> None:
        self.url = url
        self.client = QdrantClient(location=url, api_key=api_key, timeout=_TIMEOUT_S, check_compatibility=False)

    def ask(self, what: str, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Raises IndexUnavailable."""
        for attempt in itertools.count(1):
            try:
                return call(*args, **kwargs)
            except (ApiException, ResourceExhaustedResponse) as error:
                if attempt == _ATTEMPTS or not _may_pass(error):
                    raise IndexUnavailable(f"Qdrant server {self.url}: cannot {what}: {_short(error)}") from error
            time.sleep(_PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")


class QdrantEngines:
    """`router.ports.Engines` on one server.

    url: for example "https://qdrant.example.org:6333". prefix: what the names of our collections begin with.
    """

    def __init__(self, url: str, api_key: str | None = None, prefix: str = "answerloop") -> None:
        self._server = _Server(url, api_key or None)
        self._prefix = prefix

    def create(self, folder: Path, dimensions: Mapping[str, int]) -> QdrantIndex:
        name = f"{self._prefix}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        # The name first: a build that is killed in between leaves a name without a collection, never the reverse.
        (folder / _MARKER).write_text(json.dumps({"collection": name}), "utf-8")
        self._server.ask("make a collection", _create, self._server.client, name, dimensions)
        return QdrantIndex(self._server, name, dimensions, writable=True)

    def derive(self, parent: Path, folder: Path, dimensions: Mapping[str, int]) -> QdrantIndex:
        source = self._existing(parent)
        index = self.create(folder, dimensions)
        for records in self._scroll(source):
            index.write([models.PointStruct(id=r.id, vector=_as_sent(r), payload=r.payload) for r in records])
        return index

    def open(self, folder: Path, dimensions: Mapping[str, int]) -> QdrantIndex:
        """Only to be asked: the folder may be a copy, and the collection is then another version's."""
        return QdrantIndex(self._server, self._existing(folder), dimensions, writable=False)

    def drop(self, folder: Path) -> None:
        if (folder / _MARKER).exists():
            name = _collection_of(folder)
            self._server.ask("delete a collection", self._server.client.delete_collection, name)

    def _existing(self, folder: Path) -> str:
        name = _collection_of(folder)
        if not self._server.ask("look for a collection", self._server.client.collection_exists, name):
            raise IndexUnavailable(
                f"{folder}: its collection {name} is not on the Qdrant server {self._server.url}; "
                "check the server's address, or run `answerloop index --full`"
            )
        return name

    def _scroll(self, name: str) -> Iterator[list[models.Record]]:
        scroll, at = self._server.client.scroll, None
        while True:
            records, at = self._server.ask("read", scroll, name, limit=_BATCH, offset=at, with_vectors=True)
            yield records
            if at is None:
                return


class QdrantIndex:
    """`router.ports.PassageIndex` on one collection. Made by `QdrantEngines`."""

    def __init__(self, server: _Server, name: str, dimensions: Mapping[str, int], writable: bool) -> None:
        self._server = server
        self._client = server.client
        self._name = name
        self._dimensions = dict(dimensions)
        self._writable = writable

    def upsert(self, points: Sequence[EnginePoint]) -> None:
        for point in points:
            check_point(point, self._dimensions)
        self.write([_point(point) for point in points])

    def write(self, points: Sequence[models.PointStruct]) -> None:
        """Points in the library's own form."""
        self._refuse_unless_writable()
        for at in range(0, len(points), _BATCH):
            self._server.ask("write passages", self._client.upsert, self._name, points=points[at : at + _BATCH])

    def delete(self, keys: Sequence[int]) -> None:
        self._refuse_unless_writable()
        if keys:
            gone = models.PointIdsList(points=list(keys))
            self._server.ask("delete passages", self._client.delete, self._name, points_selector=gone)

    def finish(self) -> None:
        """Writes are durable when they are acknowledged; this waits until the server has indexed them."""
        until = time.monotonic() + _SETTLE_S
        while (status := self._status()) == models.CollectionStatus.YELLOW and time.monotonic() < until:
            time.sleep(_PAUSE_S)
        if status == models.CollectionStatus.RED:
            raise IndexUnavailable(f"Qdrant server {self._server.url}: collection {self._name} is broken (status red)")

    def candidates(self, queries: Sequence[EngineQuery], limit: int) -> list[Found]:
        shape = [self._requests(query, limit) for query in queries]
        flat = [request for requests in shape for request in requests.values()]
        if not flat:
            return [{} for _ in queries]
        answers = iter(self._server.ask("search", self._client.query_batch_points, self._name, requests=flat))
        return [{channel: _columns(next(answers).points) for channel in requests} for requests in shape]

    def close(self) -> None:
        """The connection belongs to the engines, and serves every version."""

    def _status(self) -> models.CollectionStatus:
        return self._server.ask("look at a collection", self._client.get_collection, self._name).status

    def _refuse_unless_writable(self) -> None:
        if not self._writable:
            raise RuntimeError(f"collection {self._name} was opened for questions; `derive` makes one to write to")

    def _requests(self, query: EngineQuery, limit: int) -> dict[str, models.QueryRequest]:
        only = _filter(query.filters)
        wanted: dict[str, models.SparseVector | list[float]] = {}
        if len(query.sparse[0]):
            wanted[BM25] = models.SparseVector(indices=list(query.sparse[0]), values=list(query.sparse[1]))
        wanted.update({name: vector.tolist() for name, vector in query.vectors.items() if name in self._dimensions})
        return {
            name: models.QueryRequest(query=vector, using=name, limit=limit, filter=only, with_payload=False)
            for name, vector in wanted.items()
        }


def _create(client: QdrantClient, name: str, dimensions: Mapping[str, int]) -> None:
    if not client.collection_exists(name):  # it does when the answer to an earlier attempt was lost
        dense = {
            channel: models.VectorParams(size=size, distance=models.Distance.DOT, datatype=models.Datatype.FLOAT16)
            for channel, size in dimensions.items()
        }
        sparse = {BM25: models.SparseVectorParams(modifier=models.Modifier.IDF)}
        # One shard: every shard counts its own document frequencies. Replicas, not shards, carry more askers.
        client.create_collection(name, vectors_config=dense, sparse_vectors_config=sparse, shard_number=1)
    for field in _FILTERED:
        client.create_payload_index(name, field, models.PayloadSchemaType.KEYWORD)


def _collection_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / _MARKER).read_text("utf-8"))["collection"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexUnavailable(
            f"{folder}: no Qdrant collection is named there ({_MARKER}: {error}); run `answerloop index --full`"
        ) from error


def _point(point: EnginePoint) -> models.PointStruct:
    vectors: dict[str, models.Vector] = {
        BM25: models.SparseVector(indices=list(point.sparse[0]), values=list(point.sparse[1]))
    }
    vectors.update({name: vector.tolist() for name, vector in point.vectors.items()})
    return models.PointStruct(
        id=point.key, vector=vectors, payload={name: list(values) for name, values in point.payload.items()}
    )


def _as_sent(record: models.Record) -> dict[str, models.Vector]:
    """The named vectors that a read point has, typed as those of a point to be written."""
    return cast("dict[str, models.Vector]", record.vector)


def _filter(filters: Mapping[str, str]) -> models.Filter | None:
    if not filters:
        return None
    return models.Filter(
        must=[models.FieldCondition(key=key, match=models.MatchValue(value=value)) for key, value in filters.items()]
    )


def _columns(points: Sequence[models.ScoredPoint]) -> tuple[list[int], list[float]]:
    return [int(point.id) for point in points], [point.score for point in points]


def _may_pass(error: Exception) -> bool:
    """Whether asking again can help: no answer, too busy, or the server's own fault."""
    status = error.status_code if isinstance(error, UnexpectedResponse) else None
    return status is None or status == 429 or status >= 500


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
