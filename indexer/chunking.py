"""Documents to passages: by structure first, by size only where a section is longer than the embedder can read.

A passage is one section, or a run of neighbouring blocks of one. Where a section must be cut, the cuts are chosen
together (fewest pieces, fewest broken ties, even sizes) by dynamic programming over the smallest blocks that still fit.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest

from indexer.chunking_blocks import Block, blocks_of
from router.types import Document, Passage, UnitKind
from router.units import parts, plain

VERSION = 2
BUDGET = 200
OVERLAP = 30
FINGERPRINT = f"structure-{VERSION}/budget={BUDGET}/overlap={OVERLAP}"
"""Names the chunker and its parameters in the index manifest: another one cuts other passages."""

CountTokens = Callable[[Sequence[str]], list[int]]

_HEADING_CHARS = 120
_TINY = 8  # a section of at most budget / 8 tokens may join its neighbour
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7af\u1100-\u11ff]")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_FRAME = re.compile(r"^[ \t]*[-+|=:][-+|=: \t]{3,}$\n?", re.M)
_RUN = re.compile(r"([-=+*#_~.─━═])\1{3,}")
_ENGLISH = re.compile(r"\b(?:the|is|are|of|to|and|for|in|with|on|be|this|that|you|can|not|or)\b", re.I)


@dataclass(slots=True)
class _Section:
    """A heading and what stands under it up to the next heading. `tokens` leaves the heading out."""

    path: tuple[str, ...]
    level: int
    blocks: list[Block]
    tokens: int = 0

    @property
    def start(self) -> int:
        return self.blocks[0].start

    @property
    def end(self) -> int:
        return self.blocks[-1].end


@dataclass(slots=True)
class _Atom:
    """The smallest thing that packing moves.

    tie: what a cut in front of it costs, in pieces. carried: tokens that a passage starting here repeats: the preamble,
    and the words from `repeat_from` on. continues: it goes on in the paragraph of the atom before it.
    """

    start: int
    end: int
    tokens: int
    tie: float
    preamble: str
    continues: bool
    carried: int = 0
    repeat_from: int = 0


@dataclass(slots=True)
class _Piece:
    path: tuple[str, ...]
    start: int
    end: int
    tokens: int
    level: int
    preamble: str = ""
    whole: bool = True  # a whole section, not a part of one


def chunk(document: Document, count_tokens: CountTokens, budget: int = BUDGET, overlap: int = OVERLAP) -> list[Passage]:
    """Cuts a document into passages that cover its text without gaps, in order.

    count_tokens: lengths of texts in the embedder's tokens; called once.
    budget: most tokens of a passage's index text (heading path and preamble included), as far as can be.
    overlap: most tokens repeated where a paragraph had to be cut between two sentences.
    Two passages with the same words under the same headings have the same id.
    """
    if budget < 16 or not 0 <= overlap <= budget // 2:
        raise ValueError(f"chunk: budget {budget} must be at least 16 and overlap {overlap} at most half of it")
    blocks = blocks_of(document.text)
    sections = _sections(document, blocks)
    counts = _count(document.text, blocks, sections, count_tokens)
    pieces = [piece for section in _folded(sections) for piece in _cut(section, counts, budget, overlap)]
    return [_passage(document, piece) for piece in _merged(pieces, counts, budget)]


def index_text(passage: Passage) -> str:
    """What is embedded and searched: heading path, preamble and text, without markup."""
    return index_spans(passage)[0]


def index_spans(passage: Passage) -> tuple[str, list[tuple[int, int]]]:
    """`index_text`, and where in it each unit of `router.units.split(passage.text)` stands, in order.

    A heading that the heading path already holds is not repeated: its span lies in the path.
    """
    path = heading_line(passage.heading)
    lines = [path] if path else []
    lines += filter(None, [_joined(passage.preamble)])
    length = sum(len(line) + 1 for line in lines)
    spans: list[tuple[int, int]] = []
    for kind, start, end in parts(passage.text):
        words = _searchable(passage.text[start:end])
        if kind is UnitKind.HEADING and words in passage.heading:
            at = path.rfind(words)
            spans.append((at, at + len(words)) if at >= 0 else (0, len(path)))  # shortened in the path: all of it
            continue
        if kind is not None:
            spans.append((length, length + len(words)))
        if words:
            lines.append(words)
            length += len(words) + 1
    return "\n".join(lines), spans


def heading_line(heading: Sequence[str]) -> str:
    """The heading path as one line; of a very long one the middle is left out, the last title never."""
    titles = [title[:_HEADING_CHARS] for title in heading]
    while len(titles) > 1 and len(" > ".join(titles)) > _HEADING_CHARS:
        del titles[1 if len(titles) > 2 else 0]
    return " > ".join(titles)


def _searchable(words: str) -> str:
    return plain(_undrawn(words))


def _undrawn(words: str) -> str:
    """Drawn lines (the frames of tables in terminal output) say nothing and cost a token a character."""
    return _RUN.sub(r"\1\1\1", _FRAME.sub("", words)) if _RUN.search(words) else words


# --- sections ---------------------------------------------------------------------------------------------------------


def _sections(document: Document, blocks: Sequence[Block]) -> list[_Section]:
    sections: list[_Section] = []
    open_titles: list[tuple[int, str]] = []
    for block in blocks:
        if block.kind == "heading":
            title = " ".join(plain(document.text[block.start : block.end]).split())
            open_titles = [(level, name) for level, name in open_titles if level < block.level]
            if title:
                open_titles.append((block.level, title))
            sections.append(_Section(_path(document.title, open_titles), block.level, [block]))
        elif sections:
            sections[-1].blocks.append(block)
        else:
            sections.append(_Section(_path(document.title, ()), 0, [block]))
    return sections


def _path(document_title: str, titles: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    path = tuple(name for _, name in titles)
    title = " ".join(plain(document_title).split())
    if not title or (path and title.casefold() in path[0].casefold()):
        return path
    return (title, *path)


def _folded(sections: Sequence[_Section]) -> list[_Section]:
    """Sections without a word of their own join the child or sibling that follows, or else the one before."""
    folded: list[_Section] = []
    waiting: list[Block] = []
    for section, following in zip_longest(sections, sections[1:]):
        section.blocks = waiting + section.blocks
        waiting = []
        if section.tokens:
            folded.append(section)
        elif following is not None and (following.level >= section.level):
            waiting = section.blocks
        elif folded:
            folded[-1].blocks.extend(section.blocks)
        else:
            folded.append(section)
    return folded


# --- tokens -----------------------------------------------------------------------------------------------------------


def _count(
    text: str, blocks: Sequence[Block], sections: Sequence[_Section], count_tokens: CountTokens
) -> dict[str, int]:
    """Fills in `tokens` of all blocks and sections with one call; returns the counts of paths and preambles."""
    leaves = [leaf for block in blocks for leaf in _leaves(block)]
    context = {heading_line(section.path) for section in sections}
    context |= {_joined(preamble) for preamble in {node.preamble for block in blocks for node in _nodes(block)}}
    words = [_words(text, leaf) for leaf in leaves]
    names = sorted(context)
    counts = count_tokens([*words, *names]) if words else []
    for leaf, count in zip(leaves, counts, strict=False):
        leaf.tokens = count
    for block in blocks:
        _sum_up(block)
    for section in sections:
        section.tokens = sum(block.tokens for block in section.blocks if block.kind != "heading")
    return dict(zip(names, counts[len(leaves) :], strict=True))


@lru_cache(64)  # the rows of a table repeat one header, and each asks for its length
def _joined(preamble: str) -> str:
    """A preamble as it is searched."""
    return "\n".join(filter(None, (_searchable(preamble[start:end]) for _, start, end in parts(preamble))))


def _words(text: str, leaf: Block) -> str:
    words = text[slice(*leaf.core)]
    if leaf.kind in ("front", "rule"):
        return ""
    return _undrawn(words) if leaf.kind == "line" else _searchable(words)


def _nodes(block: Block) -> Iterator[Block]:
    yield block
    for child in block.children:
        yield from _nodes(child)


def _leaves(block: Block) -> Iterator[Block]:
    return (node for node in _nodes(block) if not node.children)


def _sum_up(block: Block) -> int:
    if block.children:
        block.tokens = sum(_sum_up(child) for child in block.children)
    return block.tokens


# --- cutting one section ----------------------------------------------------------------------------------------------


def _cut(section: _Section, counts: dict[str, int], budget: int, overlap: int) -> list[_Piece]:
    room = max(budget - counts[heading_line(section.path)], budget // 2)
    if section.tokens <= room:
        return [_Piece(section.path, section.start, section.end, section.tokens, section.level)]
    atoms = list(_atoms(section.blocks, room, 0.0))
    for atom in atoms:
        atom.carried = counts[_joined(atom.preamble)]
        if atom.carried > budget // 4:
            atom.preamble, atom.carried = "", 0
    _overlap(atoms, overlap)
    pieces = []
    for first, last in _packed(atoms, room):
        head = atoms[first]
        start, preamble = (head.repeat_from, head.preamble) if first else (head.start, "")
        tokens = sum(atom.tokens for atom in atoms[first : last + 1])
        pieces.append(_Piece(section.path, start, atoms[last].end, tokens, section.level, preamble, whole=False))
    return pieces


_TIES = {  # what a cut between two parts of such a block costs, in pieces
    "list": 0.2,
    "quote": 0.2,
    "table": 0.2,
    "html": 0.2,
    "code": 0.3,
    "paragraph": 0.3,
    "item": 0.4,
    "stanza": 0.5,
    "sentence": 1.0,
    "line": 1.0,
    "markup": 1.0,
    "row": 1.0,
    "group": 1.5,
    "heading": 2.0,
}


def _atoms(
    blocks: Sequence[Block], room: int, tie: float, preamble: str = "", running: bool = False
) -> Iterator[_Atom]:
    """The blocks that fit, and the parts of those that do not. running: the blocks are parts of one paragraph."""
    for before, block in zip([None, *blocks[:-1]], blocks, strict=True):
        own_tie = _TIES["heading"] if before and before.kind == "heading" else tie
        own_preamble = block.preamble or preamble
        if block.tokens <= room or not block.children:
            tokens = 0 if block.kind == "heading" else block.tokens
            yield _Atom(block.start, block.end, tokens, own_tie, own_preamble, running and before is not None)
            continue
        parts_run = block.kind in ("paragraph", "sentence")
        for atom in _atoms(block.children, room, _TIES[block.kind], own_preamble, parts_run):
            if atom.start == block.start:
                atom.tie, atom.continues = own_tie, running and before is not None
            yield atom


def _overlap(atoms: Sequence[_Atom], overlap: int) -> None:
    """A cut inside a paragraph repeats the last sentences before it, up to `overlap` tokens."""
    for index, atom in enumerate(atoms):
        first, tokens = index, 0
        while atoms[first].continues and tokens + atoms[first - 1].tokens <= overlap:
            first -= 1
            tokens += atoms[first].tokens
        atom.repeat_from = atoms[first].start
        atom.carried += tokens


def _packed(atoms: Sequence[_Atom], room: int) -> list[tuple[int, int]]:
    """First and last atom of each piece, so that pieces + ties cut + squared empty shares are fewest."""
    best = [0.0] + [float("inf")] * len(atoms)
    came_from = [0] * (len(atoms) + 1)
    for last in range(1, len(atoms) + 1):
        tokens = 0
        for first in range(last - 1, -1, -1):
            tokens += atoms[first].tokens
            size = tokens + (atoms[first].carried if first else 0)
            if tokens > room and first < last - 1:
                break
            if size > room and first < last - 1:
                continue
            empty = max(0.0, 1.0 - size / room)
            cost = best[first] + 1.0 + empty * empty + (atoms[first].tie if first else 0.0)
            if cost < best[last]:
                best[last], came_from[last] = cost, first
    pieces, last = [], len(atoms)
    while last:
        pieces.append((came_from[last], last - 1))
        last = came_from[last]
    return pieces[::-1]


# --- joining small ones, making passages ------------------------------------------------------------------------------


def _merged(pieces: Sequence[_Piece], counts: dict[str, int], budget: int) -> list[_Piece]:
    """A section of a line joins its first child, and tiny siblings join each other, when all fit."""
    tiny = budget // _TINY
    merged: list[_Piece] = []
    for piece in pieces:
        before = merged[-1] if merged else None
        if before is not None and before.whole and piece.whole and before.tokens <= tiny:
            common = _common(before.path, piece.path)
            child = common == before.path and len(piece.path) > len(common)
            siblings = before.level == piece.level and 0 < len(common) == len(piece.path) - 1 and piece.tokens <= tiny
            total = before.tokens + piece.tokens + counts[heading_line(before.path)] + counts[heading_line(piece.path)]
            if (child or siblings) and total <= budget:
                merged[-1] = _Piece(common, before.start, piece.end, before.tokens + piece.tokens, before.level)
                continue
        merged.append(piece)
    return merged


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    length = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _passage(document: Document, piece: _Piece) -> Passage:
    text = document.text[piece.start : piece.end]
    digest = hashlib.sha256("\x00".join((*piece.path, "", piece.preamble, text)).encode("utf-8", "surrogatepass"))
    return Passage(
        id=digest.hexdigest()[:32],
        document=document.path,
        heading=piece.path,
        start=piece.start,
        end=piece.end,
        text=text,
        language=language_of(text, document.language),
        preamble=piece.preamble,
    )


def language_of(text: str, of_document: str) -> str:
    """The language of the prose; the document's where there is none or nothing clearly says otherwise."""
    prose = " ".join(text[start:end] for kind, start, end in parts(text) if kind is not UnitKind.CODE)
    han, latin = len(_HAN.findall(prose)), len(_LATIN.findall(prose))
    kana, hangul = len(_KANA.findall(prose)), len(_HANGUL.findall(prose))
    letters = han + latin + kana + hangul
    if letters == 0:
        return of_document
    if kana > 0.1 * (han + kana):
        return "ja" if kana > 0.05 * letters else of_document
    if hangul > 0.2 * letters:
        return "ko"
    if han > 0.2 * letters:
        return "zh"
    if of_document in ("zh", "und") and han == 0 and len(_ENGLISH.findall(prose)) >= 3:
        return "en"
    return of_document
