"""Strict rows: what was written is read back, and a typo names its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.errors import InvalidInput
from services.training import jsonl
from services.training.records import Context, Example, Made

EXAMPLE = Example(
    "1" * 32,
    "默认端口是多少？",
    "5432",
    "zh",
    "c1",
    Made.RULE,
    (Context("p", "docs/a.md", "参数", "端口默认为 5432。", True, 6, 10),),
    rejected=("3306",),
)


def test_examples_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert jsonl.write(path, [jsonl.example_row(EXAMPLE)]) == 1
    assert jsonl.read_examples(path) == [EXAMPLE]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"prompt": "a", "compeletion": "b"}', "unknown key compeletion; no completion"),
        ('{"prompt": "a"}', "no completion"),
        ('{"text": "a", "label": 1}', "unknown key label"),
        ('{"messages": [{"role": "user", "contnt": "a"}]}', "a message has exactly content, role"),
        ('{"prompt": "a", "completion": 3}', "a text is needed where 3 stands"),
        ('{"question": "a", "contxt": [], "answer": "b"}', "unknown key contxt; no context"),
        ('["a"]', "a row is a JSON object"),
        ('{"text": "a"', "not JSON in UTF-8"),
    ],
)
def test_a_typo_is_an_error_that_names_the_row(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n' + row + "\n", "utf-8")
    with pytest.raises(InvalidInput, match=r"line 2: ") as caught:
        jsonl.check_rows(path)
    assert said in str(caught.value)


def test_text_may_stand_beside_one_supervised_format(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "a"}\n{"prompt": "a", "completion": "b"}\n', "utf-8")
    assert jsonl.check_rows(path) == {"text": 1, "completion": 1}
    path.write_text('{"messages": []}\n{"prompt": "a", "completion": "b"}\n', "utf-8")
    with pytest.raises(InvalidInput, match="chat and completion"):
        jsonl.check_rows(path)
