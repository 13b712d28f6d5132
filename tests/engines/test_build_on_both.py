"""A whole life of an index on each engine: built, brought up to date, searched, pruned."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer import build as building
from indexer.build import prune, version_folder
from router.errors import IndexUnavailable
from router.ports import Engines
from tests.indexer.small import Place, documents, fixed_learning, page

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")


def test_an_index_lives_on_each_engine(engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "learn", fixed_learning())
    place = Place(tmp_path, engines)
    for number in range(6):
        place.write(f"page{number}.md", page(number))
    place.build()
    first = place.version
    place.write("paint.md", "# Painting\n\nPaint the wall with green paint.\n")
    (place.pages / "page0.md").rename(place.pages / "moved.md")
    (place.pages / "page1.md").unlink()
    place.build()
    second = place.version
    assert first and second and first != second
    assert documents(place.search("green paint")[0])[0] == "docs/paint.md"
    assert documents(place.search(page(0).split("\n\n")[2], document="docs/moved.md")[0])
    assert "docs/page1.md" not in documents(place.search(page(1).split("\n\n")[2])[0])
    place.version = first
    assert documents(place.search(page(1).split("\n\n")[2])[0])[0] == "docs/page1.md"
    old = version_folder(place.home, first) / "engine"
    (tmp_path / "kept").mkdir()
    names = [path.read_text() for path in old.glob("collection.json")]
    assert prune(place.home, {second}, engines) == [first]
    for name in names:
        (tmp_path / "kept" / "collection.json").write_text(name)
        with pytest.raises(IndexUnavailable, match="is not on the Qdrant server"):
            engines.open(tmp_path / "kept", {})
    place.version = second
    assert documents(place.search("green paint")[0])[0] == "docs/paint.md"


def test_a_killed_builds_engine_is_dropped_by_the_next(
    engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "learn", fixed_learning())
    place = Place(tmp_path, engines)
    place.write("page.md", page(0))
    left = place.home / "versions" / ".building-1" / "engine"
    left.parent.mkdir(parents=True)
    index = engines.create(left, {"dense": 4})
    index.finish()
    index.close()
    names = [path.read_text() for path in left.glob("collection.json")]
    place.build()
    assert not left.exists()
    (tmp_path / "kept").mkdir()
    for name in names:
        (tmp_path / "kept" / "collection.json").write_text(name)
        with pytest.raises(IndexUnavailable):
            engines.open(tmp_path / "kept", {})
