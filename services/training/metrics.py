"""Answers against references without a judge, in Chinese and English. Every figure is 0..1 unless it says otherwise.

Chinese counts by characters, everything else by words: with white-space words ROUGE and BLEU are 0 on Chinese. Facts
(numbers with units, versions, names, commands, negation) are counted apart, because one wrong digit hardly moves an
overlap and makes the answer wrong.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from router.facts import quantities
from router.support import identifiers

_TOKEN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_]+(?:[._:/'-][^\W_]+)*")
_CODE = re.compile(r"```[^\n]*\n(?P<block>.*?)(?:```|\Z)|`(?P<span>[^`\n]+)`", re.DOTALL)
_CODE_WORD = re.compile(r"-{0,2}\w[\w./:=@+-]*")
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|cannot|without|unless|neither|nor)\b|n't\b|[不没沒无無未非勿别莫]|禁止|除非", re.IGNORECASE
)
_BLEU_ORDER = 4

Tokens = list[str]


def tokens(text: str) -> Tokens:
    """Each Han character, each word; width and case folded, punctuation gone."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def exact_match(answer: str, reference: str) -> float:
    return float(tokens(answer) == tokens(reference))


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall over tokens with their counts; 1 when both are empty."""
    return _f1(Counter(tokens(answer)), Counter(tokens(reference)))


def rouge_l(answer: str, reference: str) -> float:
    """F1 of the longest common subsequence (Lin 2004, ROUGE-L with beta 1)."""
    ours, theirs = tokens(answer), tokens(reference)
    if not ours or not theirs:
        return float(ours == theirs)
    common = _longest_common(ours, theirs)
    return 2 * common / (len(ours) + len(theirs))


def bleu(answers: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU up to 4-grams with brevity penalty (Papineni et al. 2002), smoothed by adding one to every order
    above the first (Lin and Och 2004), so that a few short answers do not make it 0."""
    pairs = [(tokens(answer), tokens(reference)) for answer, reference in zip(answers, references, strict=True)]
    ours, theirs = sum(len(one) for one, _ in pairs), sum(len(other) for _, other in pairs)
    if not ours or not theirs:
        return 0.0
    logs = []
    for order in range(1, _BLEU_ORDER + 1):
        matched = sum((_grams(one, order) & _grams(other, order)).total() for one, other in pairs)
        possible = sum(max(len(one) - order + 1, 0) for one, _ in pairs)
        extra = int(order > 1)
        if not matched + extra:
            return 0.0
        logs.append(math.log((matched + extra) / max(possible + extra, 1)))
    return min(1.0, math.exp(1 - theirs / ours)) * math.exp(sum(logs) / _BLEU_ORDER)


def facts(text: str, commands: frozenset[str] = frozenset()) -> Counter[str]:
    """Numbers, quantities with their unit, versions, names, and how often a text negates. commands: words of code that
    count as facts wherever they stand, in code or not.

    A number counts once alone and once with its unit: "10" for "10 s" is half right, "10 minutes" is not right at all
    but for the 10, and "10 毫秒" is "10ms"."""
    plain = unicodedata.normalize("NFKC", text)
    numbers = quantities(plain)
    found = {name for name in identifiers(plain) if not name[:1].isdigit()}
    found |= {one.value for one in numbers} | {f"{one.value} {one.unit}" for one in numbers if one.unit}
    found |= {f"code {word}" for word in _CODE_WORD.findall(plain) if word in commands}
    negations = len(_NEGATION.findall(plain))
    return Counter(found) + Counter({"negation": negations} if negations else {})


def fact_f1(answer: str, reference: str) -> float | None:
    """F1 over facts; None when neither text has any. What either of them shows as code must be in both."""
    commands = code_words(answer) | code_words(reference)
    ours, theirs = facts(answer, commands), facts(reference, commands)
    return _f1(ours, theirs) if ours or theirs else None


def code_words(text: str) -> frozenset[str]:
    """Words of code spans and blocks: `kubectl apply -f x` → kubectl, apply, -f, x."""
    spans = (found["block"] or found["span"] or "" for found in _CODE.finditer(unicodedata.normalize("NFKC", text)))
    return frozenset(word for span in spans for word in _CODE_WORD.findall(span))


def citation_scores(cited: Sequence[int], evidence: Sequence[int]) -> tuple[float, float]:
    """Precision and recall of the passages cited against those that hold the evidence. Nothing cited: precision 0
    unless there is nothing to cite."""
    ours, theirs = set(cited), set(evidence)
    right = len(ours & theirs)
    precision = right / len(ours) if ours else float(not theirs)
    return precision, right / len(theirs) if theirs else 1.0


@dataclass(frozen=True, slots=True)
class Refusals:
    """Two-sided: missed, the share of unanswerable questions that were answered; over, the share of answerable ones
    that were refused. None where there is no such question."""

    missed: float | None
    over: float | None


def refusals(answered: Sequence[bool], answerable: Sequence[bool]) -> Refusals:
    missed = [said for said, can in zip(answered, answerable, strict=True) if not can]
    over = [not said for said, can in zip(answered, answerable, strict=True) if can]
    return Refusals(_mean(missed), _mean(over))


@dataclass(frozen=True, slots=True)
class Interval:
    """mean with its lower and upper bound, at the assurance that was asked for."""

    mean: float
    low: float
    high: float
    clusters: int

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def bootstrap(
    values: Mapping[str, Sequence[float]], assurance: float = 0.95, rounds: int = 2000, seed: int = 0
) -> Interval:
    """values: cluster → the figures of its rows (differences, for a paired comparison). Clusters are drawn, not rows:
    paraphrases of one question are not independent. Percentile interval (Efron and Tibshirani 1993)."""
    import numpy as np

    sums = np.array([sum(rows) for rows in values.values()], float)
    sizes = np.array([len(rows) for rows in values.values()], float)
    if not len(sums):
        return Interval(math.nan, math.nan, math.nan, 0)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (rounds, len(sums)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, [(1 - assurance) / 2, (1 + assurance) / 2])
    return Interval(float(sums.sum() / sizes.sum()), float(low), float(high), len(sums))


def weighted_kappa(one: Sequence[int], other: Sequence[int], grades: int = 5) -> float:
    """Agreement of two raters on 1..grades beyond chance, with quadratic weights (Cohen 1968). 1 is perfect, 0 chance,
    negative worse; NaN when a rater gave one grade only and the other the same. Raises ValueError for other grades."""
    if len(one) != len(other) or not one or not all(1 <= grade <= grades for grade in (*one, *other)):
        raise ValueError(f"two lists of the same length with grades 1..{grades} are needed")
    observed = sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / len(one)
    expected = sum((a - b) ** 2 for a in one for b in other) / len(one) ** 2
    return 1 - observed / expected if expected else math.nan


def _f1(ours: Counter[str], theirs: Counter[str]) -> float:
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


def _grams(words: Tokens, order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[at : at + order]) for at in range(len(words) - order + 1))


def _longest_common(ours: Tokens, theirs: Tokens) -> int:
    """Length of the longest common subsequence, row by row."""
    before = [0] * (len(theirs) + 1)
    for one in ours:
        row = [0]
        for at, other in enumerate(theirs):
            row.append(before[at] + 1 if one == other else max(row[-1], before[at + 1]))
        before = row
    return before[-1]


def _mean(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


Metric = Callable[[str, str], float]
"""(answer, reference) → 0..1."""
