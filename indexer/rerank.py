"""A closer look at the best candidates: which words of the question each has, in the passage and in its best unit.

BM25 adds up the weights of the words that are there. What is missing matters differently: a name or a number hardly
ever, a verb or a pair of characters that only happens to stand across two words easily. So the shares of the question
that a passage has are counted by the kind of word, and a linear model per language adds them to the fused score. Its
coefficients are in `rerank.json`, fitted on the question files named there by `python -m tests.bench.rerank fit`.

Only the order of the first candidates changes: their scores stay between the best and the worst that fusion gave them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer import words
from indexer.above import Above
from indexer.analysis import is_cut, term_id
from indexer.runs import best_of_runs, ranges
from indexer.version import Arrays

MOST = 20  # candidates looked at: the right page is among them for 0.999 of the DRCD questions, 0.992 of SQuAD's
_RARE = 3  # rarest terms
_SHARP = 2.5  # exponent of idf in "sharp"

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.int64]

GROUPS = (
    *("all", "sharp", "rare", "characters", "pairs", "latin", "numbers", "words"),
    *("names", "nouns", "verbs", "short", "amounts", "others", "across"),
)
"""Kinds of terms, each a way to weigh them; a feature is the share of a group's weight that is there.

all: by idf. sharp: by idf to the power of 2.5. rare: the three rarest. characters, pairs: single Han characters, and
pairs of them. latin: everything else; numbers: those with a digit; all four as shares of all terms, or a name that
every page of a manual has would count much in a question with no other. words: by word instead of by term. names …
others: terms inside words of these kinds, as shares of all words. short: content words of one character. across: terms
that are no words: characters of longer ones, pairs across two."""
FEATURES = (
    *("fused", "bm25", "unit"),
    *(f"{level}_{group}" for level in ("passage", "unit") for group in GROUPS),
    *(f"{span}_{group}" for span in ("two", "under") for group in ("all", "words")),
    *("page", "dense"),
)
"""fused, bm25, unit: the scores, scaled. passage: in the passage or its headings. unit: in its best unit alone. two:
in two neighbouring units. under: in one unit or the headings. The words of a document's path count as headings.
page: natural logarithm of how many of the candidates stand in the passage's document; all others are 0..1. dense: the
text embedder's score, scaled; 0 where it was not asked."""

WITH_DENSE = "{} with dense"
"""Name of a language's model for questions that the text embedder was asked, where there is one: what words say counts
differently beside a channel that knows what they mean."""


@dataclass(frozen=True, slots=True)
class Asked:
    """tokens: what `analyse_question` makes of `text`. ids: their distinct term ids, sorted; idf: one per id."""

    text: str
    tokens: Sequence[str]
    ids: Ids
    idf: Floats
    language: str


@dataclass(frozen=True, slots=True)
class Model:
    """coefficients: feature → what one whole unit of it is worth; features that are not named have no say.
    data: file → questions that it was fitted on."""

    coefficients: Mapping[str, float]
    data: Mapping[str, int]

    def score(self, features: Floats) -> Floats:
        """features: [n, FEATURES]. Comparable within one question only."""
        weights = np.array([self.coefficients.get(name, 0.0) for name in FEATURES], np.float32)
        return np.asarray(features @ weights, np.float32)


@cache
def packaged() -> Mapping[str, Model]:
    """Language → model."""
    raw = json.loads((Path(__file__).parent / "rerank.json").read_text("utf-8"))
    return {language: Model(**model) for language, model in raw.items()}


def between(scores: Floats, fused: Floats) -> Floats:
    """The scores, stretched to end where the fused ones end: what stands behind in the list stays behind."""
    low, high, least = float(fused.min()), float(fused.max()), scores.min()
    spread = max(float(scores.max() - least), 1e-9)
    return np.asarray(low + (high - low) * (scores - least) / spread, np.float32)


class Reranker:
    """For one index version. models: by language, and see `WITH_DENSE`; a question in another language keeps the fused
    order."""

    def __init__(self, arrays: Arrays, above: Above, models: Mapping[str, Model]) -> None:
        self._unit_offsets = np.asarray(arrays.unit_offsets)
        self._term_offsets = np.asarray(arrays.unit_term_offsets)
        self._terms = arrays.unit_terms
        self._above = above
        self.models = models

    def warm(self, languages: Iterable[str]) -> None:
        """Loads the segmenter's words now and not at the first question, where Chinese is asked."""
        if "zh" in languages and "zh" in self.models:
            words.warm()

    def rank(self, asked: Asked, rows: Rows, scaled: Mapping[str, Floats], fused: Floats) -> Floats:
        """Fused scores in the new order. rows, scaled (channel → scores, 0..1), fused: one per candidate, any order."""
        model = self._model(asked.language, "dense" in scaled)
        if model is None or len(rows) < 2 or not len(asked.ids):
            return fused
        first = np.argsort(-fused, kind="stable")[:MOST]
        own = {name: values[first] for name, values in scaled.items()}
        out = fused.copy()
        out[first] = between(model.score(self.features(asked, rows[first], own, fused[first])), fused[first])
        return out

    def _model(self, language: str, dense: bool) -> Model | None:
        own = self.models.get(WITH_DENSE.format(language)) if dense else None
        return own or self.models.get(language)

    def features(self, asked: Asked, rows: Rows, scaled: Mapping[str, Floats], fused: Floats) -> Floats:
        """[rows, FEATURES]."""
        begin, end = self._unit_offsets[rows], self._unit_offsets[rows + 1]
        starts = np.concatenate(([0], np.cumsum(end - begin)))
        units = self._presence(asked.ids, ranges(begin, end))
        headings = _presence(asked.ids, *self._above.of_rows(rows))
        weights = _group_weights(asked)
        owner = np.repeat(np.arange(len(rows)), end - begin)
        passage = _joined(headings, units, starts)
        both = np.stack([weights[0], weights[GROUPS.index("words")]], axis=1)
        pairs = np.maximum(units[:-1], units[1:]) * (owner[:-1] == owner[1:])[:, None]
        two = np.concatenate((np.maximum(units[:-1] @ both, pairs @ both), units[-1:] @ both))
        under = np.maximum(units, headings[owner]) @ both
        unit = _best(units, units @ weights[0], starts) @ weights.T
        spans = best_of_runs(np.concatenate((two, under), axis=1), starts)
        scores = [fused, scaled["bm25"], scaled["unit"]]
        pages = self._above.pages[rows]
        page = np.log((pages[:, None] == pages).sum(axis=1))
        dense = scaled.get("dense", np.zeros(len(rows), np.float32))
        return np.asarray(np.column_stack([*scores, passage @ weights.T, unit, spans, page, dense]), np.float32)

    def _presence(self, ids: Ids, units: Rows) -> Floats:
        """[units, ids]: 1 where the unit has the term."""
        begin, end = self._term_offsets[units], self._term_offsets[units + 1]
        return _presence(ids, self._terms[ranges(begin, end)], end - begin)


