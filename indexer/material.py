"""The passages of a version under way, with their words as numbers, worked out when first asked for.

An incremental build asks only for the few new passages; everything about the others is in the parent's arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from indexer import chunking
from indexer.analysis import analyse, term_id
from indexer.corpus_embedder import features
from indexer.version import key_of
from router.types import Passage

Ids = npt.NDArray[np.uint32]


_HEADING = 2
"""How often BM25 counts the heading path: right page first for 0.76 of the PolarDB FAQ paraphrases instead of 0.71."""


@dataclass(frozen=True, slots=True)
class Words:
    """terms: of the whole index text, repeats kept. units: distinct terms of each unit, sorted.
    heading, unit_features, features: n-gram buckets for the corpus embedder, of the last heading, of each unit, and
    of the whole."""

    terms: Ids
    units: tuple[Ids, ...]
    heading: Ids
    unit_features: tuple[Ids, ...]
    features: Ids


@dataclass(frozen=True)
class Material:
    """parent_rows: int64 [n], each passage's row in the parent version, -1 for a new passage."""

    passages: Sequence[Passage]
    parent_rows: npt.NDArray[np.int64]
    _words: dict[int, Words] = field(default_factory=dict)

    @classmethod
    def of(cls, passages: Sequence[Passage], parent_keys: npt.NDArray[np.uint64] | None) -> Material:
        """parent_keys: the parent's `Arrays.keys`, or None."""
        rows: Mapping[int, int] = {}
        if parent_keys is not None:
            rows = {key: row for row, key in enumerate(parent_keys.tolist())}
        found = (rows.get(key_of(passage.id), -1) for passage in passages)
        return cls(passages, np.fromiter(found, np.int64, len(passages)))

    @property
    def fresh(self) -> list[int]:
        """Rows of the passages that the parent does not hold."""
        return [int(row) for row in np.flatnonzero(self.parent_rows < 0)]

    def index_text(self, row: int) -> tuple[str, list[tuple[int, int]]]:
        """What is embedded, and where its units stand in it."""
        return chunking.index_spans(self.passages[row])

    def words(self, row: int) -> Words:
        if row not in self._words:
            self._words[row] = _words(self.passages[row])
        return self._words[row]


def _words(passage: Passage) -> Words:
    text, spans = chunking.index_spans(passage)
    tokens: list[str] = []
    units: list[list[str]] = []
    at = len(chunking.heading_line(passage.heading))
    path = analyse(text[:at])
    tokens.extend(path * _HEADING)
    for start, end in spans:
        own = analyse(text[start:end])
        units.append(own)
        if start >= at:  # a heading that stands in the heading path has been counted there
            tokens.extend(analyse(text[at:start]))
            tokens.extend(own)
            at = end
    tokens.extend(analyse(text[at:]))
    heading = analyse(passage.heading[-1]) if passage.heading else []
    return Words(
        terms=_ids(tokens),
        units=tuple(np.unique(_ids(own)) for own in units),
        heading=features(heading),
        unit_features=tuple(features(own) for own in units),
        features=np.unique(features(tokens)),
    )


def _ids(tokens: Sequence[str]) -> Ids:
    return np.fromiter(map(term_id, tokens), np.uint32, len(tokens))
