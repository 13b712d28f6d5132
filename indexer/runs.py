"""Arrays of runs: rows that belong together stand in one stretch, and an array of offsets says where each begins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def ranges(begin: Rows, end: Rows) -> Rows:
    """The numbers of all ranges [begin[i], end[i]), one range after the other."""
    lengths = end - begin
    total = int(lengths.sum())
    if not total:
        return np.empty(0, np.int64)
    jumps = np.ones(total, np.int64)
    filled = lengths > 0
    first = np.concatenate(([0], np.cumsum(lengths[filled])[:-1]))
    begins, ends = begin[filled], end[filled]
    jumps[first] = begins
    jumps[first[1:]] -= ends[:-1] - 1
    return np.cumsum(jumps)


def best_of_runs(values: npt.NDArray[np.float32], starts: Rows) -> npt.NDArray[np.float32]:
    """The largest value of each run [starts[i], starts[i + 1]); 0 for an empty one."""
    out = np.zeros(len(starts) - 1, np.float32)
    filled = np.flatnonzero(np.diff(starts))
    if len(filled):
        out[filled] = np.maximum.reduceat(values, starts[filled])
    return out
