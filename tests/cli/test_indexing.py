"""What is read again at the next reindex: the same folders from wherever it is started, and uploads as they are now."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from indexer.build import version_folder
from indexer.version import read_manifest, sources_of
from router.errors import InvalidInput
from router.types import Question, Route
from services.compose import index_home, open_system
from services.indexing import IndexReport, run_index
from services.settings import Settings
from services.store.sql import SqlStore
from services.uploads import Uploads


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", corpus_seconds=1.0)


def index(settings: Settings, sources: Sequence[str] | None = None, force: bool = False) -> IndexReport:
    return run_index(settings, sources, "test", lambda *_: None, force=force)


def served(settings: Settings) -> Path:
    with SqlStore.open(settings.store_url) as store:
        active = asyncio.run(store.active_release())
        assert active
        return version_folder(index_home(settings), active.index_version)


async def route(settings: Settings, question: str) -> Route:
    system = await asyncio.to_thread(open_system, settings)
    try:
        return (await system.ask(Question(question))).trace.answer.route
    finally:
        await system.close()


def pages(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.md").write_text(f"# The {name}\n\nA {name} is kept for seven days.\n")
    return folder


def test_a_folder_is_the_same_one_wherever_the_next_reindex_is_started(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pages(tmp_path / "here" / "docs", "backup"), pages(tmp_path / "there" / "docs", "other", "another")
    monkeypatch.chdir(here.parent)
    first = index(settings, ["m=./docs"])
    monkeypatch.chdir(there.parent)
    again = index(settings)
    assert (again.build.version, again.build.changed, again.build.documents) == (first.build.version, False, 1)
    assert not index(settings, ["m=../here/docs/"]).build.changed, "the same one, named otherwise"
    assert index(settings, ["m=docs"]).build.documents == 2


def test_a_folder_of_a_version_from_before_is_read_from_here_and_then_known(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pages(tmp_path / "here" / "docs", "backup").parent)
    index(settings, ["m=docs"])
    manifest = served(settings) / "manifest.json"
    told = json.loads(manifest.read_text("utf-8"))
    manifest.write_text(json.dumps({**told, "sources": [{**told["sources"][0], "location": "./docs"}]}), "utf-8")
    done = index(settings)
    assert done.build.documents == 1 and done.build.parsed == 0 and done.activation.served
    assert [one["location"] for one in sources_of(served(settings))] == [str(tmp_path / "here" / "docs")]


def test_uploads_are_the_same_source_for_the_server_and_the_command_line(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages(settings.uploads, "backup")
    index(settings)
    monkeypatch.chdir(tmp_path)
    assert not index(Settings(home=Path("home"), corpus_seconds=1.0)).build.changed


@pytest.mark.parametrize("name", ["a.md", "guide/a.md"])
def test_the_last_upload_that_is_deleted_is_not_served_any_more(settings: Settings, name: str) -> None:
    uploads = Uploads(settings.uploads)
    uploads.save(name, b"# The backup\n\nA backup is kept for seven days.\n")
    index(settings)
    uploads.delete(name)
    done = index(settings, force=True)
    assert done.activation.served and read_manifest(served(settings)).documents == 0
    assert asyncio.run(route(settings, "How long is a backup kept?")) is Route.ABSTAINED
    assert not index(settings).build.changed, "and it stays so"
    uploads.save(name, b"# The cache\n\nA cache is kept for a day.\n")
    assert index(settings).build.documents == read_manifest(served(settings)).documents == 1


def test_a_folder_that_became_empty_is_an_accident_also_while_the_last_upload_is_deleted(
    settings: Settings, tmp_path: Path
) -> None:
    docs, uploads = pages(tmp_path / "docs", "backup"), Uploads(settings.uploads)
    uploads.save("a.md", b"# The cache\n\nA cache is kept for a day.\n")
    index(settings, [f"m={docs}"])
    (docs / "backup.md").unlink()
    uploads.delete("a.md")
    with pytest.raises(InvalidInput, match="what was served before still is"):
        index(settings, force=True)
    assert read_manifest(served(settings)).documents == 2


@pytest.mark.parametrize("lost", ["folder", "sub-folder", "text"])
def test_uploads_that_are_lost_were_not_deleted(settings: Settings, lost: str) -> None:
    Uploads(settings.uploads).save("guide/a.md", b"# The backup\n\nA backup is kept for seven days.\n")
    index(settings)
    if lost == "text":
        (settings.uploads / "guide" / "a.md").write_bytes(b"")
    else:
        shutil.rmtree(settings.uploads / ("guide" if lost == "sub-folder" else ""))
    with pytest.raises(InvalidInput, match=r"nothing to index|what was served before still is"):
        index(settings, force=True)
    assert read_manifest(served(settings)).documents == 1


def test_an_upload_as_large_as_is_taken_is_indexed(settings: Settings) -> None:
    large = b"# The backup\n\nA backup is kept for seven days.\n" + b" " * 11 * 1024 * 1024
    Uploads(settings.uploads).save("large.md", large)
    Uploads(settings.uploads).save("small.md", b"# The cache\n\nA cache is kept for a day.\n")
    assert index(settings).build.documents == 1
    larger = Settings(home=settings.home, corpus_seconds=1.0, max_upload_bytes=12 * 1024 * 1024)
    assert index(larger).build.documents == 2
