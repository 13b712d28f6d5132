"""How soon a decision is served: by the process that took it, and by a second one on the same PostgreSQL.

    python -m tests.bench.decided [--rounds 7]

Two real servers, each with the index in a home of its own. A question is asked of one and goes to people; it is decided
at the other; the first is asked again and again until the approved answer comes. Prints one JSON object: seconds from
sending the decision to having the answer, in the process that took it and in the other one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from services.curated.live import LOOK_EVERY_S
from services.indexing import run_index
from services.settings import Settings
from tests.processes import serving
from tests.store import cluster

MOST_S = 30.0
ANSWER = "Nobody does, since **today**."


def measure(database_url: str, folder: Path, rounds: int) -> dict[str, Any]:
    (folder / "docs").mkdir()
    (folder / "docs" / "nodes.md").write_text("# Nodes\n\nAdd a node with the command `add-node`.\n", "utf-8")
    first = Settings(home=folder / "one", database_url=database_url, corpus_seconds=1.0)
    run_index(first, [f"m={folder / 'docs'}"], "bench", lambda *_: None)
    shutil.copytree(folder / "one" / "index", folder / "two" / "index")
    with ExitStack() as stack:
        homes = [folder / name for name in ("one", "two")]
        urls = [stack.enter_context(serving(home, database_url=database_url)).url for home in homes]
        deciding, asking = (
            stack.enter_context(httpx.Client(base_url=url, timeout=30, trust_env=False)) for url in urls
        )
        times = [_round(deciding, asking, number) for number in range(rounds)]
    own, other = zip(*times, strict=True)
    return {
        "database": database_url.partition(":")[0],
        "rounds": rounds,
        "looks_every_s": LOOK_EVERY_S,
        "own_process_s": _figures(own),
        "second_process_s": _figures(other),
    }


def _round(deciding: httpx.Client, asking: httpx.Client, number: int) -> tuple[float, float]:
    question = {"question": f"Who paints the walls of house number {number}?"}
    asked = _posted(asking, "/ask", question)
    assert asked["route"] == "abstained", asked
    item = asked["review"]["item_id"]
    _posted(deciding, f"/review/items/{item}/claim", {})
    begun = time.perf_counter()
    _posted(deciding, f"/review/items/{item}/verdict", {"kind": "corrected", "answer": ANSWER})
    return _until(deciding, question, begun), _until(asking, question, begun)


def _until(client: httpx.Client, question: dict[str, str], begun: float) -> float:
    while True:
        reply = _posted(client, "/ask", question)
        took = time.perf_counter() - begun
        if reply["route"] == "curated" and reply["answer"] == ANSWER:
            return took
        if took > MOST_S:
            raise AssertionError(reply)
        time.sleep(0.01)


def _posted(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = client.post(path, json=body)
    assert reply.is_success, reply.text
    found: dict[str, Any] = reply.json()
    return found


def _figures(times: tuple[float, ...]) -> dict[str, float]:
    figures = {"best": min(times), "median": statistics.median(times), "worst": max(times)}
    return {name: round(value, 3) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    binaries = cluster.binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL server here: install Debian's package postgresql")
    with tempfile.TemporaryDirectory() as folder, cluster.running(binaries, fsync=True) as server:
        print(json.dumps(measure(server.url, Path(folder), rounds)))


if __name__ == "__main__":
    main()
