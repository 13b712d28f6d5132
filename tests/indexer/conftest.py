from __future__ import annotations

from pathlib import Path

import pytest

from indexer import build as building
from tests.indexer.small import Place, fixed_learning, page


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """No pages yet. Builds take given weights and a given corpus embedder instead of learning them."""
    monkeypatch.setattr(building, "learn", fixed_learning())
    return Place(tmp_path)


@pytest.fixture
def place(empty: Place) -> Place:
    """Eight pages, two of them Chinese, built once."""
    for number in range(8):
        empty.write(f"page{number}.md", page(number))
    empty.build()
    return empty
