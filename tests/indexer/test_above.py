"""The words above passages: the same from a version that kept them and from one that did not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.above import NAME, Above
from indexer.analysis import analyse, term_id
from indexer.content import Content
from tests.indexer.small import Place


def test_a_version_without_the_folder_is_read_instead(place: Place, tmp_path: Path) -> None:
    folder = place.folder
    content = Content(folder / "content.db")
    kept, read = Above.load(folder, content), Above.load(tmp_path, content)
    assert (folder / NAME).is_dir()
    assert len(kept.pages) == len(content.places())
    assert len(kept.terms)
    for name in Above.__dataclass_fields__:
        assert np.array_equal(getattr(kept, name), getattr(read, name)), name
    again = Above.of(content.headings(), kept.by_place(content))
    for name in Above.__dataclass_fields__:
        assert np.array_equal(getattr(kept, name), getattr(again, name)), name
    content.close()


def test_headings_and_path_of_each_row_and_its_page() -> None:
    above = Above.of([("docs/stack/setup.md", ("Install", "On Linux")), ("docs/a.md", ()), ("docs/stack/setup.md", ())])
    terms, lengths = above.of_rows(np.array([2, 0]))
    path = set(map(term_id, analyse("stack/setup")))
    assert set(terms[: lengths[0]].tolist()) == path
    assert set(terms[lengths[0] :].tolist()) == path | set(map(term_id, analyse("install on linux")))
    assert above.pages[0] == above.pages[2] != above.pages[1]


@pytest.mark.parametrize("places", [[], [("docs/a.md", ())]])
def test_few_passages_come_back_as_they_were(places: list[tuple[str, tuple[str, ...]]], tmp_path: Path) -> None:
    made = Above.of(places)
    made.save(tmp_path)
    back = Above(*(np.load(tmp_path / NAME / f"{name}.npy") for name in Above.__dataclass_fields__))
    assert all(np.array_equal(getattr(made, name), getattr(back, name)) for name in Above.__dataclass_fields__)


def test_words_of_the_version_before_are_taken_and_new_ones_looked_at() -> None:
    old, new = ("docs/a.md", ("Install",)), ("docs/b.md", ("Backups",))
    taken = np.array([7], np.uint32)
    above = Above.of([old, new, old], {old: taken, ("docs/gone.md", ()): taken})
    assert above.of_rows(np.array([0, 2]))[0].tolist() == [7, 7]
    assert np.array_equal(above.of_rows(np.array([1]))[0], Above.of([new]).terms)
    assert above.pages.tolist() == [0, 1, 0]
