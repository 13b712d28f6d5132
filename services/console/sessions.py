"""Who is signed in to the console: a random id in a cookie, and what it stands for in this process.

Only a hash of the id is kept, so nothing that leaks from here signs anybody in. A key that is revoked ends its sessions
at the next request. A restart ends them all; behind several servers, a balancer has to send a browser to the same one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

LASTS_S = 12 * 3600.0  # a working day
MOST = 10_000  # the oldest go first
LOCAL_KEY = ""  # of a session on this very machine while there is no key


@dataclass(frozen=True, slots=True)
class Session:
    """key_id: of the API key, `LOCAL_KEY` without one. csrf: stands in every form. ends: by the clock handed in."""

    key_id: str
    csrf: str
    ends: float

    def allows(self, token: str) -> bool:
        return hmac.compare_digest(self.csrf.encode(), token.encode("utf-8", "replace"))


class Sessions:
    """Use from one event loop. clock: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, Session] = {}

    def begin(self, key_id: str) -> tuple[str, Session]:
        """The cookie's value, which is nowhere else, and the session."""
        self._forget_old()
        value = secrets.token_urlsafe(32)
        session = Session(key_id, secrets.token_urlsafe(24), self._clock() + LASTS_S)
        self._open[_name(value)] = session
        return value, session

    def find(self, value: str) -> Session | None:
        session = self._open.get(_name(value))
        return session if session and session.ends > self._clock() else None

    def end(self, value: str) -> None:
        self._open.pop(_name(value), None)

    def _forget_old(self) -> None:
        """Sessions begin in the order in which they end."""
        while self._open:
            name, session = next(iter(self._open.items()))
            if session.ends > self._clock() and len(self._open) < MOST:
                return
            del self._open[name]


def _name(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
