"""Weights in 4 bits: blocks of 32 neighbours in a row share one scale, and each is (level - 8) * scale, level 0 to 15.

The layout that llama.cpp calls Q4_0. Pure numpy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

SIZE = 32
BYTES = 2 + SIZE // 2
"""Of a block in a file: its scale as float16, then a byte for each pair of weights half a block apart."""
_MIDDLE = 8
_ROWS = 8192  # looked at together: the table of a quarter of a million words is 96 million weights

Halves = npt.NDArray[np.float16]
Bytes = npt.NDArray[np.uint8]


class Blocks(NamedTuple):
    """levels: [rows, columns], 0 to 15. scales: [rows, columns / 32]."""

    levels: Bytes
    scales: Halves


def unpacked(packed: Bytes) -> Blocks:
    """From [rows, blocks, 18] bytes as they lie in a file."""
    rows, count, _ = packed.shape
    scales = np.ascontiguousarray(packed[..., :2]).view("<f2")[..., 0]
    pairs = packed[..., 2:]
    levels = np.concatenate([pairs & 15, pairs >> 4], axis=-1)
    return Blocks(levels.reshape(rows, count * SIZE), scales)


def values(blocks: Blocks) -> Halves:
    """The weights, rounded to float16: one part in 2,048, of weights that are known to one in 15."""
    out = np.empty(blocks.levels.shape, dtype=np.float16)
    for start in range(0, len(out), _ROWS):
        rows = slice(start, start + _ROWS)
        scales = np.repeat(blocks.scales[rows].astype(np.float32), SIZE, axis=1)
        out[rows] = (blocks.levels[rows].astype(np.float32) - _MIDDLE) * scales
    return out


def found(weights: npt.NDArray[Any]) -> Blocks | None:
    """The blocks that `values` makes these very weights of, or None where they do not lie on such levels.

    The largest weight of a block has level 0, as every writer of this layout sees to, and so names the scale.
    """
    rows, columns = weights.shape
    if columns % SIZE:
        return None
    out = Blocks(np.empty((rows, columns), np.uint8), np.empty((rows, columns // SIZE), np.float16))
    for start in range(0, rows, _ROWS):
        part = weights[start : start + _ROWS].astype(np.float32)
        some = _nearest(part)
        if not np.array_equal(values(some), part):
            return None
        out.levels[start : start + _ROWS], out.scales[start : start + _ROWS] = some
    return out


def _nearest(weights: npt.NDArray[np.float32]) -> Blocks:
    blocks = weights.reshape(len(weights), -1, SIZE)
    largest = np.abs(blocks).argmax(axis=-1, keepdims=True)
    scales = np.take_along_axis(blocks, largest, axis=-1) / -_MIDDLE
    levels = np.rint(blocks / np.where(scales == 0, 1, scales)) + _MIDDLE
    return Blocks(levels.clip(0, 15).astype(np.uint8).reshape(weights.shape), scales[..., 0].astype(np.float16))
