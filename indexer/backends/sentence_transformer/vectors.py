"""Token states to unit-length vectors. Pure numpy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]
Span = tuple[int, int]
Units = Literal["late", "separate", "both"]


def normalise(vectors: Vectors) -> Vectors:
    """Rows scaled to length 1; a row of zeros stays zeros, never NaN."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
    return scaled


def past_space(offsets: Sequence[Span], text: str) -> Places:
    """Where tokens begin and end, without white space in front: SentencePiece counts the space before a word to the
    word, and it may be the end of the unit before."""
    edges = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    blank = np.isin(np.frombuffer(f"{text}.".encode("utf-32-le", "surrogatepass"), "<u4"), _SPACES)
    places = np.where(blank, len(blank), np.arange(len(blank)))
    following = np.minimum.accumulate(places[::-1])[::-1]  # the first place at or after this one that is not blank
    return np.stack([np.minimum(following[edges[:, 0]], edges[:, 1]), edges[:, 1]], axis=1)


_SPACES = [number for number in range(0x3001) if chr(number).isspace()]


def membership(offsets: Sequence[Span] | Places, spans: Sequence[Span]) -> Vectors:
    """[spans, tokens] of 0 and 1: which tokens touch which span. Special tokens have an empty offset and touch none;
    a span that no token touches (white space, or beyond the model's last token) gets every token of the text."""
    edges = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    wanted = np.asarray(spans, dtype=np.int64).reshape(-1, 2)
    real = edges[:, 1] > edges[:, 0]
    inside = real & (edges[:, 0] < wanted[:, 1:]) & (edges[:, 1] > wanted[:, :1])
    inside[~inside.any(axis=1)] = True
    return inside.astype(np.float32)


def span_texts(texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> list[tuple[int, int, str]]:
    """(text number, span number, words) of every span that is not white space."""
    cuts = ((i, j, texts[i][start:end]) for i, row in enumerate(spans) for j, (start, end) in enumerate(row))
    return [cut for cut in cuts if cut[2].strip()]


def native_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively."""
    flags = Path("/proc/cpuinfo")
    return flags.is_file() and not _NATIVE_BF16.isdisjoint(flags.read_text("utf-8", "replace").split())


_NATIVE_BF16 = {"avx512_bf16", "amx_bf16"}


def padded(batch: Sequence[Sequence[int]], step: int = 1) -> tuple[Ids, Ids]:
    """Token ids [texts, longest], filled up on the right with 0, and the length of each text. The width is a multiple
    of `step`."""
    lengths = np.array([len(ids) for ids in batch], dtype=np.int32)
    out = np.zeros((len(batch), -(-int(lengths.max()) // step) * step), dtype=np.int32)
    for row, ids in zip(out, batch, strict=True):
        row[: len(ids)] = ids
    return out, lengths


_PADDING = 32
"""Tokens of padding that are cheaper than a pass of their own for the shorter texts."""


def by_tokens(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches of at most `budget` tokens (one text at least), the longest texts first: neighbours are of
    nearly equal length, and memory peaks at the start, not after an hour. A batch also ends where padding, which is
    computed like words, would be more than an eighth of it: 32 questions took 1.7 times as long in one batch."""
    batch: list[int] = []
    used = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        # the first of a batch is its longest, and padding makes every other one as long
        padded = (len(batch) + 1) * lengths[batch[0]] if batch else 0
        if padded > budget or padded - used - lengths[index] > max(_PADDING, padded // 8):
            yield batch
            batch, used = [], 0
        batch.append(index)
        used += lengths[index]
    if batch:
        yield batch
