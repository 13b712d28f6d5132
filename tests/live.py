"""A real uvicorn on loopback around the tiny system, in a thread of the test."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from services.api.app import create_app
from services.running import running_server
from services.server import make_server
from services.settings import Settings
from services.store.sql import SqlStore
from tests.tiny_system import TinySystem

WORKER = (sys.executable, "-m", "tests.tiny_worker")


@dataclass(slots=True)
class Live:
    url: str
    app: FastAPI
    system: TinySystem
    settings: Settings
    client: httpx.Client
    server: uvicorn.Server

    def ask(self, question: Any = "add a read-only node", **more: Any) -> httpx.Response:
        return self.client.post("/ask", json={"question": question, **more})


@contextlib.contextmanager
def live(home: Path, system_options: dict[str, Any] | None = None, **changes: Any) -> Iterator[Live]:
    settings = Settings(home=home, port=0, log_level="warning", **changes)
    home.mkdir(parents=True, exist_ok=True)
    system = TinySystem(settings, SqlStore.open(settings.store_url), **(system_options or {}))
    app = create_app(settings, lambda: system, WORKER)  # type: ignore[arg-type, return-value]
    server = make_server(settings, app)
    thread = threading.Thread(target=server.run)
    thread.start()
    url = _wait(home, server)
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
        try:
            yield Live(url, app, system, settings, client, server)
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive(), "the server did not stop"


def _wait(home: Path, server: uvicorn.Server) -> str:
    for _ in range(400):
        if server.started and (running := running_server(home)) is not None:
            return running.url
        time.sleep(0.02)
    raise AssertionError("the server did not start")
