"""Is it alive, can it answer, what is it, how is it doing."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from services.api.auth import Requires, anyone
from services.api.metrics import JOB_STATES
from services.api.state import Shared, json_response, shared
from services.api.wire import ReadyReply, VersionReply
from services.jobs import REINDEX
from services.pinned import served_ids
from services.store.records import Job, JobState, Role
from services.store.sql import SqlStore
from services.version import own_version

public = APIRouter(tags=["ops"], dependencies=[Depends(anyone)])
inside = APIRouter(tags=["ops"], dependencies=[Depends(Requires(Role.ASKER))])


@public.get("/health", response_class=Response)
async def health() -> Response:
    """200 as long as the process answers at all."""
    return json_response({"status": "alive"})


@public.get("/ready", responses={200: {"model": ReadyReply}, 503: {"model": ReadyReply}}, response_class=Response)
async def ready(request: Request) -> Response:
    """200 when questions can be answered, 503 when not; part by part."""
    readiness = shared(request).system.readiness()
    status = 200 if readiness.ready else 503
    return json_response({"ready": readiness.ready, "parts": dict(readiness.parts)}, status)


@public.get("/version", responses={200: {"model": VersionReply}}, response_class=Response)
async def version(request: Request) -> Response:
    release = await shared(request).system.store.active_release()
    return json_response({"version": own_version(), "release": release.id if release else None})


@public.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    return json_response(request.app.openapi())


@inside.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Prometheus text."""
    here = shared(request)
    await _look(here)
    return Response(generate_latest(here.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _show_budget(here: Shared) -> None:
    """As it was when a certificate or a verdict last moved it, a minute ago at most."""
    last = here.system.budget.last
    if last is not None:
        here.metrics.certified.set(last.state == "certified")
        here.metrics.line.set(last.line)
        here.metrics.needed.set(last.needed)


async def _look(here: Shared) -> None:
    """Gauges that are read when somebody looks, so that asking costs nothing."""
    store = here.system.store
    here.metrics.in_flight.set(here.admission.inside)
    here.metrics.ready.set(here.system.readiness().ready)
    here.metrics.pending.set(await store.count_review_items("pending"))
    _show_budget(here)
    release = await store.active_release()
    here.metrics.release.clear()
    if release:
        here.metrics.release.labels(release.id, release.index_version).set(1)
    newest = await store.list_jobs(limit=1, kind=REINDEX)
    state = await _state_of(store, newest[0]) if newest else "none"
    for name in JOB_STATES:
        here.metrics.reindex.labels(name).set(name == state)


async def _state_of(store: SqlStore, job: Job) -> str:
    """Of `JOB_STATES`. A release that was served once does not wait, whatever came after it."""
    result = job.result or {}
    waits = result.get("waits") and result.get("release") not in await served_ids(store)
    return "held" if job.state is JobState.DONE and waits else job.state.value
