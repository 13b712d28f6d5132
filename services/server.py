"""`answerloop serve`: one process that owns the index and answers over HTTP until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from indexer.version import Lock
from router.errors import Conflict, Misconfigured
from services.api.app import create_app
from services.api.auth import is_loopback
from services.running import announced, running_server
from services.settings import Settings
from services.store.sql import SqlStore

if TYPE_CHECKING:
    from services.compose import System


def serve(settings: Settings, open_system: Callable[[], System]) -> None:
    """Blocks until SIGTERM or Ctrl-C; questions in flight are answered first.

    Raises `Misconfigured` for an open address without a key, `Conflict` when this home is being served already.
    """
    settings.make_home()
    _refuse_open_door(settings)
    with _home_held(settings.home):
        _log_to_stderr(settings.log_level)
        system = open_system()  # here, so that what it raises is the caller's and not a traceback in the server's log
        _spare_the_collector()
        make_server(settings, create_app(settings, lambda: system)).run()


def _spare_the_collector() -> None:
    """What is loaded by now stays as long as the process: Python's collector need not look at it again and again. It
    took a tenth of the event loop's time, and pauses of up to 0.2 s; what it is there for, cycles, hardly comes up
    while questions are answered."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)  # measured together with the freeze; Python's own is 700


@contextlib.contextmanager
def _home_held(home: Path) -> Iterator[None]:
    """`server.json` comes only once the server can be reached; the lock keeps out a second one that starts meanwhile.
    It ends with the process, even a killed one, and it lies in the home: replicas have homes of their own."""
    _refuse_second(home)
    lock = Lock(home / "server.lock", "A server serves this home already, and is starting or stopping")
    try:
        lock.acquire()
    except Conflict:
        _refuse_second(home)  # it may have come up by now, and then the message can say where
        raise
    try:
        yield
    finally:
        lock.release()


def _refuse_second(home: Path) -> None:
    if (running := running_server(home)) is not None:
        raise Conflict(f"A server (process {running.pid}) serves this home already, at {running.url}.")


def make_server(settings: Settings, app: FastAPI) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=settings.access_log,
        proxy_headers=False,  # who the client is must not be something the client can write
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.stop_timeout_s)),
    )
    return _Server(config, settings)


class _Server(uvicorn.Server):
    """Says in the home where it can be reached, as soon as it can be."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings

    async def main_loop(self) -> None:
        host = "127.0.0.1" if self._settings.host in {"0.0.0.0", "::"} else self._settings.host
        port = self.servers[0].sockets[0].getsockname()[1]
        with announced(self._settings.home, f"http://{f'[{host}]' if ':' in host else host}:{port}"):
            await super().main_loop()


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # one line per plugin at every start otherwise
    logging.getLogger("httpx").setLevel(logging.WARNING)  # one line per request otherwise


def _refuse_open_door(settings: Settings) -> None:
    if is_loopback(settings.host):
        return
    with SqlStore.open(settings.store_url) as store:
        keys = asyncio.run(store.count_live_keys())
    if not keys:
        raise Misconfigured(
            f"Listening on {settings.host} opens this server to other machines, and it has no API key yet. "
            "Make one first: answerloop keys create --role admin NAME"
        )
