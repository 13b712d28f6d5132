"""The few words inside the best units that answer: "1945年", "seven days", a name, a clause.

Every span of the best units' texts has a score, linear in what its first and last words are, what stands around it, how
near the question's words are and how it looks, with weights of their own for each sort of question. Of the spans that
score best, the one that shares most with the others, weighted by their probability, is taken: when the reading is
unsure where an answer ends, that is the longer one. The weights are fitted by `python -m tests.bench.fit_spans`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import numpy as np

from router.kinds import Kind
from services.generation.cutting import Cut, Cutter, Floats, Ints
from services.generation.span_features import BEGIN, END, INSIDE, SORTS, Asked, Places, asked, inside, places

READ = 2  # units that are read; with 3 or 4 the spans of English questions got worse (F1 0.44, 0.42, 0.39)
_TRIED = 16  # places to begin and places to end that are tried with each other
_WEIGHED = 40  # spans whose agreement is looked at
_HOT = 2048  # texts kept cut: about 5 kB each
_SCALE = 3.0  # log-odds of units, to be of the size of the other features


@dataclass(frozen=True, slots=True)
class Span:
    """text: number of the text it stands in, from 0; start, end: its characters there. sure: what it shares with the
    right span in words, as expected, 0..1. here: probability that the answer stands in each of the texts, if it stands
    in one of them. whole: it is all of its text."""

    text: int
    start: int
    end: int
    sure: float
    here: tuple[float, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class Weights:
    """words: [vocabulary + 1, sorts + 1], row 0 for what is not in it; begin, end, inside: [features, sorts + 1].
    Column 0 counts for every sort, column 1 + s for sort s besides."""

    words: Floats
    begin: Floats
    end: Floats
    inside: Floats

    def of(self, sort: int) -> Weights:
        """The weights for one sort: one column."""
        parts = (self.words, self.begin, self.end, self.inside)
        return Weights(*(part[:, 0] + part[:, 1 + sort] for part in parts))


class Model:
    """The reading of one language. vocabulary: name → row of `weights.words`. longest: tokens of a span. line: the
    `Span.sure` from which a span is put in front."""

    def __init__(self, vocabulary: Mapping[str, int], weights: Weights, longest: int, line: float) -> None:
        self.line, self._longest = line, longest
        self._weights = [weights.of(sort) for sort in range(len(SORTS))]
        self.cut = lru_cache(maxsize=_HOT)(Cutter(vocabulary))

    def best(self, question: Asked, texts: Sequence[str], scores: Sequence[float]) -> Span | None:
        """scores: log-odds of each text, the highest first. None when no text has a word."""
        cuts = [self.cut(text) for text in texts]
        found, kept = places_of(cuts, question)
        if found is None:
            return None
        weights = self._weights[question.sort]
        edges = edge_scores(found, weights)
        first, last = spans(found, edges, _TRIED, self._longest)
        if not len(first):
            return None
        score = span_scores(found, weights, edges, first, last, prior(scores)[kept])[0]
        return _agreed(found, kept, cuts, first, last, score)


def places_of(cuts: Sequence[Cut], question: Asked) -> tuple[Places | None, list[int]]:
    """The places of the texts that have any, and the numbers of those texts."""
    kept = [number for number, one in enumerate(cuts) if one.words]
    return (places([cuts[number] for number in kept], question) if kept else None), kept


def prior(scores: Sequence[float]) -> Floats:
    """[texts, 2], see `inside`."""
    return np.array([[(score - max(scores)) / _SCALE, number == 0] for number, score in enumerate(scores)], np.float32)


def edge_scores(found: Places, weights: Weights) -> tuple[Floats, Floats]:
    """The score of beginning and of ending at each token."""
    begin = weights.words[found.before].sum(axis=1) + found.begin @ weights.begin
    end = weights.words[found.after].sum(axis=1) + found.end @ weights.end
    return begin, end


def spans(found: Places, edges: tuple[Floats, Floats], tried: int, longest: int) -> tuple[Ints, Ints]:
    """First and last tokens of the spans from one of the best places to begin to one of the best to end."""
    firsts = np.argsort(np.where(found.opens, -edges[0], np.inf))[:tried]
    lasts = np.argsort(np.where(found.closes, -edges[1], np.inf))[:tried]
    first, last = np.repeat(firsts, len(lasts)), np.tile(lasts, len(firsts))
    fits = (first <= last) & (last - first < longest) & (found.text[first] == found.text[last])
    fits &= found.opens[first] & found.closes[last]
    return first[fits], last[fits]


def span_scores(
    found: Places, weights: Weights, edges: tuple[Floats, Floats], first: Ints, last: Ints, prior: Floats
) -> tuple[Floats, Floats]:
    """The score of each span, and the features of what it holds. edges: see `edge_scores`."""
    features = inside(found, first, last, prior)
    return edges[0][first] + edges[1][last] + features @ weights.inside, features


def _agreed(found: Places, kept: Sequence[int], cuts: Sequence[Cut], first: Ints, last: Ints, score: Floats) -> Span:
    best = np.argsort(-score)[:_WEIGHED]
    first, last = first[best], last[best]
    odds = np.exp(score - score.max())
    chance = odds[best] / odds.sum()
    whole = len(best)  # the numbers from here on are whole texts
    from_, to = np.concatenate([first, found.edges[:-1]]), np.concatenate([last, found.edges[1:] - 1])
    sure = shared(found, from_, to, first, last) @ chance
    taken = int(sure.argmax())
    here = np.zeros(len(cuts))
    np.add.at(here, np.array(kept)[found.text[first]], chance)
    number = kept[int(found.text[from_[taken]])]
    offset = int(found.edges[found.text[from_[taken]]])
    marks = cuts[number].spans
    start, end = marks[int(from_[taken]) - offset][0], marks[int(to[taken]) - offset][1]
    return Span(number, start, end, min(float(sure[taken]), 1.0), tuple(here.tolist()), taken >= whole)


def shared(found: Places, first: Ints, last: Ints, other_first: Ints, other_last: Ints) -> Floats:
    """[spans, others]: F1 of the words that two spans share, each place by itself."""
    words = np.concatenate([[0], found.looks[:, -1].cumsum()])
    begin, end = np.maximum(first[:, None], other_first), np.minimum(last[:, None], other_last)
    common = np.where(end >= begin, words[np.maximum(end, begin) + 1] - words[begin], 0)
    sizes = (words[last + 1] - words[first])[:, None] + words[other_last + 1] - words[other_first]
    return np.asarray(2 * common / np.maximum(sizes, 1), np.float32)


# --- the packaged weights ---------------------------------------------------------------------------------------------


@cache
def packaged() -> Mapping[str, Model]:
    """Language ("en", "zh") → its model."""
    raw = json.loads(resources.files("services.generation").joinpath("spans_default.json").read_text("utf-8"))
    return {language: from_json(one) for language, one in raw["languages"].items()}


def from_json(raw: Mapping[str, Any]) -> Model:
    """Raises KeyError when a table is missing; features that this version does not know are left out."""
    vocabulary = {name: row for row, name in enumerate(raw["words"], 1)}
    tables = (("begin", BEGIN), ("end", END), ("inside", INSIDE))
    words = _table({"": {}, **raw["words"]}, ("", *raw["words"]))
    return Model(
        vocabulary, Weights(words, *(_table(raw[name], rows) for name, rows in tables)), raw["longest"], raw["line"]
    )


def _table(raw: Mapping[str, Mapping[str, float]], rows: Sequence[str]) -> Floats:
    """raw: feature → sort ("" for every one) → weight."""
    columns = {name: column for column, name in enumerate(("", *SORTS))}
    out = np.zeros((len(rows), len(columns)), np.float32)
    for row, name in enumerate(rows):
        for sort, weight in raw.get(name, {}).items():
            out[row, columns[sort]] = weight
    return out


def read(
    question: str,
    texts: Sequence[str],
    scores: Sequence[float],
    weights: Mapping[str, float],
    kinds: Sequence[Kind],
    language: str,
) -> tuple[Span | None, bool]:
    """The best span of the first texts, and whether it is sure enough to be put in front."""
    model = packaged().get(language)
    if model is None or not texts:
        return None, False
    span = model.best(asked(question, weights, kinds), texts[:READ], scores[:READ])
    return span, span is not None and span.sure >= model.line and not span.whole
