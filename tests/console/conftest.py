from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live import Live, live

Start = Callable[..., Live]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(live(tmp_path / "home", **options))


@pytest.fixture
def here(start: Start) -> Live:
    return start()
