"""How near texts are to a question by the corpus embedder, as sets of tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.analysis import term_id
from indexer.corpus_embedder import DIMENSION, CorpusEmbedder

BITS = 8
RNG = np.random.default_rng(7)
EMBEDDER = CorpusEmbedder(
    RNG.normal(size=(2**BITS, DIMENSION)).astype(np.float16), RNG.random(2**BITS).astype(np.float32) + 0.1
)
WORDS = st.frozensets(st.sampled_from(["old", "backup", "vault", "sweep", "备份", "堆表", "预读", "关闭"]), max_size=5)


def vector(tokens: frozenset[str]) -> np.ndarray:
    """By the definition: rows weighted by idf, each bucket once, to unit length."""
    buckets = sorted({term_id(token) % 2**BITS for token in tokens})
    summed = (EMBEDDER.table[buckets].astype(np.float64) * EMBEDDER.weights[buckets, None]).sum(axis=0)
    return np.asarray(summed / max(float(np.linalg.norm(summed)), 1e-9))


@given(WORDS, st.lists(WORDS, max_size=4))
def test_cosines_are_those_of_the_definition(question: frozenset[str], texts: list[frozenset[str]]) -> None:
    cosines = EMBEDDER.cosines(question, texts)
    assert cosines.dtype == np.float32 and len(cosines) == len(texts)
    assert cosines == pytest.approx([float(vector(question) @ vector(text)) for text in texts], abs=1e-5)


def test_the_same_words_are_nearest_and_none_are_nowhere() -> None:
    asked = frozenset({"old", "backup"})
    same, other, none = EMBEDDER.cosines(asked, [asked, frozenset({"vault"}), frozenset()])
    assert same == pytest.approx(1.0, abs=1e-5)
    assert none == 0.0 and other < same
