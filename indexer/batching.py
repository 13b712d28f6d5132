"""Questions that wait are searched together, on one thread."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Mapping, Sequence

from indexer.search import Request, Searcher
from router.errors import Overloaded
from router.types import SearchResult

_BATCH = 32  # most questions in one micro-batch
_AT_ONCE = 8
"""Of them looked at by words at a time: those that are sure are being quoted while the next ones are looked at. With 8,
257 and 260 questions a second; with 4, 239 and 243; with all 32, 231 to 241 (`tests.bench.ask`, one machine)."""
_WAITING = 2_000  # most questions in the queue

_Waiting = tuple[Request, asyncio.AbstractEventLoop, asyncio.Future[SearchResult]]


class BatchingRetriever:
    """`router.ports.Retriever`: one thread searches, and takes all questions that wait in one batch.

    Many askers then share one pass of the embedder and one call of the engine, and a lone asker waits for nobody.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="search", daemon=True)
        self._thread.start()

    async def search(self, question: str, limit: int, filters: Mapping[str, str], frugal: bool = False) -> SearchResult:
        if self._waiting.qsize() >= _WAITING:
            raise Overloaded("too many questions are waiting to be searched; try again in a second")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[SearchResult] = loop.create_future()
        self._waiting.put((Request(question, limit, filters, frugal), loop, future))
        return await future

    def close(self) -> None:
        """Finishes what waits, then closes the searcher."""
        self._waiting.put(None)
        self._thread.join()
        self.searcher.close()

    def _run(self) -> None:
        with contextlib.suppress(Exception):  # the question that needs it will say what is wrong; the thread must live
            self.searcher.warm()
        while (first := self._waiting.get()) is not None:
            batch = [first]
            stop = False
            while len(batch) < _BATCH and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    stop = True
                    break
                batch.append(following)
            self._serve(batch)
            if stop:
                return

    def _serve(self, batch: Sequence[_Waiting]) -> None:
        """Those that words are sure of have their results while the others are still being embedded."""
        try:
            parts = (batch[begin : begin + _AT_ONCE] for begin in range(0, len(batch), _AT_ONCE))
            unsure = [each for part in parts for each in self._unsure(part)]
            _reply(unsure, self.searcher.search([request for request, _, _ in unsure]) if unsure else [])
        except Exception as error:  # noqa: BLE001 -- the asker gets it, the thread must live on
            if len(batch) > 1:  # one question must not fail the others of its batch
                for alone in batch:
                    self._serve([alone])
                return
            _, loop, future = batch[0]
            loop.call_soon_threadsafe(_fail, future, error)

    def _unsure(self, some: Sequence[_Waiting]) -> list[_Waiting]:
        """Those that still are to be embedded; the others have their results."""
        sure = self.searcher.by_words([request for request, _, _ in some])
        _reply(some, sure)
        return [each for each, result in zip(some, sure, strict=True) if result is None]


def _reply(batch: Sequence[_Waiting], results: Sequence[SearchResult | None]) -> None:
    """An event loop is woken once, however many of its questions have their results."""
    done: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[SearchResult], SearchResult]]] = {}
    for (_, loop, future), result in zip(batch, results, strict=True):
        if result is not None:
            done.setdefault(loop, []).append((future, result))
    for loop, pairs in done.items():
        loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: Sequence[tuple[asyncio.Future[SearchResult], SearchResult]]) -> None:
    for future, result in pairs:
        if not future.done():  # the asker may have gone
            future.set_result(result)


def _fail(future: asyncio.Future[SearchResult], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
