"""For reviewers: why an answer is what it is. A question tried out is not recorded."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from services.api.auth import Requires
from services.api.checks import question_from
from services.api.state import json_response, shared
from services.api.wire import AskRequest, ExplainReply, ShortText
from services.store.records import Role

router = APIRouter(prefix="/review", tags=["explain"], dependencies=[Depends(Requires(Role.REVIEWER))])


@router.post("/explain", responses={200: {"model": ExplainReply}}, response_class=Response)
async def explain(body: AskRequest, request: Request) -> Response:
    """Asks, without recording anything, and says what led to the answer. `stream` is ignored."""
    here = shared(request)
    question = question_from(body, here.settings)
    return json_response(await here.admission.run(lambda: here.system.explain(question)))


@router.get("/traces/{id}", responses={200: {"model": ExplainReply}}, response_class=Response)
async def why(request: Request, id: ShortText) -> Response:
    """What led to an answer that was given, by the `id` of its reply. 404 for an answer never given here."""
    return json_response(await shared(request).system.why(id))
