"""Servers of one model: which of them gets the next request, and which are left alone for a while.

No I/O here. Counters change on the event loop only; which model is current may be changed from any thread.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from router.errors import GeneratorUnavailable
from router.packing import Tokenizer, Window

_IN_A_ROW = 3  # failures before a server is left alone: one may be a hiccup, and each costs an asker its time
_FIRST_REST_S = 1.0  # about the time that a process needs to come back, doubled each time it did not
_LONGEST_REST_S = 30.0

Clock = Callable[[], float]
"""Seconds that only go up."""


@dataclass(slots=True)
class Breaker:
    """Lets requests through until several failed in a row; then one at a time, each after a longer rest."""

    failures: int = 0
    rest_s: float = _FIRST_REST_S
    until: float = 0.0
    failed_at: float = -1.0

    @property
    def open(self) -> bool:
        return self.failures >= _IN_A_ROW

    def allows(self, now: float) -> bool:
        return not self.open or now >= self.until

    def taken(self, now: float) -> None:
        """A request goes out: while the breaker is open it is the only one until it is known how it went."""
        if self.open:
            self.until = now + self.rest_s

    def succeeded(self) -> None:
        self.failures, self.rest_s, self.until = 0, _FIRST_REST_S, 0.0

    def failed(self, now: float, begun: float, surely: bool = False) -> None:
        """begun: when the request went out; those that were under way together and fail together count once. surely:
        nobody listens there, so there is no need to try twice more."""
        if begun <= self.failed_at and not surely:
            return
        self.failed_at = now
        if self.open:
            self.rest_s = min(self.rest_s * 2, _LONGEST_REST_S)
        self.failures = max(self.failures + 1, _IN_A_ROW if surely else 0)
        if self.open:
            self.until = now + self.rest_s


@dataclass(slots=True, eq=False)
class Endpoint:
    """url: up to /v1, without a slash at its end. in_flight: requests that it works on for us."""

    url: str
    key: str = field(default="", repr=False)
    breaker: Breaker = field(default_factory=Breaker)
    in_flight: int = 0

    @property
    def root(self) -> str:
        """Where vLLM has what OpenAI's interface does not know: health, tokenize."""
        return self.url.removesuffix("/v1")

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


@dataclass(slots=True, eq=False)
class Served:
    """One model on one or several servers. name: as the servers call it. window, tokenizer: how its prompt is packed.
    users: answers being made with it. stop: ends what serves it, called once it is drained."""

    name: str
    endpoints: tuple[Endpoint, ...]
    window: Window
    tokenizer: Tokenizer
    stop: Callable[[], None] = lambda: None
    users: int = 0

    def take(self, now: float, tried: Collection[Endpoint] = ()) -> Endpoint:
        """The one that has least to do, one that was not tried before if there is any.

        Raises `GeneratorUnavailable` when all of them are to be left alone.
        """
        allowed = [one for one in self.endpoints if one.breaker.allows(now)]
        fresh = [one for one in allowed if one not in tried]
        if not allowed:
            soonest = min(one.breaker.until for one in self.endpoints) - now
            raise GeneratorUnavailable(f"its server failed a moment ago and is tried again in {max(soonest, 0):.0f} s")
        endpoint = min(fresh or allowed, key=lambda one: one.in_flight)
        endpoint.breaker.taken(now)
        return endpoint


@dataclass(frozen=True, slots=True)
class Canary:
    """A model that gets a share, 0..1, of the questions."""

    served: Served
    share: float


class Fleet:
    """Which model answers now. state: what is the matter while there is none, in words for the asker and `/ready`."""

    def __init__(self, state: str) -> None:
        self.state = state
        self._current: Served | None = None
        self._canary: Canary | None = None
        self._lock = threading.Lock()

    @property
    def current(self) -> Served | None:
        return self._current

    @property
    def canary(self) -> Canary | None:
        return self._canary

    @contextmanager
    def borrow(self, key: str) -> Iterator[Served]:
        """The model for one answer, from its prompt to its last token, whatever is swapped meanwhile.

        key: questions with the same key go to the same model. Raises `GeneratorUnavailable` when there is none.
        """
        with self._lock:
            served = self._chosen(key)
            if served is None:
                raise GeneratorUnavailable(self.state)
            served.users += 1
        try:
            yield served
        finally:
            with self._lock:
                served.users -= 1

    def _chosen(self, key: str) -> Served | None:
        if self._canary and share_of(key) < self._canary.share:
            return self._canary.served
        return self._current

    def move(self, new: Served | None) -> Served | None:
        """All questions from now on go to `new`, in one step; a canary ends with it. Returns what was current."""
        with self._lock:
            old, self._current, self._canary = self._current, new, None
            return old

    def try_out(self, canary: Canary | None) -> Canary | None:
        """A share of the questions goes to another model; None ends that. Returns the canary there was."""
        with self._lock:
            old, self._canary = self._canary, canary
            return old

    def writing(self) -> dict[str, float]:
        """The names of the models that answer, each with its share, 0..1, of the questions; none while none is well."""
        with self._lock:
            current, canary = self._current, self._canary
        if current is None or all(one.breaker.open for one in current.endpoints):
            return {}
        if canary is None:
            return {current.name: 1.0}
        shares = {current.name: 1 - canary.share, canary.served.name: canary.share}
        return {name: share for name, share in shares.items() if share}

    def status(self) -> str:
        """For `/ready`: who answers, and on how many servers."""
        current, canary = self._current, self._canary
        if current is None:
            return f"quoting; {self.state}"
        well = sum(not one.breaker.open for one in current.endpoints)
        state = "ok" if well else "quoting; no server answers"
        beside = f", {canary.share:.0%} of questions to {canary.served.name}" if canary else ""
        return f"{state}, {current.name} on {well} of {len(current.endpoints)} servers{beside}"


def share_of(key: str) -> float:
    """Where a key falls, evenly in 0..1."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:8]) / 2**64


def drained(served: Served, seconds: float, clock: Clock = time.monotonic) -> bool:
    """Wait until nobody is being answered by it any more, at most so long. Blocks: for a thread."""
    until = clock() + seconds
    while served.users and clock() < until:
        time.sleep(0.02)
    return not served.users
