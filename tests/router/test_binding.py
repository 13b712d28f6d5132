"""Whose value a bare value is."""

from __future__ import annotations

import pytest

from indexer.analysis import analyse
from router.checking import Verdict, check
from services.generation.checking import packaged_model

TABLE = """# Parameters of queue

| Name | Default | About |
|---|---|---|
| queue_timeout | 30s | how long it waits |
| queue_retries | 3 | tries after a failure |
| queue_mode | strict | how it checks |
"""
TABLE_ZH = """# queue 的参数

| 参数 | 默认值 | 说明 |
|---|---|---|
| queue_size | 128MB | 占用的内存 |
| queue_level | info | 日志的详细程度 |
"""
RETRIES, RETRIES_ZH = "What is the default of queue_retries?", "queue_retries 的默认值是多少？"


def verdict(question: str, draft: str, *passages: str) -> Verdict:
    return check(draft, passages, analyse, packaged_model(), question=question).statements[0].verdict


@pytest.mark.parametrize("draft", ["strict [1]", "30s\n[1]", "It is strict. [1]", "queue_retries: 30s by default [1]."])
def test_the_value_of_another_row_is_no_answer(draft: str) -> None:
    assert verdict(RETRIES, draft, TABLE) is Verdict.CONTRADICTED


@pytest.mark.parametrize("draft", ["3 [1]", "3\n[1]", "The default of queue_retries is 3 [1].", "queue_retries: 3 [1]"])
def test_the_value_of_its_own_row_is(draft: str) -> None:
    assert verdict(RETRIES, draft, TABLE) is Verdict.SUPPORTED


def test_a_passage_that_never_names_the_thing_has_no_value_for_it() -> None:
    assert verdict(RETRIES_ZH, "128MB [1]", TABLE_ZH) is Verdict.CONTRADICTED
    assert verdict(RETRIES_ZH, "默认值是 128MB。[1]", TABLE_ZH) is Verdict.CONTRADICTED
    assert verdict("queue_level 的默认值是多少？", "默认值是 info。[1]", TABLE_ZH) is Verdict.SUPPORTED


def test_another_passage_may_hold_it() -> None:
    checked = check("3 [1]", (TABLE_ZH, TABLE), analyse, packaged_model(), question=RETRIES)
    assert checked.statements[0].verdict is Verdict.MENDED and checked.passages == (2,)


@pytest.mark.parametrize(
    ("passage", "draft"),
    [
        ("# queue_retries\n\n| Property | Value |\n|---|---|\n| Default | 3 |\n| Maximum | 9 |\n", "3 [1]"),
        ("`queue_retries` says how often it tries:\n\n- 3 by default\n- 9 at most\n", "3 [1]"),
        ("The queue tries again after a failure. By default it does so 3 times.", "3 times [1]"),
    ],
)
def test_where_prose_or_a_heading_names_it_rows_need_not(passage: str, draft: str) -> None:
    assert verdict(RETRIES, draft, passage) is Verdict.SUPPORTED


def test_a_question_that_names_nothing_is_not_held_against_rows() -> None:
    assert verdict("How does it check?", "strict [1]", TABLE) is Verdict.SUPPORTED
    assert verdict("", "strict [1]", TABLE) is Verdict.SUPPORTED
    assert verdict("Which setting says how it checks?", "queue_mode [1]", TABLE) is Verdict.SUPPORTED
