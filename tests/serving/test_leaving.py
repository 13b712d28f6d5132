"""An asker who hangs up ends the work, and only then."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import orjson
import pytest

from tests.live import Live, live


@pytest.mark.parametrize("path", ["/ask", "/v1/chat/completions"])
def test_the_work_ends_when_the_asker_hangs_up(tmp_path: Path, path: str) -> None:
    with live(tmp_path, {"delay_s": 30.0}) as here:
        ended = _watched(here)
        begun = time.monotonic()
        with _asking(here, path):
            while not here.system.asked:
                assert time.monotonic() - begun < 5
                time.sleep(0.01)
            time.sleep(0.5)
            assert not ended
        while not ended and time.monotonic() - begun < 10:
            time.sleep(0.02)
        assert ended == ["cancelled"] and time.monotonic() - begun < 5


def test_whoever_stays_gets_the_answer_however_long_it_takes(tmp_path: Path) -> None:
    with live(tmp_path, {"delay_s": 0.6}) as here:
        ended = _watched(here)
        assert here.ask().json()["answer"]
        assert ended == ["done"]


def _watched(here: Live) -> list[str]:
    """How each answer ended, from now on."""
    ended: list[str] = []
    ask = here.system.ask

    async def watched(question):  # type: ignore[no-untyped-def]
        try:
            outcome = await ask(question)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        ended.append("done")
        return outcome

    here.app.state.shared.system = _Watching(here.system, watched)
    return ended


class _Watching:
    def __init__(self, system, ask) -> None:  # type: ignore[no-untyped-def]
        self._system, self.ask = system, ask

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return getattr(self._system, name)


def _asking(here: Live, path: str) -> socket.socket:
    """A connection on which a question was sent; closed without waiting for the answer."""
    asked = {"question": "add a read-only node", "messages": [{"role": "user", "content": "add a read-only node"}]}
    body = orjson.dumps({"question": asked["question"]} if path == "/ask" else {"messages": asked["messages"]})
    host, port = here.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection
