"""Queue, Item and Knowledge gaps: what a reviewer does, on `services.review.desk`."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from router.errors import InvalidInput, NotFound
from router.types import Route
from services.api.state import Shared, shared
from services.api.wire import ShortText
from services.console import gaps
from services.console.evidence import passages, read
from services.console.guard import OwnForm, Page, SignedIn, go, lines_of, text_of
from services.console.view import FINDINGS, PER_PAGE, render
from services.curated.self_test import Finding
from services.review.desk import Desk
from services.store.records import Role
from services.store.review_records import RISK, ItemFilter, ItemView, Judgement, VerdictKind, VerdictState

reviewer = SignedIn(Role.REVIEWER)
router = APIRouter(prefix="/console", tags=["console"], route_class=Page, dependencies=[Depends(reviewer)])

PageNumber = Annotated[int, Query(ge=1, le=100_000)]
Text = Annotated[str, Query(max_length=2_000)]
_SENT = (Route.CURATED, Route.GROUNDED)
_ANSWERED = (VerdictKind.CORRECTED, VerdictKind.INCOMPLETE)
_CURATE = {"yes": True, "no": False}
_WROTE = ("decided", "confirmed")  # what a redirect says was done, where an approved answer may have been written


@router.get("/queue", include_in_schema=False)
async def queue(
    request: Request,
    state: Text = "pending",
    cause: Text = "",
    lang: Text = "",
    text: Text = "",
    order: Text = "worth",
    gaps: bool = False,
    page: PageNumber = 1,
) -> Response:
    wanted = ItemFilter(state, cause, lang, text.strip(), gaps, "", order, PER_PAGE, (page - 1) * PER_PAGE)
    found = await desk_of(request).items(wanted)
    values = {"wanted": wanted, "found": found, "page": page, "pages": _pages(found.total), "causes": tuple(RISK)}
    return render(request, "queue.html", values)


def _pages(total: int) -> int:
    return max(1, -(-total // PER_PAGE))


def desk_of(request: Request) -> Desk:
    return shared(request).system.review.desk


# One item


@router.get("/items/{id}", include_in_schema=False)
async def item(request: Request, id: ShortText, find: Text = "", said: Text = "") -> Response:
    here, view = shared(request), await desk_of(request).item(id)
    rows, problem = await passages(here, find or view.item.item.question, _cited(view))
    values = {
        "view": view,
        "find": find,
        "findings": await _collisions(desk_of(request), view) if said in _WROTE else (),
        "rows": rows,
        "problem": problem,
        "answers": _answers(view),
        "why": await _why(here, view),
        "entry": await _entry(here, view),
        "start": await _start(here, view),
        "kinds": list(VerdictKind),
        "proposed": next((one for one in view.verdicts if one.state is VerdictState.PROPOSED), None),
        "request_key": secrets.token_hex(16),
    }
    return render(request, "item.html", values)


@router.get("/items/{id}/passages", include_in_schema=False)
async def item_passages(request: Request, id: ShortText, find: Text = "") -> Response:
    """For the page's script: more passages to pick from."""
    del id
    rows, problem = await passages(shared(request), find)
    return render(request, "_passages.html", {"rows": rows, "problem": problem})


@router.get("/items/{id}/opinion", include_in_schema=False)
async def item_opinion(request: Request, id: ShortText) -> Response:
    """For the page's script: what looks like it, which takes longer to find."""
    desk = desk_of(request)
    view = await desk.item(id)
    return render(request, "_opinion.html", {"view": view, "opinion": await desk.opinion(view)})


async def _collisions(desk: Desk, view: ItemView) -> tuple[Finding, ...]:
    """Of the approved answer that the verdict wrote."""
    written = next((one.entry_id for one in view.verdicts if one.state is VerdictState.FINAL and one.entry_id), "")
    return (await desk.collisions(written))[:FINDINGS]


def _cited(view: ItemView) -> list[str]:
    return [one.passage_id for held in view.traces[:1] for one in held.trace.answer.citations]


def _answers(view: ItemView) -> list[Any]:
    """The newest traces that were answered differently."""
    return list({held.trace.answer.text: held for held in reversed(view.traces)}.values())[::-1][:3]


async def _why(here: Shared, view: ItemView) -> dict[str, Any] | None:
    return await here.system.why(view.traces[0].trace.id) if view.traces else None


async def _entry(here: Shared, view: ItemView) -> Any:
    if not view.item.item.entry_id:
        return None
    try:
        return await here.system.store.curated.get(view.item.item.entry_id)
    except NotFound:
        return None


async def _start(here: Shared, view: ItemView) -> str:
    """What a corrected answer begins from: what was proposed, what the entry says, or what was sent."""
    proposed = next((one.judgement.answer for one in view.verdicts if one.state is VerdictState.PROPOSED), "")
    entry = await _entry(here, view)
    sent = next((held.trace.answer.text for held in view.traces if held.trace.answer.route in _SENT), "")
    return proposed or (entry.entry.answer if entry else "") or sent


