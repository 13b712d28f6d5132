"""`router.ports.Curated`: the store's entries as this process sees them, with cosines where an embedder is given.

The same words need no embedder. A near question is embedded once; the vectors of the stored wordings are kept in one
matrix, made in the background when many are new, so that no answer waits for thousands of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from router.curated import Entries
from router.curated_text import HAN
from router.errors import AnswerloopError
from router.types import CuratedMatch, How

if TYPE_CHECKING:
    from router.ports import Vectors

log = logging.getLogger("answerloop.curated")

Embed = Callable[[Sequence[str]], Awaitable["Vectors"]]
"""Texts to unit-length vectors [n, dimension]."""

NEAREST = 50  # wordings whose cosines are handed on: several times what votes
_AT_ONCE = 32  # new wordings that are embedded together with the question; more are made in the background


@dataclass(frozen=True, slots=True)
class WordingVectors:
    """The normal forms of wordings and their vectors, row by row."""

    keys: tuple[str, ...]
    rows: Vectors

    def nearest(self, vector: Vectors) -> dict[str, float]:
        """The `NEAREST` wordings and their cosines to a unit-length vector [dimension]."""
        cosines = self.rows @ vector
        if len(cosines) > NEAREST:
            best = np.argpartition(cosines, -NEAREST)[-NEAREST:]
            return {self.keys[row]: float(cosines[row]) for row in best}
        return {key: float(cosine) for key, cosine in zip(self.keys, cosines, strict=True)}

    def without(self, kept: Iterable[str]) -> WordingVectors:
        """Only the wordings that are kept."""
        wanted = set(kept)
        rows = [row for row, key in enumerate(self.keys) if key in wanted]
        return WordingVectors(tuple(self.keys[row] for row in rows), self.rows[rows])

    def with_more(self, keys: Sequence[str], rows: Vectors) -> WordingVectors:
        return WordingVectors((*self.keys, *keys), np.vstack([self.rows, rows]) if self.keys else rows)


class Matcher:
    """Use from one event loop. languages: those that the embedder knows; the packaged one knows English only."""

    def __init__(
        self,
        entries_of: Callable[[], Entries],
        embed: Embed | None = None,
        languages: frozenset[str] = frozenset({"en"}),
    ) -> None:
        self._entries_of = entries_of
        self._embed = embed
        self._languages = languages
        self._vectors = WordingVectors((), np.zeros((0, 0), np.float32))
        self._seen: Entries | None = None  # the entries that the vectors are complete for
        self._making: asyncio.Task[None] | None = None

    async def match(self, question: str) -> CuratedMatch:
        """Never raises for what the embedder cannot do: then words alone decide."""
        entries = self._entries_of()
        if not entries.keys:
            return CuratedMatch(How.NONE, revision=entries.revision)
        key = entries.key_of(question)
        exact = entries.exact(key)
        if exact or self._embed is None or not self._knows(key):
            return exact or entries.near(key, {})
        return entries.near(key, await self._cosines(key, entries, self._embed))

    async def ready(self) -> None:
        """Makes the vectors of all present entries; for a warm start and for tests. Raises what the embedder raises."""
        entries = self._entries_of()
        if self._embed is not None:
            await self._complete(entries, self._missing(entries), self._embed)

    def _knows(self, key: str) -> bool:
        return bool(key) and ("zh" if HAN.search(key) else "en") in self._languages

    async def _cosines(self, key: str, entries: Entries, embed: Embed) -> dict[str, float]:
        """{} while the vectors of many new wordings are being made: half a store would give half the votes."""
        missing = [] if entries is self._seen else self._missing(entries)
        if not missing and not self._vectors.keys:
            return {}
        if len(missing) > _AT_ONCE:
            self._make_later(entries, missing, embed)
            return {}
        try:
            made = await embed([key, *missing])
        except AnswerloopError:
            return {}
        except Exception:  # whatever a model or its library raises: the question is answered all the same
            log.exception("a question could not be embedded")
            return {}
        if not made.shape[1]:  # no embedder that the near stage was fitted with
            return {}
        self._keep(entries, missing, made[1:])
        return self._vectors.nearest(made[0]) if self._vectors.keys else {}

    def _missing(self, entries: Entries) -> list[str]:
        have = set(self._vectors.keys)
        return [key for key in entries.keys if key not in have and self._knows(key)]

    def _keep(self, entries: Entries, keys: Sequence[str], rows: Vectors) -> None:
        """Wordings that are gone leave first, so that they take no votes."""
        if entries is self._seen:
            return
        have = set(self._vectors.keys)
        new = [number for number, key in enumerate(keys) if key not in have]
        if any(key not in entries.keys for key in have):
            self._vectors = self._vectors.without(entries.keys)
        if new:
            self._vectors = self._vectors.with_more([keys[number] for number in new], rows[new])
        self._seen = entries

    def _make_later(self, entries: Entries, missing: Sequence[str], embed: Embed) -> None:
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._try_complete(entries, missing, embed))

    async def _try_complete(self, entries: Entries, missing: Sequence[str], embed: Embed) -> None:
        try:
            await self._complete(entries, missing, embed)
        except AnswerloopError:
            return  # words alone decide until the next question tries again
        except Exception:
            log.exception("the wordings of the curated store could not be embedded")

    async def _complete(self, entries: Entries, missing: Sequence[str], embed: Embed) -> None:
        """In small batches: questions that come meanwhile are embedded between them."""
        made = [await embed(missing[at : at + _AT_ONCE]) for at in range(0, len(missing), _AT_ONCE)]
        self._keep(entries, missing, np.vstack(made) if made else self._vectors.rows[:0])