def _presence(ids: Ids, terms: Ids, lengths: Rows) -> Floats:
    """[texts, ids]. terms: of one text after the other; lengths: how many each has."""
    out = np.zeros((len(lengths), len(ids)), np.float32)
    at = np.minimum(np.searchsorted(ids, terms), len(ids) - 1)
    there = np.flatnonzero(ids[at] == terms)
    out[np.repeat(np.arange(len(lengths)), lengths)[there], at[there]] = 1.0
    return out


def _joined(headings: Floats, units: Floats, starts: Rows) -> Floats:
    """[passages, ids]: 1 where the passage's headings or any of its units have the term."""
    out = headings.copy()
    filled = np.flatnonzero(np.diff(starts))
    if len(filled):
        out[filled] = np.maximum(out[filled], np.maximum.reduceat(units, starts[filled], axis=0))
    return out


def _best(units: Floats, worth: Floats, starts: Rows) -> Floats:
    """[passages, ids]: of each passage's unit that is worth most; zeros where there is none."""
    runs = zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    best = [a + int(worth[a:b].argmax()) if b > a else len(units) for a, b in runs]
    return np.asarray(np.concatenate((units, np.zeros((1, units.shape[1]), np.float32)))[best], np.float32)


def _group_weights(asked: Asked) -> Floats:
    """[GROUPS, ids]: what each term counts in each group. Plain lists: a question has a few dozen terms."""
    place = {number: at for at, number in enumerate(asked.ids.tolist())}
    tokens = {token: place[term_id(token)] for token in dict.fromkeys(asked.tokens)}
    idf: list[float] = asked.idf.tolist()
    out = {name: [0.0] * len(idf) for name in GROUPS}
    out["all"] = idf
    out["sharp"] = [value**_SHARP for value in idf]
    for token, at in tokens.items():
        out[_script(token)][at] = idf[at]
        if any(sign.isdigit() for sign in token):
            out["numbers"][at] = idf[at]
    telling = [at for token, at in tokens.items() if _script(token) != "characters"] or list(tokens.values())
    for at in sorted(telling, key=lambda at: -idf[at])[:_RARE]:
        out["rare"][at] = 1.0
    inside = _fill_words(asked.text, tokens, idf, out)
    out["across"] = [0.0 if at in inside else value for at, value in enumerate(idf)]
    weights = np.array(list(out.values()), np.float32)
    totals = weights.sum(axis=1)
    totals[_SHARES_OF_ALL] = totals[0]
    totals[_SHARES_OF_WORDS] = sum(idf[at] for at in inside)
    return np.asarray(weights / np.maximum(totals, 1e-6)[:, None], np.float32)


_SHARES_OF_ALL = [GROUPS.index(name) for name in ("characters", "pairs", "latin", "numbers", "across")]
_SHARES_OF_WORDS = [GROUPS.index(name) for name in words.KINDS]


def _fill_words(text: str, tokens: Mapping[str, int], idf: Sequence[float], out: Mapping[str, list[float]]) -> set[int]:
    """Sets the groups that go by words; returns the terms that belong to one. A term belongs to its first word."""
    inside: set[int] = set()
    for kind, terms in _words(text):
        places = [tokens[term] for term in terms]
        worth = sum(idf[at] for at in places) / len(places) * (1 + 0.5 * (len(places) - 1))
        for at in places:
            out["words"][at] += worth / len(places)
            if at not in inside:
                out[kind][at] = idf[at]
                inside.add(at)
    return inside


def _script(token: str) -> str:
    if not is_cut(token):
        return "latin"
    return "characters" if len(token) == 1 else "pairs"


def _words(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Kind and terms. Part by part where a Latin word has parts: the coefficients were fitted so."""
    found = words.words_of(text)
    parts = dict.fromkeys(term for word in found for term in word.terms if not is_cut(term))
    yield from (("amounts" if any(map(str.isdigit, part)) else "names", (part,)) for part in parts)
    yield from ((word.kind, word.terms) for word in found if is_cut(word.terms[0]))
