"""Which server holds this home: `server.json`, written while one runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from services.store import processes

SERVER_FILE = "server.json"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """started: tells this process from a later one with the same id."""

    pid: int
    url: str
    started: str


def running_server(home: Path) -> RunningServer | None:
    """The live server of this home. A file that a killed server left behind does not count."""
    try:
        known = RunningServer(**orjson.loads((home / SERVER_FILE).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return known if processes.alive(known.pid, known.started) else None


@contextlib.contextmanager
def announced(home: Path, url: str) -> Iterator[None]:
    """Says in the home where this process can be reached, for as long as the block runs."""
    path, pid = home / SERVER_FILE, os.getpid()
    unfinished = path.with_name(f".{SERVER_FILE}.{pid}")
    unfinished.write_bytes(orjson.dumps(asdict(RunningServer(pid, url, processes.started(pid)))))
    unfinished.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
