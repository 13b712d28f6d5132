"""The OpenAI-compatible door: POST /v1/chat/completions and GET /v1/models, so that chat front ends work unchanged.

The last user message is the question, what was said before is its history; system messages are not followed, since
only the documents speak here. Sampling options are accepted and have no effect.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from router.types import Question, Trace, Turn
from services.api.ask import answer, event_stream, pieces
from services.api.auth import Requires
from services.api.checks import check_history, check_question
from services.api.errors import Refused, describe_in_stream, dumps, openai_shape
from services.api.leaving import GONE, while_there
from services.api.render import ask_reply
from services.api.state import json_response, shared
from services.api.wire import OPENAI_ERRORS, Text
from services.settings import Settings
from services.store.records import Role

if TYPE_CHECKING:
    from services.compose import Outcome

MODEL = "answerloop"
_TOKENS = re.compile(r"[⺀-鿿豈-﫿]|[^\s⺀-鿿豈-﫿]{1,4}")

router = APIRouter(prefix="/v1", tags=["openai"], dependencies=[Depends(Requires(Role.ASKER))], responses=OPENAI_ERRORS)


class Part(BaseModel):
    type: Literal["text"]
    text: Text


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[Text | list[Part] | None, Field()] = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    model: str = MODEL
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    user: Text | None = Field(None, max_length=200)


@router.get("/models", response_class=Response)
async def models() -> Response:
    return json_response({"object": "list", "data": [_model()]})


@router.get("/models/{model}", response_class=Response)
async def model(model: str) -> Response:
    _check_model(model)
    return json_response(_model())


@router.post("/chat/completions", response_class=Response)
async def chat_completions(body: ChatRequest, request: Request) -> Response:
    here = shared(request)
    _check_model(body.model)
    question = question_of(body, here.settings)
    prompt_tokens = count_tokens("\n".join(message.text for message in body.messages))
    if not body.stream:
        outcome = await while_there(request, answer(here, question))
        if outcome is None:
            return GONE
        return json_response(completion(outcome, prompt_tokens))
    with_usage = body.stream_options is not None and body.stream_options.include_usage
    return event_stream(here, question, lambda work: _chunks(work, prompt_tokens, with_usage))


def question_of(body: ChatRequest, settings: Settings) -> Question:
    turns = [(message.role, message.text) for message in body.messages if message.role in {"user", "assistant"}]
    if not turns or turns[-1][0] != "user":
        raise Refused(400, "no_question", "The last message of the conversation must have the role user.")
    *before, (_, text) = turns
    check_question(text, settings)
    history = tuple(Turn(role, content) for role, content in before)
    check_history(history, settings)
    return Question(text.strip(), history, body.user)


def completion(outcome: Outcome, prompt_tokens: int) -> dict[str, Any]:
    text = content(outcome.trace)
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", "logprobs": None}
    return {
        **_frame(outcome.trace, "chat.completion"),
        "choices": [choice],
        "usage": usage(prompt_tokens, text),
        "answerloop": ask_reply(outcome.trace, outcome.review_item),
    }


def _chunks(work: asyncio.Task[Outcome], prompt_tokens: int, with_usage: bool) -> list[bytes]:
    failure = work.exception()
    if isinstance(failure, Exception):
        return [_data(openai_shape(*describe_in_stream(failure)))]
    outcome = work.result()
    text = content(outcome.trace)
    frame = _frame(outcome.trace, "chat.completion.chunk")
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        *({"content": piece} for piece in pieces(text)),
    ]
    chunks = [{**frame, "choices": [_delta(delta, None)]} for delta in deltas]
    reply = ask_reply(outcome.trace, outcome.review_item)
    chunks.append({**frame, "choices": [_delta({}, "stop")], "answerloop": reply})
    if with_usage:
        chunks.append({**frame, "choices": [], "usage": usage(prompt_tokens, text)})
    return [*(_data(chunk) for chunk in chunks), b"data: [DONE]\n\n"]


def content(trace: Trace) -> str:
    """The answer and, below it, a numbered list of its sources, each named once."""
    places = dict.fromkeys(f"{cited.source} > {cited.heading}".rstrip(" >") for cited in trace.answer.citations)
    sources = "\n".join(f"[{number}] {place}" for number, place in enumerate(places, 1))
    return f"{trace.answer.text}\n\n{sources}" if sources else trace.answer.text


def count_tokens(text: str) -> int:
    """An estimate, since no model may have read the text: one for each Han character, one for four others."""
    return len(_TOKENS.findall(text))


def usage(prompt_tokens: int, text: str) -> dict[str, int]:
    written = count_tokens(text)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": written,
        "total_tokens": prompt_tokens + written,
    }


def _check_model(name: str) -> None:
    if name != MODEL:
        raise Refused(404, "model_not_found", f"There is one model here; it is called {MODEL}.")


def _model() -> dict[str, Any]:
    return {"id": MODEL, "object": "model", "created": 0, "owned_by": MODEL}


def _frame(trace: Trace, kind: str) -> dict[str, Any]:
    created = int(datetime.fromisoformat(trace.created).timestamp())
    return {"id": f"chatcmpl-{trace.id}", "object": kind, "created": created, "model": MODEL}


def _delta(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}


def _data(value: Any) -> bytes:
    return b"data: " + dumps(value) + b"\n\n"