@router.post("/items/{id}/claim", include_in_schema=False)
async def claim(request: Request, id: ShortText, form: OwnForm) -> Response:  # noqa: ARG001
    held = await desk_of(request).claim(id, request.state.caller.name)
    return go(f"/console/items/{held.item.id}", "claimed")


@router.post("/items/{id}/release", include_in_schema=False)
async def release(request: Request, id: ShortText, form: OwnForm) -> Response:  # noqa: ARG001
    await desk_of(request).release(id, request.state.caller.name)
    return go("/console/queue", "released")


@router.post("/items/{id}/verdict", include_in_schema=False)
async def verdict(request: Request, id: ShortText, form: OwnForm) -> Response:
    key = text_of(form, "request_key")
    made = await desk_of(request).decide(id, judgement_of(form), request.state.caller.name, key)
    said = "proposed" if made.state is VerdictState.PROPOSED else "decided"
    return go(f"/console/items/{made.item_id}", said)


def judgement_of(form: FormData) -> Judgement:
    """Raises `InvalidInput`."""
    try:
        kind = VerdictKind(text_of(form, "kind"))
    except ValueError as exc:
        raise InvalidInput(f"choose a verdict: {', '.join(VerdictKind)}") from exc
    return Judgement(
        kind,
        text_of(form, "answer") if kind in _ANSWERED else "",
        read(form.getlist("evidence")),
        lines_of(form, "variants"),
        lines_of(form, "negatives"),
        text_of(form, "entry_id"),
        text_of(form, "comment"),
        retract=text_of(form, "retract") == "yes",
        curate=_CURATE.get(text_of(form, "curate")),
    )


@router.post("/items/{id}/confirm", include_in_schema=False)
async def confirm(request: Request, id: ShortText, form: OwnForm) -> Response:  # noqa: ARG001
    made = await desk_of(request).confirm(id, request.state.caller.name)
    return go(f"/console/items/{made.item_id}", "confirmed")


@router.post("/items/{id}/undo", include_in_schema=False)
async def undo(request: Request, id: ShortText, form: OwnForm) -> Response:  # noqa: ARG001
    made = await desk_of(request).undo(id, request.state.caller.name)
    return go(f"/console/items/{made.item_id}", "undone")


@router.post("/items/{id}/split", include_in_schema=False)
async def split(request: Request, id: ShortText, form: OwnForm) -> Response:
    wordings = [str(one) for one in form.getlist("wording")]
    await desk_of(request).split(id, wordings, request.state.caller.name)
    return go(f"/console/items/{id}", "split")


@router.post("/items/{id}/merge", include_in_schema=False)
async def merge(request: Request, id: ShortText, form: OwnForm) -> Response:
    others = [str(one) for one in form.getlist("other")]
    if not others:
        raise InvalidInput("tick the questions that ask the same")
    into = await desk_of(request).merge(id, others, request.state.caller.name)
    return go(f"/console/items/{into}", "merged")


@router.post("/traces/{id}/recall", include_in_schema=False)
async def recall(request: Request, id: ShortText, form: OwnForm) -> Response:
    await desk_of(request).retract(id, request.state.caller.name, text_of(form, "reason"))
    return go(f"/console/traces/{id}", "recalled")


@router.post("/traces/{id}/lift", include_in_schema=False)
async def lift(request: Request, id: ShortText, form: OwnForm) -> Response:  # noqa: ARG001
    desk = desk_of(request)
    called = await desk.called_back(id)
    if called is None:
        raise NotFound(f"the answer of the trace {id!r} is not called back")
    await desk.lift(called.id, request.state.caller.name)
    return go(f"/console/traces/{id}", "lifted")


# Knowledge gaps


@router.get("/gaps", include_in_schema=False)
async def gaps_page(request: Request, page: PageNumber = 1) -> Response:
    wanted = ItemFilter(gaps=True, order="asks", limit=PER_PAGE, offset=(page - 1) * PER_PAGE)
    found = await desk_of(request).items(wanted)
    return render(request, "gaps.html", {"found": found, "page": page, "pages": _pages(found.total)})


@router.get("/gaps.{kind}", include_in_schema=False)
async def gaps_export(request: Request, kind: str) -> Response:
    """What to write next, as CSV for a spreadsheet or Markdown for a ticket."""
    if kind not in gaps.MEDIA:
        raise NotFound(f"no report {kind[:20]!r}; there are csv and md")
    found = await gaps.everything(desk_of(request))
    text = await asyncio.to_thread(gaps.as_csv if kind == "csv" else gaps.as_markdown, found)
    headers = {"Content-Disposition": f'attachment; filename="what-to-write-next.{kind}"'}
    return Response(text.encode("utf-8", "replace"), media_type=gaps.MEDIA[kind], headers=headers)
