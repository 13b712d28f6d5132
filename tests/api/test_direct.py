"""Requests that are read without FastAPI: the same replies, the same errors, and really without it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import fastapi.routing
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message

from services.api import errors
from services.api.direct import Direct, Shortcut
from services.api.limits import BodyLimit

PLAIN, ODD = "application/json", "application/json; charset=utf-8"


class Body(BaseModel):
    question: str
    limit: int = 3


async def role(connection: HTTPConnection) -> None:
    if connection.headers.get("x-api-key") == "wrong":
        raise errors.Refused(401, "unauthorized", "who are you?")


def app() -> FastAPI:
    router = APIRouter(dependencies=[Depends(role)], route_class=Direct)

    @router.post("/echo")
    async def echo(body: Body, request: Request) -> Response:
        return JSONResponse({"said": body.question, "limit": body.limit, "path": request.url.path})

    made = FastAPI()
    made.include_router(router)
    made.add_middleware(Shortcut, routes=made.routes)
    made.add_middleware(BodyLimit, limit=20_000, larger={})
    errors.install(made)
    return made


def client() -> TestClient:
    return TestClient(app())


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


def sent(*messages: Message, kind: str = PLAIN, method: str = "POST") -> tuple[int, Any]:
    """What the bare application replies to these messages."""
    scope = {
        "type": "http",
        "method": method,
        "path": "/echo",
        "raw_path": b"/echo",
        "query_string": b"",
        "headers": [(b"content-type", kind.encode()), (b"x-api-key", b"right")],
    }
    coming, replies = iter(messages), list[Message]()

    async def receive() -> Message:
        return next(coming)

    async def send(message: Message) -> None:
        replies.append(message)

    asyncio.run(app()(scope, receive, send))
    return replies[0]["status"], json.loads(b"".join(reply.get("body", b"") for reply in replies))


def pieces(*bodies: bytes) -> list[Message]:
    last = len(bodies) - 1
    return [{"type": "http.request", "body": body, "more_body": number < last} for number, body in enumerate(bodies)]


GONE: Message = {"type": "http.disconnect"}
ARRIVALS = {
    "in pieces": (200, pieces(b'{"ques', b"", b'tion": "why?"}')),
    "in pieces, and no JSON": (400, pieces(b'{"ques', b"]")),
    "in pieces, and too large": (413, pieces(b'{"question": "', b"x" * 30_000, b'"}')),
    "never": (400, [GONE]),
    "half of it": (400, [*pieces(b'{"ques', b"")[:1], GONE]),
}


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_however_a_body_arrives(arrival: str) -> None:
    status, messages = ARRIVALS[arrival]
    found = sent(*messages)
    assert found == sent(*messages, kind=ODD)
    assert found[0] == status


def test_another_method_is_refused_as_everywhere() -> None:
    assert sent(*pieces(BODIES[0]), method="PUT")[0] == 405


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
