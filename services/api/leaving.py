"""An asker who hangs up ends the work that was done for him: a model would write on for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

T = TypeVar("T")

_LONG_S = 0.25  # what is done by then is not worth watching the door for

GONE = Response(status_code=499)
"""Nobody reads it; the log and the metrics see that the asker left."""


async def while_there(request: Request, work: Awaitable[T]) -> T | None:
    """The work's result, or None when the asker left before. The body of the request must have been read."""
    watch = _Watch(request)
    timer = asyncio.get_running_loop().call_later(_LONG_S, watch.begin)
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.gone:
            raise  # somebody else wants it to end: the server stops
        return None
    finally:
        timer.cancel()
        watch.end()


class _Watch:
    def __init__(self, request: Request) -> None:
        self._request = request
        self._worker = asyncio.current_task()
        self._task: asyncio.Task[None] | None = None
        self.gone = False

    def begin(self) -> None:
        self._task = asyncio.ensure_future(self._wait())

    def end(self) -> None:
        if self._task:
            self._task.cancel()
        if self.gone and self._worker:
            self._worker.uncancel()

    async def _wait(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        assert self._worker
        self._worker.cancel()
