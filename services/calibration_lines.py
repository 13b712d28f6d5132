"""The lines of a calibration: as low as the labelled questions can vouch for, and no lower."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from services.review.bounds import upper

Matrix = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MOST_WRONG = 0.15
"""Share of answers sent that may lack something that was asked for, on questions like the labelled ones. With the next
figure the promise that the lines keep; both are the product's to choose, not fitted. What must stay below it is not the
share that was seen, but the most that it may truly be: the fewer the questions, the higher the line."""
_ASSURANCE = 0.95
MOST_UNANSWERABLE = 0.05
"""Share of the unanswerable questions that may get an answer all the same, of each language too: one that is refused
more easily does not pay for the other. Counted in files that have answerable ones too: questions about other texts are
too easy to refuse to promise anything by."""
NOTHING = 0.9999
"""The line where no answer is sent: none is surer."""
_FEW = 20  # unanswerable questions; fewer in all: the packaged line holds if it is higher; of a language: it has none


@dataclass(frozen=True, slots=True)
class Lines:
    """As `Calibration.line`, `Calibration.by_language` and `Calibration.by_words`."""

    line: float
    by_language: Mapping[str, float]
    by_words: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answers:
    """What lines are found by, one entry for each answer. probabilities: by models that did not see it. labels: whether
    it is right. outside: whether its question is unanswerable, and near enough to count. by_words: whether words alone
    speak for it (`router.confidence.WITNESS`)."""

    probabilities: Matrix
    labels: Matrix
    weights: Matrix
    languages: npt.NDArray[np.str_]
    outside: Flags
    by_words: Flags

    def where(self, chosen: Flags) -> Answers:
        return Answers(*(getattr(self, one.name)[chosen] for one in fields(self)))


def find_lines(answers: Answers, packaged: Lines, refused: Mapping[str, int] = MappingProxyType({})) -> Lines:
    """The lowest lines that keep both promises; `NOTHING` where none does. A language with `_FEW` unanswerable
    questions has a line of its own, where its share of them is as small as promised; the others have the line where all
    together keep that. No line is below the lowest from which, under all of these, few enough answers are wrong. With
    few unanswerable questions in all to judge by, none is below the packaged one.

    Answers that words alone speak for have lines of their own, if the packaged calibration has any: these, or by
    language what such answers vouch for, where they are enough for that. With hardly any others, theirs stay.

    refused: how many more unanswerable questions, by language, are refused whatever their confidence; of those that
    words alone speak for none."""
    if not packaged.by_words:
        return Lines(*_plain_lines(answers, packaged, refused))
    by_words = {**packaged.by_words, **_words_lines(answers)}
    plain = answers.where(~answers.by_words)
    if len(plain.labels) < len(answers.labels) and not _enough(plain):
        return Lines(packaged.line, dict(packaged.by_language), by_words)
    return Lines(*_plain_lines(plain, packaged, refused), by_words)


def _plain_lines(answers: Answers, packaged: Lines, refused: Mapping[str, int]) -> tuple[float, dict[str, float]]:
    unanswerable = Counter(answers.languages[answers.outside].tolist()) + Counter(refused)
    shared = _floor(answers.probabilities[answers.outside], unanswerable.total())
    floors = {
        name: _floor(answers.probabilities[answers.outside & (answers.languages == name)], count)
        for name, count in sorted(unanswerable.items())
        if count >= _FEW
    }
    own = np.array([floors.get(name, shared) for name in answers.languages])
    least = _least(answers.where(answers.probabilities >= own))
    if unanswerable.total() < _FEW:
        least = max(least, packaged.line)
        return least, {name: max(least, line) for name, line in packaged.by_language.items()}
    return max(least, shared), {name: max(least, floor) for name, floor in floors.items()}


def _words_lines(answers: Answers) -> dict[str, float]:
    out = {}
    for name in np.unique(answers.languages[answers.by_words & answers.outside]).tolist():
        own = answers.where(answers.by_words & (answers.languages == name))
        floor = sure_floor(own.probabilities[own.outside])
        if floor is not None and _enough(sent := own.where(own.probabilities >= floor)):
            out[name] = max(floor, _least(sent))
    return out


def _enough(answers: Answers) -> bool:
    """Whether so many could vouch for `MOST_WRONG` if none of them were wrong."""
    return upper(0, len(answers.labels), 1 - _ASSURANCE) <= MOST_WRONG


def sure_floor(probabilities: Matrix) -> float | None:
    """The lowest line at which surely (`_ASSURANCE`) no more than `MOST_UNANSWERABLE` of questions like these
    unanswerable ones are sent; None for fewer than 59, which cannot vouch for that even if none is sent."""
    count = len(probabilities)
    sent = [number for number in range(count + 1) if upper(number, count, 1 - _ASSURANCE) <= MOST_UNANSWERABLE]
    return _line_above(np.sort(probabilities)[::-1][sent[-1] :]) if sent else None


def _floor(probabilities: Matrix, count: int) -> float:
    """The lowest line at which few enough of `count` unanswerable questions are sent, which have these answers."""
    return _line_above(np.sort(probabilities)[::-1][int(MOST_UNANSWERABLE * count) :])


def _line_above(falling: Matrix) -> float:
    """The lowest line above the first of these, with the four digits that a line has."""
    return min(round(float(_written_down(falling[0])) + 1e-4, 4), NOTHING) if len(falling) else 0.0


def _least(sent: Answers) -> float:
    """The lowest line at which few enough of these answers are wrong."""
    order = np.argsort(-sent.probabilities, kind="stable")
    lines = _written_down(sent.probabilities[order])
    ends = np.append(lines[1:] < lines[:-1], True)[: len(lines)]
    good = np.flatnonzero(ends & (_most_wrong(sent.labels[order], sent.weights[order]) <= MOST_WRONG))
    return round(float(lines[good[-1]]), 4) if len(good) else NOTHING


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
