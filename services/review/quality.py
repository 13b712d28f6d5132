"""What the console draws of the audit: coverage against risk, and what was said against what was right.

Estimates for people to look at; only `budget.certify` promises anything. Weights: an answer drawn with probability p
stands for 1/p. Intervals: exact binomial ones at each point by itself, for the number of verdicts that the weights
leave (Kish's effective size), so they are approximate where probabilities differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.review import bounds
from services.review.audit import Audited, Sample

_INTERVAL = 0.025  # on either side: 95 %
_POINTS = 50


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """With this line: coverage, the share of the drawn answers that are sent; wrong, the share of those that is wrong,
    with its 95 % interval; n, verdicts. All but n 0..1."""

    line: float
    coverage: float
    wrong: float
    lower: float
    upper: float
    n: int


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Answers with a confidence from `low` up to `high`: what was said and what was right, on average, 0..1."""

    low: float
    high: float
    said: float
    right: float
    lower: float
    upper: float
    n: int


def coverage_risk_curve(audited: Sequence[Audited]) -> tuple[CurvePoint, ...]:
    """From the strictest line down, at most 50 points; () when nothing was drawn by the audit."""
    confidence, wrong, weight = _columns(audited)
    if not len(confidence):
        return ()
    order = np.argsort(-confidence, kind="stable")
    confidence, wrong, weight = confidence[order], wrong[order], weight[order]
    last = np.flatnonzero(np.append(np.diff(confidence) < 0, True))  # equal confidences are sent together
    shown = last[np.unique(np.linspace(0, len(last) - 1, min(_POINTS, len(last))).astype(int))]
    return tuple(_point(confidence[: at + 1], wrong[: at + 1], weight[: at + 1], weight.sum()) for at in shown)


def reliability(audited: Sequence[Audited], bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Bins of equal width that hold a verdict."""
    confidence, wrong, weight = _columns(audited)
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    return tuple(
        _bin(each, bins, confidence[number == each], wrong[number == each], weight[number == each])
        for each in range(bins)
        if (number == each).any()
    )


def expected_calibration_error(table: Sequence[ReliabilityBin]) -> float:
    """The mean distance between what was said and what was right, over verdicts; 0 for an empty table."""
    return sum(row.n * abs(row.said - row.right) for row in table) / max(sum(row.n for row in table), 1)


def _columns(audited: Sequence[Audited]) -> tuple[Any, Any, Any]:
    """Confidence, wrong and weight of one verdict a question, of those that the audit drew."""
    ones = Sample.first_of([one for one in audited if one.probability > 0]).ones
    columns = np.array([(one.confidence, one.wrong, 1 / one.probability) for one in ones], float).reshape(-1, 3)
    return columns[:, 0], columns[:, 1], columns[:, 2]


def _point(confidence: Any, wrong: Any, weight: Any, everything: float) -> CurvePoint:
    share, low, high = _share(wrong, weight)
    return CurvePoint(float(confidence[-1]), float(weight.sum() / everything), share, low, high, len(wrong))


def _bin(number: int, bins: int, confidence: Any, wrong: Any, weight: Any) -> ReliabilityBin:
    share, low, high = _share(1 - wrong, weight)
    said = float(np.average(confidence, weights=weight))
    return ReliabilityBin(number / bins, (number + 1) / bins, said, share, low, high, len(wrong))


def _share(hits: Any, weight: Any) -> tuple[float, float, float]:
    """The weighted share with its 95 % interval."""
    share = float(np.average(hits, weights=weight))
    size = max(round(float(weight.sum() ** 2 / (weight**2).sum())), 1)
    count = round(share * size)
    return share, bounds.lower(count, size, _INTERVAL), bounds.upper(count, size, _INTERVAL)
