"""Twenty reviewers at once on a real server that is killed again and again: no verdict is lost, none counts twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.types import Route
from services.store.review_records import ItemFilter, Stands
from services.store.sql import SqlStore
from tests import processes
from tests.store import cluster
from tests.store.samples import review, trace

REVIEWERS, ITEMS, KILLS = 20, 60, 3


class Server:
    """Always at one address for its clients, whichever process that is."""

    def __init__(self, home: Path, database: str) -> None:
        self.home, self.database = home, database
        self.served = processes.serve(home, database_url=database)

    @property
    def url(self) -> str:
        return self.served.url

    def kill(self) -> None:
        self.served.process.kill()
        self.served.process.wait()
        self.served = processes.serve(self.home, database_url=self.database)

    def stop(self) -> None:
        self.served.process.terminate()
        self.served.process.wait(30)


def seed(url: str) -> list[str]:
    async def fill(store: SqlStore) -> list[str]:
        ids = []
        for number in range(ITEMS):
            one = trace(f"unrelated question number {number} about thing {number * 7}", Route.ABSTAINED)
            ids.append(await store.record(one, review(one)) or "")
        return ids

    with SqlStore.open(url) as store:
        return asyncio.run(fill(store))


class Reviewer(threading.Thread):
    """Decides every item, in an order of its own. acknowledged: item → id of the verdict that it was told of."""

    def __init__(self, number: int, server: Server, items: list[str], until: threading.Event) -> None:
        super().__init__()
        self.number, self.server, self.until = number, server, until
        self.items = random.Random(number).sample(items, len(items))
        self.acknowledged: dict[str, str] = {}
        self.refused: set[str] = set()

    def run(self) -> None:
        with httpx.Client(timeout=20, trust_env=False, verify=False) as self.client:
            for item in self.items:
                self._decide(item)

    def _decide(self, item: str) -> None:
        """Asks again with the same key until the server has said yes or no."""
        body = {"kind": "corrected", "answer": f"by {self.number}"}
        while not self.until.is_set():
            try:
                reply = self._send(f"/review/items/{item}/verdict", body, {"Idempotency-Key": f"{self.number}-{item}"})
            except httpx.HTTPError:
                time.sleep(0.3)  # it is being started again
                continue
            if reply.status_code == 200:
                self.acknowledged[item] = reply.json()["id"]
                return
            if reply.status_code == 409:
                self.refused.add(item)
                return
            time.sleep(0.05)

    def _send(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        return self.client.post(self.server.url + path, json=body, headers=headers)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path}/home/answerloop.db"
            return
        folder = cluster.binaries()
        if folder is None:
            pytest.skip("no PostgreSQL binaries on this machine")
        yield stack.enter_context(cluster.running(folder, fsync=True)).url


def test_verdicts_are_neither_lost_nor_doubled(tmp_path: Path, database: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    items = seed(database)
    server, late = Server(home, database), threading.Event()
    reviewers = [Reviewer(number, server, items, late) for number in range(REVIEWERS)]
    try:
        for one in reviewers:
            one.start()
        for _ in range(KILLS):
            time.sleep(random.uniform(0.1, 0.5))
            server.kill()
        for one in reviewers:
            one.join(90)
    finally:
        late.set()
        server.stop()
    check(database, items, reviewers)


def check(database: str, items: list[str], reviewers: list[Reviewer]) -> None:
    told = Counter(item for one in reviewers for item in one.acknowledged)
    assert set(told) == set(items) and set(told.values()) == {1}, "each item was decided for exactly one reviewer"
    assert all(len(one.acknowledged) + len(one.refused) == len(items) for one in reviewers)

    async def look(store: SqlStore) -> None:
        verdicts = await store.reviews.final_verdicts()
        kept = {verdict.item_id: verdict for verdict in verdicts}
        assert len(verdicts) == len(kept) == ITEMS
        for one in reviewers:
            assert all(kept[item].id == verdict for item, verdict in one.acknowledged.items())
        assert (await store.reviews.find(ItemFilter("decided", limit=500))).total == ITEMS
        entries = {entry.id: entry.answer for entry in (await store.curated.entries_at()).changed}
        assert entries == {verdict.entry_id: verdict.answer for verdict in verdicts}
        assert await store.curated.head() == ITEMS, "one revision for each verdict"
        for line in await store.list_traces(ITEMS):
            assert (await store.reviews.standing(line.id)).state is Stands.RESOLVED
        said = [line for line in await store.list_audit(500) if line.what == "review.verdict"]
        assert len(said) == ITEMS

    with SqlStore.open(database) as store:
        asyncio.run(look(store))
