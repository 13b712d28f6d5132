"""One server indexes, another answers from copies of its versions; both keep what they know in one PostgreSQL."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from indexer.build import version_folder
from indexer.replica import copy_version
from indexer.version import Lock
from router.errors import Conflict, IndexUnavailable
from services.pinned import KEPT
from tests.durability.place import NAMES, Place
from tests.processes import report, serving
from tests.store import cluster


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed: pip install 'psycopg[binary]'")
    folder = cluster.binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server here: install Debian's package postgresql (initdb and pg_ctl are needed)")
    with cluster.running(folder, fsync=False) as server:
        yield server.url


def _index(place: Place, url: str) -> Any:
    made = report(place.home, "index", "-s", f"manual={place.pages}", corpus_seconds=1, database_url=url)
    assert made["served"], made
    return made


def _until(client: httpx.Client, version: str) -> None:
    """The server says that it serves this version."""
    until = time.monotonic() + 60
    while version not in client.get("/ready").json()["parts"].get("index", ""):
        assert time.monotonic() < until, client.get("/ready").text
        time.sleep(0.05)


@pytest.mark.slow
def test_a_replica_answers_what_the_first_server_indexed_and_follows_it(
    original: Place, tmp_path: Path, postgres: str
) -> None:
    shutil.copytree(original.pages, tmp_path / "pages")
    place, other = Place(tmp_path), tmp_path / "replica"
    first = _index(place, postgres)["version"]
    with ExitStack() as stack:
        writer = stack.enter_context(serving(place.home, log_level="warning", database_url=postgres))
        origin = place.home / "index"
        replica = stack.enter_context(
            serving(other, log_level="warning", database_url=postgres, index_from=str(origin))
        )
        here, there = (stack.enter_context(httpx.Client(base_url=one.url, timeout=60)) for one in (writer, replica))
        asked = {"question": f"How often must I grease the {NAMES[2]} valve?"}
        answers = [one.post("/ask", json=asked).json() for one in (here, there)]
        said = [{name: one[name] for name in ("answer", "route", "citations", "release")} for one in answers]
        assert said[0] == said[1] and said[0]["release"]
        found = [one.post("/search", json={**asked, "limit": 3}).json()["hits"] for one in (here, there)]
        assert found[0] == found[1] and found[0][0]["document"] == f"manual/{NAMES[2]}.md"

        place.write(NAMES[2], 31)
        second = _index(place, postgres)["version"]
        _until(there, second)
        now = there.post("/search", json={"question": f"edition 31 of the {NAMES[2]} page", "limit": 3})
        assert "edition 31" in now.text

        for refused in (
            there.post("/admin/reindex"),
            there.post("/admin/documents?path=a.md", content=b"# A"),
            there.delete("/admin/documents/a.md"),
        ):
            assert refused.status_code == 409 and "replica" in refused.json()["detail"], refused.text
        kept = {folder.name for folder in (other / "index" / "versions").iterdir()}
        assert kept == {first, second} and KEPT >= 2


def test_a_version_is_copied_whole_or_not_at_all(tmp_path: Path) -> None:
    origin, home = tmp_path / "origin", tmp_path / "home"
    (version_folder(origin, "v1") / "engine").mkdir(parents=True)
    (version_folder(origin, "v1") / "manifest.json").write_text("{}", "utf-8")
    left = version_folder(home, ".copying-v1")
    left.mkdir(parents=True)
    (left / "half").write_text("of a killed copy", "utf-8")
    copy_version(origin, home, "v1")
    copied = sorted(str(path.relative_to(home)) for path in home.rglob("*"))
    assert copied == ["copy.lock", "versions", "versions/v1", "versions/v1/engine", "versions/v1/manifest.json"]
    shutil.copytree(version_folder(origin, "v1"), version_folder(origin, "v3"))
    with Lock(home / "copy.lock", "another copy"), pytest.raises(Conflict, match=r"copying.*is at it"):
        copy_version(origin, home, "v3")
    assert not version_folder(home, "v3").exists()
    shutil.rmtree(origin)
    copy_version(origin, home, "v1")  # it is here: the origin is not asked
    with pytest.raises(IndexUnavailable, match="no such version"):
        copy_version(origin, home, "v2")
