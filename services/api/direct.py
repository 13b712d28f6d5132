"""Routes whose requests are read here and not by FastAPI, whose way of doing it costs more than an approved answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_type_hints

import orjson
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.errors import FORESEEN, respond


class Direct(APIRoute):
    """For endpoints of the form `(body: Model, request: Request) -> Response`, with nothing but roles to depend on."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.model: type[BaseModel] = get_type_hints(self.endpoint)["body"]
        self.roles = [dependency.call for dependency in self.dependant.dependencies if dependency.call]

    async def answer(self, body: BaseModel, request: Request) -> Response:
        for role in self.roles:
            await role(request)
        response: Response = await self.endpoint(body, request)
        return response


class Shortcut:
    """Pure ASGI, the last before FastAPI's own. Ordinary requests to `Direct` routes end here.

    FastAPI still documents those routes, and still does all that is out of the ordinary: another content type, JSON
    that cannot be read, a body that does not fit, a client that left. So errors are the same as everywhere.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        direct = [route for route in routes if isinstance(route, Direct)]
        self.app, self._routes = app, {(method, route.path): route for route in direct for method in route.methods}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None or _content_type(scope) != b"application/json":
            return await self.app(scope, receive, send)
        request = Request(scope, receive, send)
        scope["route"] = route  # whom the request is counted for
        try:
            messages = await _messages(receive)
            try:
                body = route.model.model_validate(_json(messages))
            except ValueError:
                return await self.app(scope, _again(messages, receive), send)
            response = await route.answer(body, request)
        except FORESEEN as exc:
            response = respond(request, exc)
        await response(scope, receive, send)


def _content_type(scope: Scope) -> bytes:
    return next((value for name, value in scope["headers"] if name == b"content-type"), b"")


async def _messages(receive: Receive) -> list[Message]:
    """All that make up the body, or the one that says that the client left as the last."""
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
