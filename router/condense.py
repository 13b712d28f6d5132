"""A shorter form of a passage, made of its own sentences: for prompts that the whole passage does not fit in.

What is never done: a sentence, list item, table row or block of code is kept whole or left out whole, so no number,
version, negation or qualifier ("only", "unless", 仅, 除非) is ever cut out of the statement it belongs to. A sentence
that bounds the one before it ("However, …", 除非 …) stays whenever that one does, and nothing stays without the words
above it that bound it ("The following are not supported:"). Statements with a negation or a qualifier stay before all
others, then those with a number, first the numbers that stand nowhere else, then those with a name that must be spelt
right: nothing plain stays at their cost, but for the best one that the question names and others in a part of the room.
Where there is no room for all of them, `router.survival` says what was lost.

Among statements of one kind the choice is TextRank's (a statement is central when others share its words), walked over
the graph of statements and words instead of over pairs of statements: the work grows with the length of the text, not
its square.
"""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from router import facts, support, units
from router.ports import Analyser
from router.types import UnitKind

Span = tuple[int, int]
Count = Callable[[str], int]
"""Text to its length in the model's tokens, or in characters. 0 for no text."""


@dataclass(frozen=True, slots=True)
class Condensed:
    """text: the kept units in their order. kept, dropped: spans of units in the original, ascending and disjoint.

    A kept table row reads "column: cell; …" in `text`; every other kept unit stands there as in the original. Units
    that are neighbours in the original keep what stands between them; others stand on lines of their own.
    """

    text: str
    kept: tuple[Span, ...]
    dropped: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Shares:
    """How much each sign counts. Tried on the even documents of `tests.bench.condense` at half length, question known:
    `question` from 4 to 20 moves the gold answers kept by up to four points in paragraphs, by none in articles; without
    `early` one to two are lost where no question is known."""

    central: float = 1.0  # how often the walker comes by, 1.0 being usual
    early: float = 1.5  # stands early in the text: 1 for the first unit, 0 for the last
    question: float = 6.0  # share of the question in the unit
    length: float = 0.3  # power of the length that the sum is divided by


SHARES = Shares()
_ASKED = 1 / 3
"""Share of the room in which what the question names comes before all else. Of the even documents at half length, a
quarter, a third and a half keep 0.90, 0.91 and 0.92 of the gold answers and 0.91, 0.88 and 0.84 of the numbers of whole
articles; in windows of them 0.84, 0.87 and 0.90, and 0.78, 0.76 and 0.73."""
_STEPS = 20  # of the walk: with more, the order of the units of covidqa_longdoc_en stays the same
_RESTART = 0.15  # share of walkers that start anew at each step: PageRank's usual one
_CELL = re.compile(r"(?<!\\)\|")
_ANNOUNCES = (":", "：")


@dataclass(frozen=True, slots=True)
class _Piece:
    """text: as it is shown. over: number of the heading, or of the sentence that announces it, or -1. bounds: whether
    it qualifies the piece before it. bounded: whether it denies, or says how far it holds."""

    kind: UnitKind
    start: int
    end: int
    text: str
    terms: frozenset[str]
    over: int
    bounds: bool
    bounded: bool
    figures: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Group:
    """Pieces that stay together. above: what stands over them. asked: the question names it. needed, bounded,
    figures: also by what stands above. named: says something that must be spelt right."""

    numbers: tuple[int, ...]
    above: tuple[int, ...]
    cost: int
    worth: float
    needed: bool
    asked: bool
    bounded: bool
    figures: frozenset[str]
    named: bool


def condense(
    text: str,
    budget: int,
    count: Count,
    analyse: Analyser,
    question_terms: Mapping[str, float] | None = None,
    keep: Sequence[Span] = (),
    shares: Shares = SHARES,
) -> Condensed:
    """At most `budget` by `count`: the whole text where that fits, no text where no unit does.

    question_terms: the question's tokens, by `analyse`, with their idf: what answers it comes first.
    keep: spans of the text whose units come before all others; look into `kept` whether they found room.
    """
    if count(text) <= budget:
        return Condensed(text, ((0, len(text)),) if text else (), ())
    pieces = _pieces(text, analyse)
    costs = _costs(text, pieces, count)
    groups = _groups(pieces, costs, _scores(pieces, question_terms or {}, shares), keep, shares.length)
    shown, numbers = _filled(text, pieces, budget, count, lambda room: _chosen(groups, pieces, costs, room))
    spans = [(piece.start, piece.end) for piece in pieces]
    return Condensed(
        shown,
        tuple(span for number, span in enumerate(spans) if number in numbers),
        tuple(span for number, span in enumerate(spans) if number not in numbers),
    )


def holds(condensed: Condensed, span: Span) -> bool:
    """Whether every unit that the span of the original touches was kept."""
    return not any(start < span[1] and span[0] < end for start, end in condensed.dropped)


# --- the pieces -------------------------------------------------------------------------------------------------------


