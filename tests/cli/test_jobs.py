"""Work of the command line as jobs that others follow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from router.errors import Conflict, Unavailable
from router.ports import Progress
from services.jobs import DATASET, TRAINING, run_job
from services.settings import Settings
from services.store.records import Job
from services.store.sql import SqlStore


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(home=tmp_path / "home")
    made.make_home()
    return made


def jobs(settings: Settings, kind: str) -> list[Job]:
    with SqlStore.open(settings.store_url) as store:
        return asyncio.run(store.list_jobs(10, kind=kind))


def quiet(_stage: str, _done: int, _total: int) -> None: ...


def test_a_training_is_seen_while_it_runs_and_two_may_run(settings: Settings) -> None:
    def work(progress: Progress) -> dict[str, Any]:
        progress("train, loss 1.5", 3, 10)
        (outer,) = [one for one in jobs(settings, TRAINING) if one.params["out"] == "a"]
        assert (outer.state.value, outer.stage, outer.done, outer.total) == ("running", "train, loss 1.5", 3, 10)
        run_job(settings, TRAINING, {"out": "b"}, lambda _: {"steps": 1}, quiet, alone=False)
        with pytest.raises(Conflict, match="already training"):
            run_job(settings, TRAINING, {"out": "c"}, lambda _: {}, quiet)
        return {"steps": 10, "losses": {1: 0.5}}

    assert run_job(settings, TRAINING, {"out": "a"}, work, quiet, alone=False, unkept=("losses",))["losses"] == {1: 0.5}
    kept = {one.params["out"]: (one.state.value, one.result) for one in jobs(settings, TRAINING)}
    assert kept == {"a": ("done", {"steps": 10}), "b": ("done", {"steps": 1})}


def test_work_goes_on_where_nobody_can_be_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    told = SqlStore.update_job

    async def failing(self: SqlStore, job_id: str, **changes: Any) -> Job:
        if changes.get("stage"):
            raise Unavailable("the database is down")
        return await told(self, job_id, **changes)

    monkeypatch.setattr(SqlStore, "update_job", failing)

    def work(progress: Progress) -> dict[str, Any]:
        progress("make rows", 2, 2)
        return {"rows": 5}

    assert run_job(settings, DATASET, {}, work, quiet) == {"rows": 5}
    assert [one.state.value for one in jobs(settings, DATASET)] == ["done"]
