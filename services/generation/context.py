"""What is cited around a quoted unit: what one sentence means, its neighbours often say."""

from __future__ import annotations

from collections.abc import Sequence

from router.types import Passage, UnitKind
from services.generation.blocks import BACKGROUND, REFERS_BACK, Beside, Block, announces, stretches
from services.generation.reading import Piece, read

THOUGHT = 600  # characters of the paragraphs or lists that are cited with a unit
SECTION = 1000  # of those cited with the unit that answers; with more of either, no further question was answered


def in_context(block: Block) -> Block:
    """With the paragraphs and lists that its pieces stand in, and as many of their neighbours as there is room for."""
    return _grown(block, THOUGHT)


def in_section(block: Block, beside: Beside) -> list[Block]:
    """The same with more room, and then what stands right before and after it in the same section: where a passage was
    cut says nothing about where a thought ends. Its own passage comes first."""
    found = [_grown(in_context(block), SECTION)]
    if any(piece.kind is UnitKind.ROW for piece in block.pieces):
        return found
    own, last = found[0].numbers, len(read(block.passage).pieces) - 1
    if own[0] > 0 and own[-1] < last:
        return found
    before, after = beside(block.passage)
    if before and own[0] == 0:
        found += _at_edge(before, -1, block.passage, SECTION - _extent(found))
    if after and own[-1] == last:
        found += _at_edge(after, 0, block.passage, SECTION - _extent(found))
    return found


def antecedent(block: Block, beside: Beside) -> list[Block]:
    """What a block at the top of its passage refers back to with "because of this" or "因此": the paragraph or list
    that ends the passage before."""
    if block.numbers[0] != 0 or not REFERS_BACK.match(block.pieces[0].text):
        return []
    before, _ = beside(block.passage)
    return [] if before is None else _at_edge(before, -1, block.passage, BACKGROUND, widen=False)


def _at_edge(passage: Passage, at: int, own: Passage, room: int, widen: bool = True) -> list[Block]:
    """The paragraphs and lists of a neighbour that stand next to `own`, if they are of its section and there is room.
    at: -1 for the neighbour's end, 0 for its top. Text that both passages hold is not taken again."""
    pieces = read(passage).pieces
    apart = passage.end <= own.start or passage.start >= own.end
    if not pieces or not apart or passage.heading != own.heading or not pieces[at].quotable:
        return []
    first, last = _thought(pieces, passage.text, at % len(pieces), at % len(pieces))
    if not _fits(pieces, first, last, room):
        return []
    return [Block(passage, tuple(_widened(passage, first, last, room) if widen else range(first, last + 1)))]


def _grown(block: Block, room: int) -> Block:
    found = (_widened(block.passage, first, last, room) for first, last in stretches(block.numbers))
    return Block(block.passage, tuple(sorted(set().union(*found))))


def _extent(blocks: Sequence[Block]) -> int:
    return sum(block.pieces[-1].end - block.pieces[0].start for block in blocks)


def _widened(passage: Passage, first: int, last: int, room: int) -> range:
    """Numbers of the pieces: whole paragraphs and lists of one section, those before, which it may refer back to, and
    those after in turn. A table row says what it means by itself."""
    pieces, text = read(passage).pieces, passage.text
    first, last = _thought(pieces, text, first, last)
    grown = pieces[last].kind is not UnitKind.ROW
    while grown:
        begin = _thought(pieces, text, first - 1, first - 1)[0] if _continues(pieces, first, first - 1) else first
        begin = begin if _fits(pieces, begin, last, room) else first
        end = _thought(pieces, text, last + 1, last + 1)[1] if _continues(pieces, last, last + 1) else last
        end = end if _fits(pieces, begin, end, room) else last
        grown = (begin, end) != (first, last)
        first, last = begin, end
    return range(first, last + 1)


def _continues(pieces: Sequence[Piece], at: int, other: int) -> bool:
    """Whether the other piece is there, says something, and stands under the same heading."""
    return 0 <= other < len(pieces) and pieces[other].quotable and pieces[other].section == pieces[at].section


def _thought(pieces: Sequence[Piece], text: str, first: int, last: int) -> tuple[int, int]:
    """The paragraph, or the list or code, that a stretch of pieces stands in."""
    first, last = _paragraph(pieces, text, first, last)
    return _list(pieces, first, last) if pieces[last].run >= 0 else (first, last)


def _paragraph(pieces: Sequence[Piece], text: str, first: int, last: int) -> tuple[int, int]:
    """The sentences before and after in the same paragraph, and the list or code that the last one announces."""
    while first > 0 and _joined(pieces, text, first - 1) and _fits(pieces, first - 1, last):
        first -= 1
    while last + 1 < len(pieces) and _joined(pieces, text, last) and _fits(pieces, first, last + 1):
        last += 1
    if announces(pieces[last]) and last + 1 < len(pieces) and pieces[last + 1].lead == last:
        end = _last_of_run(pieces, last + 1)
        last = end if _fits(pieces, first, end) else last
    return first, last


def _list(pieces: Sequence[Piece], first: int, last: int) -> tuple[int, int]:
    """The list or code around it with what introduces that; where this is too long, the rest of the item. A row says
    what it means by itself."""
    run = pieces[last].run
    if pieces[first].run not in (run, -1) or pieces[last].kind is UnitKind.ROW:
        return first, last
    begin, end = first, _last_of_run(pieces, last)
    while begin > 0 and (pieces[begin - 1].run == run or begin - 1 == pieces[begin].lead):
        begin -= 1
    if all(piece.quotable for piece in pieces[begin : end + 1]) and _fits(pieces, begin, end):
        return begin, end
    while last < end and pieces[last + 1].kind is not UnitKind.ITEM and _fits(pieces, first, last + 1):
        last += 1
    return first, last


def _joined(pieces: Sequence[Piece], text: str, at: int) -> bool:
    """Whether a piece and the next one are neighbouring sentences of one paragraph."""
    one, other = pieces[at], pieces[at + 1]
    plain = one.kind is other.kind is UnitKind.SENTENCE and one.run == other.run == -1
    return plain and one.quotable and other.quotable and "\n\n" not in text[one.end : other.start]


def _fits(pieces: Sequence[Piece], first: int, last: int, room: int = THOUGHT) -> bool:
    return pieces[last].end - pieces[first].start <= room


def _last_of_run(pieces: Sequence[Piece], at: int) -> int:
    last = at
    while last + 1 < len(pieces) and pieces[last + 1].run == pieces[at].run and pieces[last + 1].quotable:
        last += 1
    return last
