"""The seams. Each Protocol says when it is called and what it may raise; `services.compose` picks the
implementation, and every implementation passes the same contract tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from router.types import CuratedMatch, Draft, Question, ReviewItem, SearchResult, Trace, Turn

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


@dataclass(frozen=True, slots=True)
class EnginePoint:
    """One passage as the engine stores it. key: 63-bit number made from the passage id; vectors: by channel."""

    key: int
    sparse: tuple[Sequence[int], Sequence[float]]
    vectors: Mapping[str, Vectors]
    payload: Mapping[str, Sequence[str]]  # "source", "document", "language": a filter matches any one of the values


@dataclass(frozen=True, slots=True)
class EngineQuery:
    """sparse: term ids and weights; vectors: the dense channels to ask; filters: payload values that must match."""

    sparse: tuple[Sequence[int], Sequence[float]]
    vectors: Mapping[str, Vectors]
    filters: Mapping[str, str]


Found = Mapping[str, tuple[Sequence[int], Sequence[float]]]
"""Channel → keys and raw scores, best first. The sparse channel is "bm25"."""


class PassageIndex(Protocol):
    """The engine below a version of the index: nearest passages per channel, nothing fused.

    Written by one index build, then only read. Raises `IndexUnavailable` when it cannot be opened or asked,
    with who holds it if that is why.
    """

    def upsert(self, points: Sequence[EnginePoint]) -> None: ...

    def delete(self, keys: Sequence[int]) -> None: ...

    def finish(self) -> None:
        """After the last write: build what makes search fast, and make everything durable."""
        ...

    def candidates(self, queries: Sequence[EngineQuery], limit: int) -> list[Found]:
        """At most `limit` per channel for each query."""
        ...

    def close(self) -> None: ...


class Engines(Protocol):
    """Makes and opens engines. dimensions: the dense channels with the length of their vectors."""

    def create(self, folder: Path, dimensions: Mapping[str, int]) -> PassageIndex:
        """A new, empty engine in a folder that is not there yet."""
        ...

    def derive(self, parent: Path, folder: Path, dimensions: Mapping[str, int]) -> PassageIndex:
        """A new engine in a folder that is not there yet, holding what the one in `parent` holds, with the same
        dimensions; nothing that is written to it reaches the parent. Raises `IndexUnavailable` as `open` does."""
        ...

    def open(self, folder: Path, dimensions: Mapping[str, int]) -> PassageIndex:
        """To be asked, not written to. Raises `IndexUnavailable` when the folder is missing, damaged, or held by
        another process."""
        ...

    def drop(self, folder: Path) -> None:
        """Delete what the engine of this folder keeps elsewhere, on a server for example; called before the folder is
        deleted, which may hold no engine yet."""
        ...


class Retriever(Protocol):
    """Called once a question. Raises `IndexUnavailable` when nothing can be searched. frugal: whether a channel that
    costs much may be left out where the others are sure."""

    async def search(
        self, question: str, limit: int, filters: Mapping[str, str], frugal: bool = False
    ) -> SearchResult: ...


class Curated(Protocol):
    """The curated store as one process sees it. Called once a question, before anything is searched; never raises:
    a store that cannot be read answers with what it read last."""

    async def match(self, question: str) -> CuratedMatch: ...


class Generator(Protocol):
    """Called with what was found, never without hits. Raises `GeneratorUnavailable`."""

    name: str

    async def generate(self, question: Question, found: SearchResult) -> Draft: ...


class Adviser(Protocol):
    """A model asked for something small beside answering. Raises `GeneratorUnavailable`; whoever asks goes on without.

    language: "zh" or "en".
    """

    async def same_question(self, first: str, second: str, language: str) -> float:
        """How probable it is, 0..1, that one answer is right for both."""
        ...

    async def whole_question(self, question: str, history: Sequence[Turn], language: str) -> str:
        """A follow-up as it reads without what was said before; the question as it is where nothing came."""
        ...


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
