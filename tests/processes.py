"""The real program as processes of its own, for benchmarks and for tests that kill it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.running import running_server

COMMAND = (sys.executable, "-m", "services.cli")


def environment(home: Path, **settings: object) -> dict[str, str]:
    """This process's environment without its own settings, and with these."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERLOOP_")}
    own = {f"ANSWERLOOP_{name.upper()}": str(value) for name, value in settings.items()}
    return {**others, **own, "ANSWERLOOP_HOME": str(home)}


def start(home: Path, *arguments: str, **settings: object) -> subprocess.Popen[str]:
    """`answerloop …` in the background, as the leader of a process group, so that all of it can be killed."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(home, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def call(home: Path, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """`answerloop …` to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(home, **settings), capture_output=True, text=True, timeout=1800
    )


def report(home: Path, *arguments: str, **settings: object) -> Any:
    """What `answerloop … --json` printed. Raises RuntimeError with its words when it failed."""
    done = call(home, *arguments, "--json", **settings)
    if done.returncode:
        raise RuntimeError(f"answerloop {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


@dataclass(frozen=True, slots=True)
class Served:
    process: subprocess.Popen[bytes]
    url: str
    log: Path


def serve(home: Path, seconds: float = 60.0, **settings: object) -> Served:
    """A server on a free port, reachable. Its log is beside the home: a full pipe would stop it."""
    log = home.with_name(f"{home.name}-server.log")
    with log.open("ab") as output:
        command = [*COMMAND, "serve", "--port", "0"]
        process = subprocess.Popen(command, env=environment(home, **settings), stdout=output, stderr=output)
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        running = running_server(home)
        if running is not None and running.pid == process.pid:
            return Served(process, running.url, log)
        time.sleep(0.01)
    process.kill()
    process.wait()
    raise RuntimeError(f"no server came up in {home}: {log.read_text('utf-8')[-2000:]}")


@contextlib.contextmanager
def serving(home: Path, **settings: object) -> Iterator[Served]:
    served = serve(home, **settings)
    try:
        yield served
    finally:
        served.process.terminate()
        served.process.wait(30)


def children(pid: int) -> list[int]:
    """Those of any of its threads."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in lists for child in path.read_text("utf-8").split()]


def cpu_ms(pid: int) -> float:
    """Processor time of a process and its children so far, all their threads, in milliseconds."""
    return sum(_ticks(one) for one in (pid, *children(pid))) * 1e3 / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def resident(pid: int) -> dict[str, int]:
    """MiB of a process and its children: rss now and peak, which count the mapped files that are in memory too, each
    process's copy; private is what no one else could use."""
    names = {"rss": "VmRSS", "peak": "VmHWM", "private": "RssAnon"}
    every = [_status(one) for one in (pid, *children(pid))]
    return {name: sum(int(one[field].split()[0]) for one in every) // 1024 for name, field in names.items()}


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return dict(line.split(":", 1) for line in lines)
