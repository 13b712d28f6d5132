"""What is left of a passage that was condensed: the report that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from router import facts, support, units
from router.condense import Condensed, holds
from router.types import UnitKind


@dataclass(frozen=True, slots=True)
class Survived:
    """Shares, 0..1, of what the original's units have; None where they have none. length: in characters. numbers:
    distinct ones with their unit (see `facts.figures`). names: distinct words with a capital inside a sentence, and
    identifiers. numbered, denials, qualified: units with a number, with a negation, with a qualifier, code apart.
    lost: the numbers that are in no unit that was kept, sorted."""

    length: float | None
    numbers: float | None
    names: float | None
    numbered: float | None
    denials: float | None
    qualified: float | None
    lost: tuple[str, ...]


def survived(text: str, condensed: Condensed) -> Survived:
    found = units.split(text)
    raw = [text[unit.start : unit.end] for unit in found]
    left = [holds(condensed, (unit.start, unit.end)) for unit in found]
    said = [one if unit.kind is not UnitKind.CODE else "" for unit, one in zip(found, raw, strict=True)]

    def distinct(of: Callable[[str], Iterable[str]]) -> tuple[set[str], set[str]]:
        sets = [set(of(one)) for one in raw]
        return set().union(*sets), set().union(*(one for one, here in zip(sets, left, strict=True) if here))

    def holding(has: Callable[[str], object], texts: Collection[str]) -> float | None:
        those = [here for one, here in zip(texts, left, strict=True) if has(one)]
        return sum(those) / len(those) if those else None

    numbers, seen = distinct(facts.figures)
    names, known = distinct(_names)
    return Survived(
        length=len(condensed.text) / len(text) if text else None,
        numbers=len(seen) / len(numbers) if numbers else None,
        names=len(known) / len(names) if names else None,
        numbered=holding(facts.figures, raw),
        denials=holding(facts.negates, said),
        qualified=holding(facts.qualifies, said),
        lost=tuple(sorted(numbers - seen)),
    )


def _names(text: str) -> frozenset[str]:
    return facts.names(text) | frozenset(support.identifiers(text))
