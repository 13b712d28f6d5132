"""`router.ports.Adviser` by the current model of a fleet."""

from __future__ import annotations

from collections.abc import Sequence

from router import asides, prompt
from router.types import Turn
from services.generation.endpoints import Fleet
from services.generation.vllm import Vllm


class ModelAdviser:
    def __init__(self, client: Vllm, fleet: Fleet) -> None:
        self._client, self._fleet = client, fleet

    async def same_question(self, first: str, second: str, language: str) -> float:
        """Both orders are asked: a model that prefers the first or the last must not decide by that."""
        orders = ((first, second), (second, first))
        with self._fleet.borrow(first) as served:
            told = [
                await self._client.choose(served, asides.same_question(*pair, language), (asides.YES, asides.NO))
                for pair in orders
            ]
        return sum(one[asides.YES] for one in told) / len(told)

    async def whole_question(self, question: str, history: Sequence[Turn], language: str) -> str:
        with self._fleet.borrow(question) as served:
            written = await self._client.write(served, asides.whole_question(question, history, language))
        lines = [line.strip() for line in prompt.unescape(written.text).splitlines() if line.strip()]
        return lines[0] if lines and written.finish == "stop" else question
