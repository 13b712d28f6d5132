"""The data that the packaged confidence is fitted on beside question files, and what one feature is worth by it."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from router.confidence import Calibration
from router.types import Answer, Question, Route, Trace
from services.calibration_lines import NOTHING
from services.calibrations import packaged_calibration
from services.evaluation import Asked, Row
from tests.bench.answers_removed import without_answers
from tests.bench.confidence import weighed, words_line
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


def test_a_page_without_its_answer_is_the_rest_of_the_page() -> None:
    page = (
        "The club was founded in 1871. Four clerks founded it at the old harbour of the town. It moved twice, by ship."
    )
    (left,) = without_answers([row("When was it founded?", page, "in 1871")])
    assert left.context == " Four clerks founded it at the old harbour of the town. It moved twice, by ship."
    assert not left.answerable and not left.answers and left.question.text == "When was it founded?"
    chinese = (
        "俱乐部创立于1871年，由四名职员创立；后来在老港口的海边搬过两次。"
        + "会员每年春天都要在老港口的海边聚会一次，一直持续到今天。" * 2
    )
    (left,) = without_answers([row("何时创立？", chinese, "1871年")])
    assert left.context is not None and "1871" not in left.context and left.context.startswith("后来")


@pytest.mark.parametrize(
    ("page", "answers"),
    [
        (PAGE, ()),  # nothing to take out
        (PAGE, ("in 1903",)),  # not there
        (PAGE, ("in 1871",)),  # next to nothing would be left
        (f"It was in 1871. {'The clerks met every week at the harbour. ' * 3}So in 1871", ("1871. The",)),  # across two
    ],
)
def test_a_page_that_cannot_lose_its_answer_is_left_out(page: str, answers: tuple[str, ...]) -> None:
    assert without_answers([row("When was it founded?", page, *answers)]) == []


def test_one_question_of_a_page_is_taken_because_the_others_answers_are_still_there() -> None:
    page = f"It was founded in 1871. It burned in 1903. {'The clerks met every week at the harbour. ' * 2}"
    rows = [row("When was it founded?", page, "in 1871"), row("When did it burn?", page, "in 1903")]
    assert [one.question.text for one in without_answers(rows)] == ["When was it founded?"]


def test_the_line_of_words_alone_is_found_on_what_they_alone_speak_for() -> None:
    alone = [asked(ROWS[0], "x", lexical=0.5, beyond_words=0.0) for _ in range(59)]
    others = [asked(ROWS[0], "x", lexical=0.9, beyond_words=1.0) for _ in range(9)]
    said = START.probability({"lexical": 0.5})
    assert words_line(START, [*alone, *others]) == pytest.approx(said, abs=2e-4) and words_line(START, alone) > said
    assert words_line(START, alone[1:]) == NOTHING  # too few to vouch for any


def test_the_line_lies_above_the_surest_of_them_however_sure_that_is() -> None:
    sure = [asked(ROWS[0], "x", lexical=1.5, beyond_words=0.0) for _ in range(59)]
    said = START.probability({"lexical": 1.5})
    assert 0.99 < said < words_line(START, sure) < said + 2e-4


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


def test_the_packaged_one_asks_more_of_what_words_alone_speak_for() -> None:
    packaged = packaged_calibration()
    for language in ("en", "zh"):
        usual, alone = (packaged.line_of({"beyond_words": value}, language) for value in (1.0, 0.0))
        assert alone > usual + 0.1


def test_the_packaged_one_is_less_sure_of_what_is_disputed_unnamed_or_off_the_topic() -> None:
    packaged = packaged_calibration()
    usual = dict(zip(packaged.names, packaged.centres, strict=True))
    for name in ("undisputed", "named", "on_topic"):
        assert packaged.probability(usual | {name: 0.0}) < packaged.probability(usual) - 0.1
