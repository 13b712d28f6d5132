"""What an asker does later: POST /feedback, acknowledged when it is durable, and GET /ask/{id}, how it stands."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from services.api.auth import Requires
from services.api.render_review import standing_out
from services.api.state import json_response, shared
from services.api.wire import FeedbackRequest, ShortText
from services.api.wire_review import StandingReply
from services.store.records import Role

router = APIRouter(tags=["ask"], dependencies=[Depends(Requires(Role.ASKER))])


@router.post("/feedback", status_code=204, response_class=Response)
async def feedback(body: FeedbackRequest, request: Request) -> Response:
    """404 for an answer that was never given here."""
    await shared(request).system.store.add_feedback(body.id, body.rating, body.comment)
    return Response(status_code=204)


@router.get("/ask/{id}", responses={200: {"model": StandingReply}}, response_class=Response)
async def standing(request: Request, id: ShortText) -> Response:
    """How a question stands, by the `id` of its reply: answered, waiting for people, resolved by them, or called back.
    404 for an answer that was never given here."""
    return json_response(standing_out(await shared(request).system.review.desk.standing(id)))
