"""The lines of a calibration: as low as the labelled questions can vouch for, and no lower."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from services.review.bounds import upper

Matrix = npt.NDArray[np.float64]

MOST_WRONG = 0.15
"""Share of answers sent that may lack something that was asked for, on questions like the labelled ones. With the next
figure the promise that the lines keep; both are the product's to choose, not fitted. What must stay below it is not the
share that was seen, but the most that it may truly be: the fewer the questions, the higher the line."""
_ASSURANCE = 0.95
MOST_UNANSWERABLE = 0.05
"""Share of the unanswerable questions that may get an answer all the same, of each language too: one that is refused
more easily does not pay for the other. Counted in files that have answerable ones too: questions about other texts are
too easy to refuse to promise anything by."""
_FEW = 20  # unanswerable questions; fewer in all: the packaged line holds if it is higher; of a language: it has none


@dataclass(frozen=True, slots=True)
class Lines:
    """As `Calibration.line` and `Calibration.by_language`."""

    line: float
    by_language: Mapping[str, float]


def find_lines(
    probabilities: Matrix,
    labels: Matrix,
    weights: Matrix,
    languages: npt.NDArray[np.str_],
    outside: npt.NDArray[np.bool_],
    packaged: Lines,
    refused: Mapping[str, int] = MappingProxyType({}),
) -> Lines:
    """The lowest lines that keep both promises; 0.99 where none does. A language with `_FEW` unanswerable questions has
    a line of its own, where its share of them is as small as promised; the others have the line where all together keep
    that. No line is below the lowest from which, under all of these, few enough answers are wrong. With few
    unanswerable questions in all to judge by, none is below the packaged one.

    languages, outside: of each answer, its language and whether its question is unanswerable, and near enough to
    count. refused: how many more of those, by language, a language model did not answer at all."""
    unanswerable = Counter(languages[outside].tolist()) + Counter(refused)
    shared = _floor(probabilities[outside], unanswerable.total())
    floors = {
        name: _floor(probabilities[outside & (languages == name)], count)
        for name, count in sorted(unanswerable.items())
        if count >= _FEW
    }
    own = np.array([floors.get(name, shared) for name in languages])
    least = _least(probabilities, labels, weights, probabilities >= own)
    if unanswerable.total() < _FEW:
        least = max(least, packaged.line)
        return Lines(least, {name: max(least, line) for name, line in packaged.by_language.items()})
    return Lines(max(least, shared), {name: max(least, floor) for name, floor in floors.items()})


def _floor(probabilities: Matrix, count: int) -> float:
    """The lowest line at which few enough of `count` unanswerable questions are sent, which have these answers."""
    above = np.sort(probabilities)[::-1][int(MOST_UNANSWERABLE * count) :]
    return min(float(_written_down(above[0])) + 1e-4, 0.99) if len(above) else 0.0


def _least(probabilities: Matrix, labels: Matrix, weights: Matrix, sent: npt.NDArray[np.bool_]) -> float:
    """The lowest line at which few enough of the answers that are `sent` are wrong."""
    order = np.flatnonzero(sent)[np.argsort(-probabilities[sent], kind="stable")]
    lines = _written_down(probabilities[order])
    ends = np.append(lines[1:] < lines[:-1], True)[: len(lines)]
    good = np.flatnonzero(ends & (_most_wrong(labels[order], weights[order]) <= MOST_WRONG))
    return round(float(lines[good[-1]]), 4) if len(good) else 0.99


def _written_down(probabilities: Matrix) -> Matrix:
    """With the four digits that a line has, rounded down: whatever is at a line is sent."""
    return np.floor(probabilities * 1e4) / 1e4


def _most_wrong(labels: Matrix, weights: Matrix) -> Matrix:
    """Of the answers up to each one: the share that the truly wrong one is above in at most 5 % of such samples
    (Clopper and Pearson). Weighted answers say as much as Kish's effective number of plain ones, (Σw)² / Σw²."""
    total = np.cumsum(weights)
    drawn = total**2 / np.cumsum(weights**2)
    wrong = np.cumsum((1 - labels) * weights) / total * drawn
    return np.array([upper(*pair, 1 - _ASSURANCE) for pair in zip(wrong.tolist(), drawn.tolist(), strict=True)])
