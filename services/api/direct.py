"""Routes whose requests are read here and not by FastAPI, whose way of doing it costs more than an approved answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response


class Direct(APIRoute):
    """For endpoints of the form `(body: Model, request: Request) -> Response`, with nothing but roles to depend on.

    FastAPI still documents them, and still does all that is out of the ordinary: another content type, JSON that cannot
    be read, a body that does not fit. So errors are the same as everywhere.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        usual, endpoint = super().get_route_handler(), self.endpoint
        model: type[BaseModel] = get_type_hints(endpoint)["body"]
        roles = [dependency.call for dependency in self.dependant.dependencies if dependency.call]

        async def handle(request: Request) -> Response:
            if request.headers.get("content-type") != "application/json":
                return await usual(request)
            try:
                body = model.model_validate(json.loads(await request.body()))
            except (ClientDisconnect, ValueError, RecursionError):
                return await usual(request)
            for role in roles:
                await role(request)
            response: Response = await endpoint(body, request)
            return response

        return handle
