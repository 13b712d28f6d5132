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
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from time import monotonic
from typing import Any

from router.errors import AnswerloopError, Conflict
from router.ports import Progress
from services.settings import Settings
from services.store.records import Job, JobState
from services.store.sql import SqlStore

KIND = "reindex"
GRACE_S = 5.0
REPORT_S = 0.5
WORKER = (sys.executable, "-m", "services.cli")

log = logging.getLogger("answerloop.jobs")


class Jobs:
    """The server's side: starts children, one at a time, and settles their jobs when they end."""

    def __init__(self, settings: Settings, store: SqlStore, worker: Sequence[str] = WORKER) -> None:
        self._settings, self._store, self._worker = settings, store, worker
        self._starting = asyncio.Lock()
        self._child: Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, full: bool, who: str) -> Job:
        """The new job. Raises `Conflict` while another one is under way, in this process or elsewhere, and on a
        replica."""
        self._settings.refuse_on_replica()
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
        self._signal(signal.SIGTERM)
        done, _ = await asyncio.wait({self._watch}, timeout=GRACE_S)
        if not done:
            self._signal(signal.SIGKILL)
        await self._watch

    def _signal(self, number: signal.Signals) -> None:
        """To the child and to whatever it started: it leads a process group of its own."""
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)

    async def _spawn(self, job_id: str, full: bool) -> Process:
        command = [*self._worker, "index", "--job", job_id, *(["--full"] if full else [])]
        return await asyncio.create_subprocess_exec(
            *command,
            env=self._settings.child_env(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
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


def build_index(
    settings: Settings, sources: Sequence[str] | None, full: bool, who: str, show: Progress, job_id: str | None = None
) -> dict[str, Any]:
    """Builds and activates a new index version in this process, as a job that everybody can follow; its report.

    sources: "NAME=PATH_OR_GIT_URL" each; None: those of the current version. job_id: a job that waits for its worker;
    None makes one. Raises `Conflict` while another job is under way, and what the build raises.
    """
    from services.indexing import run_index  # loads the engine and the embedder

    with SqlStore.open(settings.store_url) as store:
        job = job_id or asyncio.run(_own_job(store, full, who))
        asyncio.run(store.update_job(job, state=JobState.RUNNING, pid=os.getpid()))
        try:
            report: dict[str, Any] = run_index(settings, sources, who, _reported(store, job, show), full=full).to_json()
        except AnswerloopError as exc:
            asyncio.run(store.update_job(job, state=JobState.FAILED, message=str(exc)))
            raise
        except KeyboardInterrupt:
            asyncio.run(store.update_job(job, state=JobState.INTERRUPTED, message="Stopped from the keyboard."))
            raise
        asyncio.run(store.update_job(job, state=JobState.DONE, result=report))
        return report


async def _own_job(store: SqlStore, full: bool, who: str) -> str:
    await refuse_second(store)
    return (await store.create_job(KIND, {"full": full, "who": who})).id


def _reported(store: SqlStore, job: str, show: Progress) -> Progress:
    """Shows progress here and, twice a second at most, tells the store."""
    told_stage, told_at = "", 0.0

    def report(stage: str, done: int, total: int) -> None:
        nonlocal told_stage, told_at
        show(stage, done, total)
        if stage != told_stage or monotonic() - told_at > REPORT_S or done == total:
            told_stage, told_at = stage, monotonic()
            asyncio.run(store.update_job(job, stage=stage, done=done, total=total))

    return report
