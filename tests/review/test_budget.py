"""The error budget on small cases whose answers are known. That the promise is kept is in test_budget_simulation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from router.confidence import Calibration
from router.errors import InvalidInput
from router.types import Release
from services.calibrations import under
from services.review import bounds, budget, quality
from services.review.audit import Audited, Budget, Sample, certifying, drawn, split
from services.review.budget import Certificate, State, Writer, certify
from services.settings import Settings

PROMISE = Budget()
RELEASE = Release("r1", "2026-01-01", "v1", "c1", "extractive", "p1", "cal")
CALIBRATION = Calibration("cal", "2026-01-01", {}, ("lexical",), (0.5,), (0.2,), (1.0,), 0.0, 0.4)


def verdicts(
    right: int, wrong: int = 0, *, start: int = 0, language: str = "en", confidence: float = 0.9, p: float = 1.0
) -> list[Audited]:
    """One a question."""
    return [
        Audited(f"q{start + n}", language, "grounded", confidence, n < wrong, p, f"2026-01-01T{start + n:06}Z")
        for n in range(right + wrong)
    ]


@pytest.mark.parametrize(("wrong", "enough"), [(0, 59), (1, 93), (2, 124)])
def test_how_many_verdicts_are_needed(wrong: int, enough: int) -> None:
    short = certify(verdicts(enough - 1 - wrong, wrong), PROMISE, 0.5)
    assert (short.state, short.needed, short.n, short.errors) == (State.NOT_CERTIFIABLE, 1, enough - 1, wrong)
    assert short.upper_bound > 0.05
    passed = certify(verdicts(enough - wrong, wrong), PROMISE, 0.5)
    assert (passed.state, passed.line, passed.needed) == (State.CERTIFIED, 0.5, 0)
    assert passed.upper_bound <= 0.05


@given(st.integers(0, 40), st.integers(1, 400), st.sampled_from([0.05, 0.01, 0.0125]))
def test_bounds_are_clopper_and_pearsons(wrong: int, right: int, risk: float) -> None:
    drawn_ = wrong + right
    interval = stats.binomtest(wrong, drawn_).proportion_ci(1 - 2 * risk, method="exact")
    assert bounds.upper(wrong, drawn_, risk) == pytest.approx(interval.high, abs=1e-9)
    assert bounds.lower(wrong, drawn_, risk) == pytest.approx(interval.low, abs=1e-9)
    assert (bounds.p_values(wrong, drawn_, 0.05) <= risk) == (bounds.upper(wrong, drawn_, risk) <= 0.05)
    assert bounds.allowed(drawn_, 0.05, risk) == max(
        (e for e in range(drawn_ + 1) if bounds.upper(e, drawn_, risk) <= 0.05), default=-1
    )


def test_nothing_audited_says_what_is_missing_and_is_careful() -> None:
    certificate = certify([], PROMISE, 0.4)
    assert (certificate.state, certificate.needed, certificate.upper_bound) == (State.NOT_CERTIFIABLE, 59, 1.0)
    assert certificate.line == certificate.line_for("zh", "grounded") == 0.95


def test_a_question_counts_once_however_often_it_was_asked() -> None:
    once = verdicts(30)
    again = [replace(one, created=f"{one.created}-{n}", wrong=n > 0) for one in once for n in range(5)]
    assert certify(again, PROMISE, 0.5).n == 30
    assert certify(again, PROMISE, 0.5).errors == 0  # by its first answer


def test_what_came_to_people_for_a_reason_tests_nothing() -> None:
    certificate = certify([*verdicts(59), *verdicts(0, 40, start=100, p=0.0)], PROMISE, 0.5)
    assert (certificate.state, certificate.n, certificate.left_out) == (State.CERTIFIED, 59, 40)


def test_answers_drawn_more_often_are_thinned_to_the_rarest() -> None:
    often, rarely = verdicts(4000, p=0.5), verdicts(1000, start=5000, p=0.1)
    kept = Sample.of([*often, *rarely], PROMISE, 0.5)
    assert sum(one.probability == 0.1 for one in kept.ones) == 1000
    assert sum(one.probability == 0.5 for one in kept.ones) == pytest.approx(800, abs=100)
    assert kept.ones == Sample.of([*rarely, *often], PROMISE, 0.5).ones or set(kept.ones) == set(
        Sample.of([*rarely, *often], PROMISE, 0.5).ones
    )
    assert certify(often[:100], replace(PROMISE, audit_share=0.25), 0.5).n < 75


@pytest.mark.parametrize("p", [1.5, -0.1])
def test_an_impossible_sampling_probability_is_refused(p: float) -> None:
    with pytest.raises(InvalidInput):
        certify(verdicts(10, p=p), PROMISE, 0.5)


def test_an_answer_drawn_with_less_than_the_audit_admits_is_refused() -> None:
    with pytest.raises(InvalidInput):
        certify(verdicts(10, p=0.05), Budget(audit_share=0.1), 0.5)


def test_looking_more_often_costs_more() -> None:
    assert certify(verdicts(59), Budget(looks=4), 0.5).needed == bounds.required(0, 0.05, 0.0125) - 59 == 27


def test_learning_finds_where_the_line_can_hold() -> None:
    """Below 0.8 one in four is wrong, above none: the line in force cannot hold, a stricter one can."""
    rows = [
        one
        for n in range(200)
        for one in (
            *verdicts(1, start=10 * n, confidence=0.9),
            *verdicts(0 if n % 4 == 0 else 1, int(n % 4 == 0), start=10 * n + 5, confidence=0.6),
        )
    ]
    learning, testing = split(rows)
    assert not {one.cluster for one in learning} & {one.cluster for one in testing}
    alone = certify(testing, PROMISE, 0.5)
    assert alone.state is State.NOT_CERTIFIABLE and alone.lines[0].refuted
    learnt = certify(testing, PROMISE, 0.5, learning)
    assert learnt.state is State.CERTIFIED and 0.6 < learnt.line <= 0.61
    assert learnt.errors == 0


def test_what_is_refuted_even_at_the_careful_line_is_not_sent() -> None:
    certificate = certify(verdicts(60, 40, confidence=0.97), PROMISE, 0.5)
    assert certificate.lines[0].refuted
    assert 0.97 < certificate.line_for("en", "grounded") <= 0.98
    everything = certify(verdicts(60, 40, confidence=0.995), PROMISE, 0.5)
    assert everything.line_for("en", "grounded") == 1.0


def test_languages_have_their_own_lines_where_the_data_suffice() -> None:
    rows = [*verdicts(300, start=0, language="zh"), *verdicts(200, 100, start=1000, language="en")]
    certificate = certify(rows, PROMISE, 0.5)
    states = {line.language: line.state for line in certificate.lines}
    assert states == {"zh": State.CERTIFIED, "en": State.NOT_CERTIFIABLE}
    assert certificate.state is State.NOT_CERTIFIABLE
    assert certificate.line_for("zh", "grounded") == 0.5
    assert certificate.line_for("en", "grounded") >= 0.95
    assert certificate.line_for("fr", "grounded") >= 0.95  # nobody has looked at any


def test_few_of_a_language_are_pooled() -> None:
    pooled = certify([*verdicts(50, language="zh"), *verdicts(50, start=100)], PROMISE, 0.5)
    assert [(line.language, line.n) for line in pooled.lines] == [("", 100)]
    some = certify([*verdicts(300), *verdicts(20, start=1000, language="zh")], PROMISE, 0.5)
    assert [(line.language, line.n) for line in some.lines] == [("", 320)]
    three = [*verdicts(300), *verdicts(300, start=1000, language="zh"), *verdicts(9, start=2000, language="ja")]
    assert {(line.language, line.n) for line in certify(three, PROMISE, 0.5).lines} in (
        {("en", 300), ("", 309)},
        {("zh", 300), ("", 309)},
    )


def test_the_partition_does_not_look_at_the_verdicts() -> None:
    rows = [*verdicts(200, language="zh"), *verdicts(200, start=1000)]
    flipped = [replace(one, wrong=True) for one in rows]
    assert Sample.of(rows, PROMISE, 0.5).groups(PROMISE) == Sample.of(flipped, PROMISE, 0.5).groups(PROMISE)


def test_the_state_in_one_sentence() -> None:
    short, passed = certify(verdicts(32), PROMISE, 0.5), certify(verdicts(59), PROMISE, 0.5)
    assert budget.stated(short).startswith("Not certifiable yet: 27 more audited answers needed (0 of 32")
    assert "还需抽查 27 个回答" in budget.stated(short, "zh")
    assert "at most 5.0%" in budget.stated(passed, "ja") and "95.0%" in budget.stated(passed, "zh")
    assert "index, model" in budget.stated(budget.invalidated(passed, ("index", "model")))


def test_a_certificate_survives_json() -> None:
    made = certify(verdicts(80, 5), PROMISE, 0.5, fingerprint=(("index", "v1"),))
    assert Certificate.from_json(json.loads(json.dumps(made.to_json()))) == made


WRITER = Writer((("tuned-1", 1.0),), "p1")


def test_another_line_of_what_words_alone_speak_for_ends_it() -> None:
    """Less sure answers of that kind were never drawn."""
    strict = replace(CALIBRATION, by_words={"en": 0.95})
    made = certify(verdicts(59), PROMISE, 0.5, fingerprint=budget.fingerprint(RELEASE, "minilm", strict, WRITER))
    usual = budget.fingerprint(RELEASE, "minilm", under(Settings(running_text="usual"), strict), WRITER)
    assert budget.changed(made, usual) == ("words alone",)
    assert usual == budget.fingerprint(RELEASE, "minilm", CALIBRATION, WRITER)
    assert under(Settings(), strict) == strict


@pytest.mark.parametrize(
    ("release", "writer", "what"),
    [
        ({"index_version": "v2"}, {}, "index"),
        ({}, {"models": (("tuned-2", 1.0),)}, "model"),
        ({}, {"models": (("tuned-1", 0.9), ("trial", 0.1))}, "model"),
        ({}, {"prompt": "p2"}, "prompt"),
    ],
)
def test_a_change_of_the_release_or_of_who_writes_ends_it_and_says_why(
    release: dict[str, str], writer: dict[str, Any], what: str
) -> None:
    before = budget.fingerprint(RELEASE, "minilm", CALIBRATION, WRITER)
    made = certify(verdicts(59), PROMISE, 0.5, fingerprint=before)
    after = budget.fingerprint(replace(RELEASE, **release), "minilm", CALIBRATION, replace(WRITER, **writer))
    assert budget.holds_for(made, before) and not budget.holds_for(made, after)
    assert budget.changed(made, after) == (what,)
    ended = budget.invalidated(made, (what,))
    assert ended.state is State.INVALIDATED and ended.line_for("en", "grounded") == 0.95


def test_another_embedder_or_confidence_model_ends_it_but_a_moved_line_and_a_curated_edit_do_not() -> None:
    before = budget.fingerprint(RELEASE, "minilm", CALIBRATION, WRITER)
    same = budget.fingerprint(
        replace(RELEASE, curated_revision="c2", id="r2"), "minilm", replace(CALIBRATION, line=0.9), WRITER
    )
    assert before == same
    made = certify(verdicts(59), PROMISE, 0.5, fingerprint=before)
    assert budget.changed(made, budget.fingerprint(RELEASE, "bge", CALIBRATION, WRITER)) == ("embedder",)
    moved = replace(CALIBRATION, coefficients=(2.0,))
    assert budget.changed(made, budget.fingerprint(RELEASE, "minilm", moved, WRITER)) == ("confidence",)


def test_later_verdicts_end_it_when_they_contradict_it() -> None:
    made = certify(verdicts(200), PROMISE, 0.5)
    as_promised = [replace(one, wrong=n % 30 == 7) for n, one in enumerate(verdicts(300, start=1000))]
    assert budget.watched(made, as_promised) == made
    drifted = [*verdicts(300, start=1000), *verdicts(30, 15, start=2000)]
    ended = budget.watched(made, drifted)
    assert (ended.state, ended.invalidated_by) == (State.INVALIDATED, ("audit",))


def test_the_audit_draws_its_share_and_the_same_again() -> None:
    names = [f"trace-{n}" for n in range(20_000)]
    chosen = [name for name in names if drawn(name, 0.05)]
    assert len(chosen) == pytest.approx(1000, abs=130)
    assert set(chosen) <= {name for name in names if drawn(name, 0.1)}
    kept = sum(certifying(name, 0.8) for name in chosen)  # the two lots are independent
    assert kept / len(chosen) == pytest.approx(0.8, abs=0.05)


def by_weight(rows: Iterable[Audited]) -> float:
    rows = list(rows)
    return sum(one.wrong / one.probability for one in rows) / sum(1 / one.probability for one in rows)


def test_the_curve_weighs_each_answer_by_how_rarely_it_was_drawn() -> None:
    rows = [*verdicts(90, 10, confidence=0.95, p=0.1), *verdicts(50, 50, start=1000, confidence=0.6, p=1.0)]
    curve = quality.coverage_risk_curve(rows)
    assert [point.line for point in curve] == [0.95, 0.6]
    assert curve[0].wrong == pytest.approx(0.1) and curve[0].coverage == pytest.approx(1000 / 1100)
    assert curve[1].wrong == pytest.approx(by_weight(rows)) and curve[1].coverage == pytest.approx(1.0)
    assert all(point.lower <= point.wrong <= point.upper for point in curve)
    assert (
        len(
            quality.coverage_risk_curve(
                rows + [replace(one, cluster=f"x{n}", confidence=n / 2000) for n, one in enumerate(verdicts(1000))]
            )
        )
        <= 50
    )


def test_reliability_bins() -> None:
    table = quality.reliability(
        [
            *verdicts(90, 10, confidence=0.95),
            *verdicts(50, 50, start=500, confidence=0.62),
            *verdicts(1, start=900, confidence=1.0),
        ]
    )
    assert [(row.low, row.n) for row in table] == [(0.6, 100), (0.9, 101)]
    assert table[0].right == pytest.approx(0.5) and table[0].said == pytest.approx(0.62)
    assert quality.expected_calibration_error(table) == pytest.approx(
        (100 * 0.12 + 101 * abs(table[1].said - table[1].right)) / 201
    )
    assert quality.reliability([]) == () and quality.coverage_risk_curve([]) == ()
