"""How much one server takes on: the size of a body, how many questions at a time, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router.errors import Overloaded
from services.api.errors import DeadlinePassed, Refused

T = TypeVar("T")


class BodyLimit:
    """Pure ASGI. Counts what arrives, so that a body without or with a false Content-Length is bounded too.

    larger: other limits in bytes, by exact path.
    """

    def __init__(self, app: ASGIApp, limit: int, larger: Mapping[str, int]) -> None:
        self.app, self.limit, self.larger = app, limit, larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
            return await self.app(scope, receive, send)
        limit = self.larger.get(scope["path"], self.limit)
        declared, taken = _declared_length(scope), 0

        async def counted() -> Message:
            nonlocal taken
            if declared <= limit:
                message = await receive()
                taken += len(message.get("body", b""))
                if taken <= limit:
                    return message
            raise Refused(413, "body_too_large", f"The request body is larger than {limit} bytes.")

        return await self.app(scope, counted, send)


def _declared_length(scope: Scope) -> int:
    raw = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(raw) if raw.isdigit() and len(raw) < 20 else 0


class Admission:
    """At most `places` questions are worked on; at most `queue` more wait; the rest are told to come back."""

    def __init__(self, places: int, queue: int, timeout_s: float) -> None:
        self._places = asyncio.Semaphore(places)
        self._most = places + queue
        self._timeout_s = timeout_s
        self.inside = 0

    def check(self) -> None:
        if self.inside >= self._most:
            raise Overloaded(f"{self.inside} questions are being answered or wait already; try again.", retry_after=1)

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """The work's result. Raises `Overloaded` at once, `DeadlinePassed` later; waiting for a place counts."""
        self.check()
        self.inside += 1
        deadline = asyncio.timeout(self._timeout_s)
        try:
            async with deadline, self._places:
                return await work()
        except TimeoutError as exc:
            if not deadline.expired():
                raise  # somebody else's, from inside the work
            raise DeadlinePassed(f"No answer within {self._timeout_s:g} s; try again.") from exc
        finally:
            self.inside -= 1
