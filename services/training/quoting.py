"""What is sent without a model, for a row of a dataset: quoting from the row's own passages, under a calibration.

The same quoting and the same line as in serving. The passages are those of the row, not those that a search would
find, because a row that withholds its passage is a question of its own; their scores are the word channel's alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from indexer.analysis import analyse, analyse_question
from indexer.lexical import Bm25
from router import confidence
from router.confidence import Calibration
from router.types import CuratedMatch, Draft, Hit, How, Passage, SearchResult
from services.generation.extractive import quote
from services.training.records import Context, Example


@dataclass(frozen=True, slots=True)
class Quoted:
    """features: of the quote, for the confidence. sent: whether the quote itself is above the line."""

    draft: Draft
    features: Mapping[str, float]
    sent: bool


class Quoting:
    def __init__(self, examples: Iterable[Example], calibration: Calibration) -> None:
        shown = {one.passage_id: one for example in examples for one in example.context}
        self._words = {name: Counter(analyse(f"{one.heading} {one.text}")) for name, one in shown.items()}
        self._holding = Counter(word for words in self._words.values() for word in words)
        lengths = [words.total() for words in self._words.values()]
        self._bm25 = Bm25(sum(lengths) / max(len(lengths), 1))
        self._calibration = calibration

    def quoted(self, example: Example) -> Quoted:
        found = self._found(example)
        draft = quote(example.question, found, lambda _paths: {}) if found.hits else Draft("", (), "extractive")
        features = confidence.features(found, draft, CuratedMatch(How.NONE))
        return Quoted(draft, features, bool(draft.citations) and self.sure(features, example.language))

    def sure(self, features: Mapping[str, float], language: str) -> bool:
        return self.probability(features) >= self._calibration.line_of(features, language)

    def probability(self, features: Mapping[str, float]) -> float:
        return self._calibration.probability(features)

    def _found(self, example: Example) -> SearchResult:
        """Best first, as a search returns them: fused scores scaled to the best one's."""
        terms = {word: self._idf(word) for word in dict.fromkeys(analyse_question(example.question))}
        scores = [(self._score(one, terms), one) for one in example.context]
        best = max((score for score, _ in scores), default=0.0) or 1.0
        hits = [Hit(passage_of(one, example.language), {"bm25": score}, score / best) for score, one in scores]
        return SearchResult(tuple(sorted(hits, key=lambda hit: -hit.fused)), terms, example.language, "dataset")

    def _idf(self, word: str) -> float:
        """Lucene's."""
        found = self._holding[word]
        return math.log1p((len(self._words) - found + 0.5) / (found + 0.5))

    def _score(self, one: Context, terms: Mapping[str, float]) -> float:
        words, rule = self._words[one.passage_id], self._bm25
        norm = rule.k1 * (1 - rule.b + rule.b * words.total() / max(rule.average, 1e-9))
        return sum(idf * words[word] * (rule.k1 + 1) / (words[word] + norm) for word, idf in terms.items())


def passage_of(one: Context, language: str) -> Passage:
    heading = tuple(one.heading.split(" > ")) if one.heading else ()
    return Passage(one.passage_id, one.document, heading, 0, len(one.text), one.text, language)
