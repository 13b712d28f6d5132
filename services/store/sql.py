"""The relational store: everything that must survive `kill -9`. SQLite or PostgreSQL, the same contract.

Every write goes through one group-commit thread. When its call returns it survives `kill -9` and a power cut; only a
trace that nobody is to look at may reach the disk a moment later, where `flush_s` says so. Every read runs on a small
pool of threads. The event loop never waits for the disk. The statements are in the modules named like the tables.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine

from router import wording
from router.errors import InvalidInput
from router.types import Release, ReviewItem, Trace
from services.store import audit, jobs, keys, releases, reviews, traces
from services.store.curated_store import CuratedStore
from services.store.engine import FOREIGN_ERRORS, engine_for_rows, make_engine, translate
from services.store.paging import check_page
from services.store.records import (
    Activation,
    AuditEntry,
    Calibration,
    Job,
    JobState,
    KeyInfo,
    QueuedItem,
    TraceSummary,
)
from services.store.review_store import ReviewStore
from services.store.rows import LogFlusher, RowAtOnce, Rows
from services.store.schema import bring_to_head
from services.store.writer import GroupWriter

T = TypeVar("T")

_READERS = 4
_KEY_SECONDS = 5.0  # how long a key that another process revoked may still work
_SILENT_SECONDS = 900.0


class SqlStore:
    """Implements `router.ports.Store`. Safe to share between tasks and between event loops.

    Any method may raise `Unavailable` when the database cannot be reached or the disk is full, and `InvalidInput` for
    text that is not text (lone surrogates; on PostgreSQL NUL); any write `Overloaded` when too many wait.
    """

    def __init__(self, engine: Engine, max_waiting: int, flush_s: float) -> None:
        self._engine = engine
        later = flush_s > 0 and engine.dialect.name == "sqlite"
        self._flusher = LogFlusher(engine, flush_s) if later else None
        written = self._flusher.written if self._flusher else _nothing
        trace = (traces.INSERT, traces.COLUMNS, written)
        self._rows = Rows(engine_for_rows(engine, flushed=not later), *trace)
        self._at_once = RowAtOnce(engine_for_rows(engine, flushed=False, waits=False), *trace) if later else None
        self._writer = GroupWriter(engine, self._rows, self._at_once, max_waiting)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read")
        self._keys = keys.KeyCache(_KEY_SECONDS)
        self.curated = CuratedStore(self)
        self.reviews = ReviewStore(self)

    @classmethod
    def open(cls, url: str, *, max_waiting: int = 2_048, flush_s: float = 0.0) -> Self:
        """Opens and brings the schema up to date; safe when several processes do so at once.

        url: "sqlite:////absolute/path" or "postgresql+psycopg://user:password@host/database".
        max_waiting: how many writes may wait for the disk.
        flush_s: how long after its reply a trace may reach the disk, at most; 0: before it. SQLite only.
        Raises `Misconfigured` (URL, driver, a database of a newer program) or `Unavailable`.
        """
        engine = make_engine(url)
        try:
            bring_to_head(engine)
        except FOREIGN_ERRORS as exc:
            engine.dispose()
            raise translate(exc) from exc
        return cls(engine, max_waiting, flush_s)

    def close(self) -> None:
        """Writes what is waiting, then lets go of the database. Closing twice does nothing."""
        self._writer.close()
        self._readers.shutdown()
        if self._flusher:
            self._flusher.close()
        self._rows.close()
        if self._at_once:
            self._at_once.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    # The two ways in, also for the modules that come with their own tables.

    async def write(self, call: Callable[[Connection], T]) -> T:
        """Runs `call` in a transaction with whatever else waits; durable on return. See `GroupWriter.run`."""
        return await self._writer.run(call)

    async def read(self, call: Callable[[Connection], T]) -> T:
        """Runs `call` on a reading thread, in a transaction that sees one moment of the database."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, call)
        except FOREIGN_ERRORS as exc:
            raise translate(exc) from exc

    def _read(self, call: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            return call(connection)

    # Traces, feedback, reviews

    async def record(self, trace: Trace, review: ReviewItem | None) -> str | None:
        """Keeps the trace and, in the same transaction, opens the review item or joins the open one that asks the same.

        The id of the review item that now holds the trace, or None. Raises `InvalidInput` for a trace that JSON
        cannot hold, `Conflict` for an id that is taken.
        """
        row = traces.as_row(trace)
        if review is None:
            await self._writer.add_row(row)
            return None

        def both(connection: Connection) -> str:
            connection.execute(traces.INSERT, row)
            return reviews.attach(connection, review, wording.normalise(review.question))

        return await self.write(both)

    async def add_feedback(self, trace_id: str, rating: str, comment: str) -> None:
        """rating: "up" or "down"; a thumbs down sends the question to review.

        Raises `NotFound` for an unknown trace, `InvalidInput` for another rating.
        """

        def add(connection: Connection) -> None:
            trace = traces.get(connection, trace_id)
            traces.add_feedback(connection, trace_id, rating, comment)
            if rating == "down":
                item = reviews.thumbs_down(trace)
                reviews.attach(connection, item, wording.normalise(item.question))

        await self.write(add)

    async def get_trace(self, trace_id: str) -> Trace:
        """Raises `NotFound`."""
        return await self.read(lambda c: traces.get(c, trace_id))

    async def list_traces(
        self, limit: int = 50, *, before: int | None = None, route: str | None = None
    ) -> list[TraceSummary]:
        """Newest first. before: the `seq` of the last line of the page before."""
        check_page(limit, before or 0)
        return await self.read(lambda c: traces.newest(c, limit, before, route))

    async def list_review_items(self, state: str = "pending", limit: int = 50, offset: int = 0) -> list[QueuedItem]:
        """What most people ask first. Raises `InvalidInput` for a state that does not exist."""
        check_page(limit, offset)
        _check_state(state)
        return await self.read(lambda c: reviews.page(c, state, limit, offset))

    async def get_review_item(self, item_id: str) -> QueuedItem:
        """Raises `NotFound`."""
        return await self.read(lambda c: reviews.get(c, item_id))

    async def count_review_items(self, state: str = "pending") -> int:
        _check_state(state)
        return await self.read(lambda c: reviews.count(c, state))

    async def list_review_traces(self, item_id: str, limit: int = 50) -> list[str]:
        """Ids of the traces that ask this, newest first."""
        check_page(limit)
        return await self.read(lambda c: reviews.trace_ids(c, item_id, limit))

    # API keys

    async def create_key(self, name: str, role: str, who: str = "system") -> tuple[str, str]:
        """(key id, the key). The key is not stored: show it now or never. Raises `InvalidInput`."""
        return await self.write(lambda c: keys.create(c, name, role, who))

    async def verify_key(self, plaintext: str) -> KeyInfo | None:
        """Who this key is, or None. A revoked key stops working at once here, within 5 s in other processes."""
        key_hash = keys.hash_key(plaintext)
        known = self._keys.get(key_hash)
        if known is not None:
            return known
        generation = self._keys.generation
        info = await self.read(lambda c: keys.find(c, key_hash))
        if info is not None:
            self._keys.put(key_hash, info, generation)
        return info

    async def list_keys(self) -> list[KeyInfo]:
        """Oldest first, revoked ones included."""
        return await self.read(keys.everything)

    async def count_live_keys(self) -> int:
        return await self.read(keys.count_live)

    async def revoke_key(self, key_id: str, who: str = "system") -> None:
        """Raises `NotFound`."""
        await self.write(lambda c: keys.revoke(c, key_id, who))
        self._keys.clear()

    # Jobs

    async def create_job(self, kind: str, params: dict[str, Any]) -> Job:
        """Queued, and owned by this process until `update_job(pid=…)` names another."""
        return await self.write(lambda c: jobs.create(c, kind, params))

    async def update_job(
        self,
        job_id: str,
        *,
        state: JobState | None = None,
        stage: str | None = None,
        done: int | None = None,
        total: int | None = None,
        message: str | None = None,
        result: dict[str, Any] | None = None,
        pid: int | None = None,
    ) -> Job:
        """The job as it is now. Forward only: late reports never take it back, and a finished job does not change.

        Called with nothing it only says that the job is alive. Raises `NotFound`.
        """
        return await self.write(lambda c: jobs.change(c, job_id, state, stage, done, total, message, result, pid))

    async def get_job(self, job_id: str) -> Job:
        """Raises `NotFound`."""
        return await self.read(lambda c: jobs.get(c, job_id))

    async def list_jobs(self, limit: int = 50, *, kind: str | None = None) -> list[Job]:
        """Newest first."""
        check_page(limit)
        return await self.read(lambda c: jobs.newest(c, limit, kind))

    async def interrupt_dead_jobs(self, *, silent_after: float = _SILENT_SECONDS) -> list[Job]:
        """Marks open jobs whose process is gone as interrupted, and returns those. Cheap where there are none.

        silent_after: seconds without an `update_job` after which a job on another machine counts as gone.
        """
        if not await self.read(lambda c: jobs.dead(c, silent_after)):
            return []
        return await self.write(lambda c: jobs.interrupt_dead(c, silent_after))

    # Releases and calibrations

    async def add_release(self, release: Release) -> None:
        """Raises `Conflict` when the id is taken."""
        await self.write(lambda c: releases.add(c, release))

    async def get_release(self, release_id: str) -> Release:
        """Raises `NotFound`."""
        return await self.read(lambda c: releases.get(c, release_id))

    async def list_releases(self, limit: int = 50) -> list[Release]:
        """Newest first."""
        check_page(limit)
        return await self.read(lambda c: releases.newest(c, limit))

    async def activate_release(
        self, release_id: str, who: str, keep_curated: bool = False, over: str | None = None
    ) -> Release:
        """Rolls forward or back, and writes the audit line. over: the release that it takes the place of, where that
        matters. Raises `NotFound`, and `Conflict` where another one than `over` is served.

        Curated answers become again what they were when that release was left, unless `keep_curated`.
        """
        return await self.write(lambda c: releases.activate(c, release_id, who, keep_curated, over))

    async def active_release(self) -> Release | None:
        return await self.read(releases.active)

    async def list_activations(self, limit: int = 50) -> list[Activation]:
        """Newest first: the first one is in force."""
        check_page(limit)
        return await self.read(lambda c: releases.history(c, limit))

    async def put_calibration(self, payload: dict[str, Any]) -> str:
        """Its id, a hash of the content; putting the same again makes it the latest again."""
        return await self.write(lambda c: releases.put_calibration(c, payload))

    async def get_calibration(self, calibration_id: str) -> Calibration:
        """Raises `NotFound`."""
        return await self.read(lambda c: releases.get_calibration(c, calibration_id))

    async def latest_calibration(self) -> Calibration | None:
        return await self.read(releases.latest_calibration)

    # Audit

    async def audit(self, who: str, what: str, before: object = None, after: object = None) -> None:
        """For changes made outside the store; keys and activations write their own line. Values: JSON-ready."""
        await self.write(lambda c: audit.write(c, who, what, before, after))

    async def list_audit(self, limit: int = 50) -> list[AuditEntry]:
        """Newest first."""
        check_page(limit)
        return await self.read(lambda c: audit.newest(c, limit))


def _nothing() -> None:
    """Nothing is to be flushed later."""


def _check_state(state: str) -> None:
    if state not in reviews.STATES:
        raise InvalidInput(f"review state {state!r} is none of {', '.join(reviews.STATES)}")
