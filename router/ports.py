"""The seams. Each Protocol says when it is called and what it may raise; `services.compose` picks the
implementation, and every implementation passes the same contract tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from router.types import Draft, Question, ReviewItem, SearchResult, Trace

if TYPE_CHECKING:  # the arrays that cross this seam are numpy's, but the router does not need numpy
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

Analyser = Callable[[str], Sequence[str]]
"""Text to search tokens, the same function for questions and passages."""


class Embedder(Protocol):
    """Text to unit-length vectors. Called by the index build (passages) and for each question.

    fingerprint: names the model and everything that changes its vectors; kept in the index manifest.
    Raises `Misconfigured` when the model cannot be loaded.
    """

    fingerprint: str
    dimension: int
    max_tokens: int

    def count_tokens(self, texts: Sequence[str]) -> list[int]: ...

    def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]
    ) -> tuple[Vectors, list[Vectors]]:
        """Vectors [n, dimension] for the texts, and for each text one row per span (character offsets)."""
        ...

    def embed_questions(self, texts: Sequence[str]) -> Vectors:
        """[n, dimension]; called in micro-batches of 1 to 32 on a serving thread."""
        ...


class Retriever(Protocol):
    """Called once a question. Raises `IndexUnavailable` when nothing can be searched."""

    async def search(self, question: str, limit: int, filters: Mapping[str, str]) -> SearchResult: ...


class Generator(Protocol):
    """Called with what was found, never without hits. Raises `GeneratorUnavailable`."""

    name: str

    async def generate(self, question: Question, found: SearchResult) -> Draft: ...


class Store(Protocol):
    """What must survive `kill -9`. Every write is durable when its call returns."""

    async def record(self, trace: Trace, review: ReviewItem | None) -> str | None:
        """The id of the review item that now holds the trace: `review`'s own, or that of an open one that asks
        the same; None without `review`."""
        ...

    async def add_feedback(self, trace_id: str, rating: str, comment: str) -> None:
        """Raises `NotFound` for an unknown trace."""
        ...


Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total) during long work."""

JsonObject = dict[str, Any]
