"""One real vLLM for all tests that need one: it takes half a minute to start."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from services.generation.endpoints import Endpoint, Fleet, Served
from services.generation.launching import Launch
from services.generation.supervisor import Supervisor
from tests.serving import talks

LOADING_S = 300.0


@dataclass(frozen=True, slots=True)
class Talking:
    """first, second: folders of two models that answer the same questions otherwise; first is served."""

    first: Path
    second: Path
    fleet: Fleet
    supervisor: Supervisor

    @property
    def served(self) -> Served:
        current = self.fleet.current
        assert current
        return current

    @property
    def endpoint(self) -> Endpoint:
        return self.served.endpoints[0]

    def wait(self, other_than: Served | None = None) -> Served:
        """Until the supervisor has a model served, one that is not `other_than`."""
        until = time.monotonic() + LOADING_S
        while self.fleet.current in (None, other_than):
            assert time.monotonic() < until, self.fleet.status()
            time.sleep(0.1)
        return self.served


@pytest.fixture(scope="session")
def vllm() -> None:
    if not find_spec("vllm"):
        pytest.skip("vllm is not installed here; see docs/en/serving.md")


@pytest.fixture(scope="session")
def models(vllm: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:  # noqa: ARG001
    folder = tmp_path_factory.mktemp("models")
    return talks.teach(folder / "first-1", 0), talks.teach(folder / "second-1", 1)


@pytest.fixture(scope="session")
def talking(models: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talking]:
    fleet = Fleet("not started")
    launch = Launch(str(models[0]), talks.WINDOW.tokens, adapters=True)
    supervisor = Supervisor(launch, "", tmp_path_factory.mktemp("generator"), talks.WINDOW.answer, fleet)
    supervisor.start()
    try:
        here = Talking(*models, fleet, supervisor)
        here.wait()
        yield here
    finally:
        supervisor.close()
