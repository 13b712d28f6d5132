"""Routes whose requests are read here and not by FastAPI, whose way of doing it costs more than an approved answer."""

from __future__ import annotations

from typing import Any, get_type_hints

import orjson
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

_JSON = b"application/json"


class Direct(APIRoute):
    """For endpoints of the form `(body: Model, request: Request) -> Response`, with nothing but roles to depend on.

    FastAPI still documents them, and still does all that is out of the ordinary: another content type, JSON that cannot
    be read, a body that does not fit, a client that left. So errors are the same as everywhere.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._model: type[BaseModel] = get_type_hints(self.endpoint)["body"]
        self._roles = [dependency.call for dependency in self.dependant.dependencies if dependency.call]

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in self.methods or _content_type(scope) != _JSON:
            return await super().handle(scope, receive, send)
        messages = await _messages(receive)
        try:
            body = self._model.model_validate(_json(messages))
        except ValueError:
            return await super().handle(scope, _again(messages, receive), send)
        request = Request(scope, receive, send)
        for role in self._roles:
            await role(request)
        response = await self.endpoint(body, request)
        await response(scope, receive, send)


def _content_type(scope: Scope) -> bytes:
    return next((value for name, value in scope["headers"] if name == b"content-type"), b"")


async def _messages(receive: Receive) -> list[Message]:
    """All that make up the body, and the one that says that the client left."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _json(messages: list[Message]) -> Any:
    """Raises ValueError where it cannot be read, also where only the standard library can (NaN, half surrogates)."""
    if messages[-1]["type"] != "http.request":
        raise ValueError("the client left")
    return orjson.loads(b"".join([message.get("body", b"") for message in messages]))


def _again(messages: list[Message], receive: Receive) -> Receive:
    """What was received, once more, and then what comes."""
    left = iter(messages)

    async def replayed() -> Message:
        return next(left, None) or await receive()

    return replayed
