"""Quoting in a process of its own while several questions are asked at a time.

Quoting is two of the three milliseconds for which a question keeps the event loop, and Python lets one thread work at a
time. It needs nothing but the question, what was found and the version's folder. The process starts with the first
question that is not alone, ends with the version that it quotes from (or with its server, however that ends: there is
nothing more to read then), and is never needed: what it does not answer is quoted on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from router.types import Draft, Question, SearchResult
from services.generation.quoting import Quoting
from services.generation.quoting_worker import replied, request

_WORKER = ("-P", "-m", "services.generation.quoting_worker")
_BEHIND = 64  # questions that it may be behind by; what comes on top is quoted on the event loop
_LONGEST = 1 << 24  # bytes of one reply
_PATIENCE_S = 5.0  # for one reply; after that it is not asked again
_START_S = 60.0  # until it is ready
_AGAIN_S = 60.0  # before another one is started in place of one that ended

log = logging.getLogger(__name__)


class CrowdedGenerator:
    """`router.ports.Generator` that quotes. here: on the event loop. crowded: whether several questions are under way.
    folder: of the index version. Belongs to one event loop at a time."""

    def __init__(self, here: Quoting, folder: Path, crowded: Callable[[], bool]) -> None:
        self.name = here.name
        self._here, self._folder, self._crowded = here, folder, crowded
        self._worker: _Worker | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def generate(self, question: Question, found: SearchResult) -> Draft:
        draft = await self._elsewhere(question.text, found) if self._crowded() else None
        return draft or self._here.quote(question.text, found)

    async def _elsewhere(self, question: str, found: SearchResult) -> Draft | None:
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep())
        return await self._worker.quote(question, found) if self._worker else None

    async def _keep(self) -> None:
        """One worker at a time, until `close`."""
        while True:
            why: object = "it ended"
            try:
                async with _running(self._folder) as self._worker:
                    await self._worker.listen()
            except (OSError, TimeoutError, ValueError) as error:  # not started, too slow, or not in our words
                why = error
            finally:
                self._worker = None
            log.warning("the process that quotes is missing for %g s, nothing else: %s", _AGAIN_S, why)
            await asyncio.sleep(_AGAIN_S)

    async def close(self) -> None:
        """What is under way there is not quoted any more."""
        if self._keeping is not None and not self._keeping.done():
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        self._here.close()


class _Worker:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process, self._asked, self._replies = process, process.stdin, process.stdout
        self._waiting: dict[int, asyncio.Future[Draft | None]] = {}
        self._numbers = itertools.count()

    async def quote(self, question: str, found: SearchResult) -> Draft | None:
        """None where it has enough to do, failed, or ended."""
        if len(self._waiting) >= _BEHIND:
            return None
        reply: asyncio.Future[Draft | None] = asyncio.get_running_loop().create_future()
        number = next(self._numbers)
        self._waiting[number] = reply
        try:
            self._asked.write(request(number, question, found))
            async with asyncio.timeout(_PATIENCE_S):
                return await reply
        except TimeoutError:
            self.kill()  # whoever listens to it knows then
            return None
        finally:
            del self._waiting[number]

    async def listen(self) -> None:
        """Until it ends."""
        while line := await self._replies.readline():
            number, draft = replied(line)
            self._resolve(number, draft)

    async def ready(self) -> None:
        async with asyncio.timeout(_START_S):
            if not await self._replies.readline():
                raise ChildProcessError(f"it ended with status {await self._process.wait()}")

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """What waits for it is told."""
        for number in self._waiting:
            self._resolve(number, None)
        self.kill()
        await self._process.wait()

    def _resolve(self, number: int, draft: Draft | None) -> None:
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(draft)


@contextlib.asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[_Worker]:
    """Raises OSError or TimeoutError where it does not start."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, *_WORKER, str(folder), stdin=pipe, stdout=pipe, limit=_LONGEST
    )
    worker = _Worker(process)
    try:
        await worker.ready()
        yield worker
    finally:
        await worker.end()
