"""What was acknowledged survives `kill -9`, of the program and of the database server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from router.errors import Unavailable
from services.store import tables
from services.store.sql import SqlStore
from tests.store import cluster
from tests.store.samples import TRACE, trace

ROOT = Path(__file__).parents[2]

CHILD = """
import asyncio, os, sys
from services.store.sql import SqlStore
from tests.store.samples import review, trace

async def write(store, kind):
    while True:
        one = trace(f"question {os.getpid() if kind else 0}")
        await store.record(one, review(one) if kind else None)
        done = "trace"
        if kind == 2:
            await store.add_feedback(one.id, "down", one.id)
            done = "feedback"
        os.write(1, f"{done} {one.id}\\n".encode())

async def main(store):
    await asyncio.gather(*(write(store, n % 3) for n in range(9)))

asyncio.run(main(SqlStore.open(sys.argv[1], flush_s=float(sys.argv[2]))))
"""


def run_and_kill(url: str, flush_s: float, seconds: float) -> list[list[str]]:
    """What a busy child had been told is safe when it was killed, `seconds` after its first acknowledgement."""
    command = [sys.executable, "-c", CHILD, url, str(flush_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        killer = subprocess.Popen([sys.executable, "-c", KILL, str(child.pid), str(seconds)])
        rest = child.stdout.read()
        assert killer.wait() == 0
        assert child.wait() == -signal.SIGKILL
    return [line.split() for line in (first + rest).decode().splitlines()]


KILL = "import os, sys, time; time.sleep(float(sys.argv[2])); os.kill(int(sys.argv[1]), 9)"


async def check(store: SqlStore, acknowledged: list[list[str]]) -> None:
    comments = await store.read(lambda c: set(c.execute(select(tables.feedback.c.comment)).scalars()))
    for done, trace_id in acknowledged:
        assert (await store.get_trace(trace_id)).answer == TRACE.answer
        assert done != "feedback" or trace_id in comments
    for queued in await store.list_review_items(limit=1000):
        linked = await store.list_review_traces(queued.item.id, limit=1000)
        assert len(linked) == min(queued.asks, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("flush_s", [0.0, 60.0], ids=["flushed before the reply", "not flushed before the kill"])
def test_twenty_kills_lose_nothing_acknowledged(url: str, flush_s: float) -> None:
    dice, acknowledged = random.Random(20), []
    for _ in range(20):
        acknowledged += run_and_kill(url, flush_s, dice.uniform(0, 0.25))
        with SqlStore.open(url) as store:
            asyncio.run(check(store, acknowledged[-300:]))
    with SqlStore.open(url) as store:
        asyncio.run(check(store, acknowledged))
    assert len(acknowledged) > 200


class Watched:
    """Counts what is forced to the disk by us, and lets SQLite be asked how it commits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushed: list[float] = []
        self._real = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self._counted)

    def _counted(self, file: int) -> None:
        self._real(file)
        self.flushed.append(time.monotonic())


def synchronous(store: SqlStore) -> tuple[int, int]:
    """SQLite's level for plain traces, and for all else: 1 returns when the system has it, 2 when the disk has it."""

    async def scenario() -> int:
        for ask in (store.write, store.read):
            assert await ask(lambda c: c.exec_driver_sql("PRAGMA journal_mode").scalar_one()) == "wal"
            assert await ask(lambda c: c.exec_driver_sql("PRAGMA foreign_keys").scalar_one()) == 1
        levels = [
            await ask(lambda c: c.exec_driver_sql("PRAGMA synchronous").scalar_one())
            for ask in (store.write, store.read)
        ]
        assert levels[0] == levels[1]
        return int(levels[0])

    assert store._rows._held is not None
    (of_rows,) = store._rows._held.cursor().execute("PRAGMA synchronous").fetchone()
    return int(of_rows), asyncio.run(scenario())


def test_sqlite_waits_for_the_disk_for_all_that_people_decide(tmp_path: Path) -> None:
    """A kill cannot show this, only a power cut could: the commit itself must force the log to the disk."""
    url = f"sqlite:///{tmp_path}/store.db"
    with SqlStore.open(url) as store:
        assert synchronous(store) == (2, 2)
    with SqlStore.open(url, flush_s=0.05) as store:
        assert synchronous(store) == (1, 2)


def test_a_trace_reaches_the_disk_soon_after_its_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)

    async def scenario(store: SqlStore) -> None:
        await store.record(trace(), None)
        asked = time.monotonic()
        while not watched.flushed:
            assert time.monotonic() - asked < 20
            await asyncio.sleep(0.01)
        count = len(watched.flushed)
        await asyncio.sleep(0.3)
        assert len(watched.flushed) == count  # nothing new, nothing to do
        await store.record(trace(), None)

    with SqlStore.open(f"sqlite:///{tmp_path}/store.db", flush_s=0.02) as store:
        asyncio.run(scenario(store))
        count = len(watched.flushed)
    assert len(watched.flushed) > count or count > 1  # closing leaves nothing behind


def test_without_a_delay_nothing_is_left_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    with SqlStore.open(f"sqlite:///{tmp_path}/store.db", flush_s=0.0) as store:
        asyncio.run(store.record(trace(), None))
    assert watched.flushed == []


@pytest.mark.slow
def test_a_crashed_server_loses_nothing_acknowledged_and_is_found_again(postgres_binaries: Path) -> None:
    acknowledged: list[list[str]] = []

    async def write(store: SqlStore, until: asyncio.Event) -> None:
        while not until.is_set():
            one = trace()
            with contextlib.suppress(Unavailable):
                await store.record(one, None)
                acknowledged.append(["trace", one.id])
            await asyncio.sleep(0.001)

    async def scenario(store: SqlStore, server: cluster.Server) -> None:
        until = asyncio.Event()
        writers = [asyncio.create_task(write(store, until)) for _ in range(4)]
        for _ in range(3):
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.crash)
            with pytest.raises(Unavailable):
                await store.record(trace(), None)
            with pytest.raises(Unavailable):
                await store.list_traces()
            await asyncio.to_thread(server.start)
            await store.record(trace(), None)  # the very next write finds the server again
        until.set()
        await asyncio.gather(*writers)
        await check(store, acknowledged)

    with cluster.running(postgres_binaries, fsync=True) as server, SqlStore.open(server.url) as store:
        asyncio.run(scenario(store, server))
    assert len(acknowledged) > 50


def test_a_second_process_that_holds_the_lock_is_waited_for(url: str) -> None:
    async def scenario(left: SqlStore, right: SqlStore) -> None:
        slow = asyncio.create_task(left.write(lambda _c: time.sleep(0.3)))
        await asyncio.sleep(0.05)
        await right.audit("anna", "waited")
        await asyncio.wait_for(slow, 0.05)  # settled already, or about to be

    with SqlStore.open(url) as left, SqlStore.open(url) as right:
        asyncio.run(scenario(left, right))
