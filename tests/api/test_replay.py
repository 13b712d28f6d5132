"""What changes is seen before a release is served: a fresh replay of real questions, or a word that it cannot wait."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router.errors import Conflict
from router.types import Release
from services.review import rehearsal
from services.store.records import JobState, now
from services.store.sql import SqlStore
from tests.api.conftest import Start
from tests.live import Live
from tests.store.samples import trace

RESULT = {
    "release": "r2",
    "asked": 3,
    "questions": 2,
    "counts": {"wrong_again": 1, "approved_lost": 0, "lost": 1, "other": 0, "route": 0, "new": 0},
    "changed": [],
}


async def releases(store: SqlStore) -> None:
    first = Release("r1", now(), "v1", "0", "extractive", "none", "k")
    await store.add_release(first)
    await store.add_release(replace(first, id="r2", index_version="v2"))
    await store.activate_release("r1", "test")


async def replayed(store: SqlStore, release: str = "r2", served: str = "r1") -> None:
    params = {"release": release, "served": served, "since": "7d", "who": "anna"}
    job = await store.create_job(rehearsal.KIND, params)
    await store.update_job(job.id, state=JobState.RUNNING)
    await store.update_job(job.id, state=JobState.DONE, result=RESULT)


def activate(here: Live, body: dict[str, Any] | None = None) -> int:
    return here.client.post("/admin/releases/r2/activate", json=body or {}).status_code


def test_a_release_is_served_after_a_fresh_replay(here: Live) -> None:
    store = here.system.store
    asyncio.run(releases(store))
    here.ask()
    refused = here.client.post("/admin/releases/r2/activate")
    assert refused.status_code == 409 and "replay --release r2" in refused.json()["detail"]
    assert here.client.get("/admin/releases/r2/replay").status_code == 404
    asyncio.run(replayed(store))
    shown = here.client.get("/admin/releases/r2/replay").json()
    assert (shown["fresh"], shown["worse"], shown["job"]["result"]) == (True, 2, RESULT)
    assert activate(here) == 200 and here.system.release == "r2"
    assert here.client.get("/admin/releases/r2/replay").json()["fresh"] is False, "it was compared with r1"


def test_in_an_emergency_one_word_is_enough(here: Live) -> None:
    asyncio.run(releases(here.system.store))
    here.ask()
    assert activate(here) == 409
    assert activate(here, {"force": True}) == 200 and here.system.release == "r2"
    assert here.client.post("/admin/releases/none/activate").status_code == 404


def test_a_replay_against_what_was_served_before_says_nothing(here: Live) -> None:
    asyncio.run(releases(here.system.store))
    here.ask()
    asyncio.run(replayed(here.system.store, served="r0"))
    asyncio.run(replayed(here.system.store, release="r1"))
    assert activate(here) == 409


def test_where_nothing_was_asked_there_is_nothing_to_see(here: Live) -> None:
    asyncio.run(releases(here.system.store))
    assert activate(here) == 200


def test_an_old_replay_is_no_fresh_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        with SqlStore.open(f"sqlite:///{tmp_path}/s.db") as store:
            await releases(store)
            await store.record(trace(), None)
            await replayed(store)
            assert await rehearsal.unseen(store, "r2") == ""
            monkeypatch.setattr(rehearsal, "FRESH_H", 0)
            assert "r2" in await rehearsal.unseen(store, "r2")
            with pytest.raises(Conflict, match="force"):
                await rehearsal.refuse_unseen(store, "r2")

    asyncio.run(scenario())


def test_a_replay_is_a_job_in_another_process(start: Start) -> None:
    """The tiny system has no index that another process could open: the job says so, and nothing else happens."""
    here = start()
    asyncio.run(releases(here.system.store))
    begun = here.client.post("/admin/releases/r2/replay", json={"since": "30d"})
    assert begun.status_code == 202
    for _ in range(600):
        job = here.client.get(begun.headers["location"]).json()
        if job["state"] not in ("queued", "running"):
            break
        asyncio.run(asyncio.sleep(0.1))
    assert (job["state"], job["kind"], job["params"]["since"]) == ("failed", "replay", "30d")
    assert here.client.post("/admin/releases/r2/replay", json={"since": "soon"}).status_code == 422
    assert here.client.post("/admin/releases/none/replay").status_code == 404
