"""The words of a question as wholes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.analysis import analyse_question, is_cut
from indexer.words import CONTENT, KINDS, THINGS, Word, words_of


def said(question: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(word.kind, word.terms) for word in words_of(question)]


def test_han_words_have_the_pairs_inside_them_and_none_across_two() -> None:
    assert said("怎么购买鲸鱼？") == [("verbs", ("购买",)), ("nouns", ("鲸鱼",))]
    assert ("nouns", ("数据", "据库")) in said("如何重启数据库")


def test_words_that_only_ask_are_none() -> None:
    assert said("请问怎么办？") in ([], said("怎么办"))
    assert all(word.terms != ("怎么",) for word in words_of("怎么购买鲸鱼？"))


def test_either_script_has_the_same_words() -> None:
    assert words_of("怎麼購買鯨魚？") == words_of("怎么购买鲸鱼？")


def test_latin_words_are_names_and_figures_amounts_each_by_itself() -> None:
    assert said("how do I buy 3 whales") == [("names", ("buy",)), ("amounts", ("3",)), ("names", ("whale",))]
    assert said("Kafka 支持鲸鱼吗") == [("names", ("kafka",)), ("verbs", ("支持",)), ("nouns", ("鲸鱼",))]


def test_a_name_is_one_word_with_its_parts() -> None:
    assert said("Where is work_mem set?") == [("names", ("work_mem", "work", "mem")), ("names", ("set",))]


def test_a_character_alone_is_no_content() -> None:
    assert [kind for kind, terms in said("我拿大盘") if len(terms[0]) == 1 and kind in CONTENT] == []


@pytest.mark.parametrize("question", ["", " ", "？？", "🙂"])
def test_no_words(question: str) -> None:
    assert words_of(question) == ()


@given(st.text(alphabet="购买鲸鱼數據庫怎么 的了3aB-_.?！𩸽ㄅかカ고", max_size=30))
def test_every_term_is_a_token_of_the_question(question: str) -> None:
    tokens = set(analyse_question(question))
    for word in words_of(question):
        assert isinstance(word, Word) and word.kind in KINDS and word.terms
        assert set(word.terms) <= tokens
    covered = {term for word in words_of(question) for term in word.terms}
    assert {token for token in tokens if not is_cut(token)} <= covered


def test_a_rare_character_is_a_word_too() -> None:
    assert [terms for _, terms in said("怎么购买𩸽")] == [("购买",), ("𩸽",)]
    assert said("ㄅ") == [("names", ("ㄅ",))]


def test_content_is_more_than_things() -> None:
    assert THINGS < CONTENT < set(KINDS)
