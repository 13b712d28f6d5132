"""The build on real files, a real engine and a small real embedder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from indexer import analysis, chunking, corpus_embedder, duplicates
from indexer import build as building
from indexer.build import BuildOptions, build, prune, versions
from indexer.content import Content
from indexer.sources import Source
from indexer.version import Lock, check, read_manifest
from router.errors import Conflict, IndexUnavailable, InvalidInput, Mismatch
from tests.indexer.small import HashingEmbedder, Place, documents, fixed_learning, page


def test_everything_unchanged_is_the_same_version_and_nothing_is_read(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = place.version
    monkeypatch.setattr("indexer.sources.load", lambda _: pytest.fail("a page was parsed"))
    place.embedder.embedded.clear()
    report = place.build()
    assert (report.version, report.changed, report.parsed, report.embedded) == (first, False, 0, 0)
    assert report.documents == 8 and report.passages > 8
    assert place.embedder.embedded == []
    assert len(versions(place.home)) == 1


def test_only_passages_of_languages_that_use_the_channel_are_embedded(place: Place) -> None:
    assert place.embedder.embedded and not any("手册" in text for text in place.embedder.embedded)
    arrays = place.arrays()
    passages = list(Content(place.folder / "content.db").all_passages())
    assert [bool(has) for has in arrays.has_dense] == [passage.language == "en" for passage in passages]
    assert not arrays.dense[~np.asarray(arrays.has_dense)].any()


def test_one_edited_page_is_parsed_and_only_its_new_passages_are_embedded(place: Place) -> None:
    place.embedder.embedded.clear()
    before, _, last = page(2).rpartition("\n## ")
    place.write("page2.md", f"{before}\n## How to paint\n\nPaint the wall twice with green paint.\n\n## {last}")
    report = place.build()
    assert (report.changed, report.parsed, report.embedded) == (True, 1, 1)
    (text,) = place.embedder.embedded
    assert "green paint" in text
    (result,) = place.search("paint a wall")
    assert result.hits[0].passage.text.count("green paint") == 1
    assert result.index_version == place.version


def test_a_renamed_page_is_not_embedded_and_is_found_under_its_new_name_only(place: Place) -> None:
    text = "# Painting\n\nPaint the wall with green paint.\n"
    place.write("old.md", text)
    place.build()
    place.embedder.embedded.clear()
    (place.pages / "old.md").rename(place.pages / "new.md")
    report = place.build()
    assert (report.changed, report.embedded) == (True, 0) and place.embedder.embedded == []
    (result,) = place.search("green paint")
    assert documents(result)[0] == "docs/new.md"
    assert documents(place.search("green paint", document="docs/new.md")[0]) == ["docs/new.md"]
    assert not place.search("green paint", document="docs/old.md")[0].hits


def test_a_deleted_page_is_gone_from_the_results(place: Place) -> None:
    place.write("extra.md", "# Painting\n\nPaint the wall with green paint.\n")
    place.build()
    (place.pages / "extra.md").unlink()
    report = place.build()
    assert report.changed and report.documents == 8
    assert "docs/extra.md" not in documents(place.search("green paint")[0])
    assert Content(place.folder / "content.db").document("docs/extra.md") is None


def test_the_parent_is_left_as_it_was(place: Place, tmp_path: Path) -> None:
    first = place.folder
    shutil.copytree(first, tmp_path / "before")
    for number in range(4):
        (place.pages / f"page{number}.md").unlink()
    place.write("new.md", page(77))
    place.build()
    assert place.folder != first
    same = {path.relative_to(first): path.read_bytes() for path in first.rglob("*") if path.is_file()}
    then = tmp_path / "before"
    assert same == {path.relative_to(then): path.read_bytes() for path in then.rglob("*") if path.is_file()}


def test_an_unreadable_file_is_listed_and_does_not_cause_a_rebuild_each_time(place: Place) -> None:
    (place.pages / "broken.pdf").write_bytes(b"%PDF-1.4 this is no PDF")
    (place.pages / "picture.png").write_bytes(b"\x89PNG")
    report = place.build()
    assert report.changed and report.documents == 8
    listed = {item.path: item.reason for item in report.skipped}
    assert "docs/broken.pdf" in listed and "docs/**/*.png" in listed and all(listed.values())
    again = place.build()
    assert not again.changed and again.version == report.version
    assert {item.path: item.reason for item in again.skipped} == listed
    (place.pages / "broken.pdf").write_bytes(b"%PDF-1.4 this is still no PDF, but another one")
    assert place.build().changed
    (place.pages / "broken.pdf").unlink()
    assert "docs/broken.pdf" not in {item.path for item in place.build().skipped}


LONG = (
    "# Twin\n\n" + " ".join(f"The {word} of the wall is painted green before it dries." for word in "abcdefghij") + "\n"
)


def test_a_nearly_identical_page_is_an_alias_and_comes_back_when_the_other_goes(place: Place) -> None:
    place.write("twin.md", LONG)
    place.write("twin-copy.md", LONG.replace("# Twin", "# Twin\n\n<br>"))
    report = place.build()
    assert report.documents == 10
    content = Content(place.folder / "content.db")
    twin = content.document("docs/twin.md")
    assert twin and twin.aliases == ("docs/twin-copy.md",)
    found = documents(place.search("green wall painted")[0])
    assert "docs/twin.md" in found and "docs/twin-copy.md" not in found
    (place.pages / "twin.md").unlink()
    place.build()
    found = documents(place.search("green wall painted")[0])
    assert "docs/twin-copy.md" in found and "docs/twin.md" not in found


def test_a_passage_on_two_pages_is_held_once_and_survives_the_loss_of_one(place: Place) -> None:
    shared = "# Manual\n\n## Licence\n\nThe green licence is shared by all parts of the wall.\n"
    place.write("a.md", shared + "\n## One\n\n" + page(100).split("\n\n", 2)[2])
    place.write("b.md", shared + "\n## Two\n\n" + page(101).split("\n\n", 2)[2])
    place.build()
    (hit, *_) = place.search("green licence of the wall")[0].hits
    assert hit.passage.document == "docs/a.md" and [there.path for there in hit.passage.also_at] == ["docs/b.md"]
    (there, *_) = place.search("green licence of the wall", document="docs/b.md")[0].hits
    assert there.passage.document == "docs/b.md" and [at.path for at in there.passage.also_at] == ["docs/a.md"]
    text = (place.pages / "b.md").read_text()
    assert text[there.passage.start : there.passage.end] == there.passage.text
    assert not place.search("green licence of the wall", document="docs/b.md", source="other")[0].hits
    place.embedder.embedded.clear()
    (place.pages / "a.md").unlink()
    assert place.build().embedded == 0
    (hit, *_) = place.search("green licence of the wall", document="docs/b.md")[0].hits
    assert hit.passage.document == "docs/b.md" and hit.passage.also_at == ()


@pytest.mark.parametrize("what", ["analyser", "chunker", "embedder", "corpus embedder"])
def test_other_rules_mean_that_everything_is_made_anew(
    place: Place, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    manifest = read_manifest(place.folder)
    check(manifest, place.embedder.fingerprint)
    if what == "analyser":
        monkeypatch.setattr(analysis, "FINGERPRINT", "other")
    elif what == "chunker":
        monkeypatch.setattr(chunking, "FINGERPRINT", "other")
    elif what == "corpus embedder":
        monkeypatch.setattr(corpus_embedder, "FINGERPRINT", "other")
    else:
        place.embedder = HashingEmbedder("hashing-2", 32)
    with pytest.raises(Mismatch, match="answerloop index --full"):
        check(manifest, place.embedder.fingerprint)
    place.embedder.embedded.clear()
    report = place.build()
    assert report.changed and report.parsed == 8 and report.embedded == len(place.embedder.embedded) > 8
    check(read_manifest(place.folder), place.embedder.fingerprint)
    assert read_manifest(place.folder).parent is None


def test_page_signatures_of_an_earlier_kind_are_computed_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_VERSION", 200)
    place.write("new.md", page(50))
    report = place.build()
    assert report.parsed == 1
    stored = Content(place.folder / "content.db").stored()
    assert all(duplicates.is_current(item.signature) for item in stored)


def test_full_uses_nothing_of_the_parent(place: Place) -> None:
    report = place.build(full=True)
    assert report.changed and report.parsed == 8 and report.embedded > 8


def test_a_parent_that_is_not_there_any_more_is_done_without(place: Place) -> None:
    report = place.build(parent="20200101T000000-abcdef")
    assert report.changed and report.parsed == 8


def test_sources_that_are_renamed_or_added_are_seen(place: Place, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "x.md").write_text("# Painting\n\nPaint the wall with green paint.\n")
    wanted = [Source("docs", str(place.pages)), Source("more", str(tmp_path / "more"))]
    report = build(
        place.home, wanted, lambda: place.embedder, place.engines, place.version, BuildOptions(), lambda *_: None
    )
    place.version = report.version
    assert report.documents == 9 and report.parsed == 1
    assert documents(place.search("green paint", source="more")[0]) == ["more/x.md"]
    with pytest.raises(InvalidInput, match="gone"):
        gone = [Source("gone", str(tmp_path / "gone"))]
        build(place.home, gone, lambda: place.embedder, place.engines, None, BuildOptions(), lambda *_: None)


def test_an_empty_source_makes_an_empty_version_that_can_be_asked(empty: Place) -> None:
    report = empty.build()
    assert (report.changed, report.documents, report.passages) == (True, 0, 0)
    for result in empty.search("anything", "", "节点", "???"):
        assert result.hits == ()
    assert not empty.build().changed
    empty.write("first.md", page(0))
    assert empty.build().passages > 0
    assert empty.search("manual")[0].hits
    (empty.pages / "first.md").unlink()
    assert empty.build().passages == 0
    assert empty.search("manual")[0].hits == ()


def test_pages_without_any_words_do_no_harm(empty: Place) -> None:
    empty.write("blank.md", "")
    empty.write("spaces.md", " \n\n\t\n")
    empty.write("marks.md", "***\n\n---\n\n???\n")
    empty.write("real.md", page(0))
    assert empty.build().documents >= 1
    assert documents(empty.search(" ".join(page(0).split()[5:9]))[0])[0] == "docs/real.md"


def test_a_language_that_loses_its_last_page(place: Place) -> None:
    """English questions still ask the dense channel, of which nothing is left."""
    for number in range(8):
        if number % 4 != 3:
            (place.pages / f"page{number}.md").unlink()
    report = place.build()
    assert report.passages > 0
    place.search("node cluster backup", "节点 集群")


def test_two_builds_at_once(place: Place) -> None:
    place.write("new.md", page(50))
    with Lock(place.home / "build.lock", "index build"), pytest.raises(Conflict, match="index build: process"):
        place.build()
    assert place.build().changed


def test_what_a_killed_build_left_is_cleared_away(place: Place) -> None:
    left = [place.home / "versions" / name for name in (".building-123", ".gone-20200101T000000-abcdef")]
    for folder in left:
        (folder / "engine").mkdir(parents=True)
    place.build()
    assert not any(folder.exists() for folder in left)
    assert [manifest.id for manifest in versions(place.home)] == [place.version]


def test_the_cache_is_gone_after_the_build(place: Place) -> None:
    assert list((place.home / "cache").iterdir()) == []


def test_a_build_that_fails_is_carried_on_without_embedding_twice(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20, 30):
        place.write(f"page{number}.md", page(number))
    with monkeypatch.context() as patch:
        patch.setattr(
            building.content, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        with pytest.raises(OSError, match="No space left"):
            place.build()
    assert len(versions(place.home)) == 1
    place.embedder.embedded.clear()
    report = place.build()
    assert report.changed and place.embedder.embedded == []
    assert report.embedded > 0  # vectors taken from the cache count: they were computed for this version


def test_prune_keeps_what_is_pinned(place: Place) -> None:
    first = place.version
    for number in (90, 91):
        place.write("new.md", page(number))
        place.build()
    assert first and place.version
    assert len(prune(place.home, {first, place.version}, place.engines)) == 1
    assert {manifest.id for manifest in versions(place.home)} == {first, place.version}
    place.search("node")
    assert prune(place.home, {first, place.version}, place.engines) == []


def test_manifests_say_what_is_wrong(place: Place) -> None:
    with pytest.raises(IndexUnavailable, match="answerloop index"):
        read_manifest(place.home / "versions" / "none")
    path = place.folder / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(Mismatch, match="format 99"):
        read_manifest(place.folder)


def test_channels_that_no_language_uses_are_not_computed(empty: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "learn", fixed_learning({"en": {"bm25": 0.6, "unit": 0.4}}))
    empty.write("a.md", page(0))
    report = empty.build()
    assert report.embedded == 0 and empty.embedder.embedded == []
    assert dict(read_manifest(empty.folder).dimensions) == {}
    assert documents(empty.search(" ".join(page(0).split()[5:9]))[0])[0] == "docs/a.md"
