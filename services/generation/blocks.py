"""From the unit that answers to the block that is quoted: a list with its introduction, a row with its column names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from indexer.analysis import analyse
from router.kinds import Kind
from router.support import coverage
from router.types import Citation, Hit, Passage, UnitKind
from services.generation.choosing import Choice
from services.generation.reading import Piece, cells, read, step_number

MOST = 1200  # characters of one answer; a single longer unit is still quoted whole
STEPS = 2400  # the same for the steps of a task: half of them are no answer
_GAP = 4  # characters of white space between neighbouring passages
_WHOLE = frozenset({Kind.HOW_TO, Kind.LIST})  # kinds that want all of a list, not one item
BACKGROUND = 500  # characters before the answer that it may refer back to
REFERS_BACK = re.compile(
    r"(?:because of (?:this|that)|for (?:this|that|these) reasons?|in (?:this|that) case|therefore|thus|hence|these"
    r"|as a result|this (?:is|was|means|way))\b|so,|因此|所以|为此|从而|此时|这|在此",
    re.IGNORECASE,
)
_NAMED = 0.5  # share of the question's idf in a heading, from which that section is what was asked for
_FACTS = frozenset({Kind.COUNT, Kind.DEFAULT, Kind.WHETHER, Kind.WHEN, Kind.WHO, Kind.WHY})

_LANGUAGE = re.compile(r"(?:`{3,}|~{3,})[ \t]*([\w+#-]*)")

Facts = Mapping[str, tuple[str, str | None, tuple[str, ...]]]
"""Document path → revision, modification date (ISO 8601) or None, aliases."""


Beside = Callable[[Passage], tuple[Passage | None, Passage | None]]
"""The passages right before and right after one in its document."""


def nothing_beside(_passage: Passage) -> tuple[None, None]:
    return None, None


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


@dataclass(frozen=True, slots=True)
class Grown:
    """blocks: what is quoted, in order. cut: whether the list or the steps go on behind the last one."""

    blocks: list[Block]
    cut: bool = False


@dataclass(frozen=True, slots=True)
class _Room:
    """Where a block may grow. most: characters of the answer."""

    hits: Sequence[Hit]
    beside: Beside
    most: int

    def following(self, passage: Passage) -> Passage | None:
        """The passage that begins where this one ends, found or not."""
        starts = range(passage.end, passage.end + _GAP)
        found = (hit.passage for hit in self.hits if hit.passage.document == passage.document)
        near = next((one for one in found if one.start in starts), None) or self.beside(passage)[1]
        return near if near is not None and near.start in starts else None

    def before(self, passage: Passage) -> Passage | None:
        """The passage that ends where this one begins, found or not."""
        ends = range(passage.start - _GAP, passage.start + 1)
        found = (hit.passage for hit in self.hits if hit.passage.document == passage.document)
        near = next((one for one in found if one.end in ends), None) or self.beside(passage)[0]
        return near if near is not None and near.end in ends else None


def grow(
    choice: Choice,
    hits: Sequence[Hit],
    kinds: Sequence[Kind],
    weights: Mapping[str, float],
    beside: Beside = nothing_beside,
) -> Grown:
    """The block around the chosen unit, and its continuation in the next passages of the same document."""
    passage = hits[choice.hit].passage
    pieces = read(passage).pieces
    whole = wants_whole(kinds)
    task = whole and Kind.HOW_TO in kinds
    room = _Room(hits, beside, STEPS if task else MOST)
    steps = _section_steps(choice, passage, weights, room) if task else []
    block = Block(passage, tuple(steps or _around(pieces, choice.number, whole, room.most)))
    begun = _begun_before(block, room) if whole else []
    going_on = whole or announces(block.pieces[-1])
    blocks = [*begun, block, *(_continuations(block, room, bool(steps)) if going_on else ())]
    return Grown(blocks, whole and _goes_on_behind(blocks[-1], room, bool(steps)))


def _goes_on_behind(block: Block, room: _Room, section: bool) -> bool:
    """Whether the run of the last piece, or of steps their section, has more than is quoted."""
    pieces, last = read(block.passage).pieces, block.numbers[-1]
    if last + 1 < len(pieces):
        after = pieces[last + 1]
        same_run = pieces[last].run >= 0 and after.run == pieces[last].run
        return after.quotable and (same_run or (section and after.section == pieces[last].section and after.run >= 0))
    passage = room.following(block.passage)
    return passage is not None and bool(_going_on(passage, block, section))


def _section_steps(choice: Choice, passage: Passage, weights: Mapping[str, float], room: _Room) -> list[int]:
    """All steps of the section that holds the chosen unit, if its heading or that unit names what is to be done; else
    nothing. They begin with the first list, code or sentence that announces one, or in the next passage; the unit stays
    in front of them.
    """
    number, pieces = choice.number, read(passage).pieces
    section = pieces[number].section
    heading = pieces[section].terms if section >= 0 else frozenset(analyse(" ".join(passage.heading[-1:])))
    inside = [at for at, piece in enumerate(pieces) if piece.section == section and piece.quotable]
    first = next((at for at in inside if pieces[at].run >= 0 or announces(pieces[at])), None)
    before = first is None and inside[-1] == len(pieces) - 1 and _section_goes_on(passage, room)
    first = number if before else first
    named = heading | choice.piece.terms if before or (first or 0) > number else heading
    if first is None or coverage(weights, named) < _NAMED:
        return []
    lead = pieces[first].lead
    begin = lead if lead in inside else first
    taken = _while_room(pieces, [at for at in inside if at >= begin or at == number], room.most)
    return taken if number in taken else []


def _section_goes_on(passage: Passage, room: _Room) -> bool:
    following = room.following(passage)
    return following is not None and following.heading == passage.heading


def _while_room(pieces: Sequence[Piece], numbers: Sequence[int], room: int) -> list[int]:
    taken: list[int] = []
    for at in numbers:
        room -= len(pieces[at].text)
        if room < 0:
            break
        taken.append(at)
    return taken


def announces(piece: Piece) -> bool:
    """Whether what it says only begins here: it ends with a colon."""
    return piece.kind in (UnitKind.SENTENCE, UnitKind.ITEM) and piece.text.endswith((":", "："))


def wants_whole(kinds: Sequence[Kind]) -> bool:
    return bool(_WHOLE.intersection(kinds)) and not _FACTS.intersection(kinds)


def _around(pieces: Sequence[Piece], number: int, whole: bool, most: int) -> list[int]:
    piece = pieces[number]
    if piece.run < 0:
        return [*_referred_to(pieces, number), *_onward(pieces, number, whole, most)]
    lead = [piece.lead] if piece.lead >= 0 and pieces[piece.lead].quotable else []
    run = [at for at, other in enumerate(pieces) if other.run == piece.run and other.quotable]
    step = _step_of(pieces, run, number) if piece.kind is UnitKind.CODE and not whole else []
    if step:
        return step
    if whole or piece.kind is UnitKind.CODE:
        return _bounded(pieces, lead, run, number, most)
    if announces(piece):
        return [number, *_until_next_item(pieces, number)]
    return [number]


def _step_of(pieces: Sequence[Piece], run: Sequence[int], number: int) -> list[int]:
    """The step that this code is part of, as far as the next one; nothing where it is part of none."""
    begin = next((at for at in reversed(run) if at < number and pieces[at].kind is UnitKind.ITEM), None)
    taken = [begin, *_until_next_item(pieces, begin)] if begin is not None else []
    return taken if number in taken else []


def _referred_to(pieces: Sequence[Piece], number: int) -> list[int]:
    """The sentence, or the whole list, right before one that begins with "because of this" or "因此"."""
    before = number - 1
    if before < 0 or not REFERS_BACK.match(pieces[number].text):
        return []
    run = pieces[before].run
    found = [at for at in range(number) if pieces[at].run == run] if run >= 0 else [before]
    length = sum(len(pieces[at].text) for at in found)
    same = all(pieces[at].quotable and pieces[at].section == pieces[number].section for at in found)
    return found if same and length <= BACKGROUND else []


def _onward(pieces: Sequence[Piece], number: int, whole: bool, most: int) -> list[int]:
    """A sentence, and what it announces: a list, a table or code right below; for steps also what follows them."""
    taken, length = [number], len(pieces[number].text)
    for at in range(number + 1, len(pieces)):
        piece = pieces[at]
        announced = announces(pieces[at - 1]) or (piece.run >= 0 and piece.run == pieces[at - 1].run)
        wanted = announced or (whole and (piece.run >= 0 or _announces(pieces, at)))
        if not piece.quotable or not wanted or length + len(piece.text) > most:
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


def _bounded(pieces: Sequence[Piece], lead: Sequence[int], run: Sequence[int], number: int, most: int) -> list[int]:
    """The run, from its start if that leaves room for the chosen unit, else from that unit on."""
    room = most - sum(len(pieces[at].text) for at in lead)
    upto = sum(len(pieces[at].text) for at in run if at <= number)
    taken: list[int] = []
    for at in run if upto <= room else [at for at in run if at >= number]:
        room -= len(pieces[at].text)
        if room < 0 and taken:
            break
        taken.append(at)
    return [*lead, *taken]


def _continuations(block: Block, room: _Room, section: bool) -> Iterator[Block]:
    """What goes on in the next passages of the same document: the open list or code, or, of a whole section, everything
    under the same heading; as far as there is room."""
    last, left = block, room.most - block.length
    while last.numbers[-1] == len(read(last.passage).pieces) - 1:
        passage = room.following(last.passage)
        if passage is None:
            return
        taken = _while_room(read(passage).pieces, _going_on(passage, last, section), left)
        if not taken:
            return
        last = Block(passage, tuple(taken))
        left -= last.length
        yield last


def _going_on(passage: Passage, after: Block, section: bool) -> list[int]:
    """The pieces at the top of the next passage that belong to what was begun."""
    pieces = read(passage).pieces
    same = section and passage.heading == after.passage.heading
    return _same_section(pieces) if same else _first_run(pieces, after.pieces[-1])


def _begun_before(block: Block, room: _Room) -> list[Block]:
    """The steps before step 2 or later at the top of a passage: the last run of the passage before."""
    first = block.pieces[0]
    if block.numbers[0] != 0 or step_number(block.passage.text[first.start : first.end]) < 2:
        return []
    passage = room.before(block.passage)
    pieces = read(passage).pieces if passage else ()
    if passage is None or not pieces or pieces[-1].run < 0:
        return []
    lead = [pieces[-1].lead] if pieces[-1].lead >= 0 and pieces[pieces[-1].lead].quotable else []
    run = [at for at, piece in enumerate(pieces) if piece.run == pieces[-1].run and piece.quotable]
    fits = sum(len(pieces[at].text) for at in (*lead, *run)) + block.length <= room.most
    return [Block(passage, (*lead, *run))] if run and fits else []


def _same_section(pieces: Sequence[Piece]) -> list[int]:
    return list(takewhile(lambda at: pieces[at].section < 0 and pieces[at].quotable, range(len(pieces))))


def _first_run(pieces: Sequence[Piece], after: Piece) -> list[int]:
    """The pieces at the top that go on with what `after` began."""
    fits = tuple(UnitKind) if announces(after) else (after.kind, UnitKind.CODE)
    if not pieces or (after.run < 0 and not announces(after)) or pieces[0].run < 0 or pieces[0].kind not in fits:
        return []
    return list(takewhile(lambda at: pieces[at].run == pieces[0].run and pieces[at].quotable, range(len(pieces))))


# --- to text and citations --------------------------------------------------------------------------------------------


def render(block: Block) -> str:
    """The pieces as they read: list items with their marks, rows with their column names, code with its fences."""
    text, pieces = block.passage.text, block.pieces
    outermost = min((_indent(piece, text) for piece in pieces if piece.kind is UnitKind.ITEM), default=0)
    out = ""
    for before, piece in zip([None, *pieces], pieces, strict=False):
        nested = " " * (_indent(piece, text) - outermost) if piece.kind is UnitKind.ITEM else ""
        out += (_glue(before, piece, text) if before else "") + nested + _display(piece, text)
    return out


def _indent(piece: Piece, text: str) -> int:
    """Columns in front of it on its line, 0 when there is more than white space."""
    before = text[text.rfind("\n", 0, piece.start) + 1 : piece.start]
    return len(before.expandtabs(4)) if before.isspace() else 0


def _display(piece: Piece, text: str) -> str:
    if piece.kind is UnitKind.ROW:
        return _row(piece, text)
    if piece.kind is UnitKind.CODE:
        return _code(piece, text)
    bullet = piece.kind is UnitKind.ITEM and text[piece.start] in "-*+"
    return "- " + piece.text if bullet else piece.text


def _code(piece: Piece, text: str) -> str:
    """Fenced again: a passage may have been cut inside the code, and indented code is none below a line of text."""
    fence = "~~~" if "```" in piece.text else "```"
    language = _LANGUAGE.match(text, piece.start)
    return f"{fence}{language[1] if language else ''}\n{piece.text.rstrip()}\n{fence}"


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
            passage.text[_begin(pieces[first], passage.text) : pieces[last].end],
            passage.start + _begin(pieces[first], passage.text),
            passage.start + pieces[last].end,
            revision,
            aliases,
        )
        for first, last in stretches(block.numbers)
    ]


def _begin(piece: Piece, text: str) -> int:
    """Where the quote of a piece begins: indented code with its prompt ">", which looks like a quotation's mark."""
    if piece.kind is not UnitKind.CODE or _LANGUAGE.match(text, piece.start):
        return piece.start
    line = text.rfind("\n", 0, piece.start) + 1
    before = text[line : piece.start]
    return line + len(before) - len(before.lstrip(" \t")) if not before.strip(" \t>") else piece.start


def stretches(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Runs of neighbouring numbers, as the first and the last of each."""
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
