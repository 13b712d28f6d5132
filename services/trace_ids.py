"""Ids of traces: what a reply is called, and how it can be looked up by whoever was given it."""

from __future__ import annotations

import secrets


class TraceIds:
    """Random, 128 bits each. The system is asked for many at once: each call lets other threads take the
    interpreter, which costs more than the randomness."""

    _TAKEN = 256

    def __init__(self) -> None:
        self._left: list[str] = []

    def new(self) -> str:
        if not self._left:
            drawn = secrets.token_hex(16 * self._TAKEN)
            self._left = [drawn[at : at + 32] for at in range(0, len(drawn), 32)]
        return self._left.pop()
