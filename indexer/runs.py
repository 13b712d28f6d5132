"""Arrays of runs: rows that belong together stand in one stretch, and an array of offsets says where each begins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def ranges(begin: Rows, end: Rows) -> Rows:
    """The numbers of all ranges [begin[i], end[i]), one range after the other."""
    lengths = end - begin
    ends = np.cumsum(lengths)
    every = np.arange(ends[-1] if len(ends) else 0, dtype=np.int64)
    every += np.repeat(begin - ends + lengths, lengths)
    return every


def best_of_runs(values: npt.NDArray[np.float32], starts: Rows) -> npt.NDArray[np.float32]:
    """The largest value of each run [starts[i], starts[i + 1]), in each column of `values`; 0 for an empty one."""
    begin = starts[:-1]
    filled = starts[1:] > begin
    if filled.all():
        return np.asarray(np.maximum.reduceat(values, begin) if len(begin) else values[:0], np.float32)
    out = np.zeros((len(begin), *values.shape[1:]), np.float32)
    if filled.any():
        out[filled] = np.maximum.reduceat(values, begin[filled])
    return out
