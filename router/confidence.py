"""Features of an answer → the probability that it is right, and the line below which it is not sent.

The probability is a logistic model whose coefficients are fitted by `answerloop calibrate` on question files and kept
with their data's names; nothing here is a constant that somebody chose.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import compress
from typing import Any

from router.types import CuratedMatch, Draft, Hit, Route, SearchResult

MEANING = {
    "lexical": "how much of what BM25 could give at most the best passage got, 0..1",
    "gap": "how far the best passage is ahead of the best one from another document, 0..1",
    "lead": "how far the best passage is ahead of the mean of the next seven, 0..1; the less, the fewer of the "
    "question's words were found, because among strangers being ahead means little",
    "meaning": "cosine of the question and its nearest sentence, where the text embedder was asked",
    "meaning_lead": "how much nearer that sentence is than the nearest of another document, where it was asked",
    "corpus": "cosine of the question and the best passage, where the corpus embedder was asked",
    "evidence": "how many of the question's words the best passage has, and how rare they are: logarithm of BM25, 0..1",
    "chinese": "1 when the question is Chinese",
    "named": "0 when the message points at something (this cluster) that neither it nor the conversation names",
    "on_topic": "0 when a message of few words is answered from a passage that has no word of what was spoken of "
    "before; 1 when it has some, or when nothing was",
    "approved": "how probably an approved answer, which was not certain enough to be sent, answers it, 0..1",
    "unguarded": "1 when no guard (another number, action, negation, …) keeps back an approved answer that is asked in "
    "like words; else how unlike the words of the likest one kept back are, 0..1",
}
"""What each retrieval feature says. A generator adds its own (`Draft.support`)."""

EITHER_WAY = frozenset({"chinese"})
"""The feature that says what kind of question it is. Every other one is support: more of it never means less sure."""

WITNESS = "beyond_words"
"""The feature that pulls nowhere: it says which line holds. A quote that words alone speak for is sent where they leave
hardly any doubt."""

VALUE = "value_there"
"""The other one: a quote without the figure, time, price or default that is asked for is not sent, however sure the
rest looks."""

UNFITTED = frozenset({WITNESS, VALUE})

OF_THE_EMBEDDER = ("meaning", "meaning_lead", "unit_meaning")
"""Cosines of the text embedder, each of which has a scale of its own: what MiniLM gives only to the same thing said in
other words, multilingual-e5-small gives to any two sentences."""

_COSINES = {"meaning": "dense_unit", "corpus": "corpus"}
_MOST_BM25 = 150.0  # the best passages of 99 in 100 questions have less
_BESIDE = 8  # passages that the best one is compared with, itself included
BM25_CEILING = 1.9  # k1 + 1: the most that a term's idf is multiplied with


def features(
    found: SearchResult,
    draft: Draft | None,
    match: CuratedMatch,
    pointed: str = "",
    topical: float = 1.0,
    spoken: bool = False,
) -> dict[str, float]:
    """All features of one answer, by name. Empty when nothing was found. pointed: see `router.references`. topical,
    spoken: `on_topic` and `spoken_of` of `router.continuity`."""
    if not found.hits or draft is None:
        return {}
    top = found.hits[0]
    bm25, idf = top.scores.get("bm25", 0.0), sum(found.terms.values())
    return {
        "lexical": min(bm25 / max(idf * BM25_CEILING, 1e-6), 1.0),
        "evidence": min(math.log1p(bm25) / math.log1p(_MOST_BM25), 1.0),
        "gap": top.fused - _runner_up(found.hits),
        "lead": (top.fused - _mean(hit.fused for hit in found.hits[1:_BESIDE])) * draft.support.get("words_found", 1.0),
        **{name: top.scores[score] for name, score in _COSINES.items() if score in top.scores},
        **_meaning_lead(found.hits),
        "chinese": float(found.language == "zh"),
        "named": float(not pointed),
        "on_topic": topical,
        "approved": match.probability if match.pool else 0.0,
        "unguarded": 1.0 - max((one.score for one in match.candidates if one.guards), default=0.0),
        **draft.support,
        **({WITNESS: 1.0} if spoken else {}),
    }


def _meaning_lead(hits: tuple[Hit, ...]) -> dict[str, float]:
    """Empty where the text embedder was not asked, or nothing of another document was found."""
    top, cosine = hits[0], _COSINES["meaning"]
    others = [
        hit.scores[cosine]
        for hit in hits[1:_BESIDE]
        if cosine in hit.scores and hit.passage.document != top.passage.document
    ]
    return {"meaning_lead": top.scores[cosine] - max(others)} if others and cosine in top.scores else {}


def _mean(values: Iterable[float]) -> float:
    found = tuple(values)
    return sum(found) / len(found) if found else 0.0


def _runner_up(hits: tuple[Hit, ...]) -> float:
    others = [hit.fused for hit in hits[1:] if hit.passage.document != hits[0].passage.document]
    return others[0] if others else 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted model. id: hash of its content. created: date. data: the files it was fitted on, with their rows.

    names, centres, scales, coefficients: one per feature; a feature that is missing counts as its centre, so it
    pulls nowhere. line: answers below it are not sent, 0..1. by_language: the same for languages that have a line of
    their own. by_words: by language, the line of quotes that words alone speak for, see `WITNESS`; other languages have
    the highest of these. quality: the figures of the fit. origin: "packaged", or "fitted" by a team on its own
    questions. lines: by "language/route", "language/" or "/" (every one), where the error budget has set them; they go
    before the fitted ones. embedder: fingerprint of the text embedder whose cosines it was fitted on, "" where that is
    not known.
    """

    id: str
    created: str
    data: Mapping[str, int]
    names: tuple[str, ...]
    centres: tuple[float, ...]
    scales: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    line: float
    by_language: Mapping[str, float] = field(default_factory=dict)
    by_words: Mapping[str, float] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)
    origin: str = "fitted"
    lines: Mapping[str, float] = field(default_factory=dict)
    embedder: str = ""

    def for_embedder(self, embedder: str) -> Calibration:
        """The same without the cosines of another embedder than this one, which mean something else."""
        if "" in (self.embedder, embedder) or self.embedder == embedder:
            return self
        kept = [name not in OF_THE_EMBEDDER for name in self.names]
        return replace(
            self,
            embedder=embedder,
            names=tuple(compress(self.names, kept)),
            centres=tuple(compress(self.centres, kept)),
            scales=tuple(compress(self.scales, kept)),
            coefficients=tuple(compress(self.coefficients, kept)),
        )

    def with_line(self, line: float) -> Calibration:
        """The same with one line for everything; at 0 all that has an answer is sent."""
        return replace(self, line=line, by_language={}, by_words={}, lines={})

    def probability(self, values: Mapping[str, float]) -> float:
        """0..1; 0 when there are no features, because there is no answer."""
        if not values:
            return 0.0
        return 1.0 / (1.0 + math.exp(-max(min(self.intercept + sum(self.pulls(values).values()), 30.0), -30.0)))

    def line_of(self, values: Mapping[str, float], language: str) -> float:
        """The line of a grounded answer with these features, 0..1. The error budget judges by what was sent, so it
        does not go below the line of quotes that words alone speak for."""
        line = self.line_for(language, Route.GROUNDED.value)
        return max(line, self.words_line(language)) if values.get(WITNESS) == 0.0 else line

    def words_line(self, language: str) -> float:
        """See `by_words`; 0 where there are none."""
        return self.by_words.get(language, max(self.by_words.values(), default=0.0))

    def line_for(self, language: str, route: str) -> float:
        """Answers below it are not sent, 0..1. language: "" for any, then it is the lowest of the fitted lines."""
        keys = (f"{language}/{route}", f"{language}/", "/")
        fitted = (
            self.by_language.get(language, self.line) if language else min(self.line, *self.by_language.values(), 1.0)
        )
        return next((self.lines[key] for key in keys if key in self.lines), fitted)

    def pulls(self, values: Mapping[str, float]) -> dict[str, float]:
        """How much each feature moves the log-odds, up or down."""
        rows = zip(self.names, self.centres, self.scales, self.coefficients, strict=True)
        return {name: weight * (values.get(name, centre) - centre) / scale for name, centre, scale, weight in rows}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Calibration:
        """Raises KeyError or TypeError when `raw` is not one."""
        lists = {name: tuple(raw[name]) for name in ("names", "centres", "scales", "coefficients")}
        return cls(**{**raw, **lists})
