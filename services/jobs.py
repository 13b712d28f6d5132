"""Reindexing in the background.

The engine that builds an index holds Python's one lock for seconds, so the work is done by a child process and the
server only watches it. The child tells its progress to the store; whoever asks, reads it there. A job whose process
is gone is shown as interrupted; the served version is untouched, and the next reindex starts anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import Process

from router.errors import Conflict
from services.settings import Settings
from services.store.records import Job, JobState
from services.store.sql import SqlStore

KIND = "reindex"
GRACE_S = 5.0

log = logging.getLogger("answerloop.jobs")


class Jobs:
    """The server's side: starts children, one at a time, and settles their jobs when they end."""

    def __init__(self, settings: Settings, store: SqlStore) -> None:
        self._settings, self._store = settings, store
        self._starting = asyncio.Lock()
        self._child: Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, full: bool, who: str) -> Job:
        """The new job. Raises `Conflict` while another one is under way, in this process or elsewhere."""
        async with self._starting:
            await refuse_second(self._store)
            job = await self._store.create_job(KIND, {"full": full, "who": who})
            self._child = await self._spawn(job.id, full)
            self._watch = asyncio.create_task(self._settle(self._child, job.id))
            return await self._store.update_job(job.id, pid=self._child.pid)

    async def list(self, limit: int) -> list[Job]:
        """Newest first."""
        found = await self._store.list_jobs(limit, kind=KIND)
        if all(job.state.final for job in found):
            return found
        await self._store.interrupt_dead_jobs()
        return await self._store.list_jobs(limit, kind=KIND)

    async def get(self, job_id: str) -> Job:
        """Raises `NotFound`."""
        job = await self._store.get_job(job_id)
        if job.state.final:
            return job
        await self._store.interrupt_dead_jobs()
        return await self._store.get_job(job_id)

    async def close(self) -> None:
        """Ends a running child: its version is not visible yet, and nothing that is served depends on it."""
        if self._child is None or self._watch is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._child.terminate()
        done, _ = await asyncio.wait({self._watch}, timeout=GRACE_S)
        if not done:
            self._child.kill()
        await self._watch

    async def _spawn(self, job_id: str, full: bool) -> Process:
        command = [sys.executable, "-m", "services.cli", "index", "--job", job_id, *(["--full"] if full else [])]
        env = os.environ | self._settings.to_env()
        return await asyncio.create_subprocess_exec(
            *command, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
        )

    async def _settle(self, child: Process, job_id: str) -> None:
        code = await child.wait()
        job = await self._store.get_job(job_id)
        if not job.state.final:
            how = f"was stopped by signal {-code}" if code < 0 else f"ended with exit code {code}"
            await self._store.update_job(job_id, state=JobState.INTERRUPTED, message=f"The indexing process {how}.")
        log.info("job %s: exit code %s", job_id, code)


async def refuse_second(store: SqlStore) -> None:
    """Raises `Conflict` while a job is under way."""
    await store.interrupt_dead_jobs()
    for job in await store.list_jobs(20, kind=KIND):
        if not job.state.final:
            raise Conflict(f"Job {job.id} is already building an index; wait for it (answerloop jobs).")
