"""Group commit: one thread, one transaction for everything that is waiting, one fsync for all of it.

A caller's future resolves only after the commit returned, so what was acknowledged survives `kill -9`. Each
call runs in its own savepoint: one that fails takes nobody down. While a commit waits for the disk the next
group gathers by itself; nothing is ever delayed to make a group larger.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Insert

from router.errors import Overloaded, Unavailable
from services.store.engine import FOREIGN_ERRORS, IMMEDIATE, take_write_lock, translate

T = TypeVar("T")
Row = dict[str, Any]
Call = Callable[[Connection], Any]

_MAX_GROUP = 512  # bounds how long the first of a group waits for the last


@dataclass(slots=True, eq=False)
class _Pending:
    """One caller's write: a row for the hot table, or a call."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    row: Row | None = None
    call: Call | None = None
    result: Any = None
    error: Exception | None = None


class GroupWriter:
    """insert: the statement for rows given to `add_row`, which skip the savepoint of `run`.

    limit: how many writes may wait; beyond it callers get `Overloaded` at once.
    """

    def __init__(self, engine: Engine, insert: Insert, limit: int) -> None:
        self._engine = engine.execution_options(**{IMMEDIATE: True})
        self._insert = insert
        self._limit = limit
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    async def add_row(self, row: Row) -> None:
        """Durable when it returns. Raises `Conflict`, `Unavailable`, `Overloaded`."""
        await self._submit(row=row)

    async def run(self, call: Callable[[Connection], T]) -> T:
        """The call's result, once it is durable. It runs on the writer thread, alone among all writers of all
        processes. Raises what it raises, and `Conflict`, `Unavailable`, `Overloaded`."""
        result: T = await self._submit(call=call)
        return result

    def close(self) -> None:
        """Writes what is waiting, then stops."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    async def _submit(self, row: Row | None = None, call: Call | None = None) -> Any:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._closing:  # nothing may enter the queue after the mark that ends it
            if self._closed:
                raise Unavailable("the store is closed")
            if self._queue.qsize() >= self._limit:
                raise Overloaded(f"{self._limit} writes are waiting for the disk; try again in a moment")
            self._queue.put(_Pending(loop, future, row, call))
        return await future

    def _work(self) -> None:
        ended = False
        while not ended:
            group, ended = self._take()
            again = self._commit(group)
            _settle([pending for pending in group if pending not in again])
            for pending in again:
                self._commit([pending])
                _settle([pending])

    def _take(self) -> tuple[list[_Pending], bool]:
        """Everything that waits, at least one; and whether the end was reached."""
        group: list[_Pending] = []
        try:
            pending = self._queue.get()
            while pending is not None:
                group.append(pending)
                if len(group) == _MAX_GROUP:
                    return group, False
                pending = self._queue.get_nowait()
        except queue.Empty:
            return group, False
        return group, True

    def _commit(self, group: Sequence[_Pending]) -> list[_Pending]:
        """Sets every result or error; returns the rows that shall try again alone, since one of them is bad."""
        try:
            with self._engine.begin() as connection:
                if any(pending.call is not None for pending in group):
                    take_write_lock(connection)
                if len(group) == 1:
                    self._apply(connection, group[0])
                    return []
                return self._apply_all(connection, group)
        except Exception as exc:  # noqa: BLE001 - handed to the callers, whose error it is
            for pending in group:
                pending.error = pending.error or translate(exc)
        return []

    def _apply(self, connection: Connection, pending: _Pending) -> None:
        if pending.call is None:
            connection.execute(self._insert, pending.row)
        else:
            pending.result = pending.call(connection)

    def _apply_all(self, connection: Connection, group: Sequence[_Pending]) -> list[_Pending]:
        """Rows first and in one statement: a call may speak of a row that came with it."""
        rows = [pending for pending in group if pending.call is None]
        again = [] if self._insert_together(connection, rows) else rows
        for pending in group:
            if pending.call is not None:
                self._apply_in_savepoint(connection, pending)
        return again

    def _insert_together(self, connection: Connection, rows: Sequence[_Pending]) -> bool:
        if not rows:
            return True
        try:
            with connection.begin_nested():
                connection.execute(self._insert, [pending.row for pending in rows if pending.row is not None])
        except FOREIGN_ERRORS:
            _check_open(connection)
            return False
        return True

    def _apply_in_savepoint(self, connection: Connection, pending: _Pending) -> None:
        try:
            with connection.begin_nested():
                self._apply(connection, pending)
        except Exception as exc:  # noqa: BLE001 - handed to the caller, whose error it is
            pending.error = translate(exc)
            _check_open(connection)


def _check_open(connection: Connection) -> None:
    """A full disk makes SQLite drop the whole transaction: then nobody in the group may be told "done"."""
    if not getattr(connection.connection.dbapi_connection, "in_transaction", True):
        raise Unavailable("the database gave the transaction up; the disk may be full")


def _settle(group: Sequence[_Pending]) -> None:
    """Wakes each event loop once, however many of its callers wait."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Pending]] = defaultdict(list)
    for pending in group:
        by_loop[pending.loop].append(pending)
    for loop, waiting in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, waiting)


def _resolve(waiting: Sequence[_Pending]) -> None:
    for pending in waiting:
        if pending.future.done():  # cancelled by a caller who went away; the write stays
            continue
        if pending.error is not None:
            pending.future.set_exception(pending.error)
        else:
            pending.future.set_result(pending.result)