def _pieces(text: str, analyse: Analyser) -> list[_Piece]:
    out: list[_Piece] = []
    columns: tuple[str, ...] = ()
    heading = lead = -1
    for kind, start, end in units.parts(text):
        raw = text[start:end]
        if kind is None:
            columns = _cells(raw) if "|" in raw else columns
            continue
        within = kind in (UnitKind.ITEM, UnitKind.ROW, UnitKind.CODE)
        over = -1 if kind is UnitKind.HEADING else lead if within and lead >= 0 else heading
        shown = _row(_cells(raw), columns) if kind is UnitKind.ROW else raw
        bounds = kind is UnitKind.SENTENCE and facts.bounds_before(raw)
        bounded = _bounded(kind, raw)
        if not within:
            lead = len(out) if raw.endswith(_ANNOUNCES) else -1
        if kind is UnitKind.HEADING:
            heading, lead = len(out), -1
        out.append(_Piece(kind, start, end, shown, frozenset(analyse(raw)), over, bounds, bounded, facts.figures(raw)))
    return out


def _bounded(kind: UnitKind, raw: str) -> bool:
    """What a heading qualifies ("Default settings") is whole without it."""
    if kind is UnitKind.CODE:
        return False
    return facts.negates(raw) or (kind is not UnitKind.HEADING and facts.qualifies(raw))


def _cells(row: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in _CELL.split(row.strip().removeprefix("|").removesuffix("|")))


def _row(values: tuple[str, ...], columns: tuple[str, ...]) -> str:
    """One key-value line. The names of a header with another number of columns are not guessed at."""
    named = columns if len(columns) == len(values) else ("",) * len(values)
    return "; ".join(f"{name}: {value}" if name else value for name, value in zip(named, values, strict=True) if value)


def _together(pieces: Sequence[_Piece]) -> list[tuple[int, ...]]:
    """Statements with the ones that bound them. Headings, and what bounds the list that it announces, come with what
    stands under them, never on their own."""
    leads = {piece.over for piece in pieces}
    groups: list[tuple[int, ...]] = []
    for number, piece in enumerate(pieces):
        if piece.bounds and groups and groups[-1][-1] == number - 1:
            groups[-1] = (*groups[-1], number)
        elif piece.kind is not UnitKind.HEADING and not (number in leads and piece.bounded):
            groups.append((number,))
    return groups


def _above(pieces: Sequence[_Piece], number: int) -> list[int]:
    """The nearest first."""
    over = pieces[number].over
    return [over, *_above(pieces, over)] if over >= 0 else []


# --- what a piece is worth --------------------------------------------------------------------------------------------


def _scores(pieces: Sequence[_Piece], asked: Mapping[str, float], shares: Shares) -> list[tuple[float, bool]]:
    """Of each piece its worth, comparable within one text only, and whether the question names it."""
    frequency = Counter(term for piece in pieces for term in piece.terms)
    rarity = {term: math.log(1 + (len(pieces) - n + 0.5) / (n + 0.5)) for term, n in frequency.items()}
    central = _walk(pieces, frequency, rarity)
    matched = _matched(pieces, asked, rarity)
    scores = []
    for number, share in enumerate(matched):
        usual = shares.central * central[number] + shares.early * (1 - number / len(pieces))
        scores.append((usual + shares.question * share, share > 0))
    return scores


def _walk(pieces: Sequence[_Piece], frequency: Mapping[str, int], rarity: Mapping[str, float]) -> list[float]:
    """How often a walker comes by who goes from a unit to one of its words, the rarer the likelier, and from there to
    a unit that has the word too; 1.0 is usual. Words of a single unit lead nowhere."""
    shared = [[term for term in piece.terms if frequency[term] > 1] for piece in pieces]
    weights = [sum(rarity[term] for term in terms) or 1.0 for terms in shared]
    visits = [1.0] * len(pieces)
    for _ in range(_STEPS):
        at_word: dict[str, float] = dict.fromkeys(frequency, 0.0)
        for terms, here, weight in zip(shared, visits, weights, strict=True):
            for term in terms:
                at_word[term] += here * rarity[term] / weight
        onward = {term: here / frequency[term] for term, here in at_word.items() if here}
        visits = [_RESTART + (1 - _RESTART) * sum(onward[term] for term in terms) for terms in shared]
    return visits


def _matched(pieces: Sequence[_Piece], asked: Mapping[str, float], rarity: Mapping[str, float]) -> list[float]:
    """Share of the question that each unit has, 0..1. A word counts by its idf and by its rarity in this text: what
    the whole text is about tells its statements apart badly."""
    weights = {term: idf * rarity[term] for term, idf in asked.items() if term in rarity}
    whole = sum(weights.values()) or 1.0
    return [sum(weights[term] for term in piece.terms if term in weights) / whole for piece in pieces]


