"""The arrays of a new version: taken over from the parent where they can be, computed where they must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer.corpus_embedder import DIMENSION
from indexer.learning import Learned
from indexer.lexical import TermStatistics
from indexer.material import Material, Words
from indexer.runs import Rows, ranges
from indexer.vector_cache import VectorCache
from indexer.version import Arrays, key_of
from router.ports import Embedder, Progress

Halves = npt.NDArray[np.float16]
_CHUNK = 256  # passages embedded between two writes to the cache


def arrays_of(
    material: Material,
    learned: Learned,
    parent: Arrays | None,
    removed: Sequence[npt.NDArray[np.uint32]],
    cache: Path,
    embedder: Callable[[], Embedder],
    progress: Progress,
) -> tuple[Arrays, int]:
    """The arrays, and how many passages were embedded for them.

    removed: term ids of each passage of the parent that is gone. cache: where vectors are kept until the build is done.
    """
    units = _units(material, parent)
    dense, dense_units, has_dense, embedded = _dense(
        material, learned, parent, units.offsets, cache, embedder, progress
    )
    statistics = _statistics(material, parent, removed)
    return Arrays(
        keys=np.array([key_of(passage.id) for passage in material.passages], np.uint64),
        lengths=units.lengths,
        unit_offsets=units.offsets,
        unit_terms=units.terms,
        unit_term_offsets=units.term_offsets,
        term_ids=statistics.ids,
        term_counts=statistics.counts,
        corpus=_corpus(material, learned, parent),
        has_dense=has_dense,
        dense=dense,
        dense_units=dense_units,
    ), embedded


@dataclass(frozen=True)
class _Units:
    """The units of passages and their terms; fields as in `Arrays`."""

    lengths: npt.NDArray[np.int32]
    offsets: Rows
    term_offsets: Rows
    terms: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, words: Sequence[Words]) -> _Units:
        units = [unit for one in words for unit in one.units]
        return cls(
            lengths=np.array([len(one.terms) for one in words], np.int32),
            offsets=_offsets(np.array([len(one.units) for one in words], np.int64)),
            term_offsets=_offsets(np.array([len(unit) for unit in units], np.int64)),
            terms=np.concatenate(units) if units else np.empty(0, np.uint32),
        )

    def then(self, other: _Units) -> _Units:
        return _Units(
            np.concatenate((self.lengths, other.lengths)),
            np.concatenate((self.offsets, self.offsets[-1] + other.offsets[1:])),
            np.concatenate((self.term_offsets, self.term_offsets[-1] + other.term_offsets[1:])),
            np.concatenate((self.terms, other.terms)),
        )

    def take(self, rows: Rows) -> _Units:
        first, last = self.offsets[rows], self.offsets[rows + 1]
        units = ranges(first, last)
        begin, end = self.term_offsets[units], self.term_offsets[units + 1]
        return _Units(self.lengths[rows], _offsets(last - first), _offsets(end - begin), self.terms[ranges(begin, end)])


def _units(material: Material, parent: Arrays | None) -> _Units:
    """The parent's units where it holds the passage; those of new passages stand behind them while rows are picked."""
    new = _Units.of([material.words(row) for row in material.fresh])
    if parent is None:
        return new
    known = _Units(parent.lengths, parent.unit_offsets, parent.unit_term_offsets, parent.unit_terms)
    rows = material.parent_rows.copy()
    rows[material.fresh] = len(parent.keys) + np.arange(len(material.fresh))
    return known.then(new).take(rows)


