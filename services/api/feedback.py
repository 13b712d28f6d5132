"""POST /feedback: a thumb up or down for one answer; acknowledged when it is durable."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from services.api.auth import Requires
from services.api.state import shared
from services.api.wire import FeedbackRequest
from services.store.records import Role

router = APIRouter(tags=["ask"], dependencies=[Depends(Requires(Role.ASKER))])


@router.post("/feedback", status_code=204, response_class=Response)
async def feedback(body: FeedbackRequest, request: Request) -> Response:
    """404 for an answer that was never given here."""
    await shared(request).system.store.add_feedback(body.id, body.rating, body.comment)
    return Response(status_code=204)
