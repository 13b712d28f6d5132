"""From the scores of several channels to one order. Scores are fused, never ranks: a rank forgets how sure its
channel was, and one blind channel then ruins the others (R@1 0.39 against 0.96 for BM25 alone on CMRC).

Each channel's scores are divided by the best of the same question, so a channel's say is its weight times how close a
passage comes to that channel's best. Weights are measured on the corpus itself, per language (`indexer.measure`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]

CHANNELS = ("bm25", "unit", "dense", "corpus")
"""bm25: the passage's BM25. unit: BM25 of its best unit. dense: the embedder's cosines, ½ passage + best unit.
corpus: the corpus embedder's cosine."""

_STEP = 0.1


def scale(scores: Scores) -> Scores:
    """Scores of one question's candidates along the last axis, to 0..1: a share of the best; what is below 0 is 0."""
    best = scores.max(axis=-1, keepdims=True, initial=0.0)
    return np.asarray(np.clip(scores / np.maximum(best, 1e-6), 0.0, 1.0), np.float32)


def fuse(scaled: Mapping[str, Scores], weights: Mapping[str, float]) -> Scores:
    """The weighted sum. scaled: channel → [candidates]; a channel without a weight has no say."""
    parts = [weights[name] * scores for name, scores in scaled.items() if weights.get(name)]
    if parts:
        return np.asarray(sum(parts), np.float32)
    return np.zeros(len(next(iter(scaled.values()), [])), np.float32)


def fit(scaled: Mapping[str, Scores], gold: npt.NDArray[np.int64]) -> tuple[dict[str, float], float]:
    """Weights (sum 1, steps of 0.1) with the best mean reciprocal rank, and that rank.

    scaled: channel → [questions, candidates]; gold: the right candidate of each question. Among weights that are
    equally good within one standard error, the mean is taken: a lucky corner of the grid is no knowledge.
    """
    names = list(scaled)
    grid = np.array(list(_simplex(len(names))), np.float32)
    stack = np.stack([scaled[name] for name in names], axis=-1)
    right = stack[np.arange(len(gold)), gold]
    ranks = np.stack([_reciprocal_ranks(stack @ weights, right @ weights) for weights in grid])
    quality = ranks.mean(axis=1)
    best = int(quality.argmax())
    gap = ranks[best] - ranks
    error = gap.std(axis=1) / np.sqrt(len(gold))
    equal = gap.mean(axis=1) <= error
    weights = grid[equal].mean(axis=0)
    weights[weights < _STEP / 2] = 0
    weights /= weights.sum()
    return {name: round(float(weight), 3) for name, weight in zip(names, weights, strict=True)}, float(quality[best])


def mean_reciprocal_rank(scores: Scores, gold: npt.NDArray[np.int64]) -> float:
    """scores: [questions, candidates]. Ties count against the right one."""
    right = scores[np.arange(len(gold)), gold]
    return float(_reciprocal_ranks(scores, right).mean())


def _reciprocal_ranks(scores: Scores, right: Scores) -> Scores:
    return np.asarray(1.0 / np.maximum((scores >= right[:, None] - 1e-7).sum(axis=1), 1), np.float32)


def _simplex(parts: int) -> Sequence[tuple[float, ...]]:
    whole = round(1 / _STEP)
    return [
        tuple(count / whole for count in counts)
        for counts in itertools.product(range(whole + 1), repeat=parts)
        if sum(counts) == whole
    ]
