"""Group commit: one thread takes everything that is waiting, and commits the rows together and the calls together.

A caller's future resolves only after the commit returned, so what was acknowledged survives `kill -9`. Rows are plain
inserts and come first: a call may speak of a row that came with it, and no row waits for a call. Calls share one flush
to the disk, and each runs in its own savepoint: one that fails takes nobody down. While a commit is under way the next
group gathers by itself; nothing is ever delayed to make a group larger.

The first row in each turn of the event loop is committed there and then, where that waits for nobody: no flush, no
other writer. Waking a thread and being woken by it costs more than that commit; further rows of the same turn share one
such hand-over. So one asker pays for a commit alone, and many are committed in groups.
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

from sqlalchemy import Connection, Engine

from router.errors import Conflict, InvalidInput, Overloaded, Unavailable
from services.store.engine import FOREIGN_ERRORS, IMMEDIATE, take_write_lock, translate
from services.store.rows import Row, RowAtOnce, Rows

T = TypeVar("T")
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
    """rows: takes those given to `add_row`, on the thread. at_once: the same without ever waiting, for the event loop.

    limit: how many writes may wait; beyond it callers get `Overloaded` at once.
    """

    def __init__(self, engine: Engine, rows: Rows, at_once: RowAtOnce | None, limit: int) -> None:
        self._engine = engine.execution_options(**{IMMEDIATE: True})
        self._rows, self._at_once = rows, at_once
        self._limit = limit
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._turns: dict[asyncio.AbstractEventLoop, list[_Pending]] = {}
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    async def add_row(self, row: Row) -> None:
        """Committed when it returns. Raises `Conflict`, `InvalidInput`, `Unavailable`, `Overloaded`."""
        loop = asyncio.get_running_loop()
        turn = self._turns.get(loop)
        if turn is None and self._at_once is not None:
            turn = self._turns[loop] = []
            loop.call_soon(self._end_turn, loop)
            if self._added_at_once(self._at_once, row):
                return
        await self._submit(_Pending(loop, loop.create_future(), row=row), turn)

    async def run(self, call: Callable[[Connection], T]) -> T:
        """The call's result, once the disk has it and all rows before it. It runs on the writer thread, alone among all
        writers of all processes. Raises what it raises, and `Conflict`, `Unavailable`, `Overloaded`."""
        loop = asyncio.get_running_loop()
        result: T = await self._submit(_Pending(loop, loop.create_future(), call=call), None)
        return result

    def close(self) -> None:
        """Writes what is waiting, then stops."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _added_at_once(self, rows: RowAtOnce, row: Row) -> bool:
        """Whether it was. If not, nothing of it is left, and the thread will say what is wrong."""
        with self._closing:
            if self._closed:
                return False
            try:
                rows.add(row)
            except FOREIGN_ERRORS:
                return False
            return True

    async def _submit(self, pending: _Pending, turn: list[_Pending] | None) -> Any:
        """turn: the rows that wait for the end of the event loop's turn; None: the thread gets it now."""
        with self._closing:  # nothing may enter the queue after the mark that ends it
            if self._closed:
                raise Unavailable("the store is closed")
            if self._queue.qsize() + sum(map(len, self._turns.values())) >= self._limit:
                raise Overloaded(f"{self._limit} writes are waiting for the disk; try again in a moment")
            if turn is None:
                self._queue.put(pending)
            else:
                turn.append(pending)
        return await pending.future

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        turn = self._turns.pop(loop)
        with self._closing:
            if not self._closed:
                for pending in turn:
                    self._queue.put(pending)
                return
        for pending in turn:
            pending.error = Unavailable("the store is closed")
        _resolve(turn)

    def _work(self) -> None:
        ended = False
        while not ended:
            group, ended = self._take()
            rows: list[_Pending] = []
            calls: list[_Pending] = []
            for pending in group:
                (rows if pending.call is None else calls).append(pending)
            if rows:
                self._add(rows)
                _settle(rows)
            if calls:
                self._commit(calls)
                _settle(calls)

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

    def _add(self, group: Sequence[_Pending]) -> None:
        """Sets the errors. Where one row is bad, each tries again alone."""
        try:
            self._rows.add([pending.row for pending in group if pending.row is not None])
        except Exception as exc:  # noqa: BLE001 - handed to the callers, whose error it is
            error = translate(exc)
            if len(group) > 1 and isinstance(error, Conflict | InvalidInput):
                for pending in group:
                    self._add([pending])
            else:
                for pending in group:
                    pending.error = error

    def _commit(self, group: Sequence[_Pending]) -> None:
        """Sets every result or error."""
        try:
            with self._engine.begin() as connection:
                take_write_lock(connection)
                if len(group) == 1:
                    self._apply(connection, group[0])
                    return
                for pending in group:
                    self._apply_in_savepoint(connection, pending)
        except Exception as exc:  # noqa: BLE001 - handed to the callers, whose error it is
            for pending in group:
                pending.error = pending.error or translate(exc)

    def _apply(self, connection: Connection, pending: _Pending) -> None:
        assert pending.call is not None
        pending.result = pending.call(connection)

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
