"""`router.ports.Curated`: the store's entries as this process sees them, with cosines where an embedder is given.

The same words need no embedder. A near question is embedded once; the vectors of the stored wordings are kept in one
matrix, made in the background when many are new, so that no answer waits for thousands of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
class Compared:
    """cosines: of the wordings nearest to a question. words_alone: why there are none; "" where the embedder spoke."""

    cosines: Mapping[str, float]
    words_alone: str = ""


_NOT_LOADED = Compared({}, "no embedder is loaded here")
_NO_EMBEDDER = Compared({}, "there is no embedder that the matching was fitted with")
_OTHER_LANGUAGE = Compared({}, "the embedder does not know the language of the question")
_NOTHING_KNOWN = Compared({}, "no question of the store is in a language that the embedder knows")
_BEING_MADE = Compared({}, "the vectors of the stored questions are still being made; try again in a minute")
_FAILED = "the embedder fails"


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

    def table(self, block: int) -> CosineTable:
        """block: how many rows are multiplied at once: many where all will be asked for, few where few will."""
        return CosineTable(self, block)

    def without(self, kept: Iterable[str]) -> WordingVectors:
        """Only the wordings that are kept."""
        wanted = set(kept)
        rows = [row for row, key in enumerate(self.keys) if key in wanted]
        return WordingVectors(tuple(self.keys[row] for row in rows), self.rows[rows])

    def with_more(self, keys: Sequence[str], rows: Vectors) -> WordingVectors:
        return WordingVectors((*self.keys, *keys), np.vstack([self.rows, rows]) if self.keys else rows)


class CosineTable:
    """The wordings beside each other: the normal form of one to what `WordingVectors.nearest` gives for its vector, {}
    for one without a vector. A block of rows is one matrix product, made when its first row is asked for. Ten thousand
    wordings keep 4 MB of it. Use from one thread."""

    def __init__(self, vectors: WordingVectors, block: int) -> None:
        self._vectors, self._block = vectors, block
        self._row = {key: row for row, key in enumerate(vectors.keys)}
        self._made: dict[int, tuple[Any, Any]] = {}  # block → rows of the nearest wordings, and their cosines

    def __call__(self, key: str) -> dict[str, float]:
        row = self._row.get(key)
        if row is None:
            return {}
        number, at = divmod(row, self._block)
        if number not in self._made:
            self._made[number] = self._nearest(number * self._block)
        keys = self._vectors.keys
        rows, cosines = self._made[number]
        return {keys[one]: cosine for one, cosine in zip(rows[at].tolist(), cosines[at].tolist(), strict=True)}

    def _nearest(self, begin: int) -> tuple[Any, Any]:
        rows = self._vectors.rows
        cosines = rows[begin : begin + self._block] @ rows.T
        most = min(NEAREST, len(rows))
        best = np.argpartition(cosines, -most, axis=1)[:, -most:]
        return best.astype(np.int32), np.take_along_axis(cosines, best, axis=1)


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
        self._making: asyncio.Task[str] | None = None

    async def match(self, question: str) -> CuratedMatch:
        """Never raises for what the embedder cannot do: then words alone decide."""
        entries = self._entries_of()
        if not entries.keys:
            return CuratedMatch(How.NONE, revision=entries.revision)
        key = entries.key_of(question)
        exact = entries.exact(key)
        return exact or entries.near(key, (await self.compared(entries, key)).cosines)

    async def compared(self, entries: Entries, key: str, wait: bool = False) -> Compared:
        """A question's normal form beside the wordings. wait: see `stored`. Never raises what the embedder raises."""
        if self._embed is None:
            return _NOT_LOADED
        if not self._knows(key):
            return _OTHER_LANGUAGE
        if wait and (why := (await self.stored(entries, wait))[1]):
            return Compared({}, why)
        return await self._cosines(key, entries, self._embed)

    async def stored(self, entries: Entries, wait: bool) -> tuple[WordingVectors | None, str]:
        """The vectors of all wordings, or None and why words alone decide. wait: for as many as are missing; else they
        are made in the background where that takes long, as for a question. Never raises what the embedder raises."""
        if self._embed is None:
            return None, _NOT_LOADED.words_alone
        if wait and self._making is not None and not self._making.done():
            await asyncio.wait([self._making])
        missing = [] if entries is self._seen else self._missing(entries)
        if len(missing) > _AT_ONCE and not wait:
            self._make_later(entries, missing, self._embed)
            return None, _BEING_MADE.words_alone
        if failed := await self._try_complete(entries, missing, self._embed):
            return None, failed
        if not self._vectors.keys:
            return None, _NOTHING_KNOWN.words_alone
        return (self._vectors, "") if self._vectors.rows.shape[1] else (None, _NO_EMBEDDER.words_alone)

    async def ready(self) -> None:
        """Makes the vectors of all present entries; for a warm start and for tests. Raises what the embedder raises."""
        entries = self._entries_of()
        if self._embed is not None:
            await self._complete(entries, self._missing(entries), self._embed)

    def _knows(self, key: str) -> bool:
        return bool(key) and ("zh" if HAN.search(key) else "en") in self._languages

    async def _cosines(self, key: str, entries: Entries, embed: Embed) -> Compared:
        """No cosines while the vectors of many new wordings are being made: half a store would give half the votes."""
        missing = [] if entries is self._seen else self._missing(entries)
        if not missing and not self._vectors.keys:
            return _NOTHING_KNOWN
        if len(missing) > _AT_ONCE:
            self._make_later(entries, missing, embed)
            return _BEING_MADE
        try:
            made = await embed([key, *missing])
        except AnswerloopError as error:
            return Compared({}, f"{_FAILED}: {error}")
        except Exception:  # whatever a model or its library raises: the question is answered all the same
            log.exception("a question could not be embedded")
            return Compared({}, f"{_FAILED}; the log says how")
        if not made.shape[1]:  # no embedder that the near stage was fitted with
            return _NO_EMBEDDER
        self._keep(entries, missing, made[1:])
        return Compared(self._vectors.nearest(made[0])) if self._vectors.keys else _NOTHING_KNOWN

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

    async def _try_complete(self, entries: Entries, missing: Sequence[str], embed: Embed) -> str:
        """Why it failed, or "". Then words alone decide until the next question tries again."""
        try:
            await self._complete(entries, missing, embed)
        except AnswerloopError as error:
            return f"{_FAILED}: {error}"
        except Exception:
            log.exception("the wordings of the curated store could not be embedded")
            return f"{_FAILED}; the log says how"
        return ""

    async def _complete(self, entries: Entries, missing: Sequence[str], embed: Embed) -> None:
        """In small batches: questions that come meanwhile are embedded between them."""
        made = [await embed(missing[at : at + _AT_ONCE]) for at in range(0, len(missing), _AT_ONCE)]
        self._keep(entries, missing, np.vstack(made) if made else self._vectors.rows[:0])
