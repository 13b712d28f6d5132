"""What a reviewer does on the command line, on a store of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner

from router.errors import Conflict
from router.types import Release
from services.calibrations import packaged_calibration
from services.cli import app
from services.compose import index_home
from services.jobs import BUDGET
from services.settings import Settings
from services.store.records import now
from services.store.sql import SqlStore
from tests.review import pages
from tests.store.samples import review, trace

T = TypeVar("T")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ANSWERLOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANSWERLOOP_SECOND_REVIEW_RISK", "1")
    made = Settings.from_env()
    made.make_home()
    return made


def on_store(settings: Settings, work: Callable[[SqlStore], Awaitable[T]]) -> T:
    with SqlStore.open(settings.store_url) as store:
        return asyncio.run(work(store))  # type: ignore[arg-type]


async def asked(store: SqlStore, *questions: str) -> list[str]:
    found = []
    for question in questions:
        one = trace(question)
        found.append(await store.record(one, review(one)) or "")
    return found


def answerloop(*words: str) -> str:
    """stdout; an error is raised as the one it is."""
    return CliRunner().invoke(app, words, catch_exceptions=False, standalone_mode=False).stdout


def item(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answerloop("review", "show", name, "--json"))
    return found


def test_items_are_merged_and_split(settings: Settings) -> None:
    one, other, third = on_store(settings, lambda store: asked(store, "restart it", "how to restart", "rebuild it"))
    answerloop("review", "merge", one, other, third, "--as", "anna")
    assert [row["question"] for row in item(one)["wordings"]] == ["restart it", "how to restart", "rebuild it"]
    answerloop("review", "split", one, third, "--as", "anna")
    assert [row["question"] for row in item(one)["wordings"]] == ["restart it", "how to restart"]
    assert [row["question"] for row in item(third)["wordings"]] == ["rebuild it"]
    assert {(row["who"], row["what"]) for row in item(third)["history"]} >= {("anna", "review.split")}


def test_a_second_reviewer_confirms(settings: Settings) -> None:
    (one,) = on_store(settings, lambda store: asked(store, "restart it"))
    proposed = json.loads(answerloop("review", "verdict", one, "correct", "--as", "anna", "--json"))
    assert proposed["state"] == "proposed"
    with pytest.raises(Conflict, match="second reviewer"):
        answerloop("review", "confirm", one, "--as", "anna")
    made = json.loads(answerloop("review", "confirm", one, "--as", "ben", "--json"))
    assert (made["id"], made["state"], made["who"], made["second"]) == (proposed["id"], "final", "anna", "ben")
    assert item(one)["item"]["state"] == "decided"


def test_a_refit_is_a_job(settings: Settings) -> None:
    async def release(store: SqlStore) -> None:
        pages.make_version(index_home(settings) / "versions" / "v1", None, [])
        calibration = await store.put_calibration(packaged_calibration().to_json())
        await store.add_release(Release("r1", now(), "v1", "0", "extractive", "none", calibration))
        await store.activate_release("r1", "test")

    on_store(settings, release)
    found = json.loads(answerloop("budget", "--refit", "--json"))
    (job,) = on_store(settings, lambda store: store.list_jobs(10, kind=BUDGET))
    assert (job.state.value, job.stage, job.params) == ("done", "certify", {"who": "command line"})
    assert job.result is not None and job.result["state"] == "not_certifiable"
    assert len(found["history"]) == 1
    answerloop("budget", "--json")
    assert len(on_store(settings, lambda store: store.list_jobs(10, kind=BUDGET))) == 1, "looking is none"
