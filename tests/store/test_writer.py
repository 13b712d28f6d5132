"""Group commit: what is shared, what is not, and what happens when the commit itself fails."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Pool, event, text

from router.errors import Conflict, NotFound, Overloaded, Unavailable
from services.store import rows
from services.store.sql import SqlStore
from tests.store.samples import review, trace


@asynccontextmanager
async def held(store: SqlStore) -> AsyncIterator[None]:
    """Keeps the writer busy inside the block: what is written meanwhile becomes one group."""
    began, go_on = threading.Event(), threading.Event()

    def wait(_connection: Connection) -> None:
        began.set()
        assert go_on.wait(20)

    busy = asyncio.create_task(store.write(wait))
    await asyncio.to_thread(began.wait, 10)
    try:
        yield
    finally:
        go_on.set()
        await busy


def sql(statement: str) -> Callable[[Connection], None]:
    return lambda connection: connection.execute(text(statement)).close()


async def count(store: SqlStore) -> int:
    return await store.read(lambda c: c.execute(text("SELECT count(*) FROM traces")).scalar_one())


def test_a_failing_write_fails_alone(store: SqlStore) -> None:
    async def scenario() -> None:
        good, asked, twin = trace("good"), trace("asked"), trace("twin")
        await store.record(twin, None)
        async with held(store):
            writes = asyncio.gather(
                store.record(good, None),
                store.record(twin, None),  # the id is taken
                store.record(asked, review(asked)),
                store.write(sql("INSERT INTO nowhere VALUES (1)")),
                store.add_feedback("nobody", "up", ""),
                store.write(lambda _c: 1 // 0),
                store.write(lambda _c: "a result"),
                return_exceptions=True,
            )
            await asyncio.sleep(0)
        outcomes = await writes
        assert [type(outcome) for outcome in outcomes] == [
            type(None), Conflict, str, Unavailable, NotFound, ZeroDivisionError, str,
        ]  # fmt: skip
        assert await store.get_trace(good.id) == good
        assert await count(store) == 3

    asyncio.run(scenario())


def test_a_failed_call_leaves_nothing_behind(store: SqlStore) -> None:
    def half(connection: Connection) -> None:
        connection.execute(text("UPDATE traces SET language = 'xx'"))
        raise NotFound("changed my mind")

    async def scenario() -> None:
        one = trace()
        await store.record(one, None)
        async with held(store):
            writes = asyncio.gather(store.write(half), store.record(trace(), None), return_exceptions=True)
            await asyncio.sleep(0)
        assert isinstance((await writes)[0], NotFound)
        with pytest.raises(NotFound):
            await store.write(half)  # and alone, without a savepoint
        assert {line.language for line in await store.list_traces()} == {"zh"}

    asyncio.run(scenario())


def test_a_failed_commit_fails_every_call_and_keeps_nothing_of_them(store: SqlStore) -> None:
    """The foreign key is checked at COMMIT: every statement of the group succeeds, the commit does not. Plain traces
    are committed by themselves and do not share in it."""

    async def scenario() -> None:
        await store.write(sql("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        await store.write(
            sql("CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)")
        )
        one, two = trace(), trace()
        async with held(store):
            writes = asyncio.gather(
                store.record(one, None),
                store.write(sql("INSERT INTO child VALUES (7)")),
                store.record(two, review(two)),
                return_exceptions=True,
            )
            await asyncio.sleep(0)
        assert [type(outcome) for outcome in await writes] == [type(None), Conflict, Conflict]
        assert await count(store) == 1
        await store.record(two, review(two))  # the writer lives on
        assert await count(store) == 2

    asyncio.run(scenario())


def test_a_full_disk_acknowledges_nothing_that_is_lost(tmp_path: Path) -> None:
    """A plain insert that finds the disk full makes SQLite drop the whole transaction, savepoints and all."""
    url = f"sqlite:///{tmp_path}/store.db"

    def note(size: int) -> Callable[[Connection], None]:
        return lambda c: c.exec_driver_sql("INSERT INTO notes VALUES (?)", ("x" * size,)).close()

    async def prepared(store: SqlStore) -> int:
        await store.write(sql("CREATE TABLE notes (body TEXT)"))
        return int(await store.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one()))

    async def calls(store: SqlStore) -> None:
        one = trace()
        async with held(store):
            writes = asyncio.gather(
                store.record(one, review(one)),
                store.write(note(10)),
                store.write(note(1_000_000)),
                store.write(note(20)),
                return_exceptions=True,
            )
            await asyncio.sleep(0)
        assert [type(outcome) for outcome in await writes] == [Unavailable] * 4
        assert await count(store) == 0
        assert await store.read(lambda c: c.execute(text("SELECT count(*) FROM notes")).scalar_one()) == 0

    async def rows(store: SqlStore) -> None:
        async with held(store):
            asked = [trace("x" * 100_000), trace()]
            writes = asyncio.gather(*(store.record(one, None) for one in asked), return_exceptions=True)
            await asyncio.sleep(0)
        assert [type(outcome) for outcome in await writes] == [Unavailable] * 2
        assert await count(store) == 0
        await store.record(trace(), None)  # a small one still fits

    with SqlStore.open(url) as store:
        pages = asyncio.run(prepared(store))
    with small_disk(pages + 10), SqlStore.open(url) as store:
        asyncio.run(calls(store))
        asyncio.run(rows(store))


@contextmanager
def small_disk(pages: int) -> Iterator[None]:
    """Databases opened meanwhile find no room for more pages."""

    def bound(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}").close()

    event.listen(Pool, "connect", bound)
    try:
        yield
    finally:
        event.remove(Pool, "connect", bound)


def test_too_many_waiting_writes_are_refused_at_once(url: str) -> None:
    async def scenario(store: SqlStore) -> None:
        async with held(store):
            writes = asyncio.gather(*(store.record(trace(), None) for _ in range(8)), return_exceptions=True)
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await store.audit("anna", "one too many")
        outcomes = await writes
        assert [type(outcome) for outcome in outcomes] == [type(None)] * 5 + [Overloaded] * 3
        assert await count(store) == 5

    with SqlStore.open(url, max_waiting=5) as store:
        asyncio.run(scenario(store))


def test_a_busy_disk_does_not_stop_the_event_loop(store: SqlStore) -> None:
    async def scenario() -> None:
        await store.record(trace(), None)
        async with held(store):
            waiting = asyncio.create_task(store.record(trace(), None))
            ticks, began = 0, time.perf_counter()
            while time.perf_counter() - began < 0.1:
                await asyncio.sleep(0.001)
                ticks += 1
            assert ticks > 20
            assert not waiting.done()
            assert await count(store) == 1  # readers go on as well
        await waiting

    asyncio.run(scenario())


def test_a_caller_who_leaves_disturbs_nobody(store: SqlStore) -> None:
    async def scenario() -> None:
        async with held(store):
            leaving = asyncio.create_task(store.record(trace("leaving"), None))
            staying = asyncio.create_task(store.record(trace("staying"), None))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.sleep(0)
        await staying
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await store.record(trace("later"), None)

    asyncio.run(scenario())


def test_an_event_loop_that_ended_disturbs_nobody(store: SqlStore) -> None:
    go_on = threading.Event()

    async def leave() -> None:
        waiting = asyncio.create_task(store.write(lambda _c: go_on.wait(10)))
        await asyncio.sleep(0.01)
        waiting.cancel()

    asyncio.run(leave())
    go_on.set()
    asyncio.run(store.record(trace(), None))


def test_closing_writes_what_waits_and_refuses_the_rest(url: str) -> None:
    store = SqlStore.open(url)

    async def scenario() -> Sequence[object]:
        async with held(store):
            writes = asyncio.gather(*(store.record(trace(), None) for _ in range(50)), return_exceptions=True)
            await asyncio.sleep(0)
            closing = asyncio.create_task(asyncio.to_thread(store.close))
            await asyncio.sleep(0.05)
            with pytest.raises(Unavailable, match="closed"):
                await store.record(trace(), None)
        await closing
        return await writes

    assert asyncio.run(scenario()) == [None] * 50
    store.close()
    with SqlStore.open(url) as again:
        assert asyncio.run(count(again)) == 50


def test_the_first_trace_of_a_turn_is_committed_there_and_then(tmp_path: Path) -> None:
    """Nothing is handed to another thread for it; the others of that turn are, together."""

    async def scenario(store: SqlStore) -> None:
        tasks = [asyncio.create_task(store.record(trace(), None)) for _ in range(4)]
        await asyncio.sleep(0)
        assert [task.done() for task in tasks] == [True, False, False, False]
        await asyncio.gather(*tasks)
        assert await count(store) == 4

    with SqlStore.open(f"sqlite:///{tmp_path}/store.db", flush_s=0.05) as store:
        asyncio.run(scenario(store))


def test_what_is_wrong_with_a_lone_trace_is_said(store: SqlStore) -> None:
    async def scenario() -> None:
        one = trace()
        await store.record(one, None)
        await asyncio.sleep(0)  # another turn
        with pytest.raises(Conflict):
            await store.record(one, None)
        assert await count(store) == 1

    asyncio.run(scenario())


def test_the_log_is_copied_into_the_file_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop's own commits never do it, and without anybody the log would grow for ever."""
    monkeypatch.setattr(rows, "_CHECKPOINT_COMMITS", 10)
    database = tmp_path / "store.db"

    async def scenario(store: SqlStore) -> None:
        before = database.stat().st_size
        for _ in range(20):
            await store.record(trace("x" * 20_000), None)
            await asyncio.sleep(0)
        began = time.monotonic()
        while database.stat().st_size < before + 10 * 20_000:
            assert time.monotonic() - began < 20
            await asyncio.sleep(0.02)

    with SqlStore.open(f"sqlite:///{database}", flush_s=0.01) as store:
        asyncio.run(scenario(store))
