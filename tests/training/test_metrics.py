"""Figures on texts whose scores can be counted by hand, in both languages."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training import metrics as m


def test_chinese_counts_by_characters() -> None:
    assert m.tokens("端口是５４３２。") == ["端", "口", "是", "5432"]
    assert m.token_f1("默认端口", "端口") == pytest.approx(2 * 2 / 6)
    assert m.rouge_l("默认端口是", "端口是") == pytest.approx(2 * 3 / 8)
    assert m.bleu(["端口是五千"], ["端口是五千"]) == pytest.approx(1.0)


def test_english_counts_by_words() -> None:
    assert m.tokens("Run pg_ctl restart-now, v1.2!") == ["run", "pg_ctl", "restart-now", "v1.2"]
    assert m.exact_match("The port.", "the port") == 1.0
    assert m.token_f1("a b c", "b c d") == pytest.approx(2 / 3)


def test_one_wrong_digit_is_a_wrong_fact() -> None:
    assert m.fact_f1("it waits 30 seconds", "it waits 30 seconds") == 1.0
    wrong = m.fact_f1("it waits 60 seconds", "it waits 30 seconds")
    assert wrong is not None and wrong < 0.1
    assert m.fact_f1("it waits", "it rests") is None


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("It waits 10 seconds", "It waits 10 minutes", False),
        ("等待 10 秒", "等待 10 毫秒", False),
        ("等待 10 毫秒", "it waits 10ms", True),
        ("5 GB", "5GB", True),
        ("1,000 rows", "1000 rows", True),
        ("90", "90%", False),
        ("v1.2.4", "v1.2.3", False),
        ("Run `kubectl delete -f x`", "Run `kubectl apply -f x`", False),
        ("Run kubectl apply -f x", "Run `kubectl apply -f x`", True),
    ],
)
def test_units_versions_and_commands_are_facts(answer: str, reference: str, same: bool) -> None:
    assert (m.fact_f1(answer, reference) == 1.0) is same


@pytest.mark.parametrize(("one", "other"), [("不支持", "支持"), ("It cannot restart", "It can restart")])
def test_negation_is_a_fact(one: str, other: str) -> None:
    assert m.facts(one)["negation"] == 1
    assert m.facts(other)["negation"] == 0


def test_citations() -> None:
    assert m.citation_scores([1, 2], [2]) == (0.5, 1.0)
    assert m.citation_scores([], [2]) == (0.0, 0.0)
    assert m.citation_scores([], []) == (1.0, 1.0)


def test_refusals_are_two_sided() -> None:
    assert m.refusals([True, False, True, True], [True, True, False, False]) == m.Refusals(1.0, 0.5)
    assert m.refusals([True], [True]).missed is None


def test_kappa_on_a_worked_example() -> None:
    assert m.weighted_kappa([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]) == 1.0
    assert m.weighted_kappa([1, 2, 3, 4, 5], [5, 4, 3, 2, 1]) == -1.0
    assert m.weighted_kappa([1, 1, 5, 5], [1, 5, 1, 5]) == 0.0
    assert math.isnan(m.weighted_kappa([3, 3], [3, 3]))
    with pytest.raises(ValueError, match="grades"):
        m.weighted_kappa([0], [1])


def test_rows_of_one_cluster_are_not_independent() -> None:
    spread = {str(at): [float(at % 2)] for at in range(40)}
    copied = {str(at): [float(at % 2)] * 10 for at in range(4)}
    wide, narrow = m.bootstrap(copied), m.bootstrap(spread)
    assert wide.mean == narrow.mean == 0.5
    assert wide.high - wide.low > narrow.high - narrow.low
    assert m.bootstrap({}).clusters == 0


texts = st.text(alphabet="ab 端口不3.", max_size=20)


@given(texts, texts)
def test_scores_are_shares_and_a_text_is_like_itself(one: str, other: str) -> None:
    for score in (m.token_f1, m.rouge_l, m.exact_match):
        assert 0.0 <= score(one, other) <= 1.0
        assert score(one, one) == 1.0
    assert 0.0 <= m.bleu([one], [other]) <= 1.0
    assert m.token_f1(one, other) == m.token_f1(other, one)
