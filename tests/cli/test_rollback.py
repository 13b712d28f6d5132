"""`answerloop rollback` takes a promotion back at once, and asks past questions first where answers may be lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from router.errors import NotFound
from router.types import CuratedEntry
from services.cli import app
from services.indexing import release_with, run_index
from services.pinned import KEPT, WAITING, pinned_versions
from services.review import rehearsal
from services.settings import Settings
from services.store.sql import SqlStore
from tests.store.samples import trace


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home whose release was followed by one with a model; somebody asked something."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "pool.md").write_text("# Pool\n\nThe pool holds 40 connections.\n", "utf-8")
    found = Settings(home=tmp_path / "home")
    monkeypatch.setenv("ANSWERLOOP_HOME", str(found.home))
    run_index(found, [f"manual={tmp_path / 'pages'}"], "test", lambda *_: None)

    async def promoted() -> None:
        with SqlStore.open(found.store_url) as store:
            await store.record(trace("How many?"), None)
            active = await store.active_release()
            assert active
            await store.activate_release((await release_with(store, active, "test", model="tuned-1")).id, "test")

    asyncio.run(promoted())
    return found


def test_a_promotion_is_taken_back_without_asking_anything(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "run", _never)
    done = CliRunner().invoke(app, ["rollback"])
    assert done.exit_code == 0, done.output
    assert asyncio.run(_model(settings)) == "extractive"


def test_an_approved_answer_that_would_go_back_too_is_looked_at_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def approve() -> None:
        with SqlStore.open(settings.store_url) as store:
            await store.curated.create(CuratedEntry("e1", "How many?", "Forty."), "test")

    asyncio.run(approve())
    monkeypatch.setattr(rehearsal, "run", _never)
    done = CliRunner().invoke(app, ["rollback"])
    assert isinstance(done.exception, _Asked) and asyncio.run(_model(settings)) == "tuned-1"


def test_what_nobody_served_is_no_release_to_go_back_to(settings: Settings) -> None:
    async def two_more() -> set[str]:
        with SqlStore.open(settings.store_url) as store:
            active = await store.active_release()
            assert active
            for number in range(WAITING + KEPT):  # as an hourly reindex that is held
                await release_with(store, active, "test", index_version=f"held-{number}")
            better = await release_with(store, active, "test", model="tuned-2")
            await store.activate_release(better.id, "test")
            return await pinned_versions(store)

    held = {f"held-{number}" for number in range(WAITING + KEPT)}
    assert asyncio.run(two_more()) & held == {f"held-{KEPT + number}" for number in range(WAITING)}
    for model in ("tuned-1", "extractive"):
        done = CliRunner().invoke(app, ["rollback"])
        assert done.exit_code == 0, done.output
        assert asyncio.run(_model(settings)) == model
    assert isinstance(CliRunner().invoke(app, ["rollback"]).exception, NotFound)


class _Asked(Exception):
    pass


def _never(*_: object) -> None:
    raise _Asked


async def _model(settings: Settings) -> str:
    with SqlStore.open(settings.store_url) as store:
        active = await store.active_release()
        assert active
        return active.model
