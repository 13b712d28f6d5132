"""Every half-precision number there is."""

from __future__ import annotations

import numpy as np

from indexer.halves import widened


def test_every_finite_half_is_the_same_number() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    found = widened(finite)
    assert found.dtype == np.float32
    assert np.array_equal(found.view(np.uint32), finite.astype(np.float32).view(np.uint32))  # -0.0 is not 0.0 either


def test_none_and_rows() -> None:
    assert widened(np.empty((0, 4), np.float16)).shape == (0, 4)
    rows = np.array([[0.5, -1.0], [0.25, 3.0]], np.float16)
    assert widened(rows).tolist() == rows.tolist()
