"""For reviewers: what waits, one item whole, verdicts, and answers called back. The work is `services.review.desk`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from services.api.auth import Caller, Requires
from services.api.render_review import item_out, retraction_out, verdict_out, view_out
from services.api.state import json_response, shared
from services.api.wire import ShortText, clean
from services.api.wire_review import (
    ItemChanged,
    ItemNamed,
    ItemReply,
    ItemsReply,
    MergeIn,
    RecipientsReply,
    RetractIn,
    RetractionOut,
    RetractionsReply,
    SplitIn,
    VerdictIn,
    VerdictReply,
)
from services.review.desk import Desk
from services.store.records import Role
from services.store.review_records import ItemFilter, Verdict

router = APIRouter(prefix="/review", tags=["review"], dependencies=[Depends(Requires(Role.REVIEWER))])

Reviewer = Annotated[Caller, Depends(Requires(Role.REVIEWER))]
Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
RequestKey = Annotated[str | None, Header(max_length=200, description="Sent again with a repeated request.")]


@router.get("/items", responses={200: {"model": ItemsReply}}, response_class=Response)
async def items(
    request: Request,
    reviewer: Reviewer,
    state: Literal["pending", "claimed", "decided"] = "pending",
    cause: ShortText = "",
    language: ShortText = "",
    q: ShortText = "",
    gaps: Annotated[bool, Query(description="Only what the documents did not answer.")] = False,
    mine: Annotated[bool, Query(description="Only what I have claimed.")] = False,
    order: Literal["worth", "gaps", "asks", "newest", "updated"] = "worth",
    limit: Limit = 50,
    offset: Offset = 0,
) -> Response:
    """What is worth most first: people who wait × risk × age; with `order=gaps` what the documents lack before all."""
    whose = reviewer.name if mine else ""
    wanted = ItemFilter(state, cause, language, q.strip(), gaps, whose, order, limit, offset)
    page = await _desk(request).items(wanted)
    return json_response({"items": [item_out(one) for one in page.items], "total": page.total})


@router.get("/items/{id}", responses={200: {"model": ItemReply}}, response_class=Response)
async def item(request: Request, id: ShortText) -> Response:
    """Everything that helps to decide: the questions, what was found, what was answered and why, who did what."""
    desk = _desk(request)
    view = await desk.item(id)
    return json_response(view_out(view, await desk.opinion(view)))


@router.post("/items/{id}/claim", responses={200: {"model": ItemChanged}}, response_class=Response)
async def claim_item(request: Request, reviewer: Reviewer, id: ShortText) -> Response:
    """Yours for a quarter of an hour (`ANSWERLOOP_CLAIM_S`); claim again to keep it. 409 when somebody else has it."""
    return json_response({"item": item_out(await _desk(request).claim(id, reviewer.name))})


@router.post("/items/{id}/release", responses={200: {"model": ItemChanged}}, response_class=Response)
async def release_item(request: Request, reviewer: Reviewer, id: ShortText) -> Response:
    return json_response({"item": item_out(await _desk(request).release(id, reviewer.name))})


@router.post("/items/{id}/verdict", responses={200: {"model": VerdictReply}}, response_class=Response)
async def decide_item(
    request: Request, reviewer: Reviewer, id: ShortText, body: VerdictIn, idempotency_key: RequestKey = None
) -> Response:
    """Decides the item: everybody who asked has the answer, and the curated entry is served, when this returns;
    `collisions` says what the self-test finds of that entry. With the same `Idempotency-Key` it is done once. 409 when
    the item is decided or somebody else has it."""
    key = f"{reviewer.name}/{clean(idempotency_key)}" if idempotency_key else ""
    return await _verdict_reply(request, await _desk(request).decide(id, body.judgement(), reviewer.name, key))


@router.post("/items/{id}/confirm", responses={200: {"model": VerdictReply}}, response_class=Response)
async def confirm_item(request: Request, reviewer: Reviewer, id: ShortText) -> Response:
    """The second reviewer agrees with the verdict that is proposed. 404 where none is."""
    return await _verdict_reply(request, await _desk(request).confirm(id, reviewer.name))


@router.post("/items/{id}/undo", responses={200: {"model": VerdictReply}}, response_class=Response)
async def undo_item(request: Request, reviewer: Reviewer, id: ShortText) -> Response:
    """The item is open again and its curated entry what it was. 409 when the entry was changed since."""
    return await _verdict_reply(request, await _desk(request).undo(id, reviewer.name))


@router.post("/items/{id}/split", responses={200: {"model": ItemNamed}}, response_class=Response)
async def split_item(request: Request, reviewer: Reviewer, id: ShortText, body: SplitIn) -> Response:
    """Some wordings ask something else: they become an item of their own, and are kept apart from now on."""
    return json_response({"item_id": await _desk(request).split(id, body.wordings, reviewer.name)})


@router.post("/items/{id}/merge", responses={200: {"model": ItemNamed}}, response_class=Response)
async def merge_item(request: Request, reviewer: Reviewer, id: ShortText, body: MergeIn) -> Response:
    """Other items ask the same: their wordings join this one."""
    return json_response({"item_id": await _desk(request).merge(id, body.items, reviewer.name)})


@router.post("/traces/{id}/retract", responses={200: {"model": RetractionOut}}, response_class=Response)
async def retract(
    request: Request, reviewer: Reviewer, id: ShortText, body: Annotated[RetractIn | None, Body()] = None
) -> Response:
    """Calls back an answer that was sent: it is not sent again, and everybody who got it is told. 422 where nothing
    was answered."""
    made = await _desk(request).retract(id, reviewer.name, body.reason if body else "")
    return json_response(retraction_out(made))


@router.get("/retractions", responses={200: {"model": RetractionsReply}}, response_class=Response)
async def retractions(request: Request, limit: Limit = 50, offset: Offset = 0) -> Response:
    """Newest first."""
    found = await _desk(request).retractions(limit, offset)
    return json_response({"retractions": [retraction_out(one) for one in found]})


@router.get("/retractions/{id}/recipients", responses={200: {"model": RecipientsReply}}, response_class=Response)
async def recipients(request: Request, id: ShortText, limit: Limit = 100, offset: Offset = 0) -> Response:
    """Who got the answer, newest first."""
    found = await _desk(request).recipients(id, limit, offset)
    return json_response({"recipients": [asdict(one) for one in found]})


@router.post("/retractions/{id}/lift", responses={200: {"model": RetractionOut}}, response_class=Response)
async def lift(request: Request, reviewer: Reviewer, id: ShortText) -> Response:
    """It was right after all: it may be sent again. 409 when it was lifted already."""
    return json_response(retraction_out(await _desk(request).lift(id, reviewer.name)))


async def _verdict_reply(request: Request, verdict: Verdict) -> Response:
    found = await _desk(request).collisions(verdict.entry_id)
    return json_response(verdict_out(verdict) | {"collisions": [finding.to_json() for finding in found]})


def _desk(request: Request) -> Desk:
    return shared(request).system.review.desk
