"""Whether a model has earned it: gates that look both ways, on the frozen test set, each with the figures it judged by.

A mean is not enough: differences are paired by row and bootstrapped by cluster. "Do not promote" is a result.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from services.training.metrics import Interval, bootstrap

CORRECTED = "corrected questions"
FEWEST = 20
"""Clusters on either side of refusing; with fewer an interval says nothing, and the gate stays shut."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One test row answered by one model. answerable: the documents hold the answer. refused: it said so. score: 0..1,
    token F1 against the reference. right: judged right by facts and score. guarded: a curated question, or one that a
    person corrected before: it must never be wrong again. language: of the question."""

    row: str
    cluster: str
    answerable: bool
    refused: bool
    score: float
    right: bool
    guarded: bool = False
    language: str = ""


@dataclass(frozen=True, slots=True)
class Reasked:
    """A question that people corrected, asked again of the candidate. sent: what askers would get, "" where nothing is
    sent. again: why that is wrong again, "" where it is not."""

    question: str
    sent: str
    again: str


@dataclass(frozen=True, slots=True)
class Gate:
    name: str
    held: bool
    said: str
    difference: Interval | None = None


Pairs = Sequence[tuple[Judged, Judged]]


def gates(candidate: Sequence[Judged], live: Sequence[Judged], test: Collection[str] | None = None) -> list[Gate]:
    """Both on the same rows, in any order. test: the rows that means are taken over; None for all. The others are
    approved or corrected questions that were trained on: they say nothing about new ones, and must stay right.

    Raises ValueError when they are not the same rows."""
    everything = _paired(candidate, live)
    pairs = [pair for pair in everything if test is None or pair[0].row in test]
    return [*_sides(pairs), *_by_language(pairs), _no_relapse(everything)]


def _sides(pairs: Pairs) -> list[Gate]:
    return [
        _not_worse("answers", pairs, lambda one: one.score, lambda one: one.answerable, higher_is_better=True),
        _not_worse("missed refusals", pairs, lambda one: float(not one.refused), lambda one: not one.answerable),
        _not_worse("over-refusals", pairs, lambda one: float(one.refused), lambda one: one.answerable),
    ]


def _by_language(pairs: Pairs) -> list[Gate]:
    """The same for each language, where there are several: a loss in one must not hide behind a gain in another. A side
    with too few rows of a language to tell is left to the pooled gate."""
    languages = sorted({new.language for new, _ in pairs})
    found = []
    for language in languages if len(languages) > 1 else ():
        own = [pair for pair in pairs if pair[0].language == language]
        found += [replace(one, name=f"{one.name}, {language}") for one in _sides(own) if one.difference]
    return found


def _paired(candidate: Sequence[Judged], live: Sequence[Judged]) -> list[tuple[Judged, Judged]]:
    before = {one.row: one for one in live}
    if len(before) != len(live) or {one.row for one in candidate} != before.keys() or len(candidate) != len(live):
        raise ValueError("the two models were not judged on the same rows")
    return [(one, before[one.row]) for one in candidate]


def _not_worse(
    name: str,
    pairs: Sequence[tuple[Judged, Judged]],
    value: Callable[[Judged], float],
    counts: Callable[[Judged], bool],
    higher_is_better: bool = False,
) -> Gate:
    """Shut when the interval of the difference lies on the wrong side of nothing, or there are too few to tell."""
    sign = 1.0 if higher_is_better else -1.0
    gains: Mapping[str, list[float]] = _by_cluster(pairs, lambda new, old: sign * (value(new) - value(old)), counts)
    if len(gains) < FEWEST:
        return Gate(name, False, f"only {len(gains)} clusters to judge by; at least {FEWEST} are needed")
    found = bootstrap(gains)
    held = found.high >= 0 and not math.isnan(found.mean)
    word = "not worse" if held else "worse"
    return Gate(name, held, f"{word}: {found.mean:+.3f}, interval {found.low:+.3f} to {found.high:+.3f}", found)


def _by_cluster(
    pairs: Sequence[tuple[Judged, Judged]],
    gain: Callable[[Judged, Judged], float],
    counts: Callable[[Judged], bool],
) -> dict[str, list[float]]:
    out: dict[str, list[float]] = defaultdict(list)
    for new, old in pairs:
        if counts(new):
            out[new.cluster].append(gain(new, old))
    return out


def _no_relapse(pairs: Sequence[tuple[Judged, Judged]]) -> Gate:
    """Not one of the guarded rows that the live model has right may be wrong: no interval excuses that."""
    lost = [new.row for new, old in pairs if new.guarded and old.right and not new.right]
    said = (
        f"{len(lost)} approved or corrected questions would be wrong again: {', '.join(lost[:5])}" if lost else "none"
    )
    return Gate("no relapse", not lost, said)


def corrected(reasked: Sequence[Reasked]) -> Gate:
    """Shut by a single question that was corrected and would be wrong again: people would have to do it twice."""
    wrong = [one for one in reasked if one.again]
    if not wrong:
        said = (
            f"none of {len(reasked)} wordings would be wrong again" if reasked else "nobody has corrected an answer yet"
        )
        return Gate(CORRECTED, True, said)
    listed = "; ".join(f"{one.question!r} {one.again}" for one in wrong[:5])
    return Gate(CORRECTED, False, f"{len(wrong)} of {len(reasked)} wordings would be wrong again: {listed}")
