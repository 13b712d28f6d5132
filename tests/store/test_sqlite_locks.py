"""One file, many openers: in this process and in others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from services.store.sql import SqlStore
from tests.store.samples import trace

ROOT = Path(__file__).parents[2]
RECORD = """
import asyncio, sys
from services.store.sql import SqlStore
from tests.store.samples import trace
with SqlStore.open(sys.argv[1]) as store:
    asyncio.run(store.record(trace(), None))
    print(len(asyncio.run(store.list_traces(100))))
"""


def test_opening_again_in_one_process_lets_go_of_no_lock(tmp_path: Path) -> None:
    """POSIX takes all locks of a process from a file when the process closes any descriptor of it. Without its lock
    another process takes itself for the last one, and removes the log that this one still writes to."""
    url = f"sqlite:///{tmp_path}/store.db"
    with SqlStore.open(url) as store:
        asyncio.run(store.record(trace(), None))
        for number in range(3):
            SqlStore.open(url).close()
            done = subprocess.run([sys.executable, "-c", RECORD, url], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            assert int(done.stdout) == 2 * number + 2, "what this process wrote is seen by the other one"
            assert len(asyncio.run(store.list_traces(100))) == 2 * number + 2, "and the other way round"
            asyncio.run(store.record(trace(), None))
