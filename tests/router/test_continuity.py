"""Whether an answer is about what was spoken of."""

from __future__ import annotations

import pytest

from router.continuity import on_topic, spoken_of
from router.conversation import understand
from router.types import Passage, Question, Turn

HISTORY = (
    Turn("user", "How do I file an appeal against a traffic fine?"),
    Turn("assistant", "Send the notice of appeal to the court within 30 days."),
)


def page(text: str, *heading: str) -> Passage:
    return Passage("p", "docs/a.md", heading, 0, len(text), text, "en")


COURT = page("A lawyer may send the notice for you; the court needs the original.")
ASKS = "When does a lawyer send the original?"
COMPANY = page("A company with one owner may hire a lawyer.")


@pytest.mark.parametrize(
    ("text", "passage", "value"),
    [
        ("Do I need to hire a lawyer?", COURT, 1.0),
        ("Do I need to hire a lawyer?", COMPANY, 0.0),
        ("Do I need to hire a lawyer?", page("Hire a lawyer early.", "Traffic court"), 1.0),  # headings count
        ("Do I need to hire a lawyer?", page("A lawyer may appeal."), 0.5),
    ],
)
def test_a_short_message_wants_a_passage_about_the_same(text: str, passage: Passage, value: float) -> None:
    assert on_topic(understand(Question(text, HISTORY)), passage) == pytest.approx(value, abs=0.01)


@pytest.mark.parametrize(
    ("passage", "history", "speaks"),
    [
        (COURT, HISTORY, True),
        (COMPANY, HISTORY, False),
        (page("A lawyer may appeal."), HISTORY, False),  # one word
        (COURT, (), False),
        (COURT, (Turn("user", ASKS), Turn("assistant", "I found no reliable answer.")), False),  # the same again
    ],
)
def test_a_conversation_speaks_for_a_passage_about_the_same(
    passage: Passage, history: tuple[Turn, ...], speaks: bool
) -> None:
    assert spoken_of(understand(Question(ASKS, history)), passage, ASKS) is speaks


def test_the_more_a_message_says_itself_the_less_it_leans_on_what_was_before() -> None:
    texts = ("Owners hire lawyers?", "When may sole owners of small companies in Nevada hire lawyers?")
    short, long = (on_topic(understand(Question(text, HISTORY)), COMPANY) for text in texts)
    assert short < 0.1 and 0.3 < long < 1.0


@pytest.mark.parametrize(
    "history",
    [
        (),
        (Turn("user", "hello"), Turn("assistant", "Good morning! How can I help you with your documents today?")),
        (Turn("assistant", "Welcome to the help desk of the city court. Ask me about fines and appeals."),),
    ],
)
def test_where_nothing_was_asked_there_is_no_topic(history: tuple[Turn, ...]) -> None:
    assert on_topic(understand(Question("May I hire a lawyer?", history)), COMPANY) == 1.0


def test_what_was_made_whole_is_held_to_its_topic() -> None:
    understood = understand(Question("and how long does it take?", HISTORY))
    assert understood.carried and on_topic(understood, COMPANY) < 0.9
    assert on_topic(understood, page("An appeal takes six weeks after the notice.")) == 1.0


def test_chinese() -> None:
    history = (Turn("user", "怎么创建只读节点？"), Turn("assistant", "在控制台选择增删节点，再选择规格。"))
    asked = understand(Question("公司必须请律师吗？", history))
    about = Passage("p", "a.md", ("节点",), 0, 12, "创建只读节点不需要律师。", "zh")
    other = Passage("q", "b.md", ("公司",), 0, 10, "开公司可以请一位律师。", "zh")
    assert on_topic(asked, about) == 1.0 and on_topic(asked, other) < 0.1
