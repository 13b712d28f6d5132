"""Vectors of a build under way, on disk as they are made: a killed build does not embed anything twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Halves = npt.NDArray[np.float16]


class VectorCache:
    """Passage id → its vector and those of its units, float16. Written through on every `put`."""

    def __init__(self, path: Path, dimension: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._dimension = dimension
        self._connection = sqlite3.connect(path)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS vectors (id TEXT PRIMARY KEY, rows BLOB)")

    def get(self, ids: Sequence[str]) -> dict[str, tuple[Halves, Halves]]:
        """Those of the ids that are here."""
        wanted = set(ids)
        rows = self._connection.execute("SELECT id, rows FROM vectors")
        return {key: self._split(blob) for key, blob in rows if key in wanted}

    def put(self, ids: Sequence[str], passages: Halves, units: Sequence[Halves]) -> None:
        rows = [
            (key, np.concatenate((passage[None], own.reshape(-1, self._dimension))).astype("<f2").tobytes())
            for key, passage, own in zip(ids, passages, units, strict=True)
        ]
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def close(self) -> None:
        self._connection.close()

    def _split(self, blob: bytes) -> tuple[Halves, Halves]:
        rows = np.frombuffer(blob, "<f2").reshape(-1, self._dimension)
        return rows[0], rows[1:]
