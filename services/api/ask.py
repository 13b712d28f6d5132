"""POST /ask, whole or as server-sent events, and POST /search."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from router.types import Question
from services.api.auth import Requires
from services.api.checks import check_question, filters_from, question_from
from services.api.direct import Direct
from services.api.errors import describe_in_stream, dumps
from services.api.leaving import GONE, while_there
from services.api.render import ask_reply, search_reply
from services.api.state import Shared, json_response, shared
from services.api.wire import AskReply, AskRequest, SearchReply, SearchRequest
from services.store.records import Role

if TYPE_CHECKING:
    from services.compose import Outcome

KEEP_ALIVE_S = 10.0
SSE_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_SENTENCES = re.compile(r".*?(?:[。！？!?…]+|[.;；](?=\s)|\n+|$)\s*", re.DOTALL)

router = APIRouter(tags=["ask"], dependencies=[Depends(Requires(Role.ASKER))], route_class=Direct)

_EVENT = {"event": {"enum": ["delta", "done", "error"]}, "data": {"type": "string", "description": "JSON"}}
_STREAM = {"text/event-stream": {"schema": {"type": "object", "properties": _EVENT, "required": ["event", "data"]}}}


@router.post("/ask", responses={200: {"model": AskReply, "content": _STREAM}}, response_class=Response)
async def ask(body: AskRequest, request: Request) -> Response:
    """Answers one question from the documents, with citations, or says that it does not know."""
    here = shared(request)
    question = question_from(body, here.settings)
    if body.stream:
        return event_stream(here, question, sse_events)
    outcome = await while_there(request, answer(here, question))
    if outcome is None:
        return GONE
    return json_response(ask_reply(outcome.trace, outcome.review_item))


@router.post("/search", responses={200: {"model": SearchReply}}, response_class=Response)
async def search(body: SearchRequest, request: Request) -> Response:
    """The best passages with every channel's score, and no answer."""
    here = shared(request)
    check_question(body.question, here.settings)
    filters = filters_from(body.filters)
    found = await here.admission.run(lambda: here.system.search(body.question.strip(), body.limit, filters))
    return json_response(search_reply(found))


async def answer(here: Shared, question: Question) -> Outcome:
    outcome = await here.admission.run(lambda: here.system.ask(question))
    here.metrics.answered(outcome.trace.answer.route.value).inc()
    for name, counter in here.metrics.put_right.items():
        counter.inc(outcome.trace.features.get(name, 0.0))
    return outcome


def event_stream(here: Shared, question: Question, render: Any) -> StreamingResponse:
    """Starts the work, then the stream. What is refused at the door is still an ordinary error reply."""
    here.admission.check()
    work = asyncio.create_task(answer(here, question))
    return StreamingResponse(_alive(work, render), media_type="text/event-stream", headers=SSE_HEADERS)


async def _alive(work: asyncio.Task[Outcome], render: Any) -> AsyncIterator[bytes]:
    """A comment line now and then keeps proxies from hanging up; a client that hangs up ends the work."""
    try:
        while not (await asyncio.wait({work}, timeout=KEEP_ALIVE_S))[0]:
            yield b": still working\n\n"
        for chunk in render(work):
            yield chunk
    finally:
        work.cancel()


def sse_events(work: asyncio.Task[Outcome]) -> list[bytes]:
    """The answer is checked as a whole before any of it is sent, so the deltas come together, sentence by sentence."""
    failure = work.exception()
    if isinstance(failure, Exception):
        return [_event("error", describe_in_stream(failure)[1])]
    outcome = work.result()
    reply = ask_reply(outcome.trace, outcome.review_item)
    deltas = [_event("delta", {"text": piece}) for piece in pieces(reply["answer"])]
    return [*deltas, _event("done", reply)]


def pieces(text: str) -> list[str]:
    """Sentences with the white space after them; joined they are the text again."""
    return [piece for piece in _SENTENCES.findall(text) if piece]


def _event(name: str, data: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + dumps(data) + b"\n\n"
