"""The chat widget for other sites: its script, and which sites may use it.

A browser lets a page read replies of this server only where the page's origin is in `ANSWERLOOP_WIDGET_ORIGINS`, and
only asking and feedback are opened to it. The key in the page can be read by every visitor, so across origins no key
but an asker's is taken: one that may do more would be given away.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, Depends
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.auth import anyone, presented_key
from services.api.errors import Refused, respond
from services.store.records import Role

SCRIPT = Path(__file__).parent / "static" / "widget.js"
OPENED = frozenset({"/ask", "/feedback"})
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "authorization, content-type, x-api-key",
    "Access-Control-Max-Age": "600",
}

router = APIRouter(tags=["widget"], dependencies=[Depends(anyone)])


@router.get("/widget.js", include_in_schema=False)
async def widget() -> Response:
    headers = {
        "Cache-Control": "max-age=300",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(SCRIPT.read_bytes(), media_type="text/javascript", headers=headers)


class WidgetOrigins:
    """Pure ASGI. origins: "https://www.example.org" each, without a path."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self.app, self.origins = app, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin", "") if scope["type"] == "http" else ""
        if origin not in self.origins or scope["path"] not in OPENED:
            return await self.app(scope, receive, send)
        headers = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        if scope["method"] == "OPTIONS":
            return await Response(status_code=204, headers=headers | _PREFLIGHT)(scope, receive, send)

        async def allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        if refused := await _too_strong(scope):
            return await refused(scope, receive, allowed)
        return await self.app(scope, receive, allowed)


async def _too_strong(scope: Scope) -> Response | None:
    """A refusal where the page carries a key that may do more than ask."""
    connection = HTTPConnection(scope)
    key = presented_key(connection)
    caller = await scope["app"].state.keyring.caller(key) if key else None
    if caller is None or caller.role is Role.ASKER:
        return None
    detail = (
        f"A page of another site sent a key of the role {caller.role}, which its visitors can read: use an asker's."
    )
    return respond(Request(scope), Refused(403, "key_too_strong", detail))