def _statistics(material: Material, parent: Arrays | None, removed: Sequence[npt.NDArray[np.uint32]]) -> TermStatistics:
    """How many passages hold each term: the parent's counts, less what is gone, plus what is new."""
    added = [np.unique(material.words(row).terms) for row in material.fresh]
    plus = TermStatistics.of(added, len(added))
    if parent is None:
        return plus
    minus = TermStatistics.of([np.unique(terms) for terms in removed], len(removed))
    ids = np.unique(np.concatenate((parent.term_ids, plus.ids)))
    counts = np.zeros(len(ids), np.int32)
    counts[np.searchsorted(ids, parent.term_ids)] += parent.term_counts
    counts[np.searchsorted(ids, plus.ids)] += plus.counts
    known = np.isin(minus.ids, ids)
    counts[np.searchsorted(ids, minus.ids[known])] -= minus.counts[known]
    return TermStatistics(ids[counts > 0], counts[counts > 0], len(material.passages))


def _corpus(material: Material, learned: Learned, parent: Arrays | None) -> Halves:
    out = np.zeros((len(material.passages), DIMENSION), np.float16)
    if not learned.uses("corpus"):
        return out
    fresh = np.arange(len(out)) if learned.anew or parent is None else np.flatnonzero(material.parent_rows < 0)
    if parent is not None and not learned.anew:
        kept = material.parent_rows >= 0
        out[kept] = parent.corpus[material.parent_rows[kept]]
    out[fresh] = learned.corpus.embed([material.words(row).features for row in fresh.tolist()])
    return out


def _dense(
    material: Material,
    learned: Learned,
    parent: Arrays | None,
    offsets: Rows,
    cache: Path,
    embedder: Callable[[], Embedder],
    progress: Progress,
) -> tuple[Halves, Halves, npt.NDArray[np.bool_], int]:
    """Passage and unit vectors of the languages that use them."""
    has = np.array([learned.uses("dense", passage.language) for passage in material.passages], bool)
    if not learned.uses("dense"):  # not `has.any()`: questions may ask the channel when its last passage has gone
        return np.zeros((len(has), 0), np.float16), np.zeros((int(offsets[-1]), 0), np.float16), has, 0
    dimension = embedder().dimension
    dense = np.zeros((len(has), dimension), np.float16)
    dense_units = np.zeros((int(offsets[-1]), dimension), np.float16)
    known = np.zeros_like(has)
    if parent is not None and parent.has_dense.any():
        known = has & (material.parent_rows >= 0) & parent.has_dense[material.parent_rows]
        rows, old = np.flatnonzero(known), material.parent_rows[known]
        dense[rows] = parent.dense[old]
        there = ranges(parent.unit_offsets[old], parent.unit_offsets[old + 1])
        dense_units[ranges(offsets[rows], offsets[rows + 1])] = parent.dense_units[there]
    embedded = 0
    missing = np.flatnonzero(has & ~known).tolist()
    for row, passage, own in _embedded(material, missing, cache, embedder, progress):
        dense[row], dense_units[offsets[row] : offsets[row + 1]] = passage, own.reshape(-1, dimension)
        embedded += 1
    return dense, dense_units, has, embedded


def _embedded(
    material: Material, rows: Sequence[int], cache: Path, embedder: Callable[[], Embedder], progress: Progress
) -> Iterator[tuple[int, Halves, Halves]]:
    """(row, vector, unit vectors) of each row, from the cache or computed and then cached."""
    if not rows:
        return
    store = VectorCache(cache, embedder().dimension)
    try:
        by_id = {material.passages[row].id: row for row in rows}
        found = store.get(list(by_id))
        for key, (passage, own) in found.items():
            yield by_id[key], passage, own
        left = [row for key, row in by_id.items() if key not in found]
        for at in range(0, len(left), _CHUNK):
            progress("embed", len(found) + at, len(rows))
            chunk = left[at : at + _CHUNK]
            texts, spans = zip(*(material.index_text(row) for row in chunk), strict=True)
            passages, units = embedder().embed_passages(texts, spans)
            halves = [own.astype(np.float16) for own in units]
            store.put([material.passages[row].id for row in chunk], passages.astype(np.float16), halves)
            yield from zip(chunk, passages.astype(np.float16), halves, strict=True)
        progress("embed", len(rows), len(rows))
    finally:
        store.close()


def _offsets(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))
