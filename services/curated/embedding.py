"""Questions of many askers embedded together, off the event loop, for the near stage of curated matching."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from router.ports import Embedder, Vectors

_MOST = 64  # texts in one pass


class TogetherEmbedder:
    """While one pass runs, whoever comes waits for the next, which takes all of them. Use from one event loop.

    load: gives the embedder, or None where it is not the one that the near stage was fitted with; called on a thread,
    when the first question needs it.
    """

    def __init__(self, load: Callable[[], Embedder | None]) -> None:
        self._load = load
        self._waiting: list[tuple[Sequence[str], asyncio.Future[Vectors]]] = []
        self._working: asyncio.Task[None] | None = None

    async def __call__(self, texts: Sequence[str]) -> Vectors:
        """[n, dimension], unit length; [n, 0] without an embedder. Raises what the embedder raises."""
        future: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        self._waiting.append((texts, future))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            group = self._take()
            texts = [text for some, _ in group for text in some]
            try:
                rows = await asyncio.to_thread(self._embed, texts)
            except Exception as error:  # noqa: BLE001 -- each asker gets it, the worker goes on
                for _, future in group:
                    _fail(future, error)
                continue
            at = 0
            for some, future in group:
                if not future.done():
                    future.set_result(rows[at : at + len(some)])
                at += len(some)

    def _take(self) -> list[tuple[Sequence[str], asyncio.Future[Vectors]]]:
        group = [self._waiting.pop(0)]
        while self._waiting and sum(len(some) for some, _ in group) < _MOST:
            group.append(self._waiting.pop(0))
        return group

    def _embed(self, texts: Sequence[str]) -> Vectors:
        embedder = self._load()
        return embedder.embed_questions(texts) if embedder else np.zeros((len(texts), 0), np.float32)


def _fail(future: asyncio.Future[Vectors], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
