"""Long work and its progress. Functions here take an open transaction."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, insert, select, update

from router.errors import NotFound
from services.store import processes
from services.store.codec import dumps, loads
from services.store.records import Job, JobState, now, stamp
from services.store.tables import jobs

_OPEN = (JobState.QUEUED, JobState.RUNNING)
_FROM = {  # which states may lead to this one
    JobState.QUEUED: (JobState.QUEUED,),
    JobState.RUNNING: _OPEN,
    JobState.DONE: _OPEN,
    JobState.FAILED: _OPEN,
    JobState.INTERRUPTED: _OPEN,
}


def create(connection: Connection, kind: str, params: dict[str, Any]) -> Job:
    moment = now()
    values = {
        "id": uuid4().hex,
        "kind": kind,
        "state": JobState.QUEUED.value,
        "stage": "",
        "done": 0,
        "total": 0,
        "message": "",
        "params": dumps(params),
        "created": moment,
        "updated": moment,
        **_owner(os.getpid()),
    }
    connection.execute(insert(jobs).values(values))
    return get(connection, str(values["id"]))


def change(
    connection: Connection,
    job_id: str,
    state: JobState | None,
    stage: str | None,
    done: int | None,
    total: int | None,
    message: str | None,
    result: dict[str, Any] | None,
    pid: int | None,
) -> Job:
    """Forward only: what would take a job back is left out, since reports may arrive late. A finished job stays."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"no job {job_id!r}")
    if JobState(row.state).final or (state is not None and row.state not in _FROM[state]):
        return _job(row)
    values = {
        **_state(row, state),
        **_progress(row, stage, done, total),
        **({} if message is None else {"message": message}),
        **({} if result is None else {"result": dumps(result)}),
        **({} if pid is None else _owner(pid)),
        "updated": now(),
    }
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))
    return get(connection, job_id)


def get(connection: Connection, job_id: str) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise NotFound(f"no job {job_id!r}")
    return _job(row)


def newest(connection: Connection, limit: int, kind: str | None) -> list[Job]:
    query = select(jobs).order_by(jobs.c.seq.desc()).limit(limit)
    if kind is not None:
        query = query.where(jobs.c.kind == kind)
    return [_job(row) for row in connection.execute(query)]


def dead(connection: Connection, silent_after: float) -> list[str]:
    """Ids of open jobs whose process is gone. A process on another machine cannot be looked at: there, no word for
    `silent_after` seconds counts as gone. (A SQLite file is never shared between machines.)"""
    limit = stamp(datetime.now(UTC) - timedelta(seconds=silent_after))
    shared = connection.dialect.name != "sqlite"

    def gone(row: Row[Any]) -> bool:
        if shared and row.host != socket.gethostname():
            return bool(row.updated < limit)
        return not processes.alive(row.pid, row.pid_started)

    return [row.id for row in connection.execute(select(jobs).where(jobs.c.state.in_(_OPEN))) if gone(row)]


def interrupt_dead(connection: Connection, silent_after: float) -> list[Job]:
    message = "the process that did this work is gone; start it again"
    return [
        change(connection, job_id, JobState.INTERRUPTED, None, None, None, message, None, None)
        for job_id in dead(connection, silent_after)
    ]


def _owner(pid: int) -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": pid, "pid_started": processes.started(pid)}


def _state(row: Row[Any], state: JobState | None) -> dict[str, Any]:
    if state is None:
        return {}
    values: dict[str, Any] = {"state": state.value}
    if state is JobState.RUNNING and row.started is None:
        values["started"] = now()
    if state.final:
        values["finished"] = now()
    return values


def _progress(row: Row[Any], stage: str | None, done: int | None, total: int | None) -> dict[str, Any]:
    """Within a stage `done` never falls; a new stage starts again at 0."""
    if stage is not None and stage != row.stage:
        return {"stage": stage, "done": done or 0, "total": total or 0}
    return {"done": max(row.done, done or 0), "total": row.total if total is None else total}


def _job(row: Row[Any]) -> Job:
    plain = {name: getattr(row, name) for name in Job.__slots__}
    return Job(
        **{
            **plain,
            "state": JobState(row.state),
            "params": loads(row.params),
            "result": None if row.result is None else loads(row.result),
        }
    )
