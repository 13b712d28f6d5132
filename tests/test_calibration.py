"""The line that `answerloop calibrate` finds: as low as the labelled questions can vouch for, and no lower."""

from __future__ import annotations

import numpy as np
import pytest

from services.calibration import MOST_UNANSWERABLE, MOST_WRONG, find_line

PACKAGED = 0.6


def line(answers: int, wrong_share: float, outside_sent: float = 0.0, weights: np.ndarray | None = None) -> float:
    """Of `answers` with probabilities from 1 down to 0.5, every n-th is wrong; 40 unanswerable questions beside."""
    probabilities = np.concatenate((np.linspace(1, 0.5, answers), np.linspace(0.49, 0.1, 40)))
    labels = np.ones(answers + 40)
    labels[answers:] = 0
    if wrong_share:
        labels[:answers][:: round(1 / wrong_share)] = 0
    outside = np.arange(answers + 40) >= answers
    if outside_sent:
        probabilities[answers : answers + round(40 * outside_sent)] = 0.99
    return find_line(probabilities, labels, np.ones(answers + 40) if weights is None else weights, outside, PACKAGED)


def test_with_nothing_wrong_most_is_sent() -> None:
    assert line(400, 0.0) < 0.5


def test_fewer_questions_vouch_for_less() -> None:
    """The same share is wrong; what it may truly be is more."""
    assert line(2_000, 0.125) < 0.55
    assert line(50, 0.125) > 0.6


def test_more_wrong_ones_than_may_be_leave_no_line() -> None:
    assert line(400, 2 * MOST_WRONG) == pytest.approx(0.99)


def test_no_more_unanswerable_questions_are_answered_than_may_be() -> None:
    assert line(400, 0.0, outside_sent=2 * MOST_UNANSWERABLE) > 0.98


def test_rows_that_weigh_little_vouch_for_little() -> None:
    """2,000 answers of which a few have nearly all the weight are few."""
    heavy = np.full(2_040, 1e-3)
    heavy[::100] = 1.0
    assert line(2_000, 0.125, weights=heavy) > line(2_000, 0.125)
