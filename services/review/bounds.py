"""Exact binomial figures for the error budget. Everything counts questions (clusters), never rows.

e wrong ones among n drawn: Clopper and Pearson (1934) invert the binomial distribution itself, so no sample is too
small for the bounds to hold.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def upper(wrong: float, drawn: float, risk: float) -> float:
    """The share that the true one is above with probability at most `risk`; 1 when nothing was drawn. Both may be
    effective numbers of a weighted sample."""
    return 1.0 if wrong >= drawn else float(_special().betaincinv(wrong + 1, drawn - wrong, 1 - risk))


def lower(wrong: int, drawn: int, risk: float) -> float:
    """The share that the true one is below with probability at most `risk`; 0 when none is wrong."""
    return 0.0 if wrong <= 0 else float(_special().betaincinv(wrong, drawn - wrong + 1, risk))


def p_values(wrong: Any, drawn: Any, rate: float) -> Numbers:
    """For each pair, the most that so few wrong ones can have as their probability when the true share is above
    `rate`. 1 where nothing was drawn. At most `risk` exactly where `upper(…, risk)` is at most `rate`."""
    return np.where(np.asarray(drawn) > 0, _special().bdtr(wrong, np.maximum(drawn, 1), rate), 1.0)


def required(wrong: int, rate: float, risk: float) -> int:
    """The smallest number drawn with which `wrong` wrong ones still keep the true share at most `rate`, with
    probability of error at most `risk`. At 5 % and 5 %: 59, 93, 124 for 0, 1, 2 wrong ones."""
    few, enough = wrong, wrong + 1
    while float(_special().bdtr(wrong, enough, rate)) > risk:
        few, enough = enough, enough * 2
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if float(_special().bdtr(wrong, middle, rate)) <= risk else (middle, enough)
    return enough


def allowed(drawn: int, rate: float, risk: float) -> int:
    """The most wrong ones among `drawn` that still keep the promise; -1 when even none would not."""
    if drawn < 1 or float(_special().bdtr(0, drawn, rate)) > risk:
        return -1
    few = np.arange(math.ceil(drawn * rate) + 1)
    return int(few[_special().bdtr(few, drawn, rate) <= risk][-1])


def load() -> None:
    """On a thread, before a server's event loop asks for a bound."""
    _special()


def _special() -> Any:
    """scipy's functions, loaded for the first bound: they take a third of a second, and most commands ask for none."""
    from scipy import special

    return special
