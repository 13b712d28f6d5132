"""Runs a command and does not let it outlive the one who asked for it, not even after `kill -9`.

The asker holds the other end of this process's standard input: when it is gone, however it went, the input ends and
the whole process group is killed. FILE says which processes there are, for the one who finds them left over because
this very process was killed. Needs the standard library only, so it is up in milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from services.store.processes import alive, started


def main(file: Path, command: list[str]) -> int:
    """Returns the command's exit code when it ends by itself; by then nothing of its group is left but this process."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    file.write_text(json.dumps({"group": os.getpgrp(), "pid": child.pid, "started": started(child.pid)}), "utf-8")
    threading.Thread(target=_watch, args=(file,), daemon=True).start()
    code = child.wait()
    file.unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)  # what the command left running
    return code


def _watch(file: Path) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    file.unlink(missing_ok=True)
    os.killpg(0, signal.SIGKILL)


def sweep(folder: Path) -> list[int]:
    """Kill what files in a folder say is still running. Returns the groups. Call it while none of them is in use."""
    killed = []
    for file in folder.glob("*.running.json"):
        with contextlib.suppress(ValueError, KeyError, OSError):
            known = json.loads(file.read_text("utf-8"))
            if alive(known["pid"], known["started"]):
                os.killpg(known["group"], signal.SIGKILL)
                killed.append(known["group"])
        file.unlink(missing_ok=True)
    return killed
