"""Many askers share a pass of the embedder, each gets their own rows, and a failure reaches those it belongs to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from router.errors import Unavailable
from services.curated.embedding import TogetherEmbedder

if TYPE_CHECKING:
    from router.ports import Vectors


class Lengths:
    """A text's vector is its length; slow, so that others come meanwhile."""

    fingerprint, dimension, max_tokens = "lengths", 1, 10

    def __init__(self) -> None:
        self.passes: list[int] = []

    def embed_questions(self, texts: Sequence[str]) -> Vectors:
        time.sleep(0.02)
        self.passes.append(len(texts))
        if "bad" in texts:
            raise Unavailable("no model")
        return np.array([[len(text)] for text in texts], np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        raise NotImplementedError

    def embed_passages(self, texts: Sequence[str], spans: object) -> tuple[Vectors, list[Vectors]]:
        raise NotImplementedError


def test_those_who_come_meanwhile_go_together() -> None:
    embedder = Lengths()

    async def story() -> list[Vectors]:
        together = TogetherEmbedder(lambda: embedder)
        return await asyncio.gather(*(together(["x" * at] * 2) for at in range(20)))

    rows = asyncio.run(story())
    assert [one.tolist() for one in rows] == [[[at], [at]] for at in range(20)]
    assert len(embedder.passes) <= 3


def test_a_failure_reaches_its_asker_and_the_next_one_is_served() -> None:
    async def story() -> None:
        together = TogetherEmbedder(Lengths)
        with pytest.raises(Unavailable, match="no model"):
            await together(["bad"])
        assert (await together(["fine"])).tolist() == [[4.0]]

    asyncio.run(story())


def test_without_an_embedder_there_is_nothing_to_compare() -> None:
    assert asyncio.run(TogetherEmbedder(lambda: None)(["x", "y"])).shape == (2, 0)
