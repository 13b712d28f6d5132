"""What a durable write costs. Prints JSON.

`python -m tests.bench.store`: a temporary SQLite file. `python -m tests.bench.store postgresql`: a temporary server.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from router.types import Answer, Citation, Question, ReviewItem, Route, Trace
from services.store.codec import decode_trace, encode_trace
from services.store.sql import SqlStore
from tests.store import cluster

ALONE = 1_000
TOGETHER = 20_000


def make_trace(route: Route = Route.GROUNDED) -> Trace:
    """About 4 kB as JSON, like a grounded answer with ten candidates."""
    trace_id = uuid4().hex
    citation = Citation(
        uuid4().hex, "docs/en/deploy.md", "Deploy > First start", "It listens on port 8000. " * 6, 0, 150, "r"
    )
    candidates = tuple(
        {
            "passage": uuid4().hex,
            "scores": {"bm25": 7.25 + n, "dense": 0.61 - n / 50, "corpus": 0.4},
            "fused": 0.9 - n / 20,
        }
        for n in range(15)
    )
    return Trace(
        id=trace_id,
        created="2026-01-01T00:00:00.000000Z",
        question=Question("How do I change the port that the server listens on? " + trace_id),
        normalised="how do i change the port that the server listens on " + trace_id,
        language="en",
        answer=Answer(
            "It listens on port 8000. " * 12, route, 0.93, (citation, citation), "two passages agree", "extractive"
        ),
        candidates=candidates,
        features={f"feature_{n}": n / 7 for n in range(20)},
        guards=("numbers", "negation"),
        release="release-1",
        timings_ms={"curated": 0.1, "retrieve": 4.2, "generate": 0.0, "total": 5.0},
    )


def make_review(trace: Trace) -> ReviewItem:
    return ReviewItem(uuid4().hex, trace.id, trace.question.text, "en", "abstained", "pending", trace.created)


def fsync_ms(folder: Path) -> float:
    """The floor: 4 kB appended and forced to the same disk, median of 200."""
    times = []
    with (folder / "floor").open("wb", buffering=0) as file:
        for _ in range(200):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


async def alone(write: Callable[[Trace], Awaitable[Any]], traces: list[Trace]) -> dict[str, float]:
    times = []
    for trace in traces:
        began = time.perf_counter()
        await write(trace)
        times.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(times, n=100)
    return {"p50_ms": cuts[49], "p95_ms": cuts[94], "p99_ms": cuts[98], "max_ms": max(times)}


async def together(write: Callable[[Trace], Awaitable[Any]], traces: list[Trace], writers: int) -> dict[str, float]:
    todo = iter(traces)
    times: list[float] = []

    async def writer() -> None:
        for trace in todo:
            began = time.perf_counter()
            await write(trace)
            times.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(writer() for _ in range(writers)))
    took = time.perf_counter() - began
    cuts = statistics.quantiles(times, n=100)
    return {"records_per_s": len(traces) / took, "p50_ms": cuts[49], "p99_ms": cuts[98], "max_ms": max(times)}


async def measure(store: SqlStore) -> dict[str, Any]:
    async def plain(trace: Trace) -> None:
        await store.record(trace, None)

    async def reviewed(trace: Trace) -> None:
        await store.record(trace, make_review(trace))

    async def read(trace: Trace) -> None:
        await store.get_trace(trace.id)

    await alone(plain, [make_trace() for _ in range(100)])  # warm
    many = [make_trace() for _ in range(TOGETHER)]
    return {
        "record_alone": await alone(plain, [make_trace() for _ in range(ALONE)]),
        "record_with_review_alone": await alone(reviewed, [make_trace(Route.ABSTAINED) for _ in range(ALONE)]),
        "record_32_writers": await together(plain, many, 32),
        "record_with_review_32_writers": await together(
            reviewed, [make_trace(Route.ABSTAINED) for _ in range(3_000)], 32
        ),
        "get_trace_alone": await alone(read, many[:ALONE]),
        "get_trace_32_readers": await together(read, many[:5_000], 32),
    }


def codec_us() -> dict[str, float]:
    trace, rounds = make_trace(), 2_000
    began = time.perf_counter()
    for _ in range(rounds):
        text = encode_trace(trace)
    encoded = time.perf_counter()
    for _ in range(rounds):
        decode_trace(text)
    decoded = time.perf_counter()
    return {
        "bytes": len(text.encode()),
        "encode_us": (encoded - began) / rounds * 1e6,
        "decode_us": (decoded - encoded) / rounds * 1e6,
    }


def report(url: str, folder: Path) -> dict[str, Any]:
    began = time.perf_counter()
    SqlStore.open(url).close()
    created = time.perf_counter()
    with SqlStore.open(url) as store:
        opened = time.perf_counter()
        return {
            "open_new_ms": (created - began) * 1000,
            "open_again_ms": (opened - created) * 1000,
            "fsync_before_ms": fsync_ms(folder),
            "codec": codec_us(),
            **asyncio.run(measure(store)),
            "fsync_after_ms": fsync_ms(folder),
        }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if sys.argv[1:] != ["postgresql"]:
            print(json.dumps(report(f"sqlite:///{folder}/store.db", folder), indent=2))
            return
        binaries = cluster.binaries()
        if binaries is None:
            sys.exit("no PostgreSQL server here: install Debian's package postgresql")
        with cluster.running(binaries, fsync=True) as server:
            print(json.dumps(report(server.url, folder), indent=2))


if __name__ == "__main__":
    main()
