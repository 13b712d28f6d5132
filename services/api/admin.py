"""For admins: reindex and its jobs, releases, an adapter on trial, keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Body, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from router.errors import Conflict, NotFound
from services.api.auth import AdminCaller, Requires
from services.api.render import job_link, job_out, key_out, release_out
from services.api.state import json_response, shared
from services.api.wire import (
    ActivateRequest,
    AdapterReply,
    AdapterRequest,
    JobOut,
    JobsReply,
    JobStarted,
    KeyCreated,
    KeyRequest,
    KeysReply,
    ReindexRequest,
    ReleaseOut,
    ReleasesReply,
    ReplayReply,
    ReplayRequest,
    ShortText,
)
from services.review import rehearsal
from services.store.records import Job, Role

if TYPE_CHECKING:
    from services.generation.service import ModelService

router = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(Requires(Role.ADMIN))])

Limit = Annotated[int, Query(ge=1, le=500)]


@router.post("/reindex", status_code=202, responses={202: {"model": JobStarted}}, response_class=Response)
async def reindex(
    request: Request, caller: AdminCaller, body: Annotated[ReindexRequest | None, Body()] = None
) -> Response:
    """Builds a new index version beside the served one, in another process. 409 while one is being built."""
    wanted = body or ReindexRequest()
    return _started(await shared(request).jobs.start(caller.name, wanted.full, wanted.hold, wanted.force))


def _started(job: Job) -> Response:
    reply = json_response(job_link(job), 202)
    reply.headers["Location"] = f"/admin/jobs/{job.id}"
    return reply


@router.get("/jobs", responses={200: {"model": JobsReply}}, response_class=Response)
async def jobs(request: Request, limit: Limit = 50) -> Response:
    """Newest first."""
    found = await shared(request).jobs.list(limit)
    return json_response({"jobs": [job_out(job) for job in found]})


@router.get("/jobs/{id}", responses={200: {"model": JobOut}}, response_class=Response)
async def job(request: Request, id: ShortText) -> Response:
    return json_response(job_out(await shared(request).jobs.get(id)))


@router.get("/releases", responses={200: {"model": ReleasesReply}}, response_class=Response)
async def releases(request: Request, limit: Limit = 50) -> Response:
    """Newest first."""
    store = shared(request).system.store
    active = await store.active_release()
    found = await store.list_releases(limit=limit)
    return json_response({"releases": [release_out(release, active.id if active else None) for release in found]})


@router.post("/releases/{id}/activate", responses={200: {"model": ReleaseOut}}, response_class=Response)
async def activate(
    request: Request, caller: AdminCaller, id: ShortText, body: Annotated[ActivateRequest | None, Body()] = None
) -> Response:
    """Serves that release from now on: rolls back, or forward again. The curated answers become again what they were
    when it was left. 409 while no fresh replay says what would change, unless it is forced."""
    wanted, system = body or ActivateRequest(), shared(request).system
    if not wanted.force:
        await rehearsal.refuse_unseen(system.store, id)
    release = await system.activate(id, caller.name, wanted.keep_curated)
    return json_response(release_out(release, release.id))


@router.post("/releases/{id}/replay", status_code=202, responses={202: {"model": JobStarted}}, response_class=Response)
async def start_replay(
    request: Request, caller: AdminCaller, id: ShortText, body: Annotated[ReplayRequest | None, Body()] = None
) -> Response:
    """Asks past questions again of that release, in another process. 409 while another replay is under way."""
    return _started(await shared(request).jobs.replay(id, (body or ReplayRequest()).since, caller.name))


@router.get("/releases/{id}/replay", responses={200: {"model": ReplayReply}}, response_class=Response)
async def replay(request: Request, id: ShortText) -> Response:
    """The newest replay against that release: the questions whose answers change, the worst first. 404 before one."""
    store = shared(request).system.store
    await store.interrupt_dead_jobs()
    found = await rehearsal.rehearsed(store, id)
    if found is None:
        raise NotFound(f"There was no replay against release {id}; POST to the same address starts one.")
    return json_response({"job": job_out(found.job), "fresh": found.fresh, "worse": found.worse})


@router.post("/adapter", status_code=201, responses={201: {"model": AdapterReply}}, response_class=Response)
async def try_adapter(request: Request, caller: AdminCaller, body: AdapterRequest) -> Response:
    """A LoRA adapter that is not merged yet answers a share of the questions of this process, until it is ended, the
    model is swapped or the process ends. 409 while another one is tried or no model is to answer, 503 where vLLM takes
    none."""
    model = _model(request)
    name = await model.try_adapter(Path(body.folder), body.share)
    await shared(request).system.store.audit(caller.name, "adapter.try", None, {"model": name, "share": body.share})
    return json_response({"model": name, "share": body.share}, 201)


@router.delete("/adapter", status_code=204, response_class=Response)
async def end_adapter(request: Request, caller: AdminCaller) -> Response:
    """All questions to the served model again; the adapter is unloaded when its last answer is done."""
    await _model(request).end_adapter()
    await shared(request).system.store.audit(caller.name, "adapter.end", None, None)
    return Response(status_code=204)


def _model(request: Request) -> ModelService:
    if (model := shared(request).system.model) is None:
        raise Conflict("no model writes the answers of this server, so no adapter can be tried")
    return model


@router.get("/keys", responses={200: {"model": KeysReply}}, response_class=Response)
async def keys(request: Request, state: Literal["active", "all"] = "active") -> Response:
    found = await shared(request).system.store.list_keys()
    return json_response({"keys": [key_out(key) for key in found if state == "all" or key.revoked is None]})


@router.post("/keys", status_code=201, responses={201: {"model": KeyCreated}}, response_class=Response)
async def create_key(request: Request, caller: AdminCaller, body: KeyRequest) -> Response:
    """The key itself is in this reply and nowhere else. The first key ends open access, so it must be an admin's."""
    keyring = request.app.state.keyring
    if not keyring.any_keys and body.role != "admin":
        raise Conflict("The first key must be an admin's: it ends open access, and nobody else could make more.")
    id, key = await shared(request).system.store.create_key(body.name, body.role, who=caller.name)
    await keyring.refresh()
    return json_response({"id": id, "name": body.name, "role": body.role, "key": key}, 201)


@router.delete("/keys/{id}", status_code=204, response_class=Response)
async def revoke_key(request: Request, caller: AdminCaller, id: ShortText) -> Response:
    await shared(request).system.store.revoke_key(id, who=caller.name)
    await request.app.state.keyring.refresh()
    return Response(status_code=204)
