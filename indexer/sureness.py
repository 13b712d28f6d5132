"""Whether words alone are sure of the page that comes first, so that a question need not be embedded.

A logistic model over three signs of a ranking by words. Its coefficients and its line are in `sureness.json`, fitted on
the question files named there by `python -m tests.bench.frugal fit`; the label is whether the search that embeds the
question puts the same page first.

The right page first is not yet an answer: where the best passage has too little of the question (`ENOUGH`), the cosines
are what tells "buy a whale" from "buy a licence", and the question is embedded however far that passage is ahead.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SIGNS = ("lead", "bm25_lead", "unit")
"""lead: square root of how far the best passage is ahead of the best one of another page, fused, 0..1. bm25_lead: how
far its BM25 is ahead of the best one of another page, as a share of what BM25 could give, -1..1. unit: the same share
of its best unit."""

ENOUGH = 0.5
"""Share of what BM25 could give that the best passage must have; every word of a question once in a passage of usual
length gives a little more. Set by hand: of 330 English questions that words were sure of, half have less, and among
these are 62 in 100 of the answers in doubt (confidence 0.4 to 0.9). The price: 8 in 100 questions of `tests.bench.ask`
are embedded more."""


@dataclass(frozen=True, slots=True)
class Sureness:
    """coefficients: sign → log-odds that one whole unit of it is worth. line: log-odds from which words are sure. data:
    file → questions that it was fitted on."""

    coefficients: Mapping[str, float]
    intercept: float
    line: float
    data: Mapping[str, int]

    def log_odds(self, signs: Mapping[str, float]) -> float:
        """That the first page stays the first. signs: each of SIGNS."""
        return self.intercept + sum(worth * signs[name] for name, worth in self.coefficients.items())

    def is_sure(self, signs: Mapping[str, float]) -> bool:
        """signs: each of SIGNS, and `held`, see `ENOUGH`."""
        return signs["held"] >= ENOUGH and self.log_odds(signs) >= self.line


@cache
def packaged() -> Sureness:
    return Sureness(**json.loads((Path(__file__).parent / "sureness.json").read_text("utf-8")))


def signs(
    first: Mapping[str, float], fused: float, other_bm25: float, other_fused: float, most: float
) -> dict[str, float]:
    """Each of SIGNS, and `held`. first: the scores of the best passage by channel; fused: its fused score. other_bm25,
    other_fused: the best of other pages, 0 where there are none. most: what BM25 could give at most."""
    most = max(most, 1e-6)
    return {
        "lead": math.sqrt(max(fused - other_fused, 0.0)),
        "bm25_lead": (first["bm25"] - other_bm25) / most,
        "unit": first["unit"] / most,
        "held": first["bm25"] / most,
    }
