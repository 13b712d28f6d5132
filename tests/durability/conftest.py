from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.durability.place import Place, made


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return made(tmp_path_factory.mktemp("durability"))


@pytest.fixture
def place(original: Place, tmp_path: Path) -> Place:
    """A copy of its own, indexed again from its own pages, which is quick: the passages are the same."""
    shutil.copytree(original.folder, tmp_path / "copy")
    own = Place(tmp_path / "copy")
    own.index("-s", f"manual={own.pages}")
    return own
