"""The processors that this process may use."""

from __future__ import annotations

import os


def usable() -> tuple[int, ...]:
    """Their numbers, ascending; at least one."""
    affinity = getattr(os, "sched_getaffinity", None)
    return tuple(sorted(affinity(0))) if affinity else tuple(range(os.cpu_count() or 1))
