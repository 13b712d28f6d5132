"""What HTTP adds to an answer: `python -m tests.bench.http` prints JSON.

A real server in its own process, whose system answers at once and keeps no trace, is asked over 32 kept-open
connections by a bare asyncio client that does nothing but write a request and read its reply. Both share the machine,
so the true cost is lower than what is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import uvloop

from services.running import running_server
from services.server import serve
from services.settings import Settings
from services.store.sql import SqlStore
from tests.tiny_system import Outcome, TinySystem

BODY = orjson.dumps({"question": "How do I add a read-only node?"})


def run_server(home: Path) -> None:
    settings = Settings(home=home, port=0, log_level="warning")
    system = _Instant(TinySystem(settings, SqlStore.open(settings.store_url), record=False))
    serve(settings, lambda: system)  # type: ignore[arg-type, return-value]


class _Instant:
    """Gives the same outcome every time; everything else is the tiny system's."""

    def __init__(self, system: TinySystem) -> None:
        self._system = system
        self._outcome: Outcome | None = None

    async def ask(self, question: object) -> Outcome:
        if self._outcome is None:
            self._outcome = await self._system.ask(question)  # type: ignore[arg-type]
        return self._outcome

    def __getattr__(self, name: str) -> object:
        return getattr(self._system, name)


def request_of(host: str, body: bytes) -> bytes:
    head = (
        f"POST /ask HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask_for(host: str, port: int, until: float, requests: Iterator[bytes], times: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    while time.perf_counter() < until:
        request = next(requests)
        began = time.perf_counter()
        writer.write(request)
        top = await reader.readuntil(b"\r\n\r\n")
        if not top.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"unexpected reply: {top.decode()}")
        length = int(top.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.append(time.perf_counter() - began)
    writer.close()


async def load(url: str, connections: int, seconds: float, bodies: Sequence[bytes] = (BODY,)) -> dict[str, float]:
    """Requests per second and milliseconds at the median and the 99th percentile. The bodies are sent in turn."""
    host, port = url.removeprefix("http://").split(":")
    times: list[float] = []
    requests = itertools.cycle([request_of(host, body) for body in bodies])
    began = time.perf_counter()
    askers = [ask_for(host, int(port), began + seconds, requests, times) for _ in range(connections)]
    await asyncio.gather(*askers)
    took = time.perf_counter() - began
    times.sort()
    return {
        "connections": connections,
        "requests": len(times),
        "per_second": round(len(times) / took, 1),
        "p50_ms": round(times[len(times) // 2] * 1000, 3),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--url", default="", help="a running server instead of the instant one")
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return run_server(Path(options.serve))
    if options.url:
        print(json.dumps(measure(options.url, options.seconds)))
        return None
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.bench.http", "--serve", folder]
        child = subprocess.Popen(command)
        try:
            print(json.dumps(measure(wait_for(Path(folder)), options.seconds)))
        finally:
            child.terminate()
            child.wait(10)


def measure(url: str, seconds: float) -> list[dict[str, float]]:
    uvloop.run(load(url, 32, 0.5))
    return [uvloop.run(load(url, connections, seconds)) for connections in (1, 32)]


def wait_for(home: Path, seconds: float = 20.0) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (running := running_server(home)) is not None:
            return running.url
        time.sleep(0.05)
    raise RuntimeError(f"no server came up in {home} within {seconds} s")


if __name__ == "__main__":
    main()
