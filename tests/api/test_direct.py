"""Requests that are read without FastAPI: the same replies, the same errors, and really without it."""

from __future__ import annotations

import json
from typing import Any

import fastapi.routing
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from services.api import errors
from services.api.direct import Direct, Shortcut

PLAIN, ODD = "application/json", "application/json; charset=utf-8"


class Body(BaseModel):
    question: str
    limit: int = 3


async def role(connection: HTTPConnection) -> None:
    if connection.headers.get("x-api-key") == "wrong":
        raise errors.Refused(401, "unauthorized", "who are you?")


def client() -> TestClient:
    router = APIRouter(dependencies=[Depends(role)], route_class=Direct)

    @router.post("/echo")
    async def echo(body: Body, request: Request) -> Response:
        return JSONResponse({"said": body.question, "limit": body.limit, "path": request.url.path})

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(Shortcut, routes=app.routes)
    errors.install(app)
    return TestClient(app)


def ask(content: bytes, kind: str, key: str = "right") -> tuple[int, Any]:
    reply = client().post("/echo", content=content, headers={"Content-Type": kind, "X-API-Key": key})
    return reply.status_code, reply.json()


BODIES = [
    b'{"question": "why?"}',
    b'{"question": "why?", "limit": "7"}',
    b'{"question": "\\ud83d half"}',
    b'{"question": 7}',
    b"{}",
    b"[]",
    b"null",
    b'"text"',
    b"",
    b"{",
    b"\xff",
    b'{"question": NaN}',
    b"[" * 5_000,
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("key", ["right", "wrong"])
def test_both_ways_give_the_same(body: bytes, key: str) -> None:
    assert ask(body, PLAIN, key) == ask(body, ODD, key)


def test_an_ordinary_request_never_meets_fastapis_machinery(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(**_: object) -> None:
        raise errors.Refused(418, "machinery", "FastAPI read this request")

    monkeypatch.setattr(fastapi.routing, "solve_dependencies", never)
    assert ask(BODIES[0], PLAIN) == (200, {"said": "why?", "limit": 3, "path": "/echo"})
    assert ask(BODIES[0], ODD)[0] == 418
    assert ask(BODIES[0], PLAIN, "wrong")[0] == 401


def test_it_is_documented_like_every_other_route() -> None:
    schema = client().get("/openapi.json").json()
    body = schema["paths"]["/echo"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Body"}
    assert json.dumps(schema).count("HTTPValidationError") > 0
