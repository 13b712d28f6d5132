"""`why`, `replay`, and the look before a release is served, on a real index and in their printed form."""

from __future__ import annotations

import asyncio
import io
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from router.errors import Conflict, InvalidInput, NotFound
from router.types import Trace
from services import cli_manage
from services.calibrations import packaged_calibration
from services.cli import app
from services.indexing import release_with, run_index
from services.review import rehearsal
from services.settings import Settings
from services.store.sql import SqlStore
from tests.cli.test_review import answerloop, on_store

ASKED = "Which command adds a read-only node?"
PAGE = "# Nodes\n\n## Adding a read-only node\n\nAdd a read-only node with the command `add-node`.\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index, a question that was asked, and a release of the same index under which nothing is sent."""
    docs, home = tmp_path_factory.mktemp("docs"), tmp_path_factory.mktemp("home")
    (docs / "nodes.md").write_text(PAGE, "utf-8")
    run_index(Settings(home=home, corpus_seconds=1), [f"docs={docs}"], "test", lambda *_: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSWERLOOP_HOME", str(home))
        assert "add-node" in answerloop("ask", ASKED)
    on_store(Settings(home=home), strict_release)
    return home


async def strict_release(store: SqlStore) -> None:
    active = await store.active_release()
    assert active is not None
    kept = await store.put_calibration(replace(packaged_calibration().with_line(0.999), origin="fitted").to_json())
    await release_with(store, active, "test", calibration=kept)


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("ANSWERLOOP_HOME", str(home))
    yield Settings.from_env()


def releases(settings: Settings) -> tuple[str, str]:
    """The one that is served, and the other one."""

    async def look(store: SqlStore) -> tuple[str, str]:
        active, found = await store.active_release(), await store.list_releases(10)
        assert active is not None
        return active.id, next(one.id for one in found if one.id != active.id)

    return on_store(settings, look)


def called(*words: str) -> Result:
    """stdout and stderr apart: results and what is said about them."""
    return CliRunner().invoke(app, words, catch_exceptions=False, standalone_mode=False)


async def newest(store: SqlStore) -> Trace:
    (one,) = await store.list_traces(1)
    return await store.get_trace(one.id)


def served(settings: Settings) -> str:
    return releases(settings)[0]


def test_why_prints_what_led_to_an_answer(settings: Settings) -> None:
    trace = on_store(settings, newest)
    shown = answerloop("why", trace.id)
    first, about = shown.splitlines()[:2]
    assert "add-node" in first
    assert about.startswith("grounded") and f"confidence {trace.answer.confidence:.2f}, the line is " in about
    assert trace.answer.reason in about
    assert "what it looked at; pull in log-odds" in shown and "coverage" in shown
    assert "passages" in shown and "docs/nodes.md" in shown
    with pytest.raises(NotFound):
        answerloop("why", "none")


def test_replay_prints_what_would_change_the_worst_first(settings: Settings) -> None:
    now, other = releases(settings)
    found = called("replay", "--release", other, "--since", "1d")
    assert "1 different questions (1 asked): lost 1." in " ".join(found.stderr.split())
    (row,) = [line for line in found.stdout.splitlines() if ASKED in line]
    assert "lost" in row and "add-node" in row
    assert "nothing changes" in called("replay", "--release", now).stderr
    assert "changed" not in called("replay", "--release", now).stdout


def test_a_release_is_looked_at_before_it_is_served(settings: Settings) -> None:
    """Nobody is there to be asked: what is for the worse is refused, and --force serves it; back is for the better."""
    before, other = releases(settings)
    with pytest.raises(Conflict, match="1 questions would be answered wrongly again, or not any more"):
        answerloop("releases", "activate", other)
    assert served(settings) == before
    shown = called("releases", "activate", other, "--force")
    assert served(settings) == other and "different questions" not in shown.stderr
    shown = called("releases", "activate", before)
    assert served(settings) == before and "Past questions are asked again first" in shown.stderr
    assert "different questions" in shown.stderr and f"Release {before}" in shown.stderr


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of an index of its own, by which two questions were answered, and which says something else now."""
    monkeypatch.setenv("ANSWERLOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANSWERLOOP_CORPUS_SECONDS", "1")
    path = tmp_path / "docs" / "nodes.md"
    path.parent.mkdir()
    path.write_text(PAGE, "utf-8")
    answerloop("index", "--source", f"docs={path.parent}")
    for asked in (ASKED, "What is the command to add a read-only node?"):
        assert "add-node" in answerloop("ask", asked)
    path.write_text("# Colours\n\nThe page is blue.\n", "utf-8")
    return path


@pytest.mark.usefixtures("page")
def test_an_index_that_loses_answers_waits_and_says_how_to_serve_it() -> None:
    settings = Settings.from_env()
    before = on_store(settings, served_now)
    with pytest.raises(Conflict, match=r"2 of 2 past questions .* releases activate") as waits:
        answerloop("index")
    assert on_store(settings, served_now) == before
    made = str(waits.value).split()[-1]
    shown = called("releases", "activate", made, "--force")
    assert f"Release {made}" in shown.stderr and on_store(settings, served_now) == made


def test_what_changes_is_shown_before_the_index_is_served(page: Path) -> None:
    page.write_text(PAGE.replace("`add-node`", "`add-node --replica`"), "utf-8")
    shown = called("index")
    assert "2 different questions" in shown.stderr and "other 2" in shown.stderr
    assert "add-node --replica" in answerloop("ask", ASKED)
    page.write_text(PAGE, "utf-8")
    assert "different questions" not in called("index", "--force").stderr
    with pytest.raises(InvalidInput, match="hold and force"):
        answerloop("index", "--force", "--hold")


def test_other_documents_are_somebodys_choice(page: Path, tmp_path: Path) -> None:
    """What they change is shown, and they are served."""
    shutil.move(page.parent, tmp_path / "manual")
    shown = called("index", "--source", f"manual={tmp_path / 'manual'}")
    assert "lost 2" in shown.stderr and "add-node" not in answerloop("ask", ASKED)


async def served_now(store: SqlStore) -> str:
    """The one that is served."""
    active = await store.active_release()
    assert active
    return active.id


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_somebody_at_a_terminal_is_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    _, other = releases(settings)
    asked: list[str] = []

    def confirm(text: str, **options: bool) -> bool:
        asked.append(text)
        assert options == {"abort": True, "err": True}
        return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(cli_manage.typer, "confirm", confirm)
    cli_manage._look_first(other)
    assert asked == ["1 questions would be answered wrongly again, or not any more. Serve it all the same?"]


def test_where_nothing_was_asked_nothing_is_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.api.test_replay import releases as two_releases

    monkeypatch.setenv("ANSWERLOOP_HOME", str(tmp_path))
    with SqlStore.open(Settings.from_env().store_url) as store:
        asyncio.run(two_releases(store))
    monkeypatch.setattr(rehearsal, "run", lambda *_: pytest.fail("there is nothing to ask again"))
    cli_manage._look_first("r2")
