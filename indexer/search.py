"""A question in, ranked passages out. `Searcher` answers micro-batches on one thread; `indexer.batching` makes them.

One search: tokens and vectors of the question; the engine's nearest per channel; every channel's score for every
candidate, the best unit of the best ones; fused by the weights that were measured for the question's language. A frugal
one looks first whether words alone are sure (`indexer.sureness`): embedding is half of what a search costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from indexer import fusion, lexical, sureness
from indexer.above import Above
from indexer.analysis import analyse_question, question_language, term_id
from indexer.content import Content
from indexer.corpus_embedder import CorpusEmbedder
from indexer.halves import widened
from indexer.rerank import Asked, Reranker, packaged
from indexer.runs import best_of_runs, ranges
from indexer.version import Arrays, Manifest, read_manifest
from router.confidence import BM25_CEILING
from router.errors import IndexUnavailable
from router.ports import Embedder, EngineQuery, Found, PassageIndex
from router.types import Hit, Location, Passage, SearchResult

_PER_CHANNEL = 60  # candidates asked of the engine, per channel
_RESCORED = 40  # of the candidates, by whole-passage scores, whose units are looked at
_PLACE = frozenset({"source", "document"})  # filters that speak of a passage's place

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Request:
    """frugal: whether the text embedder is left out where words alone are sure."""

    question: str
    limit: int
    filters: Mapping[str, str]
    frugal: bool = False


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One question on its way: `ids` are its distinct term ids, sorted, with their idf."""

    request: Request
    language: str
    weights: Mapping[str, float]
    tokens: list[str]
    ids: npt.NDArray[np.uint32]
    idf: Floats
    dense: Floats | None
    corpus: Floats | None


class _Place(NamedTuple):
    """A passage that was found, by its row; the rest as in `Hit`."""

    row: int
    scores: dict[str, float]
    fused: float
    best_unit: int | None
    unit_cosines: tuple[float, ...]


Ranking = list[_Place]
"""Best first."""


@dataclass(frozen=True, slots=True)
class _Units:
    """The units of some passages, those of passage p at starts[p] to starts[p + 1]. lexical: BM25 of each; cosines:
    None where the text embedder was not asked. top: what BM25 is divided by beside a cosine."""

    starts: Rows
    lexical: Floats
    cosines: Floats | None
    top: float

    def best(self, at: int) -> int | None:
        """Number of the best unit of a passage."""
        own = slice(self.starts[at], self.starts[at + 1])
        both = self.lexical[own] / self.top
        if self.cosines is not None:
            both = both + self.cosines[own]
        return int(both.argmax()) if len(both) else None

    def near(self, at: int) -> tuple[float, ...]:
        """Cosines of a passage's units, nothing where the text embedder was not asked."""
        if self.cosines is None:
            return ()
        return tuple(self.cosines[self.starts[at] : self.starts[at + 1]].round(4).tolist())


@dataclass(frozen=True, slots=True)
class _Ranked:
    """timings: milliseconds by stage, of the whole batch."""

    one: _Prepared
    hits: Ranking
    timings: Mapping[str, float]


