"""Quality, Releases and Jobs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from router.types import Release
from services.api.budget import refit_as_job
from services.api.state import shared
from services.api.wire import ShortText
from services.console.guard import OwnForm, Page, SignedIn, go, text_of
from services.console.quality import quality_of
from services.console.view import language_of, render
from services.pinned import served_ids
from services.review import rehearsal
from services.review.replay import Change
from services.store.records import Role

reading = APIRouter(
    prefix="/console", tags=["console"], route_class=Page, dependencies=[Depends(SignedIn(Role.REVIEWER))]
)
router = APIRouter(prefix="/console", tags=["console"], route_class=Page, dependencies=[Depends(SignedIn(Role.ADMIN))])

_LISTED = 50
Text = Annotated[str, Query(max_length=200)]


@reading.get("/quality", include_in_schema=False)
async def quality(request: Request) -> Response:
    return render(request, "quality.html", {"quality": await quality_of(shared(request), language_of(request))})


@router.post("/quality/certify", include_in_schema=False)
async def certify(request: Request, form: OwnForm) -> Response:  # noqa: ARG001
    """A look at the audit: each costs a part of the assurance, so nothing does this by itself."""
    await refit_as_job(shared(request), request.state.caller.name)
    return go("/console/quality", "certified")


@router.get("/releases", include_in_schema=False)
async def releases(request: Request, left: Text = "", right: Text = "") -> Response:
    store = shared(request).system.store
    active, listed = await store.active_release(), await store.list_releases(_LISTED)
    compared = None
    if left and right:
        compared = differences(await store.get_release(left), await store.get_release(right))
    values = {"active": active, "listed": listed, "left": left, "right": right, "compared": compared}
    return render(request, "releases.html", {**values, "history": await store.list_activations(20)})


def differences(left: Release, right: Release) -> list[tuple[str, Any, Any]]:
    """Field, and what each says; only where they differ."""
    one, other = asdict(left), asdict(right)
    return [(name, one[name], other[name]) for name in one if name != "id" and one[name] != other[name]]


@router.get("/releases/{id}", include_in_schema=False)
async def release(request: Request, id: ShortText) -> Response:
    """What would change if it were served, and the way to serve it."""
    return render(request, "release.html", await _rehearsed(request, id))


@router.get("/releases/{id}/replay", include_in_schema=False)
async def replay(request: Request, id: ShortText) -> Response:
    """For the page's script, which looks again while it runs."""
    return render(request, "_replay.html", await _rehearsed(request, id))


async def _rehearsed(request: Request, id: str) -> dict[str, Any]:
    store = shared(request).system.store
    await store.interrupt_dead_jobs()
    release, active = await store.get_release(id), await store.active_release()
    found = await rehearsal.rehearsed(store, id)
    return {
        "release": release,
        "active": active,
        "found": found,
        "compared": differences(active, release) if active else [],
        "unseen": bool(await rehearsal.unseen(store, id)),
        "changes": list(Change),
    }


@router.post("/releases/{id}/replay", include_in_schema=False)
async def start_replay(request: Request, id: ShortText, form: OwnForm) -> Response:
    since = text_of(form, "since") or rehearsal.SINCE
    await shared(request).jobs.replay(id, since, request.state.caller.name)
    return go(f"/console/releases/{quote(id, safe='')}", "asking")


@router.post("/releases/{id}/activate", include_in_schema=False)
async def activate(request: Request, id: ShortText, form: OwnForm) -> Response:
    system = shared(request).system
    if text_of(form, "force") != "yes":
        await rehearsal.refuse_unseen(system.store, id)
    await system.activate(id, request.state.caller.name, text_of(form, "keep_curated") == "yes")
    return go("/console/releases", "activated")


@router.get("/jobs", include_in_schema=False)
async def jobs(request: Request) -> Response:
    return render(request, "jobs.html", await _jobs(request))


@router.get("/jobs/rows", include_in_schema=False)
async def job_rows(request: Request) -> Response:
    """For the page's script, which looks again while a job runs."""
    return render(request, "_jobs.html", await _jobs(request))


async def _jobs(request: Request) -> dict[str, Any]:
    store = shared(request).system.store
    await store.interrupt_dead_jobs()
    return {"jobs": await store.list_jobs(_LISTED), "served": await served_ids(store)}


@router.post("/jobs/reindex", include_in_schema=False)
async def reindex(request: Request, form: OwnForm) -> Response:
    full, hold = text_of(form, "full") == "yes", text_of(form, "hold") == "yes"
    await shared(request).jobs.start(request.state.caller.name, full, hold)
    return go("/console/jobs", "started")
