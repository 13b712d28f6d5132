"""Whatever a name looks like, a document lands inside the folder or nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import InvalidInput, NotFound, Unavailable
from services.uploads import Uploads, safe_name

PARTS = st.sampled_from(["..", ".", "", "a", "b.md", "~", "\u202e.md", "部署.md", "e\u0301.md", "c:", "\\", "\x00"])
NAMES = st.one_of(st.text(), st.lists(PARTS, min_size=1, max_size=6).map("/".join), st.text().map(lambda t: t + ".md"))


@given(NAMES)
def test_a_safe_name_stays_inside(name: str) -> None:
    try:
        path = safe_name(name)
    except InvalidInput:
        return
    assert not path.is_absolute()
    assert ".." not in path.parts
    joined = os.path.normpath(os.path.join("/srv/uploads", path))  # noqa: PTH118 - what the system would do
    assert joined.startswith("/srv/uploads/")
    assert safe_name(str(path)) == path


@pytest.mark.parametrize("name", ["node_modules/a.md", "guide/__pycache__/a.md", ".hidden/a.md", "guide/.a.md"])
def test_what_would_not_be_indexed_is_not_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"not indexed|starts or ends with a dot"):
        Uploads(tmp_path).save(name, b"# A")
    assert not list(tmp_path.iterdir())


def test_what_was_taken_before_can_be_deleted(tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "a.md").write_bytes(b"# A")
    Uploads(tmp_path).delete("uploads/node_modules/a.md")
    assert Uploads(tmp_path).list() == []


def test_the_same_name_in_two_spellings_is_one_document(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    assert uploads.save("caf\u00e9.md", b"1")[1]
    assert not uploads.save("cafe\u0301.md", b"2")[1]
    assert [upload.size for upload in uploads.list()] == [1]


def test_a_failed_write_leaves_the_old_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads(tmp_path)
    uploads.save("a.md", b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match=r"No space.*untouched"):
        uploads.save("a.md", b"new")
    assert (tmp_path / "a.md").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.md"]


def test_folders_and_documents_do_not_turn_into_each_other(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    uploads.save("a.md/b.md", b"1")
    with pytest.raises(InvalidInput, match="folder"):
        uploads.save("a.md", b"1")
    with pytest.raises(InvalidInput, match="document already"):
        uploads.save("a.md/b.md/c.md", b"1")
    with pytest.raises(NotFound):
        uploads.delete("a.md")
