"""The one place where errors become HTTP: RFC 9457 problem documents, or OpenAI's shape under /v1.

A problem is {type, title, status, detail, code, errors?}; `code` is stable for machines, `detail` is for people.
What nobody foresaw says nothing about itself to the caller; the traceback goes to the log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router.errors import (
    AnswerloopError,
    Conflict,
    InvalidInput,
    Mismatch,
    NotFound,
    Overloaded,
    Unavailable,
)

log = logging.getLogger("answerloop.api")

STATUS: tuple[tuple[type[AnswerloopError], int], ...] = (
    (InvalidInput, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Mismatch, 409),
    (Overloaded, 429),
    (Unavailable, 503),
)

CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}


class Refused(HTTPException):
    """The HTTP wall's own refusals. A Starlette exception: FastAPI lets no other pass while it reads a body."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.code = code


FORESEEN = (AnswerloopError, HTTPException, RequestValidationError)
"""What `respond` is installed for; all else is `LastResort`'s."""


class DeadlinePassed(Unavailable):
    code = "deadline_passed"


def describe(exc: Exception) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, problem document and headers for any exception."""
    headers: dict[str, str] = {}
    extra: dict[str, Any] = {}
    if isinstance(exc, RequestValidationError):
        status, code, detail, extra = _unreadable(exc)
    elif isinstance(exc, HTTPException):
        status, detail, headers = exc.status_code, str(exc.detail), dict(exc.headers or {})
        code = exc.code if isinstance(exc, Refused) else CODES.get(status, "http_error")
    elif status := next((status for kind, status in STATUS if isinstance(exc, kind)), 0):
        assert isinstance(exc, AnswerloopError)
        code, detail = exc.code, str(exc)
        if status in {429, 503}:
            headers["Retry-After"] = str(getattr(exc, "retry_after", 1))
    else:
        status, code, detail = 500, "internal", "Something went wrong inside the server; its log says what."
    return status, _document(status, code, detail) | extra, headers


def describe_in_stream(exc: Exception) -> tuple[int, dict[str, Any]]:
    """As `describe`. The server logs what escapes from a route, but nothing escapes from a stream that has begun."""
    status, problem, _ = describe(exc)
    if status == 500:
        log.error("unexpected error in a stream", exc_info=exc)
    return status, problem


def _document(status: int, code: str, detail: str) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    return {"type": f"urn:answerloop:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}


def _unreadable(exc: RequestValidationError) -> tuple[int, str, str, dict[str, Any]]:
    """Where and why, but never the value: it may be huge, secret, or not even valid Unicode."""
    found = exc.errors()
    if found and found[0]["type"] == "json_invalid":
        return 400, "invalid_json", "The request body is not valid JSON.", {}
    errors = [{"where": ".".join(str(step) for step in item["loc"]), "what": str(item["msg"])} for item in found[:20]]
    summary = "; ".join(f"{item['where']}: {item['what']}" for item in errors[:3])
    return 422, "invalid_request", _speakable(f"The request does not fit: {summary}."), {"errors": errors}


def _speakable(text: str) -> str:
    """Text that can be sent as UTF-8 (a field name may hold half a surrogate pair) and is not endless."""
    return text[:1000].encode("utf-8", "replace").decode()


def openai_shape(status: int, problem: Mapping[str, Any]) -> dict[str, Any]:
    kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(
        status, "invalid_request_error" if status < 500 else "server_error"
    )
    return {"error": {"message": problem["detail"], "type": kind, "param": None, "code": problem["code"]}}


def respond(request: Request, exc: Exception) -> Response:
    status, problem, headers = describe(exc)
    if isinstance(exc, HTTPException) and not isinstance(exc, Refused) and status in {404, 405}:
        problem["detail"] = _speakable(f"There is no {request.method} {request.url.path} here; see /openapi.json.")
    if request.url.path.startswith("/v1/"):
        return Response(dumps(openai_shape(status, problem)), status, headers, "application/json")
    return Response(dumps(problem), status, headers, "application/problem+json")


def dumps(value: Any) -> bytes:
    """JSON as bytes. orjson refuses half surrogate pairs, so text from errors is made speakable on the second try."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        return orjson.dumps(_speakable_tree(value), option=orjson.OPT_SERIALIZE_NUMPY)


def _speakable_tree(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_speakable_tree(str(key)): _speakable_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_speakable_tree(item) for item in value]
    return value


def install(app: FastAPI) -> None:
    for kind in FORESEEN:
        app.add_exception_handler(kind, respond)
    app.add_middleware(LastResort)


class LastResort:
    """Pure ASGI. Answers what nobody foresaw with a plain 500 and keeps the connection, which Starlette's own handler
    would let the server cut, and with it the client's next request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as exc:
            if started or scope["type"] != "http":
                raise
            log.exception("unexpected error in %s", scope["path"])
            await respond(Request(scope), exc)(scope, receive, send)
