"""From the unit that answers to the block that is quoted: a list with its introduction, a row with its column names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from router.kinds import Kind
from router.types import Citation, Hit, Passage, UnitKind
from services.generation.choosing import Choice
from services.generation.reading import Piece, cells, read

MOST = 1200  # characters of one answer; a single longer unit is still quoted whole
_WHOLE = frozenset({Kind.HOW_TO, Kind.LIST})  # kinds that want all of a list, not one item
_FACTS = frozenset({Kind.COUNT, Kind.DEFAULT, Kind.WHETHER, Kind.WHEN, Kind.WHO, Kind.WHY})

Facts = Mapping[str, tuple[str, str | None, tuple[str, ...]]]
"""Document path → revision, modification date (ISO 8601) or None, aliases."""


@dataclass(frozen=True, slots=True)
class Block:
    """Pieces of one passage, in order, that are quoted together. numbers: ascending."""

    passage: Passage
    numbers: tuple[int, ...]

    @property
    def pieces(self) -> list[Piece]:
        every = read(self.passage).pieces
        return [every[number] for number in self.numbers]

    @property
    def terms(self) -> frozenset[str]:
        return frozenset().union(*(piece.terms for piece in self.pieces))

    @property
    def length(self) -> int:
        return sum(len(piece.text) for piece in self.pieces)


def grow(choice: Choice, hits: Sequence[Hit], kinds: Sequence[Kind]) -> list[Block]:
    """The block around the chosen unit, and its continuation in the next passages found of the same document."""
    passage = hits[choice.hit].passage
    whole = wants_whole(kinds)
    numbers = _around(read(passage).pieces, choice.number, whole)
    block = Block(passage, tuple(numbers))
    return [block, *_continuations(block, hits)] if whole else [block]


def wants_whole(kinds: Sequence[Kind]) -> bool:
    return bool(_WHOLE.intersection(kinds)) and not _FACTS.intersection(kinds)


def _around(pieces: Sequence[Piece], number: int, whole: bool) -> list[int]:
    piece = pieces[number]
    if piece.run < 0:
        return _onward(pieces, number, whole)
    lead = [piece.lead] if piece.lead >= 0 and pieces[piece.lead].quotable else []
    run = [at for at, other in enumerate(pieces) if other.run == piece.run and other.quotable]
    if whole or piece.kind is UnitKind.CODE:
        return _bounded(pieces, lead, run, number)
    if piece.kind is UnitKind.ITEM and piece.text.endswith((":", "：")):
        return [number, *_until_next_item(pieces, number)]
    return [number]


def _onward(pieces: Sequence[Piece], number: int, whole: bool) -> list[int]:
    """A sentence, and what it announces: a list, a table or code right below; for steps also what follows them."""
    taken, length = [number], len(pieces[number].text)
    for at in range(number + 1, len(pieces)):
        piece = pieces[at]
        announced = pieces[at - 1].text.endswith((":", "：")) or (piece.run >= 0 and piece.run == pieces[at - 1].run)
        wanted = announced or (whole and (piece.run >= 0 or _announces(pieces, at)))
        if not piece.quotable or not wanted or length + len(piece.text) > MOST:
            break
        taken.append(at)
        length += len(piece.text)
    return taken


def _announces(pieces: Sequence[Piece], at: int) -> bool:
    """Whether a list, table or code stands right below this sentence."""
    return at + 1 < len(pieces) and pieces[at + 1].run >= 0 and pieces[at + 1].lead == at


def _until_next_item(pieces: Sequence[Piece], number: int) -> Iterator[int]:
    length = len(pieces[number].text)
    for at in range(number + 1, len(pieces)):
        length += len(pieces[at].text)
        if pieces[at].run != pieces[number].run or not pieces[at].quotable or length > MOST:
            return
        if pieces[at].kind is UnitKind.ITEM:
            return
        yield at


def _bounded(pieces: Sequence[Piece], lead: Sequence[int], run: Sequence[int], number: int) -> list[int]:
    """The run, from its start if that leaves room for the chosen unit, else from that unit on."""
    room = MOST - sum(len(pieces[at].text) for at in lead)
    upto = sum(len(pieces[at].text) for at in run if at <= number)
    taken: list[int] = []
    for at in run if upto <= room else [at for at in run if at >= number]:
        room -= len(pieces[at].text)
        if room < 0 and taken:
            break
        taken.append(at)
    return [*lead, *taken]


def _continuations(block: Block, hits: Sequence[Hit]) -> Iterator[Block]:
    """Lists go on where the next passage of the same document starts: its first run, as far as there is room."""
    following = {hit.passage.start: hit.passage for hit in hits if hit.passage.document == block.passage.document}
    last, room = block, MOST - block.length
    while last.numbers[-1] == len(read(last.passage).pieces) - 1 and last.pieces[-1].run >= 0:
        start = next((at for at in range(last.passage.end, last.passage.end + 4) if at in following), None)
        if start is None:
            return
        numbers = _first_run(read(following[start]).pieces, last.pieces[-1].kind, room)
        if not numbers:
            return
        last = Block(following[start], numbers)
        room -= last.length
        yield last


def _first_run(pieces: Sequence[Piece], kind: UnitKind, room: int) -> tuple[int, ...]:
    if not pieces or pieces[0].run < 0 or pieces[0].kind not in (kind, UnitKind.CODE):
        return ()
    taken: list[int] = []
    for at, piece in enumerate(pieces):
        room -= len(piece.text)
        if piece.run != pieces[0].run or not piece.quotable or room < 0:
            break
        taken.append(at)
    return tuple(taken)


# --- to text and citations --------------------------------------------------------------------------------------------


def render(block: Block) -> str:
    """The pieces as they read: list items with their marks, rows with their column names, code with its fences."""
    pieces = block.pieces
    out = _display(pieces[0], block.passage.text) if pieces else ""
    for before, piece in pairwise(pieces):
        out += _glue(before, piece, block.passage.text) + _display(piece, block.passage.text)
    return out


def _display(piece: Piece, text: str) -> str:
    if piece.kind is UnitKind.ROW:
        return _row(piece, text)
    if piece.kind is UnitKind.CODE:
        return text[piece.start : piece.end]
    bullet = piece.kind is UnitKind.ITEM and text[piece.start] in "-*+"
    return "- " + piece.text if bullet else piece.text


def _row(piece: Piece, text: str) -> str:
    values = cells(text[piece.start : piece.end])
    names = piece.columns if len(piece.columns) == len(values) else ("",) * len(values)
    wide = any(ord(char) > 0x2E80 for char in piece.text)
    colon, semicolon = ("：", "；") if wide else (": ", "; ")
    named = (f"{name}{colon}{value}" if name else value for name, value in zip(names, values, strict=True) if value)
    return semicolon.join(named)


def _glue(before: Piece, piece: Piece, text: str) -> str:
    if {before.kind, piece.kind} != {UnitKind.SENTENCE} or "\n\n" in text[before.end : piece.start]:
        return "\n"
    return "" if ord(before.text[-1]) > 0x2E80 else " "


def cite(block: Block, facts: Facts) -> list[Citation]:
    """One citation for each stretch of neighbouring pieces: its quote is that slice of the document."""
    passage = block.passage
    revision, _, aliases = facts.get(passage.document, ("", None, ()))
    pieces = read(passage).pieces
    return [
        Citation(
            passage.id,
            passage.document,
            " > ".join(passage.heading),
            passage.text[pieces[first].start : pieces[last].end],
            passage.start + pieces[first].start,
            passage.start + pieces[last].end,
            revision,
            aliases,
        )
        for first, last in _stretches(block.numbers)
    ]


def _stretches(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
