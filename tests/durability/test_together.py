"""Several processes on one home: they share what they can, and say clearly what they cannot."""

from __future__ import annotations

import json
import random
import threading
import time

import httpx
import pytest

from tests.durability.place import NAMES, Place, check_answers
from tests.processes import call, serving, start

pytestmark = pytest.mark.slow


def test_a_second_server_on_one_home_says_who_serves_it(place: Place) -> None:
    with serving(place.home, log_level="warning") as served:
        second = call(place.home, "serve", "--port", "0")
    assert second.returncode == 1
    assert str(served.process.pid) in second.stderr and served.url in second.stderr
    assert "Traceback" not in second.stderr


def test_a_second_index_build_says_that_one_is_at_work(place: Place) -> None:
    place.write(NAMES[0], 2)
    first = start(place.home, "index", "--full", "--json", corpus_seconds=1)
    lock, until = place.home / "index" / "build.lock", time.monotonic() + 20
    while str(first.pid) not in lock.read_text("utf-8") and time.monotonic() < until:
        time.sleep(0.01)
    second = call(place.home, "index", corpus_seconds=1)
    out, errors = first.communicate(timeout=120)
    assert second.returncode == 1 and "Traceback" not in second.stderr
    assert "already building an index" in second.stderr
    assert first.returncode == 0, errors
    assert json.loads(out)["changed"]


def test_the_command_line_asks_through_the_running_server(place: Place) -> None:
    question = f"At how many bar does the {NAMES[5]} valve open?"
    with serving(place.home, log_level="warning") as served:
        asked = call(place.home, "ask", question, "--json")
        assert asked.returncode == 0, asked.stderr
        with httpx.Client(base_url=served.url) as client:
            metrics = client.get("/metrics").text
    assert "answerloop" in metrics and json.loads(asked.stdout)["id"]
    counted = [line for line in metrics.splitlines() if line.startswith("answerloop_answers_total{")]
    assert sum(float(line.split()[-1]) for line in counted) == 1, "the answer did not come from the server"


def test_a_running_server_takes_up_a_new_version_without_failing_anybody(place: Place) -> None:
    place.write(NAMES[7], 77)
    failed: list[str] = []
    stop = threading.Event()
    with serving(place.home, log_level="warning") as served:
        askers = [threading.Thread(target=_keep_asking, args=(served.url, seed, stop, failed)) for seed in range(4)]
        for asker in askers:
            asker.start()
        try:
            report = place.index()
            begun = time.monotonic()
            with httpx.Client(base_url=served.url, timeout=30) as client:
                while report["version"] not in client.get("/ready").json()["parts"]["index"]:
                    assert time.monotonic() - begun < 15
                    time.sleep(0.02)
                took = time.monotonic() - begun
                body = {"question": f"edition 77 of the {NAMES[7]} page", "limit": 3}
                assert "edition 77" in client.post("/search", json=body).text
        finally:
            stop.set()
            for asker in askers:
                asker.join()
    assert report["changed"] and not failed
    assert took < 5, f"{took:.1f} s until the new version was served"


def _keep_asking(url: str, seed: int, stop: threading.Event, failed: list[str]) -> None:
    rng = random.Random(seed)
    with httpx.Client(base_url=url, timeout=30) as client:
        while not stop.is_set():
            try:
                check_answers(client, rng)
            except (AssertionError, httpx.HTTPError) as error:
                failed.append(repr(error))
