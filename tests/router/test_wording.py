"""The language of our own sentences, and the form in which two questions are the same."""

from __future__ import annotations

import pytest

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
