"""From one model to another without a failed answer, and back; and an adapter tried on a share of the questions.

The new model comes up beside the old one, is warmed and checked; then all new questions go to it in one step. Answers
under way end with the model that they began with. What was replaced stays up, idle, until it is let go: until then the
way back takes no longer than one assignment and one look at its health.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from router.errors import Conflict, GeneratorUnavailable, InvalidInput, NotFound
from services.generation import probing
from services.generation.endpoints import Canary, Fleet, Served, drained

BringUp = Callable[[], Served]
"""Blocks until a model is up, warm and checked. Raises `GeneratorUnavailable` when it does not get there."""


@dataclass(frozen=True, slots=True)
class Swapped:
    """before: None where nothing was served. moved_s: how long it took until questions went to the new one, its start
    not counted. drained: whether all answers under way ended in time."""

    before: str | None
    after: str
    moved_s: float
    drained: bool


class Swapper:
    """Blocks: for a thread of its own. One swap at a time; a second one raises `Conflict`."""

    def __init__(self, fleet: Fleet, drain_s: float) -> None:
        self._fleet, self._drain_s = fleet, drain_s
        self._kept: Served | None = None
        self._busy = threading.Lock()

    @property
    def kept(self) -> str | None:
        """The name of the model that is kept for the way back."""
        return self._kept.name if self._kept else None

    def swap(self, bring_up: BringUp) -> Swapped:
        """When it does not come up, all questions stay where they are. What was kept for the way back from an earlier
        swap is let go first: three models side by side are more than most machines hold."""
        with self._alone():
            self._let_go()
            return self._moved(bring_up())

    def rollback(self) -> Swapped:
        """To the model before, which must still be up. Raises `NotFound` when there is none, `GeneratorUnavailable`
        when it is not well."""
        with self._alone():
            if self._kept is None:
                raise NotFound("no model is kept to go back to; swap to the one that is wanted")
            if not any(probing.healthy(one) for one in self._kept.endpoints):
                raise GeneratorUnavailable(f"{self._kept.name} is not up any more; swap to it")
            back, self._kept = self._kept, None
            return self._moved(back)

    def let_go(self) -> None:
        """End the model that is kept for the way back."""
        with self._alone():
            self._let_go()

    def _moved(self, new: Served) -> Swapped:
        begun = time.perf_counter()
        old = self._fleet.move(new)
        moved = time.perf_counter() - begun
        ended = drained(old, self._drain_s) if old else True
        self._kept = old
        return Swapped(old.name if old else None, new.name, moved, ended)

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.stop()
            self._kept = None

    def _alone(self) -> _Alone:
        return _Alone(self._busy)


class _Alone:
    def __init__(self, busy: threading.Lock) -> None:
        self._busy = busy

    def __enter__(self) -> None:
        if not self._busy.acquire(blocking=False):
            raise Conflict("models are being swapped already; try again when that is done")

    def __exit__(self, *_: object) -> None:
        self._busy.release()


# --- an adapter on a share of the questions --------------------------------------------------------------------------


def try_adapter(fleet: Fleet, folder: Path, share: float) -> Canary:
    """Load a LoRA adapter into the servers of the current model and send it a share, 0..1, of the questions. Blocks.

    Its name is made of the adapter's weights and the time, so no name is ever used twice: vLLM keeps what it computed
    under one. Raises `InvalidInput`, `Conflict` while another one is tried, or `GeneratorUnavailable` where the servers
    do not take it.
    """
    current = fleet.current
    if not 0 < share <= 1:
        raise InvalidInput("the share of the questions is above 0 and at most 1")
    if current is None:
        raise GeneratorUnavailable(fleet.state)
    if fleet.canary:
        raise Conflict(f"{fleet.canary.served.name} is being tried already; end that first")
    name = adapter_name(folder)
    for endpoint in current.endpoints:
        probing.load_adapter(endpoint, name, str(folder.resolve()))
        probing.warm(endpoint, name)

    def unload() -> None:
        for endpoint in current.endpoints:
            probing.unload_adapter(endpoint, name)

    served = Served(name, current.endpoints, current.window, current.tokenizer, unload)
    canary = Canary(served, share)
    fleet.try_out(canary)
    return canary


def end_adapter(fleet: Fleet, drain_s: float) -> None:
    """All questions to the current model again; the adapter is unloaded when its last answer is done."""
    canary = fleet.try_out(None)
    if canary:
        drained(canary.served, drain_s)
        canary.served.stop()


def adapter_name(folder: Path) -> str:
    """Raises `InvalidInput` when the folder holds no adapter."""
    weights = folder / "adapter_model.safetensors"
    if not weights.is_file():
        raise InvalidInput(f"{folder} holds no adapter (adapter_model.safetensors)")
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{folder.resolve().name}-{digest[:12]}-{time.time_ns():x}"
