"""Rows that are written as they come, by the driver alone, and the log that brings them to the disk.

A plain INSERT costs the driver a sixth of what it costs through SQLAlchemy, and a commit that need not wait for the
disk a fifth of one that does. A commit into SQLite's log survives `kill -9` as soon as it returns: what was written is
the system's, no longer the process's. Only a power cut can still take it, until `LogFlusher` has been there.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from operator import itemgetter
from typing import Any

from sqlalchemy import Engine, Insert, PoolProxiedConnection
from sqlalchemy.exc import DBAPIError

log = logging.getLogger("answerloop.store")

Row = dict[str, Any]

_CHECKPOINT_COMMITS = 1_000  # of four to five pages each: the 16 MB after which other connections do it


class Rows:
    """Adds rows to one table. Use from one thread at a time. engine: see `engine.engine_for_rows`. columns: what every
    row has. written: called after each commit."""

    def __init__(self, engine: Engine, insert: Insert, columns: Sequence[str], written: Callable[[], None]) -> None:
        self._engine, self._written = engine, written
        self._statement, self._values = _plain(engine, insert, columns)
        self._foreign = engine.dialect.loaded_dbapi.Error
        # A server may have restarted since the last row, so its connections come from the pool, which looks.
        self._held = engine.raw_connection() if engine.dialect.name == "sqlite" else None

    def add(self, rows: Sequence[Row]) -> None:
        """All of them or none. Raises what SQLAlchemy would raise, and UnicodeEncodeError."""
        try:
            with nullcontext(self._held) if self._held else closing(self._engine.raw_connection()) as connection:
                self._add(connection, rows)
        except self._foreign as exc:
            raise DBAPIError.instance(
                self._statement, None, exc, self._foreign, hide_parameters=True, dialect=self._engine.dialect
            ) from exc
        self._written()

    def _add(self, connection: PoolProxiedConnection, rows: Sequence[Row]) -> None:
        try:
            connection.cursor().executemany(self._statement, [self._values(row) for row in rows])
            connection.commit()
        except BaseException:
            connection.rollback()
            raise

    def close(self) -> None:
        """Lets go of the database, where the connection is held here."""
        if self._held:
            self._held.close()
            self._engine.dispose()


class RowAtOnce:
    """Adds one row at a time to a table of SQLite's, without ever waiting. What is run outside of a transaction is one
    by itself: begun, run and committed in one call. The arguments are those of `Rows`."""

    def __init__(self, engine: Engine, insert: Insert, columns: Sequence[str], written: Callable[[], None]) -> None:
        self._engine, self._written = engine, written
        self._statement, self._values = _plain(engine, insert, columns)
        self._held = engine.raw_connection()
        self._cursor = self._held.cursor()

    def add(self, row: Row) -> None:
        """Raises what the driver raises, also where another one writes; nothing of the row is left then."""
        self._cursor.execute(self._statement, self._values(row))
        self._written()

    def close(self) -> None:
        self._held.close()
        self._engine.dispose()


def _plain(engine: Engine, insert: Insert, columns: Sequence[str]) -> tuple[str, Callable[[Row], Any]]:
    """The statement as the driver takes it, and a row as its parameters."""
    compiled = insert.compile(dialect=engine.dialect, column_keys=list(columns))
    return str(compiled), itemgetter(*compiled.positiontup) if compiled.positiontup else dict


class LogFlusher:
    """Forces SQLite's log to the disk at most `every_s` after something new was written to it, on a thread of its own,
    and copies it into the database now and then.

    Close it before the last connection to the database: that one takes the log away.
    """

    def __init__(self, engine: Engine, every_s: float) -> None:
        self._engine, self._log, self._every_s = engine, f"{engine.url.database}-wal", every_s
        self._new, self._closing = threading.Event(), threading.Event()
        self._commits = 0
        self._thread = threading.Thread(target=self._work, name="store-flush", daemon=True)
        self._thread.start()

    def written(self) -> None:
        self._commits += 1
        if not self._new.is_set():  # a wake-up for each flush, not for each row
            self._new.set()

    def close(self) -> None:
        """Flushes what is new, then stops."""
        self._closing.set()
        self._new.set()
        self._thread.join()

    def _work(self) -> None:
        ended = False
        while not ended:
            self._new.wait()
            ended = self._closing.wait(self._every_s)
            self._new.clear()  # before the flush: what is written during it needs another one
            try:
                flush(self._log)
                if self._commits >= _CHECKPOINT_COMMITS:
                    self._checkpoint()
            except (OSError, sqlite3.Error):
                log.exception("the log of the database cannot be forced to the disk")

    def _checkpoint(self) -> None:
        """Disturbs neither readers nor writers; a part that somebody still reads is left to the next one."""
        self._commits = 0
        with closing(self._engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")


def flush(path: str) -> None:
    """Returns when the disk has what was written to the file, by whichever process."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(file)
    finally:
        os.close(file)
