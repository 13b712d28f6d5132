"""Arrays come back from disk as they were, also where only some passages have text vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.version import Arrays


def arrays(has_dense: list[bool], dimension: int) -> Arrays:
    rng = np.random.default_rng(0)
    has = np.array(has_dense, bool)
    offsets = np.concatenate(([0], np.cumsum(np.arange(len(has)) % 3)))  # some passages have no unit
    per_unit = np.repeat(has, np.diff(offsets))
    return Arrays(
        keys=np.arange(len(has), dtype=np.uint64),
        lengths=np.ones(len(has), np.int32),
        unit_offsets=offsets,
        unit_terms=np.arange(int(offsets[-1]), dtype=np.uint32),
        unit_term_offsets=np.arange(int(offsets[-1]) + 1),
        term_ids=np.arange(3, dtype=np.uint32),
        term_counts=np.ones(3, np.int32),
        corpus=rng.random((len(has), 8)).astype(np.float16),
        has_dense=has,
        dense=(rng.random((len(has), dimension)) * has[:, None]).astype(np.float16),
        dense_units=(rng.random((int(offsets[-1]), dimension)) * per_unit[:, None]).astype(np.float16),
    )


@pytest.mark.parametrize(
    ("has_dense", "dimension"),
    [
        ([True] * 7, 5),
        ([False] * 7, 0),
        ([False] * 7, 5),
        ([False, False, True, True, False, True, False], 5),
        ([True, False, False, True], 5),  # one of them has no unit
        ([True, False], 5),  # nothing but that
        ([], 5),
    ],
)
def test_arrays_come_back_as_they_were(tmp_path: Path, has_dense: list[bool], dimension: int) -> None:
    made = arrays(has_dense, dimension)
    made.save(tmp_path / "arrays")
    back = Arrays.load(tmp_path / "arrays")
    for name in Arrays.__dataclass_fields__:
        expected, found = getattr(made, name), getattr(back, name)
        assert found.dtype == expected.dtype and np.array_equal(found, expected), name


def test_vectors_of_few_passages_take_little_room_on_disk(tmp_path: Path) -> None:
    made = arrays([True] + [False] * 4000, 384)
    made.save(tmp_path / "arrays")
    assert (tmp_path / "arrays" / "dense.npy").stat().st_blocks * 512 < made.dense.nbytes // 4
