from __future__ import annotations

import pytest

from services.cli_output import by_place, plain, print_report, when


def test_a_report_shows_every_value_once(capsys: pytest.CaptureFixture[str]) -> None:
    report = {
        "questions": 120,
        "accuracy": 0.98765,
        "files": ["a.jsonl", "b.jsonl"],
        "nothing": None,
        "by_language": {"zh": {"n": 61, "mrr": 0.91}, "en": {"n": 62, "mrr": 0.92}},
        "skipped": [{"path": "a/b.doc", "reason": "old Word format"}],
        "nested": {"deep": {"deeper": {"value": 77}}},
    }
    print_report(report, "evaluate")
    shown = capsys.readouterr().out
    for text in (
        "120",
        "0.9877",
        "a.jsonl, b.jsonl",
        "by_language",
        "skipped",
        "a/b.doc",
        "61",
        "0.92",
        "evaluate / nested / deep",
    ):
        assert shown.count(text) == 1, text
    assert "77" in shown
    assert "None" not in shown


def test_moments_are_shown_to_the_second() -> None:
    assert when("2026-01-02T03:04:05.678901Z") == "2026-01-02 03:04:05"
    assert when(None) == ""


def test_text_from_outside_is_plain() -> None:
    assert plain("a\x1b[2Jb\x07[red]c\n").plain == "a [2Jb [red]c\n"


def test_citations_of_one_place_share_a_line() -> None:
    cited = [{"source": "a.md", "heading": heading} for heading in ("One", "Two", "One")]
    assert by_place(cited) == {("a.md", "One"): "[1] [3]", ("a.md", "Two"): "[2]"}
