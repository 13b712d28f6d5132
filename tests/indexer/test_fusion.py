from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import fusion

SCORES = st.lists(st.floats(-5, 50, width=32), max_size=30)
QUALITY = st.floats(0, 1)


@given(SCORES)
def test_scaled_scores_are_shares_of_the_best_in_the_same_order(scores: list[float]) -> None:
    raw = np.array(scores, np.float32)
    scaled = fusion.scale(raw)
    assert ((scaled >= 0) & (scaled <= 1)).all()
    assert (np.diff(scaled[np.argsort(raw)]) >= 0).all()
    if len(raw) and raw.max() > 1e-3:
        assert scaled.max() == 1


def test_each_question_is_scaled_by_itself() -> None:
    assert fusion.scale(np.array([[1, 2], [10, 5]], np.float32)).tolist() == [[0.5, 1], [1, 0.5]]


def test_a_channel_without_a_weight_has_no_say() -> None:
    scaled = {"bm25": np.array([1, 0], np.float32), "dense": np.array([0, 1], np.float32)}
    assert fusion.fuse(scaled, {"bm25": 1.0}).tolist() == [1, 0]
    assert fusion.fuse(scaled, {"bm25": 0.5, "dense": 0.5, "corpus": 0.3}).tolist() == [0.5, 0.5]
    assert fusion.fuse(scaled, {}).tolist() == [0, 0]
    assert fusion.fuse({}, {"bm25": 1.0}).tolist() == []


@given(QUALITY, QUALITY, QUALITY)
def test_weights_add_up_to_one_and_words_always_have_a_say(bm25: float, dense: float, corpus: float) -> None:
    weights = fusion.weights_from({"bm25": bm25, "dense": dense, "corpus": corpus})
    assert sum(weights.values()) == pytest.approx(1, abs=0.01)
    assert all(weight > 0 for weight in weights.values())
    assert weights["bm25"] > 0 and weights["unit"] > 0


def test_a_useless_channel_gets_nothing_and_a_good_one_its_share() -> None:
    assert set(fusion.weights_from({"bm25": 0.9, "dense": 0.05, "corpus": 0.05})) == {"bm25", "unit"}
    assert set(fusion.weights_from({"bm25": 0.9})) == {"bm25", "unit"}
    good = fusion.weights_from({"bm25": 0.8, "dense": 0.85, "corpus": 0.1})
    assert good["dense"] > 0.2 and "corpus" not in good
    assert fusion.weights_from({"bm25": 0.8, "dense": 0.1, "corpus": 0.85})["corpus"] > 0.1


@given(st.floats(0.1, 1), QUALITY, QUALITY)
def test_a_better_channel_never_weighs_less(bm25: float, one: float, other: float) -> None:
    worse, better = sorted((one, other))
    weight = [fusion.weights_from({"bm25": bm25, "dense": quality}).get("dense", 0.0) for quality in (worse, better)]
    assert weight[0] <= weight[1]


def test_reciprocal_ranks_count_ties_against_the_right_one() -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.5, 0.5, 0.1], [0, 0, 0]], np.float32)
    assert fusion.mean_reciprocal_rank(scores, np.array([0, 0, 1])) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
