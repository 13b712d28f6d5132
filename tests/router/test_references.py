"""What a message points at and nothing names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.references import pointed_at
from router.types import Turn


@pytest.mark.parametrize(
    ("text", "pointed"),
    [
        ("What services does this clinic provide?", "this clinic"),
        ("What is the main purpose of that mission?", "that mission"),
        ("How do I set these parameters?", "these parameters"),
        ("这个参数怎么设置？", "这个参数"),
        ("请问该功能支持批量导入吗", "该功能"),
        ("那个命令是什么", "那个命令"),
        ("這個參數怎麼設置？", "这个参数"),
        ("这位演员是哪里人？", "这位演员"),
        ("那部电影是哪年上映的", "那部电影"),
        ("这家医院可以预约吗", "这家医院"),
        ("What is the main purpose of that NASA mission?", "that NASA mission"),  # an acronym that says what kind
        ("How do I renew this TLS certificate?", "this TLS certificate"),
        ("When was the prime minister elected?", "the prime minister"),
        ("How many people live in the country?", "the country"),
        ("What is the actor's approach to fitness?", "the actor"),
        ("When was the apple product launched?", "the apple product"),
        ("This is one of few with a roof.", "This"),
        ("When was the season of Blue Hills premiered?", "the season"),
    ],
)
def test_it_is_said_in_the_askers_words(text: str, pointed: str) -> None:
    assert pointed_at(text, ()) == pointed


@pytest.mark.parametrize(
    "text",
    [
        "How do I restart a node?",
        "Does this work on Windows?",
        "Can I do that this week?",
        "How do I install this software?",  # the product itself
        "What does this error mean: out of memory?",  # it is spelt out
        "What does this error mean, ERR_1045?",
        'Where do I put this key "abc"?',
        "I know that nodes restart",  # a conjunction
        "这个产品支持多租户吗",
        "此时怎么办",
        "这样可以吗",
        "dd 命令的这个选项是什么意思",  # the option of dd
        "max_connections 这个参数怎么设置",
        "怎么加节点",
        "What does this GET command return?",  # an acronym that is its name
        "How do I set this MAX_SIZE option?",
        "Who is the president of the club?",
        "How does the city gateway work?",  # a city's gateway may be anything
        "What does the product cost?",
        "Which film that won a prize was the first one?",
        "What does the whole product cost?",
        "How do I share the album?",  # the asker's own
        "Can we add players to the tournament?",
        "In France, who is the president?",
        "When was the season of Blue Hills with 24 parts premiered?",
        "When was the season of Blue Hills premiered that came last?",
        "Which was the season of Blue Hills in Rome?",
        "When is the season of mangoes?",
        "What is the best river for fishing in the country?",
        "Is this one of few?",  # a question may mean the product
        "This is not working, what now?",
        "应该怎么做",
    ],
)
def test_what_is_named_or_needs_no_name_is_not_asked_for(text: str) -> None:
    assert pointed_at(text, ()) == ""


def test_a_turn_before_that_names_it_settles_it() -> None:
    text = "What services does this clinic provide?"
    assert pointed_at(text, (Turn("assistant", "There are two clinics in Adams."),)) == ""
    assert pointed_at(text, (Turn("user", "How do I watch the game?"),)) == "this clinic"
    assert pointed_at("这个参数怎么设置？", (Turn("assistant", "它是一个只读参数。"),)) == ""


def test_one_of_many_is_asked_for_unless_a_turn_may_have_named_it() -> None:
    text = "How large is the country?"
    assert pointed_at(text, (Turn("user", "Tell me about Peru."),)) == ""
    assert pointed_at(text, (Turn("assistant", "Which country?"),)) == ""
    asked = (Turn("user", "when was the old mill built"), Turn("assistant", "In 1740, when Adams bought the land."))
    assert pointed_at(text, asked) == "the country"
    assert pointed_at("This is one of few with a roof.", (Turn("user", "Tell me about stadiums."),)) == ""


@given(st.text(max_size=200), st.text(max_size=100))
def test_it_never_raises_and_invents_nothing(text: str, before: str) -> None:
    found = pointed_at(text, (Turn("user", before),))
    assert all(word in text or not word.isascii() for word in found.split())
