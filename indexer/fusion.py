"""From the scores of several channels to one order. Scores are fused, never ranks: a rank forgets how sure its
channel was, and one blind channel then ruins the others (R@1 0.39 against 0.96 for BM25 alone on CMRC).

Each channel's scores are divided by the best of the same question, so a channel's say is its weight times how close a
passage comes to that channel's best. How good each channel is, is measured on the corpus itself, per language
(`indexer.measure`); `weights_from` makes weights of that.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]

CHANNELS = ("bm25", "unit", "dense", "corpus")
"""bm25: the passage's BM25. unit: BM25 of its best unit. dense: see `dense`.
corpus: the corpus embedder's cosine."""

_PASSAGE = 0.25
"""Say of the whole passage next to its best unit, in the dense channel. Unit vectors pooled from the own token
states know the rest of the passage already (fused R@1 on SQuAD half: 0.860 at 0, 0.853 at 0.5; 0.25 between)."""


def dense(passage: Scores, best_unit: Scores) -> Scores:
    """The dense channel's score, from the cosines of the passage and of its best unit."""
    return np.asarray(_PASSAGE * passage + best_unit, np.float32)


def scale(scores: Scores) -> Scores:
    """Scores of one question's candidates along the last axis, to 0..1: a share of the best; what is below 0 is 0."""
    best = scores.max(axis=-1, keepdims=True, initial=0.0)
    return np.asarray(np.minimum(np.maximum(scores / np.maximum(best, 1e-6), 0.0), 1.0), np.float32)


def scale_each(channels: Mapping[str, Scores]) -> dict[str, Scores]:
    """`scale` of every channel's scores, all in one go. channels: name → [candidates]; at least one."""
    return dict(zip(channels, scale(np.stack(list(channels.values()))), strict=True))


def fuse(scaled: Mapping[str, Scores], weights: Mapping[str, float]) -> Scores:
    """The weighted sum. scaled: channel → [candidates]; a channel without a weight has no say."""
    parts = [weights[name] * scores for name, scores in scaled.items() if weights.get(name)]
    if parts:
        return np.asarray(sum(parts), np.float32)
    return np.zeros(len(next(iter(scaled.values()), [])), np.float32)


MOST = {"dense": 0.5, "corpus": 0.25}
"""The share that a channel gets at its best. dense: best of 0.1 steps for MiniLM on SQuAD half (R@1 0.878, against
0.847 at 0 and 0.865 at 0.7). corpus: best is 0.2 on CMRC and DRCD dev; 0.4 would be better on the PolarDB FAQ
paraphrases, but CMRC has 0.9764 there; with a quarter 0.9764 to 0.9786 by training run, BM25 alone 0.9773."""
USELESS, AS_GOOD = 0.4, 0.9
"""A channel's quality alone, divided by BM25's: at or below the first it gets nothing, at or above the second all.
MiniLM has 0.3 on Chinese (CMRC, DRCD) and 0.96 on English (SQuAD); the corpus embedder 0.8 to 0.9 on Chinese."""
LEXICAL = {"bm25": 0.6, "unit": 0.4}
"""How BM25 and its best unit share the rest; flat between 0.3 and 0.5 for the unit on CMRC, DRCD and SQuAD."""


def weights_from(quality: Mapping[str, float]) -> dict[str, float]:
    """The weight of each channel, from how good each is alone on this corpus (mean reciprocal rank, 0..1).

    quality: must hold "bm25"; "dense" and "corpus" where they are there. The corpus embedder is made of the same words
    as BM25, so it only fills the room that a dense channel leaves. Weights add up to 1; those below 0.05 are 0.
    """
    dense = MOST["dense"] * _worth(quality, "dense")
    corpus = MOST["corpus"] * _worth(quality, "corpus") * (1 - dense / MOST["dense"])
    shares = {name: share if share >= 0.05 else 0.0 for name, share in (("dense", dense), ("corpus", corpus))}
    rest = 1 - sum(shares.values())
    lexical = {name: share * rest for name, share in LEXICAL.items()}
    return {name: round(share, 3) for name, share in (lexical | shares).items() if share}


def _worth(quality: Mapping[str, float], channel: str) -> float:
    """0..1: where the channel stands between useless and as good as BM25."""
    if channel not in quality:
        return 0.0
    relative = quality[channel] / max(quality["bm25"], 1e-6)
    return float(np.clip((relative - USELESS) / (AS_GOOD - USELESS), 0.0, 1.0))


def mean_reciprocal_rank(scores: Scores, gold: npt.NDArray[np.int64]) -> float:
    """scores: [questions, candidates]. Ties count against the right one."""
    right = scores[np.arange(len(gold)), gold]
    ranks = (scores >= right[:, None] - 1e-7).sum(axis=1)
    return float((1.0 / np.maximum(ranks, 1)).mean())
