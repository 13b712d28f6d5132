"""Engines for the two databases, and their errors in our words."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, SQLAlchemyError

from router.errors import AnswerloopError, Conflict, InvalidInput, Misconfigured, Unavailable

IMMEDIATE = "answerloop_immediate"
"""Execution option: the transaction will write, so take SQLite's write lock at once instead of failing half way."""

FOREIGN_ERRORS = (SQLAlchemyError, sqlite3.Error, UnicodeEncodeError)  # the last: lone surrogates

_BUSY_MS = 10_000  # how long to wait for another process's transaction
_WRITE_LOCK = 0x616E7377  # an advisory lock's number; any that no other program on the same database uses: "answ"
_TAKE_LOCK = text("SELECT pg_advisory_xact_lock(:number)")
_HOT_KIB = 16_384  # ids are random, so each row touches other pages of their index
_CHECKPOINT_PAGES = 4_000  # copy the log into the file every 16 MB or so: fewer pauses than SQLite's 4 MB


def make_engine(url: str) -> Engine:
    """Raises `Misconfigured` for a URL that names no usable database."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        # `from None` and no URL in the text: it may hold a password.
        raise Misconfigured(f"the store URL cannot be read; {_EXPECTED}") from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite(parsed)
    if parsed.drivername == "postgresql+psycopg":
        return _postgres(parsed)
    raise Misconfigured(f"the store cannot use {parsed.drivername!r}; {_EXPECTED}")


_EXPECTED = "use sqlite:////absolute/path/to/file or postgresql+psycopg://user:password@host/database"


def translate(error: Exception) -> Exception:
    """A database's error in our words; every other error as it is."""
    if isinstance(error, AnswerloopError) or not isinstance(error, FOREIGN_ERRORS):
        return error
    reason = str(getattr(error, "orig", None) or error).strip()
    ours: AnswerloopError
    if isinstance(error, IntegrityError):
        ours = Conflict(f"the store refused the change: {reason}")
    elif isinstance(error, DataError | UnicodeEncodeError):
        ours = InvalidInput(f"the store cannot hold this text or number: {reason}")
    else:
        ours = Unavailable(f"the store cannot do this now: {reason}")
    ours.__cause__ = error
    return ours


def engine_for_rows(engine: Engine, *, flushed: bool, waits: bool = True) -> Engine:
    """For plain inserts by the driver alone, without a BEGIN of ours, over one connection.

    flushed: whether a commit of SQLite's waits for the disk. waits: whether it waits for other writers, and copies the
    log into the file when its time has come; one that does not is for single rows, each a transaction by itself.
    PostgreSQL settles all that itself, so it keeps its engine.
    """
    if engine.dialect.name != "sqlite":
        return engine
    rows = create_engine(engine.url, pool_size=1, max_overflow=0)
    prepare = [_prepare, *([] if flushed else [_trust_the_system]), _begin_by_itself if waits else _never_wait]
    for step in prepare:
        event.listen(rows, "connect", step)
    return rows


def _begin_by_itself(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"


def _trust_the_system(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")  # a commit returns after the system has it


def _never_wait(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA busy_timeout = 0")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA cache_size = -{_HOT_KIB}")


def _postgres(url: URL) -> Engine:
    try:
        # pre_ping: the server may have restarted since the connection was last used.
        engine = create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=0)
    except ModuleNotFoundError as exc:
        raise Misconfigured("PostgreSQL needs psycopg: pip install 'answerloop[postgres]'") from exc
    event.listen(engine, "connect", _bound_waiting)
    return engine


def _bound_waiting(connection: Any, _record: Any) -> None:
    """A replica that hangs or is cut off while it holds a lock must not stop the others for ever."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {_BUSY_MS}")
        cursor.execute(f"SET idle_in_transaction_session_timeout = {2 * _BUSY_MS}")
    connection.commit()


def take_write_lock(connection: Connection) -> None:
    """One writing transaction at a time, over all processes: SQLite's rule (see `IMMEDIATE`), kept on PostgreSQL too.

    Group commits touch many rows in the order of arrival; without it two replicas deadlock on the same questions.
    Inserting plain traces needs no lock. Released by commit or rollback.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_TAKE_LOCK, {"number": _WRITE_LOCK})


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise Misconfigured(f"the store must be a file that survives a restart; {_EXPECTED}")
    _create_private(Path(url.database))
    engine = create_engine(url, pool_size=8, max_overflow=0)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _create_private(path: Path) -> None:
    """Questions and key hashes are nobody else's business; SQLite gives its log files the same mode.

    A file that is there is not opened here: closing it again would take SQLite's locks on it from this whole process
    (POSIX), and another process would then remove the log that this one still writes to."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
                raise PermissionError(errno.EACCES, "it is no file that can be written")
            return
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:  # another process was quicker
        return
    except OSError as exc:
        raise Misconfigured(f"the store file {path} cannot be opened for writing: {exc.strerror}") from exc


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # we send BEGIN ourselves: the driver's own starts too late for savepoints
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")  # a commit returns after the disk has it
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")


def _use_wal(connection: sqlite3.Connection) -> None:
    """The mode stays in the file, but two processes that set it at once collide without waiting."""
    deadline = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
