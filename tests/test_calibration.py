"""The line that `answerloop calibrate` finds: as low as the labelled questions can vouch for, and no lower."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.confidence import Calibration
from services.calibration import WRITTEN, Said, adapt
from services.calibration_lines import MOST_UNANSWERABLE, MOST_WRONG, NOTHING, Answers, Lines, find_lines, sure_floor

PACKAGED = Lines(0.6, {"zh": 0.55})
WITH_NONE = Lines(0.6, {})


def found(
    probabilities: np.ndarray,
    right: int,
    languages: np.ndarray | None = None,
    packaged: Lines = PACKAGED,
    weights: np.ndarray | None = None,
) -> Lines:
    """The first `right` answers are right, the questions of all others are unanswerable."""
    count = len(probabilities)
    outside = np.arange(count) >= right
    known = np.full(count, "en") if languages is None else languages
    even = np.ones(count) if weights is None else weights
    return find_lines(answers(probabilities, (~outside).astype(float), even, known, outside), packaged)


def answers(
    probabilities: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    languages: np.ndarray,
    outside: np.ndarray,
    by_words: np.ndarray | None = None,
) -> Answers:
    alone = np.zeros(len(labels), bool) if by_words is None else by_words
    return Answers(probabilities, labels, weights, languages, outside, alone)


def line(count: int, wrong_share: float, outside_sent: float = 0.0, weights: np.ndarray | None = None) -> float:
    """Of `count` answers from 1 down to 0.5, every n-th is wrong; 40 unanswerable questions beside."""
    probabilities = np.concatenate((np.linspace(1, 0.5, count), np.linspace(0.49, 0.1, 40)))
    labels = np.ones(count + 40)
    labels[count:] = 0
    if wrong_share:
        labels[:count][:: round(1 / wrong_share)] = 0
    outside = np.arange(count + 40) >= count
    if outside_sent:
        probabilities[count : count + round(40 * outside_sent)] = 0.99
    even = np.ones(count + 40) if weights is None else weights
    asked = answers(probabilities, labels, even, np.full(count + 40, "en"), outside)
    return find_lines(asked, PACKAGED).by_language["en"]


def test_with_nothing_wrong_most_is_sent() -> None:
    assert line(400, 0.0) < 0.5


def test_fewer_questions_vouch_for_less() -> None:
    """The same share is wrong; what it may truly be is more."""
    assert line(2_000, 0.125) < 0.55
    assert line(50, 0.125) > 0.6


def test_more_wrong_ones_than_may_be_leave_no_line() -> None:
    assert line(400, 2 * MOST_WRONG) == NOTHING


def test_no_more_unanswerable_questions_are_answered_than_may_be() -> None:
    assert line(400, 0.0, outside_sent=2 * MOST_UNANSWERABLE) > 0.98


def test_each_language_keeps_the_promise_by_a_line_of_its_own() -> None:
    """3 of 60 unanswerable questions are answered, which may be: but all 3 are of the 30 Chinese ones."""
    probabilities = np.concatenate((np.linspace(1, 0.5, 400), np.full(3, 0.9), np.linspace(0.49, 0.1, 57)))
    lines = found(probabilities, 400, np.repeat(["fr", "zh", "en"], [400, 30, 30]))
    assert set(lines.by_language) == {"zh", "en"}
    assert lines.by_language["zh"] == pytest.approx(0.9001) and lines.by_language["en"] < 0.51
    assert lines.line < 0.51  # together they keep it


def test_a_language_with_few_unanswerable_questions_has_no_line_of_its_own() -> None:
    probabilities = np.concatenate((np.linspace(1, 0.5, 400), np.full(2, 0.9), np.linspace(0.49, 0.1, 58)))
    lines = found(probabilities, 400, np.repeat(["zh", "zh", "en"], [400, 19, 41]))
    assert set(lines.by_language) == {"en"} and lines.line < 0.51


def test_with_few_unanswerable_questions_no_line_is_below_the_packaged_one() -> None:
    probabilities = np.concatenate((np.linspace(1, 0.5, 400), np.linspace(0.49, 0.1, 10)))
    assert found(probabilities, 400) == Lines(0.6, {"zh": 0.6})
    assert found(probabilities, 400, packaged=Lines(0.6, {"zh": 0.7})) == Lines(0.6, {"zh": 0.7})


def test_what_is_at_a_line_is_sent_and_counts() -> None:
    """Three unanswerable questions of 40 at one probability: a line there would send all of them."""
    probabilities = np.concatenate((np.linspace(1, 0.5, 400), np.full(3, 0.8), np.full(37, 0.1)))
    assert 0.8 < found(probabilities, 400).by_language["en"] < 0.802


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans(), st.sampled_from(("zh", "en"))), max_size=120),
)
def test_found_lines_keep_what_they_promise(rows: list[tuple[float, bool, bool, str]]) -> None:
    """Or send nothing. A question that is unanswerable has no right answer."""
    probabilities = np.array([row[0] for row in rows], float)
    outside, languages = np.array([row[2] for row in rows], bool), np.array([row[3] for row in rows], str)
    labels = np.array([row[1] for row in rows], float) * ~outside
    lines = find_lines(answers(probabilities, labels, np.ones(len(rows)), languages, outside), WITH_NONE)
    least = np.array([lines.by_language.get(one, lines.line) for one in languages], float)
    sent = (probabilities >= least) & (least < NOTHING)
    for name in lines.by_language:
        mine = outside & (languages == name)
        assert (sent & mine).sum() <= MOST_UNANSWERABLE * mine.sum()
    if sent.any():
        assert (sent & (labels == 0)).sum() <= MOST_WRONG * sent.sum()


# --- what words alone speak for --------------------------------------------------------------------------------------


def running_text(unanswerable: int, high: int, packaged: Lines) -> Lines:
    """300 right answers from 1 to 0.5 that words alone speak for; of as many unanswerable questions `high` are at 0.9,
    the rest low. Beside them 300 right answers that more speaks for, and 40 unanswerable ones."""
    parts = (
        np.linspace(1, 0.5, 300), np.full(high, 0.9), np.linspace(0.4, 0.1, unanswerable - high),
        np.linspace(1, 0.5, 300), np.linspace(0.4, 0.1, 40),
    )  # fmt: skip
    right = np.concatenate([np.full(len(part), number in (0, 3)) for number, part in enumerate(parts)])
    alone = np.concatenate([np.full(len(part), number < 3) for number, part in enumerate(parts)])
    count = len(right)
    rows = answers(np.concatenate(parts), right.astype(float), np.ones(count), np.full(count, "en"), ~right, alone)
    return find_lines(rows, packaged)


def test_what_words_alone_speak_for_has_a_line_of_its_own() -> None:
    lines = running_text(100, 10, Lines(0.6, {}, {"zh": 0.8}))
    assert lines.by_words == {"zh": 0.8, "en": pytest.approx(0.9, abs=2e-3)}
    assert lines.by_language["en"] < 0.51  # which the others do not pay for


def test_few_unanswerable_questions_leave_the_packaged_line_of_words_alone() -> None:
    lines = running_text(58, 0, Lines(0.6, {}, {"en": 0.95}))
    assert lines.by_words == {"en": 0.95} and lines.by_language["en"] < 0.51
    assert running_text(59, 0, Lines(0.6, {}, {"en": 0.95})).by_words["en"] < 0.51
    assert running_text(58, 10, Lines(0.6, {}, {"zh": 0.95})).by_language["en"] < 0.51  # 0.95 holds for them, too


def test_files_of_running_text_alone_leave_the_line_of_all_else_as_it_is() -> None:
    probabilities = np.concatenate((np.linspace(1, 0.5, 300), np.linspace(0.4, 0.1, 100)))
    right, count = np.arange(400) < 300, 400
    alone = answers(
        probabilities, right.astype(float), np.ones(count), np.full(count, "en"), ~right, np.full(count, True)
    )
    lines = find_lines(alone, Lines(0.6, {"en": 0.7}, {"en": 0.95}))
    assert (lines.line, lines.by_language) == (0.6, {"en": 0.7}) and lines.by_words["en"] < 0.51
    assert find_lines(alone, Lines(0.6, {"en": 0.7})).by_language["en"] < 0.51  # where words alone have no line


def test_few_right_answers_of_words_alone_leave_their_packaged_line() -> None:
    probabilities, count = np.concatenate((np.linspace(1, 0.9, 10), np.linspace(0.4, 0.1, 60))), 70
    right = np.arange(count) < 10
    few = answers(
        probabilities, right.astype(float), np.ones(count), np.full(count, "en"), ~right, np.full(count, True)
    )
    assert find_lines(few, Lines(0.6, {}, {"en": 0.95})).by_words == {"en": 0.95}


def test_without_any_line_of_words_alone_there_is_one_line_for_all() -> None:
    lines = running_text(58, 10, Lines(0.6, {}))
    assert not lines.by_words and lines.by_language["en"] == pytest.approx(0.9, abs=2e-3)


def test_a_sure_floor_is_above_the_share_that_was_seen() -> None:
    """Of 1,000 questions 38 may be sent for the true share to be surely at most 5 %: with 39 it may be 5.03 %."""
    assert sure_floor(np.linspace(0.1, 0.3, 58)) is None
    falling = np.linspace(1, 0, 1_000)
    floor = sure_floor(falling)
    assert floor is not None and (falling >= floor).sum() == 38


def test_the_error_budget_does_not_go_below_the_line_of_words_alone() -> None:
    """It judges by what was sent, and says nothing about what was not."""
    budgeted = replace(LIVE, by_words={"en": 0.9, "zh": 0.8}, lines={"/": 0.3})
    for language, line in (("en", 0.9), ("zh", 0.8), ("fr", 0.9)):
        assert budgeted.line_of({"beyond_words": 0.0}, language) == line
        assert budgeted.line_of({"beyond_words": 1.0}, language) == budgeted.line_of({}, language) == 0.3
    assert replace(budgeted, lines={"/": 0.95}).line_of({"beyond_words": 0.0}, "zh") == 0.95
    assert budgeted.with_line(0.1).line_of({"beyond_words": 0.0}, "en") == 0.1


def test_rows_that_weigh_little_vouch_for_little() -> None:
    """2,000 answers of which a few have nearly all the weight are few."""
    heavy = np.full(2_040, 1e-3)
    heavy[::100] = 1.0
    assert line(2_000, 0.125, weights=heavy) > line(2_000, 0.125)


# --- a served calibration, fitted to another model's answers ----------------------------------------------------------

LIVE = Calibration("live", "2026-11-01", {"f": 9}, ("lexical",), (0.5,), (0.2,), (0.8,), 0.4, 0.6)


def said(count: int, telling: bool = True, right_share: float = 0.5) -> list[Said]:
    """telling: how sure the model was goes with whether it is right."""
    chance = np.random.default_rng(0)
    rows = []
    for _ in range(count):
        right = bool(chance.random() < right_share)
        sure = 0.9 if right or not telling else 0.5
        features = {"lexical": 0.5, "model_sure": sure + 0.05 * chance.random(), "claims_mean": 0.7}
        rows.append(Said(features, right))
    return rows


def test_what_another_model_says_of_itself_joins_and_all_else_stays() -> None:
    found = adapt(LIVE, said(300))
    fitted, report = found.calibration, found.report
    assert report["fitted"] and fitted.id != LIVE.id and fitted.line == LIVE.line
    assert fitted.names[:1] == LIVE.names and fitted.coefficients[:1] == LIVE.coefficients
    assert set(fitted.names[1:]) == {"model_sure", "claims_mean"}
    sure, unsure = (fitted.probability({"lexical": 0.5, "model_sure": value}) for value in (0.93, 0.53))
    assert sure > LIVE.probability({"lexical": 0.5}) > unsure
    assert report["after"]["brier"] < report["before"]["brier"]


def test_a_model_that_is_more_often_wrong_than_what_was_served_is_believed_less() -> None:
    found = adapt(LIVE, said(400, telling=False, right_share=0.2)).calibration
    assert found.probability({"lexical": 0.5}) < LIVE.probability({"lexical": 0.5}) - 0.1


def test_few_answers_change_nothing_and_say_how_many_are_needed() -> None:
    for some in ([], said(29), [replace(one, right=True) for one in said(100)]):
        found = adapt(LIVE, some)
        assert (
            found.calibration is LIVE and not found.report["fitted"] and "30 answers are needed" in found.report["says"]
        )


def test_a_fit_that_judges_no_better_is_not_taken() -> None:
    """The served one knows these answers already."""
    sure = Calibration("s", "", {}, ("model_sure",), (0.7,), (0.05,), (2.0,), 0.0, PACKAGED)
    found = adapt(sure, said(40))
    assert found.calibration is sure and "better than one fitted" in found.report["says"]


def test_what_an_earlier_model_said_of_itself_is_forgotten() -> None:
    earlier = adapt(LIVE, said(300)).calibration
    later = adapt(earlier, [Said({"lexical": 0.5, **one.features}, not one.right) for one in said(300)]).calibration
    assert sum(name in WRITTEN for name in later.names) == 2 and len(set(later.names)) == len(later.names)
