"""The manual answers what a new user asks: it is indexed for real and asked, in both languages.

The bars are a little below what was measured when they were set (2026-11-23), so that a page which loses its answer,
or a change of the search that loses pages, is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.evaluation import run_evaluate
from services.indexing import run_index
from services.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = Path(__file__).parent / "questions.jsonl"


def no_progress(stage: str, done: int, total: int) -> None: ...


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), corpus_seconds=30)
    run_index(settings, [f"docs={ROOT / 'docs'}"], "test", no_progress)
    yield run_evaluate(settings, [QUESTIONS], no_progress)[QUESTIONS.name]


@pytest.mark.slow
def test_the_right_page_is_found(figures: dict[str, Any]) -> None:
    assert figures["page_in_top_5"] >= 0.95
    assert figures["page_first"] >= 0.85


@pytest.mark.slow
def test_what_it_sends_is_right_and_what_it_does_not_say_is_not_answered(figures: dict[str, Any]) -> None:
    """Ten rows ask what the manual does not say: one of them sent is the most that is borne. The packaged calibration
    was fitted on these rows among others, so that this is a guard against getting worse and no promise."""
    assert figures["questions"] - figures["answerable"] >= 10
    assert figures["unanswerable_answered"] <= 0.1
    assert figures["right_of_answered"] >= 0.92
    assert figures["coverage_of_answerable"] >= 0.7
