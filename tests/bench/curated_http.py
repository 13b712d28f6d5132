"""`POST /ask` answered from the curated store, word for word, beside a FastAPI "hello world" in the same run.

    python -m tests.bench.curated_http [--entries 1000] [--rounds 8] [--seconds 1] [--home FOLDER]

Prints one JSON object. Both are servers of their own process (uvicorn, uvloop, httptools) and are asked the same bytes
by the same client, in turns. Every entry is asked for, one after the other, in its own words (`verbatim`) and as people
type them (`typed`: without capitals and question mark, with a polite word). Each curated answer's trace is committed
before its reply leaves; the hello world keeps nothing. `--flush 0` lets the disk have each trace before the reply, and
`flush_ms` is what the disk alone takes for that. Read the ratios: medians over the pairs of turns.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson
import uvloop

from services.settings import Settings
from tests.bench.http import load
from tests.processes import cpu_ms, report, serving

MANUAL = Path(__file__).resolve().parents[2] / "docs"
CONNECTIONS = (1, 32)

Turn = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    parser.add_argument("--home", type=Path, help="keep the index and the entries here")
    parser.add_argument("--flush", type=float, default=Settings().trace_flush_s, help="ANSWERLOOP_TRACE_FLUSH_S")
    parser.add_argument("--hello", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hello:
        return serve_hello(options.hello)
    with tempfile.TemporaryDirectory() as folder:
        home = (options.home or Path(folder) / "home").resolve()
        return print(json.dumps(measure(home, options), indent=1))


def serve_hello(port: int) -> None:
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/ask")
    async def hello() -> dict[str, str]:
        return {"message": "Hello World"}

    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="warning")


def measure(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    prepare(home, options.entries)
    asked = [question(number) for number in range(options.entries)]
    bodies = {
        "verbatim": [orjson.dumps({"question": one}) for one in asked],
        "typed": [orjson.dumps({"question": f"please, {one.lower().rstrip('?')}"}) for one in asked],
    }
    turns: dict[tuple[str, int], list[tuple[Turn, Turn]]] = defaultdict(list)
    settings = {"log_level": "warning", "trace_flush_s": options.flush}
    with serving(home, **settings) as served, hello_world() as (hello, hello_pid):
        check(served.url)
        for _, (how, sent), connections in itertools.product(range(options.rounds), bodies.items(), CONNECTIONS):
            ours = turn(served.url, served.process.pid, connections, options.seconds, sent)
            theirs = turn(hello, hello_pid, connections, options.seconds, sent)
            turns[how, connections].append((ours, theirs))
    asked_for = [{"asked": how, "connections": many, **summary(pairs)} for (how, many), pairs in turns.items()]
    return {"entries": options.entries, "flush_s": options.flush, "flush_ms": flush_ms(home), "asked": asked_for}


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


def turn(url: str, pid: int, connections: int, seconds: float, bodies: Sequence[bytes]) -> Turn:
    """As `load` says, with `cpu_ms`: the server's processor time for each request."""
    before = cpu_ms(pid)
    found = uvloop.run(load(url, connections, seconds, bodies))
    return {**found, "cpu_ms": (cpu_ms(pid) - before) / found["requests"]}


def summary(pairs: Sequence[tuple[Turn, Turn]]) -> dict[str, Any]:
    names = ("p50_ms", "per_second", "cpu_ms")
    ours, theirs = zip(*pairs, strict=True)
    figures = {
        who: {name: round(statistics.median(one[name] for one in turns), 3) for name in names}
        for who, turns in (("curated", ours), ("hello", theirs))
    }
    ratios = {name: statistics.median(one[name] / other[name] for one, other in pairs) for name in names}
    return {**figures, **{f"ratio_{name}": round(ratios[name], 3) for name in names}}


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
