"""The language of our own sentences, and the form in which two questions are the same."""

from __future__ import annotations

import re

import pytest

from router import wording
from router.wording import language_of, normalise


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("怎么重启？", "zh"),
        ("restart 集群", "zh"),
        ("How?", "en"),
        ("ポートを変更するには？", "en"),
        ("設定の変更方法", "en"),
        ("", "en"),
    ],
)
def test_japanese_is_not_chinese(text: str, language: str) -> None:
    assert language_of(text) == language


def test_width_case_and_marks_do_not_matter() -> None:
    assert normalise(" ＨＯＷ  to？ ") == normalise("how to")


def test_every_reason_is_there_in_both_languages_with_the_same_blanks() -> None:
    for name, texts in wording.REASON.items():
        assert set(texts) == {"en", "zh"}, name
        assert sorted(re.findall(r"{\w+", texts["en"])) == sorted(re.findall(r"{\w+", texts["zh"])), name
        assert wording.language_of(texts["zh"]) == "zh", name


def test_a_reason_is_in_the_language_of_the_question() -> None:
    assert wording.reason("unsure", "zh", confidence="0.50", line="0.60") == "把握不够：置信度 0.50 低于发送线 0.60。"
    assert wording.reason("unsure", "de", confidence="0.50", line="0.60").startswith("Not sure enough")
