"""The promise kept in simulated deployments whose true error is known, and broken by what is usually done instead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.review.audit import Audited, Budget
from services.review.budget import State, certify, watched
from tests.review.deployments import nightly, simulate

DEPLOYMENTS = 1000


@pytest.fixture(scope="module")
def tally() -> dict[str, int]:
    return simulate(DEPLOYMENTS, seed=2026)["all"]


def test_the_promise_is_broken_in_at_most_five_of_a_hundred(tally: dict[str, int]) -> None:
    assert tally["deployments"] == DEPLOYMENTS
    assert tally["broken"] <= 0.05 * DEPLOYMENTS
    assert tally["certified"] >= 0.15 * DEPLOYMENTS  # or it would be kept by never promising anything


@pytest.mark.parametrize(
    "naive",
    [
        "broken by the queue taken for an audit",
        "broken by the queue's share of wrong ones",
        "broken by the audit's share of wrong ones",
    ],
)
def test_what_is_usually_done_breaks_it(tally: dict[str, int], naive: str) -> None:
    assert tally[naive] > 0.05 * DEPLOYMENTS
    assert tally[naive] >= 5 * tally["broken"]


def test_the_assurance_is_used_up_where_the_true_rate_is_just_too_high() -> None:
    """The worst case: with 59 verdicts, 4.8 of 100 such deployments have no wrong one among them by luck."""
    rng = np.random.default_rng(1)
    certified = 0
    for _ in range(2000):
        wrong = rng.random(59) < 0.0501
        rows = [Audited(f"q{n}", "en", "grounded", 0.9, bool(bad), 0.1, f"{n:03}") for n, bad in enumerate(wrong)]
        certified += certify(rows, Budget(), 0.5).state is State.CERTIFIED
    assert 0.03 * 2000 <= certified <= 0.0627 * 2000  # 0.05 and 2.6 standard errors


def test_an_audit_that_looks_at_good_answers_more_often_is_weighed() -> None:
    """Half the traffic is sure and 1 % wrong, half is not and 9 % wrong, and the sure half is audited ten times as
    often: 5.05 % are wrong in truth, 1.7 % of the verdicts."""
    rng = np.random.default_rng(8)
    certified = taken_plainly = 0
    for number in range(300):
        sure = rng.random(2000) < 0.5
        wrong = rng.random(2000) < np.where(sure, 0.01, 0.092)
        share = np.where(sure, 0.5, 0.05)
        rows = [
            Audited(f"{number}-{at}", "en", "grounded", 0.9, bool(wrong[at]), float(share[at]), f"{at:05}")
            for at in np.flatnonzero(rng.random(2000) < share)
        ]
        certified += certify(rows, Budget(), 0.5).state is State.CERTIFIED
        plain = [replace(one, probability=1.0) for one in rows]
        taken_plainly += certify(plain, Budget(), 0.5).state is State.CERTIFIED
    assert certified <= 0.05 * 300 + 2.6 * (300 * 0.05 * 0.95) ** 0.5
    assert taken_plainly >= 0.9 * 300


def test_looking_every_night_is_many_tests() -> None:
    assert nightly(2000, nights=60, looks=1, seed=3) > 0.15
    assert nightly(2000, nights=60, looks=60, seed=3) <= 0.05


def test_a_release_that_gets_worse_is_found_out_and_one_that_does_not_is_left_alone() -> None:
    """Every answer judged from here on. A promise of 5 % that is kept at 4 %, and one that turns into 15 %."""
    rng = np.random.default_rng(5)
    rows = [Audited(f"q{n}", "en", "grounded", 0.9, False, 1.0, f"{n:04}") for n in range(59)]
    made = certify(rows, Budget(audit_share=1.0), 0.5)
    ended = {}
    for name, rate in (("kept", 0.04), ("worse", 0.15)):
        later = [_later(rng, rate) for _ in range(200)]
        ended[name] = sum(watched(made, stream).state is State.INVALIDATED for stream in later)
    assert ended["kept"] <= 0.05 * 200
    assert ended["worse"] >= 0.95 * 200


def _later(rng: np.random.Generator, rate: float) -> list[Audited]:
    """A hundred that keep the promise, then two hundred at `rate`."""
    wrong = np.append(rng.random(100) < 0.04, rng.random(200) < rate)
    return [Audited(f"l{n}", "en", "grounded", 0.9, bool(bad), 1.0, f"{n:04}") for n, bad in enumerate(wrong)]
