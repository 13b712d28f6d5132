"""What waits for people. For now: the list."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from services.api.auth import Requires
from services.api.render import review_item_out
from services.api.state import json_response, shared
from services.api.wire import ReviewItems
from services.store.records import Role

router = APIRouter(prefix="/review", tags=["review"], dependencies=[Depends(Requires(Role.REVIEWER))])


@router.get("/items", responses={200: {"model": ReviewItems}}, response_class=Response)
async def items(
    request: Request,
    state: Literal["pending", "claimed", "decided"] = "pending",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """The questions asked most come first."""
    found = await shared(request).system.store.list_review_items(state, limit, offset)
    return json_response({"items": [review_item_out(item) for item in found]})
