"""Reindexing, and replays of past questions, in the background; and work of the command line that others follow.

The engine that builds an index holds Python's one lock for seconds, so the work is done by a child process and the
server only watches it. The child tells its progress to the store; whoever asks, reads it there. A job whose process
is gone is shown as interrupted; the served version is untouched, and the next one starts anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

from router.errors import AnswerloopError, Conflict, InvalidInput, Unavailable
from router.ports import Progress
from services.review import rehearsal
from services.review.rehearsal import Tell, untold
from services.settings import Settings
from services.store.records import Job, JobState
from services.store.sql import SqlStore

REINDEX, REPLAY = "reindex", rehearsal.KIND
DATASET, TRAINING, BUDGET = "dataset", "training", "budget"
_DOING = {
    REINDEX: "building an index",
    REPLAY: "asking past questions again",
    DATASET: "making a dataset",
    TRAINING: "training",
    BUDGET: "testing the lines",
}
GRACE_S = 5.0
REPORT_S = 0.5
WORKER = (sys.executable, "-m", "services.cli")

log = logging.getLogger("answerloop.jobs")


class Jobs:
    """The server's side: starts children, one of a kind at a time, and settles their jobs when they end."""

    def __init__(self, settings: Settings, store: SqlStore, worker: Sequence[str] = WORKER) -> None:
        self._settings, self._store, self._worker = settings, store, worker
        self._starting = asyncio.Lock()
        self._children: dict[str, tuple[Process, asyncio.Task[None]]] = {}

    async def start(self, who: str, full: bool = False, hold: bool = False, force: bool = False) -> Job:
        """The new job. hold: its release is not activated. force: it is, whatever it changes. Raises `InvalidInput` for
        both, `Conflict` while another one is under way, in this process or elsewhere, and on a replica."""
        self._settings.refuse_on_replica()
        wanted = {"full": full, "hold": hold, "force": force}
        _refuse_both(hold, force)
        options = [f"--{name}" for name, chosen in wanted.items() if chosen]
        return await self._begin(REINDEX, {**wanted, "who": who}, ["index", *options])

    async def replay(self, release: str, since: str, who: str) -> Job:
        """Past questions asked again of a release; see `services.review.rehearsal`. Raises as `start`, and `NotFound`
        for a release that is not there."""
        params = await rehearsal.params(self._store, release, since, who)
        return await self._begin(REPLAY, params, ["replay", "--release", release, "--since", since])

    async def list(self, limit: int) -> list[Job]:
        """Newest first."""
        found = await self._store.list_jobs(limit)
        if all(job.state.final for job in found):
            return found
        await self._store.interrupt_dead_jobs()
        return await self._store.list_jobs(limit)

    async def get(self, job_id: str) -> Job:
        """Raises `NotFound`."""
        job = await self._store.get_job(job_id)
        if job.state.final:
            return job
        await self._store.interrupt_dead_jobs()
        return await self._store.get_job(job_id)

    async def close(self) -> None:
        """Ends the children that run: a version is not visible yet, and nothing that is served depends on them."""
        watches = [watch for _, watch in self._children.values()]
        if not watches:
            return
        self._signal(signal.SIGTERM)
        if (await asyncio.wait(watches, timeout=GRACE_S))[1]:
            self._signal(signal.SIGKILL)
        await asyncio.gather(*watches)

    def _signal(self, number: signal.Signals) -> None:
        """To the children and to whatever they started: each leads a process group of its own."""
        for child, _ in self._children.values():
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, number)

    async def _begin(self, kind: str, params: dict[str, Any], arguments: Sequence[str]) -> Job:
        async with self._starting:
            await refuse_second(self._store, kind)
            job = await self._store.create_job(kind, params)
            child = await self._spawn([*arguments, "--job", job.id])
            self._children[kind] = child, asyncio.create_task(self._settle(child, job.id))
            return await self._store.update_job(job.id, pid=child.pid)

    async def _spawn(self, arguments: Sequence[str]) -> Process:
        return await asyncio.create_subprocess_exec(
            *self._worker,
            *arguments,
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
            await self._store.update_job(job_id, state=JobState.INTERRUPTED, message=f"Its process {how}.")
        log.info("job %s: exit code %s", job_id, code)


def _refuse_both(hold: bool, force: bool) -> None:
    if hold and force:
        raise InvalidInput("hold and force together: a release is held back, or served whatever it changes")


async def refuse_second(store: SqlStore, kind: str) -> None:
    """Raises `Conflict` while a job of this kind is under way."""
    await store.interrupt_dead_jobs()
    for job in await store.list_jobs(20, kind=kind):
        if not job.state.final:
            raise Conflict(f"Job {job.id} is already {_DOING[kind]}; wait for it (answerloop jobs).")


Work = Callable[[Progress], dict[str, Any]]
"""What a job does: reports its progress, returns its result, JSON-ready."""


def run_job(
    settings: Settings,
    kind: str,
    params: dict[str, Any],
    work: Work,
    show: Progress,
    job_id: str | None = None,
    *,
    alone: bool = True,
    unkept: Collection[str] = (),
) -> dict[str, Any]:
    """Works in this process, as a job that everybody can follow; its result.

    job_id: a job that waits for its worker; None makes one. alone: no other job of the kind may be under way. unkept:
    what of the result is not kept with the job, because it is long. Raises `Conflict` where the job is not alone, and
    what the work raises.
    """
    with SqlStore.open(settings.store_url) as store:
        job = job_id or asyncio.run(_own_job(store, kind, params, alone))
        asyncio.run(store.update_job(job, state=JobState.RUNNING, pid=os.getpid()))
        try:
            result = work(_reported(store, job, show))
        except AnswerloopError as exc:
            asyncio.run(store.update_job(job, state=JobState.FAILED, message=str(exc)))
            raise
        except KeyboardInterrupt:
            asyncio.run(store.update_job(job, state=JobState.INTERRUPTED, message="Stopped from the keyboard."))
            raise
        kept = {name: value for name, value in result.items() if name not in unkept}
        asyncio.run(store.update_job(job, state=JobState.DONE, result=kept))
        return result


def build_index(
    settings: Settings,
    sources: Sequence[str] | None,
    full: bool,
    who: str,
    show: Progress,
    job_id: str | None = None,
    hold: bool = False,
    force: bool = False,
    tell: Tell = untold,
) -> dict[str, Any]:
    """Builds a new index version, and activates it unless it is to be held; its report.

    sources: "NAME=PATH_OR_GIT_URL" each; None: those of the current version. force, tell: see
    `services.activation.serve`. Raises as `run_job`, and `InvalidInput`.
    """
    from services.indexing import run_index  # loads the engine and the embedder

    _refuse_both(hold, force)

    def work(progress: Progress) -> dict[str, Any]:
        report: dict[str, Any] = run_index(settings, sources, who, progress, full, hold, force, tell).to_json()
        return report

    return run_job(settings, REINDEX, {"full": full, "hold": hold, "force": force, "who": who}, work, show, job_id)


async def _own_job(store: SqlStore, kind: str, params: dict[str, Any], alone: bool) -> str:
    if alone:
        await refuse_second(store, kind)
    return (await store.create_job(kind, params)).id


def _reported(store: SqlStore, job: str, show: Progress) -> Progress:
    """Shows progress here and, twice a second at most, tells the store."""
    told_stage, told_at = "", 0.0
    telling = ThreadPoolExecutor(1, "job-progress")  # the work may have an event loop of its own under way

    def report(stage: str, done: int, total: int) -> None:
        nonlocal told_stage, told_at
        show(stage, done, total)
        if stage != told_stage or monotonic() - told_at > REPORT_S or done == total:
            told_stage, told_at = stage, monotonic()
            try:
                telling.submit(asyncio.run, store.update_job(job, stage=stage, done=done, total=total)).result()
            except Unavailable as error:  # hours of work do not end because nobody can be told how far they are
                log.warning("the progress of the job %s cannot be told: %s", job, error)

    return report
