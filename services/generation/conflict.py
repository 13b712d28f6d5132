"""Two pages that say the same thing with different values: which one holds, or both."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from router.script import simplified
from router.support import is_pair
from router.types import Hit, UnitKind
from services.generation.blocks import Facts
from services.generation.choosing import Choice
from services.generation.reading import Piece

_NEAR = 2.5  # log-odds behind the best unit, up to which another one competes with it
_ALIKE = 0.6  # share of common words, values left out, from which two units speak of the same thing
_VALUES = re.compile(
    r"\d+(?:\.\d+)*|\b(?:on|off|yes|no|true|false|enabled|disabled|not|cannot|never)\b|开启|打开|启用|关闭|禁用|不|无法|无需",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Conflict:
    """first, other: the unit to answer with, and the one that contradicts it. settled: the dates of their documents
    say which one is newer, so that `other` need not be shown."""

    first: Choice
    other: Choice
    settled: bool


def find(ranked: Sequence[Choice], hits: Sequence[Hit], asked: Collection[str], facts: Facts) -> Conflict | None:
    """The best unit against the first close one of another document that says the same with other values.

    asked: the question's tokens; both must hold the same ones, or they are about different things.
    """
    best = ranked[0]
    single = frozenset(token for token in asked if not is_pair(token))  # "不" makes other pairs, not another subject
    held = best.piece.terms & single
    for other in ranked[1:]:
        if other.score < best.score - _NEAR:
            break
        elsewhere = hits[other.hit].passage.document != hits[best.hit].passage.document
        same = elsewhere and other.piece.terms & single == held
        if same and contradict(best.piece, other.piece):
            return _judged(best, other, hits, facts)
    return None


def contradict(one: Piece, other: Piece) -> bool:
    """Whether two units differ in their values (numbers, on and off, negation) and in little else."""
    if UnitKind.CODE in (one.kind, other.kind):
        return False
    values = set(_values(one.text)), set(_values(other.text))
    one_says_less = values[0] <= values[1] or values[1] <= values[0]
    if one_says_less and not _opposite(values[0] ^ values[1]):
        return False
    terms = one.terms - values[0], other.terms - values[1]
    return len(terms[0] & terms[1]) >= _ALIKE * len(terms[0] | terms[1])


def _opposite(difference: set[str]) -> bool:
    """A value that only one of them gives may be a detail; a negation is not."""
    return any(not value[0].isdigit() for value in difference)


def _values(text: str) -> list[str]:
    return [value.lower() for value in _VALUES.findall(simplified(text))]


def _judged(best: Choice, other: Choice, hits: Sequence[Hit], facts: Facts) -> Conflict:
    dates = [_day(facts, hits[choice.hit].passage.document) for choice in (best, other)]
    if None in dates or dates[0] == dates[1]:
        return Conflict(best, other, settled=False)
    newer_first = str(dates[0]) > str(dates[1])
    return Conflict(best, other, settled=True) if newer_first else Conflict(other, best, settled=True)


def _day(facts: Facts, document: str) -> str | None:
    """The date alone: times of day in different zones cannot be compared as text."""
    modified = facts[document][1] if document in facts else None
    return modified[:10] if modified else None
