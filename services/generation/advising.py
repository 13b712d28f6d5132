"""`router.ports.Adviser` by the current model of a fleet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from router import asides, prompt
from router.errors import GeneratorUnavailable
from router.types import Turn
from services.generation.endpoints import Fleet, Served
from services.generation.vllm import Vllm

_WAIT_S = 3.0  # people wait for their answer meanwhile, and without advice the rules' word counts


class ModelAdviser:
    """Raises `GeneratorUnavailable` also when nothing was said within `_WAIT_S`."""

    def __init__(self, client: Vllm, fleet: Fleet) -> None:
        self._client, self._fleet = client, fleet

    async def same_question(self, first: str, second: str, language: str) -> float:
        """Both orders are asked: a model that prefers the first or the last must not decide by that."""
        orders = ((first, second), (second, first))
        async with self._in_time(first) as served:
            told = [
                await self._client.choose(served, asides.same_question(*pair, language), (asides.YES, asides.NO))
                for pair in orders
            ]
        return sum(one[asides.YES] for one in told) / len(told)

    async def whole_question(self, question: str, history: Sequence[Turn], language: str) -> str:
        async with self._in_time(question) as served:
            written = await self._client.write(served, asides.whole_question(question, history, language))
        lines = [line.strip() for line in prompt.unescape(written.text).splitlines() if line.strip()]
        return lines[0] if lines and written.finish == "stop" else question

    @asynccontextmanager
    async def _in_time(self, question: str) -> AsyncIterator[Served]:
        with self._fleet.borrow(question) as served:
            try:
                async with asyncio.timeout(_WAIT_S):
                    yield served
            except TimeoutError as error:
                raise GeneratorUnavailable(f"no advice within {_WAIT_S:g} s") from error
