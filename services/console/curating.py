"""Curated: search, edit with history, self-test, and why an entry does or does not answer. Reading: reviewers;
changing: admins, as over HTTP."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from router.errors import InvalidInput
from router.types import CuratedEntry, EntryStatus
from services.api.checks import check_question
from services.api.state import shared
from services.api.wire import ShortText
from services.console.evidence import passages, read
from services.console.guard import OwnForm, Page, SignedIn, go, lines_of, text_of
from services.console.view import FINDINGS, PER_PAGE, render
from services.curated.editing import Editor
from services.store.records import Role

reading = APIRouter(
    prefix="/console", tags=["console"], route_class=Page, dependencies=[Depends(SignedIn(Role.REVIEWER))]
)
changing = APIRouter(
    prefix="/console", tags=["console"], route_class=Page, dependencies=[Depends(SignedIn(Role.ADMIN))]
)

PageNumber = Annotated[int, Query(ge=1, le=100_000)]
Text = Annotated[str, Query(max_length=2_000)]
_SHOWN = 100  # findings on one page


@reading.get("/curated", include_in_schema=False)
async def curated(request: Request, q: Text = "", status: Text = "", ask: Text = "", page: PageNumber = 1) -> Response:
    here = shared(request)
    found = await here.system.store.curated.page(q.strip(), status or None, PER_PAGE, (page - 1) * PER_PAGE)
    explained = None
    if ask.strip():
        check_question(ask, here.settings)
        explained = await here.system.curated.explain(ask.strip())
    values = {"q": q, "status": status, "ask": ask, "found": found, "page": page, "explained": explained}
    return render(request, "curated.html", {**values, "pages": max(1, -(-found.total // PER_PAGE))})


@reading.get("/curated-test", include_in_schema=False)
async def self_test(request: Request, page: PageNumber = 1) -> Response:
    report = await shared(request).system.curated.self_test()
    counts = Counter(one.problem.value for one in report.findings)
    shown = report.findings[(page - 1) * _SHOWN : page * _SHOWN]
    pages = max(1, -(-len(report.findings) // _SHOWN))
    values = {"report": report, "counts": counts, "shown": shown, "page": page, "pages": pages}
    return render(request, "curated_test.html", values)


@reading.get("/curated/{id}", include_in_schema=False)
async def entry(request: Request, id: ShortText, find: Text = "") -> Response:
    here = shared(request)
    history = await here.system.store.curated.history(id, PER_PAGE)
    live = here.system.curated
    findings = (await live.self_test_of([id]))[0].findings[:FINDINGS] if id in live.entries.entries else ()
    return await _form(request, history[0].entry, find, history, findings)


@changing.get("/curated-new", include_in_schema=False)
async def new_entry(request: Request, question: Text = "", find: Text = "") -> Response:
    return await _form(request, CuratedEntry("", question, ""), find, [], ())


async def _form(request: Request, one: CuratedEntry, find: str, history: Any, findings: Any) -> Response:
    rows, problem = await passages(shared(request), find) if find else ([], "")
    values = {"entry": one, "find": find, "rows": rows, "problem": problem, "history": history, "findings": findings}
    return render(request, "entry.html", {**values, "statuses": list(EntryStatus)})


@changing.post("/curated-new", include_in_schema=False)
async def create(request: Request, form: OwnForm) -> Response:
    edited = await _editor(request).create(entry_of(form, text_of(form, "id")), request.state.caller.name)
    return go(f"/console/curated/{edited.version.entry.id}", "saved")


@changing.post("/curated/{id}", include_in_schema=False)
async def save(request: Request, id: ShortText, form: OwnForm) -> Response:
    edited = await _editor(request).update(entry_of(form, id), version_of(form), request.state.caller.name)
    return go(f"/console/curated/{id}", "saved" if edited.changed else "unchanged")


@changing.post("/curated/{id}/delete", include_in_schema=False)
async def delete(request: Request, id: ShortText, form: OwnForm) -> Response:
    await _editor(request).delete(id, request.state.caller.name, version_of(form))
    return go("/console/curated", "deleted")


def entry_of(form: FormData, entry_id: str) -> CuratedEntry:
    """Not checked yet. Raises `InvalidInput` for a status that does not exist."""
    try:
        status = EntryStatus(text_of(form, "status") or "live")
    except ValueError as exc:
        raise InvalidInput(f"the status is none of {', '.join(EntryStatus)}") from exc
    return CuratedEntry(
        entry_id,
        text_of(form, "question"),
        text_of(form, "answer"),
        lines_of(form, "variants"),
        lines_of(form, "negatives"),
        read(form.getlist("evidence")),
        status,
    )


def version_of(form: FormData) -> int:
    """The one that the editor has seen, so that nobody's edit is lost. Raises `InvalidInput`."""
    raw = text_of(form, "version")
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 10):
        raise InvalidInput("the form does not say which version it was made from; load the page again")
    return int(raw)


def _editor(request: Request) -> Editor:
    system = shared(request).system
    return Editor(system.store.curated, system.curated)
