from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live import Live, live

Start = Callable[..., Live]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server with other settings than the default ones; it is stopped after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(live(tmp_path / "home", **options))


@pytest.fixture
def here(start: Start) -> Live:
    return start()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One server for the tests of a module that leave no trace another one could see."""
    with live(tmp_path_factory.mktemp("home")) as server:
        yield server
