"""`POST /ask` answered from the curated store, word for word, beside a FastAPI "hello world" in the same run.

    python -m tests.bench.curated_http [--entries 1000] [--rounds 8] [--seconds 1] [--home FOLDER]

Prints one JSON object. Both are servers of their own process (uvicorn, uvloop, httptools) and are asked the same bytes
by the same client, in turns. Each curated answer's trace is on disk before its reply leaves; the hello world keeps
nothing. `flush_ms` is what the disk itself takes for that. Read the ratios: medians over the pairs of turns.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import uvloop

from tests.bench.http import load
from tests.processes import cpu_ms, report, serving

MANUAL = Path(__file__).resolve().parents[2] / "docs"
CONNECTIONS = (1, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    parser.add_argument("--home", type=Path, help="keep the index and the entries here")
    parser.add_argument("--hello", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hello:
        return serve_hello(options.hello)
    with tempfile.TemporaryDirectory() as folder:
        home = (options.home or Path(folder) / "home").resolve()
        return print(json.dumps(measure(home, options.entries, options.rounds, options.seconds), indent=1))


def serve_hello(port: int) -> None:
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/ask")
    async def hello() -> dict[str, str]:
        return {"message": "Hello World"}

    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="warning")


def measure(home: Path, entries: int, rounds: int, seconds: float) -> dict[str, Any]:
    prepare(home, entries)
    turns: list[dict[str, Any]] = []
    with serving(home, log_level="warning") as served, hello_world() as (hello, hello_pid):
        check(served.url)
        for number in range(rounds):
            body = orjson.dumps({"question": question(number * entries // rounds)})
            for connections in CONNECTIONS:
                ours = turn(served.url, served.process.pid, connections, seconds, body)
                theirs = turn(hello, hello_pid, connections, seconds, body)
                turns.append({"connections": connections, "curated": ours, "hello": theirs})
    return {"entries": entries, "flush_ms": flush_ms(home), "asked": [summary(turns, many) for many in CONNECTIONS]}


def prepare(home: Path, entries: int) -> None:
    """The manual as the index, and the entries; both only once."""
    if home.is_dir():
        return
    home.mkdir(parents=True)
    report(home, "index", "-s", f"manual={MANUAL}", corpus_seconds=5)
    file = home / "entries.jsonl"
    lines = [json.dumps({"question": question(n), "answer": answer(n)}) for n in range(entries)]
    file.write_text("\n".join(lines), "utf-8")
    report(home, "curated", "import", str(file))


def question(number: int) -> str:
    return f"How do I rotate the credentials of tenant {number} in region {number % 7}?"


def answer(number: int) -> str:
    return f"Open the console of tenant {number}, choose Credentials, then Rotate. It takes about a minute."


def check(url: str) -> None:
    """Raises RuntimeError unless the very words of an entry come back, from the store."""
    reply = httpx.post(f"{url}/ask", json={"question": question(3)}, trust_env=False).json()
    if (reply.get("route"), reply.get("answer")) != ("curated", answer(3)):
        raise RuntimeError(f"not answered from the curated store: {reply}")


@contextlib.contextmanager
def hello_world() -> Iterator[tuple[str, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.curated_http", "--hello", str(port)])
    try:
        _wait(port)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait(10)


def _wait(port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError("the hello world did not start")


def turn(url: str, pid: int, connections: int, seconds: float, body: bytes) -> dict[str, float]:
    """As `load` says, with `cpu_ms`: the server's processor time for each request."""
    before = cpu_ms(pid)
    found = uvloop.run(load(url, connections, seconds, body))
    return {**found, "cpu_ms": (cpu_ms(pid) - before) / found["requests"]}


def summary(turns: list[dict[str, Any]], connections: int) -> dict[str, Any]:
    pairs = [one for one in turns if one["connections"] == connections]
    names = ("p50_ms", "per_second", "cpu_ms")
    figures = {
        who: {name: round(statistics.median(one[who][name] for one in pairs), 3) for name in names}
        for who in ("curated", "hello")
    }
    ratios = {name: statistics.median(one["curated"][name] / one["hello"][name] for one in pairs) for name in names}
    return {"connections": connections, **figures, **{f"ratio_{name}": round(ratios[name], 3) for name in names}}


def flush_ms(folder: Path) -> float:
    """Milliseconds, at the median, to append 4 KiB to a file and have them on disk."""
    times: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(200):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1e3)
    return round(statistics.median(times), 3)


if __name__ == "__main__":
    main()