def _groups(
    pieces: Sequence[_Piece],
    costs: Sequence[int],
    scores: Sequence[tuple[float, bool]],
    keep: Sequence[Span],
    power: float,
) -> list[_Group]:
    """By worth for their length; the earlier one first where it is the same."""

    def group(numbers: tuple[int, ...]) -> _Group:
        cost = max(sum(costs[number] for number in numbers), 1)
        above = tuple(sorted({over for number in numbers for over in _above(pieces, number)} - set(numbers)))
        mine, all_of = [pieces[number] for number in numbers], [pieces[number] for number in (*above, *numbers)]
        return _Group(
            numbers,
            above,
            cost,
            worth=max(scores[number][0] for number in numbers) / cost**power,
            needed=any(one.start < end and start < one.end for one in all_of for start, end in keep),
            asked=any(scores[number][1] for number in numbers),
            bounded=any(one.bounded for one in all_of),
            figures=frozenset().union(*(one.figures for one in all_of)),
            named=any(support.identifiers(one.text) for one in mine),
        )

    return sorted(map(group, _together(pieces)), key=lambda one: one.worth, reverse=True)


# --- what is kept -----------------------------------------------------------------------------------------------------


def _chosen(groups: Sequence[_Group], pieces: Sequence[_Piece], costs: Sequence[int], room: int) -> set[int]:
    """The numbers of the pieces that there is room for."""
    kept = _Kept(pieces, costs, room)
    left = [one for one in groups if not (one.needed and kept.add(one))]
    others = int(kept.room * (1 - _ASKED))
    best = next((one for one in left if one.asked), None)
    left = [one for one in left if not (one.asked and kept.add(one, 0 if one is best else others))]
    left = [one for one in left if not (one.bounded and kept.add(one))]
    kept.cover(left)
    for one in sorted(left, key=lambda one: (not one.figures, not one.named)):
        kept.add(one)
    return kept.numbers


@dataclass(slots=True)
class _Kept:
    """room: what is left of it, counted like `costs`. numbers: of pieces. figures: that stand in them."""

    pieces: Sequence[_Piece]
    costs: Sequence[int]
    room: int
    numbers: set[int] = field(default_factory=set)
    figures: set[str] = field(default_factory=set)

    def add(self, group: _Group, others: int = 0) -> bool:
        """Whether there was room, `others` apart: for it with all that stands above it, or with what it must not be
        said without."""
        mine = set(group.numbers) - self.numbers
        bound = {number for number in group.above if self.pieces[number].bounded}
        for above in (set(group.above), bound):
            numbers = mine | (above - self.numbers)
            cost = sum(self.costs[number] for number in numbers)
            if mine and cost <= self.room - others:
                self.numbers |= numbers
                self.figures.update(*(self.pieces[number].figures for number in numbers))
                self.room -= cost
                return True
        return False

    def cover(self, groups: Sequence[_Group]) -> None:
        """Adds what has the most numbers for its length that stand nowhere yet, until none has any: the greedy cover
        of Chvátal (1979). A gain never grows, so only the best one is looked at again (Minoux 1978)."""

        def gain(group: _Group) -> float:
            return len(group.figures - self.figures) / group.cost

        heap = [(-gain(group), place) for place, group in enumerate(groups)]
        heapq.heapify(heap)
        while heap and heap[0][0] < 0:
            before, place = heapq.heappop(heap)
            now = -gain(groups[place])
            if now > before:
                heapq.heappush(heap, (now, place))
            else:
                self.add(groups[place])


def _costs(text: str, pieces: Sequence[_Piece], count: Count) -> list[int]:
    """Of each piece with what stands before it in the text, where that is white space only; else with a line break."""
    costs = []
    end = 0
    for piece in pieces:
        gap = text[end : piece.start]
        costs.append(count(piece.text) + count("\n" if gap.strip() else gap))
        end = piece.end
    return costs


def _filled(
    text: str, pieces: Sequence[_Piece], budget: int, count: Count, choose: Callable[[int], set[int]]
) -> tuple[str, set[int]]:
    """What is shown, and the numbers of its pieces. Joined pieces are longer or shorter than the sum of their costs:
    what there is too much, or left over, is taken off the room, or added to it, until more would be too much."""
    best: tuple[str, set[int]] = "", set()
    room = budget + count("\n")
    while True:
        numbers = choose(room)
        shown = _shown(text, pieces, numbers)
        spare = budget - count(shown)
        if spare < 0 and (best[1] or not numbers):
            return best
        if spare >= 0:
            if spare == 0 or numbers == best[1]:
                return shown, numbers
            best = shown, numbers
        room += spare


def _shown(text: str, pieces: Sequence[_Piece], numbers: Iterable[int]) -> str:
    out: list[str] = []
    before = -1
    for number in sorted(numbers):
        if out:
            between = text[pieces[before].end : pieces[number].start]
            neighbours = number == before + 1 and not between.strip()
            out.append(between if neighbours else "\n")
        out.append(pieces[number].text)
        before = number
    return "".join(out)
