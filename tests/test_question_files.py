"""Question files of `evaluate` and `calibrate`: what is read, and what is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router.errors import InvalidInput
from services.evaluation import read_rows


def test_a_row_with_everything(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    row = {"question": "How?", "answer_keys": ["so"], "doc_id": "a.md", "also_in": ["b.md"], "answerable": True}
    file.write_text(json.dumps(row) + "\n\n", "utf-8")
    (read,) = read_rows(file)
    assert (read.question.text, read.keys, read.pages) == ("How?", ("so",), frozenset({"a.md", "b.md"}))


@pytest.mark.parametrize(
    "line",
    ["no JSON", "[]", "{}", '{"question": "How?", "answer_keys": "so"}', '{"question": "How?", "also_in": "b.md"}'],
)
def test_a_line_that_is_no_question_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "Why?"}\n' + line, "utf-8")
    with pytest.raises(InvalidInput, match="line 2"):
        read_rows(file)
