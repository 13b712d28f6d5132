"""`kill -9` at random moments: the served version stays whole, and nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from sqlalchemy import select

from indexer.build import versions
from services.store import tables
from services.store.sql import SqlStore
from tests.durability.place import NAMES, Place, check_answers
from tests.processes import serve, serving, start

pytestmark = pytest.mark.slow

KILLS = 20
ASKS = 1_000
ASKERS = 8


def test_a_reindex_killed_at_any_moment_leaves_the_served_version_whole(place: Place) -> None:
    seed = time.time_ns()
    rng = random.Random(seed)
    began = time.monotonic()
    place.write(NAMES[0], 2)
    place.index()
    usual = time.monotonic() - began
    with serving(place.home, log_level="warning") as served, httpx.Client(base_url=served.url, timeout=30) as client:
        for number in range(KILLS):
            place.write(NAMES[number % 4], 3 + number)
            child = start(place.home, "index", corpus_seconds=1)
            time.sleep(rng.uniform(0.1, usual))
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            version = check_answers(client, rng)
            assert version in {manifest.id for manifest in versions(place.home / "index")}, f"seed {seed}"
            place.check_versions()
        last = place.index()
        assert place.left_over() == []
        assert _serves(client, last["version"], 20), "the server did not take up the new version"
        check_answers(client, rng)


def _serves(client: httpx.Client, version: str, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if version in client.get("/ready").json()["parts"]["index"]:
            return True
        time.sleep(0.05)
    return False


@dataclass
class Acknowledged:
    """What servers said is kept."""

    traces: list[str] = field(default_factory=list)
    feedback: list[tuple[str, str]] = field(default_factory=list)


def test_no_answer_or_feedback_that_was_acknowledged_is_lost(place: Place) -> None:
    rng = random.Random(time.time_ns())
    said = Acknowledged()
    questions = iter(_questions())
    for number in range(KILLS):
        wanted = ASKS * (number + 1) // KILLS
        served = serve(place.home, log_level="warning")
        askers = [threading.Thread(target=_ask_until_dead, args=(served.url, questions, said)) for _ in range(ASKERS)]
        for asker in askers:
            asker.start()
        while len(said.feedback) < wanted and any(asker.is_alive() for asker in askers):
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        served.process.kill()
        served.process.wait()
        for asker in askers:
            asker.join()
    assert len(said.feedback) >= ASKS
    with SqlStore.open(f"sqlite:///{place.home / 'answerloop.db'}") as store:
        kept, rated = asyncio.run(_kept(store))
    assert set(said.traces) <= kept
    assert set(said.feedback) <= rated


def _questions() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"At how many bar does the {NAMES[number % len(NAMES)]} valve open, case {number}?"


def _ask_until_dead(url: str, questions: Iterator[str], said: Acknowledged) -> None:
    with httpx.Client(base_url=url, timeout=30) as client:
        try:
            while True:
                reply = client.post("/ask", json={"question": next(questions)})
                assert reply.status_code == 200, reply.text
                said.traces.append(reply.json()["id"])
                body = {"id": reply.json()["id"], "rating": "down" if len(said.traces) % 3 else "up"}
                assert client.post("/feedback", json=body).status_code < 300
                said.feedback.append((body["id"], body["rating"]))
        except httpx.TransportError:
            return  # killed


async def _kept(store: SqlStore) -> tuple[set[str], set[tuple[str, str]]]:
    traces = await store.read(lambda c: list(c.execute(select(tables.traces.c.id)).scalars()))
    for trace in traces[:: len(traces) // 50 or 1]:
        assert (await store.get_trace(trace)).candidates  # whole, not only there
    columns = tables.feedback.c.trace_id, tables.feedback.c.rating
    rated = await store.read(lambda c: [(row[0], row[1]) for row in c.execute(select(*columns))])
    return set(traces), set(rated)
