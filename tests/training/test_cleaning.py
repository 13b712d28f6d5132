"""Cleaning: copies go, paraphrases stay, and everything can be undone."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.training.cleaning import clean, undo
from services.training.records import Context, Example, Made


def row(identity: str, question: str, cluster: str = "c", answer: str = "a", passage: str = "p") -> Example:
    shown = (Context(passage, "d", "h", "text", True, 0, 4),)
    return Example(identity, question, answer, "en", cluster, Made.RULE, shown)


def nothing_differs(_one: str, _other: str) -> tuple[str, ...]:
    return ()


def numbers_differ(one: str, other: str) -> tuple[str, ...]:
    digits = [[char for char in text if char.isdigit()] for text in (one, other)]
    return ("numbers",) if digits[0] != digits[1] else ()


def test_the_same_words_are_one_row_and_a_paraphrase_is_another() -> None:
    rows = [row("1", "How do I restart it?"), row("2", "how do i  restart it"), row("3", "How is it started again?")]
    cleaned = clean(rows, nothing_differs)
    assert [one.id for one in cleaned.rows] == ["1", "3"]
    assert [(one.example.id, one.kept) for one in cleaned.removed] == [("2", "1")]


LONG = "How can the maximum number of connections of a read-only node be raised to 500 at once"


def test_few_characters_make_a_copy_unless_they_are_what_matters() -> None:
    rows = [row("1", LONG), row("2", LONG + "!!"), row("3", LONG.replace("500", "501"))]
    assert [one.id for one in clean(rows, numbers_differ).rows] == ["1", "3"]


def test_clusters_merge_only_where_answer_and_evidence_agree() -> None:
    rows = [row("1", "Restart?", "a"), row("2", "restart", "b"), row("3", "Restart", "c", answer="other")]
    cleaned = clean(rows, nothing_differs)
    assert [(one.cluster, one.into) for one in cleaned.merged] == [("b", "a")]
    assert {one.cluster for one in cleaned.rows} == {"a", "c"}


def test_a_reviewed_row_is_the_one_that_stays() -> None:
    rows = [row("1", "Restart?"), replace(row("2", "restart"), reviewed=True)]
    assert [one.id for one in clean(rows, nothing_differs).rows] == ["2"]


words = st.sampled_from(["restart", "Restart?", "stop the node", "stop the  node", "stop a node", "重启", "重启？"])
row_lists = st.lists(
    st.tuples(words, st.sampled_from("abc"), st.sampled_from("xy"), st.sampled_from("pq")), max_size=20
)


@given(row_lists, st.randoms())
def test_cleaning_can_be_undone_and_knows_no_order(given_rows: list[tuple[str, ...]], chance: random.Random) -> None:
    rows = [row(f"{at:03}", *one) for at, one in enumerate(given_rows)]
    cleaned = clean(rows, nothing_differs)
    assert undo(cleaned) == rows
    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert clean(shuffled, nothing_differs) == cleaned
