"""Is the process that owned a job still there? A process id alone is not enough: ids are used again, and a
container's main process has the same one after every restart."""

from __future__ import annotations

import os
from pathlib import Path


def started(pid: int) -> str:
    """When the process began, in ticks since this machine booted, with the boot's id; "" where that cannot be told
    (no /proc), or when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()  # the name before ")" may hold anything
    return "" if state in "ZX" else f"{boot}:{fields[18]}"


def alive(pid: int, since: str) -> bool:
    """since: what `started` said when the job was taken on."""
    if since:
        return started(pid) == since
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's, but there
    return True
