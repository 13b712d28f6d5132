"""Which unit of which passage answers: every unit of the hits scored for one question, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

from router.kinds import Kind, fit
from router.types import Hit, UnitKind
from services.generation.reading import Piece, read

_LOOKED_AT = 24  # units, by their words alone, whose fitness for the kind of question is looked at
_TYPICAL = 18.0  # tokens of a typical unit: longer ones hold more words of any question by chance


@dataclass(frozen=True, slots=True)
class Shares:
    """How much each sign counts in a unit's score; its own words count 1."""

    above: float = 0.35  # words of the headings and of the introducing sentence
    passage: float = 0.6  # the passage's fused score, as a share of the best one's
    best_unit: float = 0.15  # the search names it as the unit nearest to the question
    kind: float = 0.3  # fitness for the kind of question
    length: float = 0.25  # how far long units are held back


SHARES = Shares()


@dataclass(frozen=True, slots=True)
class Choice:
    """hit: its place among the hits, from 0; number: of the piece in the reading; fit: 0..1, see `router.kinds`."""

    hit: int
    number: int
    piece: Piece
    score: float
    fit: float


def rank(
    hits: Sequence[Hit], weights: Mapping[str, float], kinds: Sequence[Kind], shares: Shares = SHARES
) -> list[Choice]:
    """The units that can be quoted, best first; at most `_LOOKED_AT`."""
    total = sum(weights.values()) or 1.0
    top = max(hits[0].fused, 1e-6) if hits else 1.0
    scored = [
        (_words_score(piece, hit, number, weights, total, shares) + shares.passage * hit.fused / top, at, number, piece)
        for at, hit in enumerate(hits)
        for number, piece in enumerate(read(hit.passage).pieces)
        if piece.quotable
    ]
    choices = []
    for score, at, number, piece in nlargest(_LOOKED_AT, scored, key=lambda one: one[0]):
        suits = fit(kinds, piece.kind, piece.text)
        choices.append(Choice(at, number, piece, score + shares.kind * (suits - 0.5) - _useless(piece), suits))
    return sorted(choices, key=lambda choice: -choice.score)


def _words_score(
    piece: Piece, hit: Hit, number: int, weights: Mapping[str, float], total: float, shares: Shares
) -> float:
    own = above = 0.0
    for token, idf in weights.items():
        if token in piece.terms:
            own += idf
        elif token in piece.above:
            above += idf
    length = 1.0 + shares.length * max(0.0, len(piece.terms) / _TYPICAL - 1.0)
    near = shares.best_unit if hit.best_unit == number else 0.0
    return (own / length + shares.above * above) / total + near


def _useless(piece: Piece) -> float:
    """A question answers nothing; a fragment of two or three characters hardly ever does."""
    if piece.text.endswith(("?", "？")) and piece.kind is not UnitKind.CODE:
        return 0.5
    return 0.3 if len(piece.terms) < 2 else 0.0
