"""`make demo`, the first thing that anybody runs: real index, real server, real questions over HTTP."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from deploy import demo
from services.running import running_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What it prints, with a home of its own: the one of `make demo` may be in use."""
    printed = io.StringIO()
    monkeypatch.setattr(demo, "HOME", tmp_path / "home")
    monkeypatch.setattr(demo, "out", Console(file=printed, width=110, highlight=False))
    return printed


def panels(printed: str) -> dict[str, str]:
    """Question → what stands in its panel."""
    return {text.split(" ─")[0].strip(): text for text in printed.split("╭─ ")[1:]}


def test_its_own_manual_answers_in_both_languages_and_coffee_goes_to_people(said: io.StringIO, tmp_path: Path) -> None:
    demo.run(demo.Options(None, 8300, once=True))
    shown = panels(said.getvalue())
    assert list(shown) == list(demo.OWN_QUESTIONS)
    grounded = [question for question, text in shown.items() if "grounded · confidence" in text and "[1]" in text]
    assert len(grounded) >= 4 and any(one.isascii() for one in grounded) and not all(one.isascii() for one in grounded)
    assert "abstained" in shown[demo.NOT_IN_ANY_MANUAL]
    waiting = said.getvalue().partition("Waiting for a reviewer")[2]
    assert f"{demo.NOT_IN_ANY_MANUAL}  ·  low_confidence, asked 1×" in waiting
    assert running_server(tmp_path / "home") is None, "it stops with DEMO_ONCE=1"


def test_your_own_documents(said: io.StringIO, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "kettle.md").write_text("# Kettle\n\nA kettle is a pot that boils water in three minutes.\n", "utf-8")
    (docs / "lamp.md").write_text("# 台灯\n\n台灯是放在桌上的灯，亮度分三档。\n", "utf-8")
    demo.run(demo.Options(str(docs), 8300, once=True))
    assert list(panels(said.getvalue())) == ["What is Kettle?", "什么是台灯？", demo.NOT_IN_ANY_MANUAL]
    assert "2 documents, 2 passages, 0 skipped" in said.getvalue()
    assert "kettle.md" in panels(said.getvalue())["What is Kettle?"]