class Searcher:
    """Serves one index version. Not thread-safe: one thread searches.

    embedder: called when the first question needs it, so a server whose languages give the dense channel no weight
    never loads the model.
    """

    def __init__(self, folder: Path, engine: PassageIndex, embedder: Callable[[], Embedder]) -> None:
        self.manifest: Manifest = read_manifest(folder)
        self._engine = engine
        self._embedder = embedder
        self._content = Content(folder / "content.db")
        self._arrays = Arrays.load(folder / "arrays")
        self._order = np.argsort(self._arrays.keys)
        self._keys = np.asarray(self._arrays.keys)[self._order]
        arrays = self._arrays
        self._statistics = lexical.TermStatistics(
            np.asarray(arrays.term_ids), np.asarray(arrays.term_counts), len(self._keys)
        )
        self._unit_offsets = np.asarray(arrays.unit_offsets)
        self._unit_term_offsets = np.asarray(arrays.unit_term_offsets)
        self._has_dense = np.asarray(arrays.has_dense)
        uses_corpus = "corpus" in self.manifest.dimensions
        self._corpus = CorpusEmbedder.load(folder / "corpus") if uses_corpus else None
        above = Above.load(folder, self._content)
        self._pages = np.asarray(above.pages)
        self.reranker = Reranker(arrays, above, packaged())
        self.reranker.warm(self.manifest.weights)
        self.sureness = sureness.packaged()

    @property
    def content(self) -> Content:
        return self._content

    @property
    def corpus_embedder(self) -> CorpusEmbedder | None:
        return self._corpus

    @property
    def version(self) -> str:
        return self.manifest.id

    def close(self) -> None:
        self._engine.close()
        self._content.close()

    def warm(self) -> None:
        """Loads the text embedder, where a language gives it weight: else the first question waits for it."""
        if any(weights.get("dense") for weights in self.manifest.weights.values()):
            self._embed(["warm"])

    def search(self, requests: Sequence[Request]) -> list[SearchResult]:
        """Results in the order of the requests; `limit` hits at most, best first."""
        return self._results(self._ranked(requests, [self._weights(request) for request in requests]))

    def by_words(self, requests: Sequence[Request]) -> list[SearchResult | None]:
        """What is found without the text embedder, for the frugal requests where that is sure. None for all others:
        they are still to be searched."""
        out: list[SearchResult | None] = [None] * len(requests)
        places = [at for at, one in enumerate(requests) if one.frugal and self._weights(one).get("dense")]
        ranked = self._ranked_by_words([requests[at] for at in places])
        sure = [(at, each) for at, each in zip(places, ranked, strict=True) if self._is_sure(each)]
        for (at, _), result in zip(sure, self._results([each for _, each in sure]), strict=True):
            out[at] = result
        return out

    def ranked_by_words(self, requests: Sequence[Request]) -> list[tuple[dict[str, float] | None, SearchResult]]:
        """What is found without the text embedder, sure or not, with the signs of `indexer.sureness`; None for the
        signs where nothing is found. For measuring."""
        ranked = self._ranked_by_words(requests)
        found = self._results(ranked)
        return [(self._signs(one) if one.hits else None, each) for one, each in zip(ranked, found, strict=True)]

    def _ranked_by_words(self, requests: Sequence[Request]) -> list[_Ranked]:
        return self._ranked(requests, [_without_dense(self._weights(one)) for one in requests]) if requests else []

    def _weights(self, request: Request) -> Mapping[str, float]:
        return self.manifest.weights_for(question_language(request.question))

    def _is_sure(self, ranked: _Ranked) -> bool:
        return bool(ranked.hits) and self.sureness.is_sure(self._signs(ranked))

    def _signs(self, ranked: _Ranked) -> dict[str, float]:
        first = ranked.hits[0]
        page = self._pages[first.row]
        others = [(each.scores["bm25"], each.fused) for each in ranked.hits if self._pages[each.row] != page]
        bm25, fused = max(own for own, _ in others) if others else 0.0, others[0][1] if others else 0.0
        return sureness.signs(first.scores, first.fused, bm25, fused, float(ranked.one.idf.sum()) * BM25_CEILING)

    def _ranked(self, requests: Sequence[Request], weights: Sequence[Mapping[str, float]]) -> list[_Ranked]:
        begun = time.perf_counter()
        prepared = self._prepare(requests, weights)
        embedded = time.perf_counter()
        found = self._engine.candidates([_engine_query(one) for one in prepared], _PER_CHANNEL)
        asked = time.perf_counter()
        ranked = [self._rank(one, candidates) for one, candidates in zip(prepared, found, strict=True)]
        done = time.perf_counter()
        timings = {
            "embed": (embedded - begun) * 1e3,
            "engine": (asked - embedded) * 1e3,
            "rank": (done - asked) * 1e3,
        }
        return [_Ranked(one, hits, timings) for one, hits in zip(prepared, ranked, strict=True)]

    def _results(self, ranked: Sequence[_Ranked]) -> list[SearchResult]:
        passages = self._passages([each.hits for each in ranked])
        return [self._result(each, passages) for each in ranked]

    def _prepare(self, requests: Sequence[Request], weights: Sequence[Mapping[str, float]]) -> list[_Prepared]:
        languages = [question_language(request.question) for request in requests]
        tokens = [analyse_question(request.question) for request in requests]
        dense = self._vectors("dense", weights, lambda rows: self._embed([requests[row].question for row in rows]))
        corpus = self._vectors("corpus", weights, lambda rows: self._embed_corpus([tokens[row] for row in rows]))
        prepared = []
        for row, request in enumerate(requests):
            ids = np.unique(np.fromiter(map(term_id, tokens[row]), np.uint32))
            idf = self._statistics.idf(ids)
            prepared.append(
                _Prepared(request, languages[row], weights[row], tokens[row], ids, idf, dense[row], corpus[row])
            )
        return prepared

    def _vectors(
        self, channel: str, weights: Sequence[Mapping[str, float]], embed: Callable[[list[int]], Floats]
    ) -> list[Floats | None]:
        """One vector per question, None where the channel has no weight for its language."""
        out: list[Floats | None] = [None] * len(weights)
        rows = [row for row, weight in enumerate(weights) if weight.get(channel)]
        if rows:
            for row, vector in zip(rows, embed(rows), strict=True):
                out[row] = vector
        return out

    def _embed(self, questions: Sequence[str]) -> Floats:
        return np.asarray(self._embedder().embed_questions(questions), np.float32)

    def _embed_corpus(self, tokens: Sequence[Sequence[str]]) -> Floats:
        if self._corpus is None:
            raise IndexUnavailable(f"index version {self.version}: its corpus embedder is missing")
        return self._corpus.embed_questions(tokens)

    def _rank(self, one: _Prepared, found: Found) -> Ranking:
        rows = self._rows(found)
        if not len(rows):
            return []
        scores = self._passage_scores(one, found, rows)
        first = fusion.fuse(fusion.scale_each(scores), _passage_weights(one))
        keep = np.argsort(-first, kind="stable")[: max(_RESCORED, one.request.limit)]
        rows, scores = rows[keep], {name: values[keep] for name, values in scores.items()}
        units = self._units(one, rows)
        unit = best_of_runs(units.lexical, units.starts)
        channels = {name: values for name, values in scores.items() if name != "dense"} | {"unit": unit}
        if units.cosines is not None:
            scores["dense_unit"] = best_of_runs(units.cosines, units.starts)
            channels["dense"] = fusion.dense(scores["dense"], scores["dense_unit"])
        scores["unit"] = unit
        scaled = fusion.scale_each(channels)
        fused = self._reranked(one, rows, scaled, fusion.fuse(scaled, one.weights))
        order = np.argsort(-fused, kind="stable")[: one.request.limit]
        return [
            _Place(
                int(rows[at]),
                {name: round(float(values[at]), 5) for name, values in scores.items()},
                float(fused[at]),
                units.best(int(at)),
                units.near(int(at)),
            )
            for at in order
        ]

    def _reranked(self, one: _Prepared, rows: Rows, scaled: Mapping[str, Floats], fused: Floats) -> Floats:
        asked = Asked(one.request.question, one.tokens, one.ids, one.idf, one.language)
        return self.reranker.rank(asked, rows, scaled, fused)

    def _rows(self, found: Found) -> Rows:
        """The candidates of all channels, each once, in row order: equal scores then always come out the same way."""
        keys = {key for keys, _ in found.values() for key in keys}
        at = np.searchsorted(self._keys, np.fromiter(keys, np.uint64, len(keys)))
        return np.sort(np.asarray(self._order[np.minimum(at, len(self._keys) - 1)], np.int64))

    def _passage_scores(self, one: _Prepared, found: Found, rows: Rows) -> dict[str, Floats]:
        """Channel → score of every candidate, also of those that another channel brought."""
        scores = {"bm25": self._bm25(found, rows)}
        if one.dense is not None:
            cosines = widened(self._arrays.dense[rows]) @ one.dense
            scores["dense"] = np.where(self._has_dense[rows], cosines, np.float32(0))
        if one.corpus is not None:
            scores["corpus"] = widened(self._arrays.corpus[rows]) @ one.corpus
        return scores

    def _bm25(self, found: Found, rows: Rows) -> Floats:
        """What the engine said; a candidate that is not in its list has at most its last score, and gets half of it
        (or 0 when the list is not full: then the passage holds no word of the question)."""
        keys, values = found.get("bm25", ((), ()))
        known = dict(zip(keys, values, strict=True))
        missing = values[-1] / 2 if len(values) >= _PER_CHANNEL else 0.0
        own = self._arrays.keys[rows].tolist()
        return np.array([known.get(key, missing) for key in own], np.float32)

    def _units(self, one: _Prepared, rows: Rows) -> _Units:
        begin, end = self._unit_offsets[rows], self._unit_offsets[rows + 1]
        units = ranges(begin, end)
        starts = np.concatenate(([0], np.cumsum(end - begin)))
        lexically = self._unit_lexical(one, units)
        cosines = None if one.dense is None else widened(self._arrays.dense_units[units]) @ one.dense
        return _Units(starts, lexically, cosines, max(float(lexically.max(initial=0.0)), 1e-6))

    def _unit_lexical(self, one: _Prepared, units: Rows) -> Floats:
        begin, end = self._unit_term_offsets[units], self._unit_term_offsets[units + 1]
        terms = self._arrays.unit_terms[ranges(begin, end)]
        offsets = np.concatenate(([0], np.cumsum(end - begin)))
        return lexical.unit_scores(terms, offsets, self.manifest.unit_terms, one.ids, one.idf)

    def _passages(self, ranked: Sequence[Ranking]) -> dict[int, Passage]:
        rows = list({place.row for places in ranked for place in places})
        return dict(zip(rows, self._content.passages(rows), strict=True))

    def _result(self, ranked: _Ranked, passages: Mapping[int, Passage]) -> SearchResult:
        one = ranked.one
        idf = dict(zip(one.ids.tolist(), one.idf.tolist(), strict=True))
        return SearchResult(
            hits=tuple(
                Hit(there, place.scores, place.fused, place.best_unit, place.unit_cosines)
                for place in ranked.hits
                if (there := _where_asked(passages[place.row], one.request.filters))
            ),
            terms={token: idf[term_id(token)] for token in one.tokens},
            language=one.language,
            index_version=self.version,
            timings_ms=ranked.timings,
        )


