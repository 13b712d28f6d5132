"""The data that the packaged confidence is fitted on beside question files, and what one feature is worth by it."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from router.confidence import Calibration
from router.types import Answer, Question, Route, Trace
from services.calibrations import packaged_calibration
from services.evaluation import Asked, Row
from tests.bench.confidence import weighed
from tests.bench.conflicts import disputed, with_twins

START = Calibration("c", "2026-11-01", {}, ("lexical",), (0.5,), (0.2,), (1.0,), 1.0, 0.6)
PAGE = "The club was founded in 1871 by four clerks. It moved twice."
ELSEWHERE = "Bread was baked daily. The oven stood outside."


def row(question: str, context: str, *answers: str) -> Row:
    return Row(Question(question), bool(answers), (), answers, frozenset(), context)


def asked(one: Row, text: str, **features: float) -> Asked:
    answer = Answer(text, Route.GROUNDED, 0.9, (), "", "extractive")
    trace = Trace("t", "", one.question, "", "en", answer, (), features, (), "r", {})
    return Asked(one, trace, any(value in text for value in one.answers), 1)


ROWS = [row("When was it founded?", PAGE, "in 1871"), row("When was bread baked?", ELSEWHERE, "daily")]


def test_a_twin_gives_another_number_on_a_page_of_its_own() -> None:
    original, twin = with_twins(ROWS, 10)
    assert original is ROWS[0] and twin.question == original.question
    (other,) = twin.answers
    assert re.fullmatch(r"in \d{4}", other) and other != "in 1871"
    assert twin.context is not None and f"founded {other} by" in twin.context and "1871" not in twin.context
    assert "Bread was baked daily." in twin.context


def test_what_shows_both_counts_once_as_its_first_value_and_three_times_as_both() -> None:
    original, twin = with_twins(ROWS, 10)
    first = f"It was {original.answers[0]}. It was {twin.answers[0]}."
    pair = [asked(one, first, undisputed=0.0) for one in (original, twin)]
    found = disputed(pair)
    turned = [
        asked(one, f"It was {twin.answers[0]}. It was {original.answers[0]}.", undisputed=0.0)
        for one in (original, twin)
    ]
    assert sorted(one.right for one in (*found, *disputed(turned))) == [False, *[True] * 7]
    assert disputed([replace(one, trace=replace(one.trace, features={"undisputed": 1.0})) for one in pair]) == []


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_feature_that_hardly_ever_speaks_is_worth_what_its_answers_say(share: float) -> None:
    rows = [replace(asked(ROWS[0], "x", lexical=0.9, named=0.0), right=at < share * 100) for at in range(100)]
    found = weighed(START, "named", {"f": rows})
    assert found.probability({"lexical": 0.9, "named": 0.0}) == pytest.approx(share, abs=0.01)
    assert found.probability({"lexical": 0.3, "named": 1.0}) == START.probability({"lexical": 0.3})
    assert found.probability({"lexical": 0.3}) == START.probability({"lexical": 0.3})
    assert found.data == {"f": 100}


@pytest.mark.parametrize("lenient", [0.0, 0.1])
def test_what_is_right_more_often_in_its_file_is_not_put_down_to_the_feature(lenient: float) -> None:
    """Half of the answers of a file lack the feature. Where all of them are right more often than the model says, the
    feature is worth as much: the difference between the two halves."""
    rows = []
    for value, share in ((1.0, 0.8 + lenient), (0.0, 0.5 + 1.6 * lenient)):
        of_it = asked(ROWS[0], "x", lexical=0.58, on_topic=value)
        rows += [replace(of_it, right=at < round(share * 100)) for at in range(100)]
    found = weighed(START, "on_topic", {"f": rows})
    worth = found.pulls({"on_topic": 1.0})["on_topic"] - found.pulls({"on_topic": 0.0})["on_topic"]
    assert worth == pytest.approx(_odds(0.8 + lenient) - _odds(0.5 + 1.6 * lenient), abs=0.05)
    assert found.probability({"lexical": 0.58, "on_topic": 1.0}) == START.probability({"lexical": 0.58})


def _odds(share: float) -> float:
    return math.log(share / (1 - share))


def test_the_packaged_one_is_less_sure_of_what_is_disputed_unnamed_or_off_the_topic() -> None:
    packaged = packaged_calibration()
    usual = dict(zip(packaged.names, packaged.centres, strict=True))
    for name in ("undisputed", "named", "on_topic"):
        assert packaged.probability(usual | {name: 0.0}) < packaged.probability(usual) - 0.1