def _where_asked(passage: Passage, filters: Mapping[str, str]) -> Passage | None:
    """The passage at the first of its places that the filters allow; None when no single place has all they ask."""
    if _PLACE.isdisjoint(filters):
        return passage
    own = Location(passage.document, passage.start, passage.end)
    places = [own, *passage.also_at]
    for at, place in enumerate(places):
        allowed = {"source": place.path.split("/", 1)[0], "document": place.path}
        if all(filters.get(name, value) == value for name, value in allowed.items()):
            others = (*places[:at], *places[at + 1 :])
            return replace(passage, document=place.path, start=place.start, end=place.end, also_at=others)
    return None


def _engine_query(one: _Prepared) -> EngineQuery:
    vectors = {name: vector for name, vector in (("dense", one.dense), ("corpus", one.corpus)) if vector is not None}
    ids = one.ids.tolist()
    return EngineQuery((ids, [1.0] * len(ids)), vectors, one.request.filters)


def _without_dense(weights: Mapping[str, float]) -> dict[str, float]:
    rest = {name: weight for name, weight in weights.items() if name != "dense"}
    total = sum(rest.values()) or 1.0
    return {name: weight / total for name, weight in rest.items()}


def _passage_weights(one: _Prepared) -> dict[str, float]:
    """The weights while no unit has been looked at: its BM25 stands in for the unit's."""
    weights = dict(one.weights)
    weights["bm25"] = weights.get("bm25", 0.0) + weights.pop("unit", 0.0)
    return weights
