"""A passage, read for quoting: its units with their words, what stands above them, and which belong together."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from textwrap import dedent
from typing import NamedTuple

from indexer.analysis import analyse
from router import units
from router.script import simplified
from router.types import Passage, UnitKind

_HOT = 2048  # passages kept read: about 20 kB each
_CELL = re.compile(r"(?<!\\)\|")
_FENCE = re.compile(r"^[ \t>]*(?:`{3,}|~{3,})", re.MULTILINE)
_NUMBERED = re.compile(r"(?:[ ]{0,3}>[ ]?)*\s*(\d{1,9})[.)]")
_LINK = re.compile(r"(?<!!)\[[^\[\]]*\]\([^()\n]*\)|<a\s[^<>]*>[^<]*</a>")
_TAG = re.compile(r"<[^<>]*>")
_MARKER = re.compile(r"\A(?:[-*+]|\d{1,9}[.)])\s")
_WORD = re.compile(r"\w")
_INJECTION = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,20}\b(?:previous|prior|above|earlier|preceding|your|system)\b.{0,30}"
    r"\b(?:instructions|prompts?|rules|messages|directions)\b"
    r"|\b(?:ignore|disregard|forget|override) (?:all|any|every)(?: of)?(?: the)? (?:instructions|prompts|rules)\b"
    r"|\byou are now\b.{0,40}\b(?:assistant|ai|bot|model|dan|developer mode)\b|"
    r"\b(?:reveal|print|show)\b.{0,20}\bsystem prompt\b"
    r"|(?:忽略|无视|忘记|忘掉|不要理会).{0,12}(?:之前|以上|前面|上述|上面|先前|所有|系统).{0,12}(?:指令|指示|提示|规则|要求|命令)"
    r"|你现在是.{0,20}(?:助手|模型|机器人)|(?:输出|泄露|显示).{0,8}系统提示",
    re.IGNORECASE | re.DOTALL,
)


class Piece(NamedTuple):
    """One unit of a passage. A named tuple: a question makes some forty of them, and a data class takes five times as
    long to make.

    start, end: offsets in the passage's text. text: without markup. terms: its search tokens.
    above: tokens of the headings over it, of a question that stands above it and, in a list or table, of the sentence
        that introduces it.
    section: number of the heading over it among the pieces, or -1 if that is the passage's own.
    lead: number of the sentence that introduces its list, table or code, or -1.
    run: pieces that are one list, table or chain of code share a number; -1 for plain sentences.
    columns: the header's cells, for a table row.
    link: whether it only points to another page.
    quotable: False for headings, for questions and for orders to the reader's machine.
    """

    kind: UnitKind
    start: int
    end: int
    text: str
    terms: frozenset[str]
    above: frozenset[str]
    section: int
    lead: int
    run: int
    columns: tuple[str, ...]
    link: bool
    quotable: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """words: every token of the passage and its headings; title: the tokens of its headings alone."""

    pieces: tuple[Piece, ...]
    title: frozenset[str]
    words: frozenset[str]


def read(passage: Passage) -> Reading:
    """What was read before is kept, and what was read at index time is looked up: see `keep`."""
    return _read(passage.text, passage.preamble, passage.heading, passage.id)


def keep(known: Callable[[str], Reading | None] | None) -> None:
    """Where readings made earlier are found, by passage id, from now on; None: nowhere. An id names the content of its
    passage, so readings of another index version do no harm."""
    global _known
    _known = known or _nowhere


def _nowhere(_: str) -> Reading | None:
    return None


_known: Callable[[str], Reading | None] = _nowhere


@lru_cache(maxsize=_HOT)
def _read(text: str, preamble: str, heading: tuple[str, ...], identity: str) -> Reading:
    return _known(identity) or _read_text(text, preamble, heading)


def read_anew(passage: Passage) -> Reading:
    """The reading itself, neither looked up nor kept."""
    return _read_text(passage.text, passage.preamble, passage.heading)


def _read_text(text: str, preamble: str, heading: tuple[str, ...]) -> Reading:
    title = frozenset(analyse(" \n".join(heading)))
    pieces = _Reader(text, preamble, title).pieces()
    return Reading(pieces, title, title.union(*(piece.terms for piece in pieces)))


class _Reader:
    """Goes through the parts once, keeping the section, the introducing sentence, the header and the open run."""

    def __init__(self, text: str, preamble: str, title: frozenset[str]) -> None:
        self.text, self.title = text, title
        self.suspect = bool(_INJECTION.search(simplified(text)))
        self.columns = cells(preamble.strip().splitlines()[0]) if preamble.lstrip().startswith("|") else ()
        self.headings, self.section, self.lead, self.run, self.last_item = title, -1, -1, -1, -1
        self.step = -1  # the last numbered item of this section
        self.asked: frozenset[str] = frozenset()  # words of the question that stands above, as on pages of such pairs
        self.out: list[Piece] = []

    def pieces(self) -> tuple[Piece, ...]:
        for part in units.parts(self.text):
            raw = self.text[part.start : part.end]
            if part.kind is None:
                self.columns = cells(raw) if raw.lstrip().startswith("|") else self.columns
            else:
                self._take(part.kind, part.start, part.end, raw)
        return tuple(self.out)

    def _take(self, kind: UnitKind, start: int, end: int, raw: str) -> None:
        words = self._code(start, end) if kind is UnitKind.CODE else units.plain(raw)
        terms = frozenset(analyse(words))
        asks = words.endswith(("?", "？")) and kind in (UnitKind.SENTENCE, UnitKind.ITEM)
        if kind is UnitKind.HEADING:
            self.headings, self.section, self.lead, self.last_item = self.title | terms, len(self.out), -1, -1
            self.asked, self.step = frozenset(), -1
        elif asks:
            self.asked = terms
        run = self._run_of(kind, raw, start)
        lead = self.lead if run >= 0 else -1
        above = self.headings | self.asked | (self.out[lead].terms if lead >= 0 else frozenset())
        columns = self.columns if kind is UnitKind.ROW else ()
        quotable = kind is not UnitKind.HEADING and not asks and bool(words.strip()) and not self._orders(words)
        link = kind is not UnitKind.CODE and _points_elsewhere(raw)
        self.out.append(Piece(kind, start, end, words, terms, above, self.section, lead, run, columns, link, quotable))
        if kind is UnitKind.SENTENCE and run < 0:
            self.lead = len(self.out) - 1

    def _orders(self, words: str) -> bool:
        """Whether the unit tells the reader's machine what to do. Passages that do so at all are rare."""
        return self.suspect and bool(_INJECTION.search(simplified(words)))

    def _code(self, start: int, end: int) -> str:
        """As it was written, without fences and without the indentation that all its lines share."""
        begin = self.text.rfind("\n", 0, start) + 1
        alone = not self.text[begin:start].strip(" \t>")  # a unit begins after these, also after a prompt ">"
        whole = self.text[begin if alone else start : end]
        return dedent(units.plain(whole) if _FENCE.search(whole) else whole)

    def _run_of(self, kind: UnitKind, raw: str, start: int) -> int:
        """The run this unit belongs to; a new one when nothing open can hold it."""
        before = self.out[-1] if self.out else None
        if kind is UnitKind.HEADING:
            return -1
        if kind is UnitKind.SENTENCE:
            inside = self.last_item >= 0 and self._indented(start)
            return self.run if inside else -1
        if before is not None and before.run >= 0:
            within = kind is UnitKind.ITEM or self._indented(start) or self._of_step(before)
            same = before.kind is kind or (self.last_item >= 0 and within)
        else:
            same = False
        if kind is UnitKind.ITEM and self._goes_on(raw):
            self._join_since_step()
            same = True
        if not same:
            self.run += 1
            self.last_item = -1
        if kind is UnitKind.ITEM:
            self.last_item = len(self.out)
            self.step = self.last_item if step_number(raw) else self.step
        return self.run

    def _of_step(self, before: Piece) -> bool:
        """Whether code or a table right below this unit is what a step does, or what an item announces, though it is
        not indented."""
        return before.kind is UnitKind.ITEM and (step_number(before.text) > 0 or before.text.endswith((":", "：")))

    def _goes_on(self, raw: str) -> bool:
        """Whether it is the step after the last one, or a later one of a list that is still open."""
        number = step_number(raw)
        last = step_number(self.out[self.step].text) if self.step >= 0 else 0
        return number > 1 and (self.last_item >= 0 or number == last + 1)

    def _join_since_step(self) -> None:
        """Step 2 follows step 1 however much stands between them: that is part of step 1."""
        begin = self.last_item if self.last_item >= 0 else self.step
        first = self.out[begin]
        for number in range(begin + 1, len(self.out)):
            self.out[number] = self.out[number]._replace(run=first.run, lead=first.lead)
        self.run, self.lead = first.run, first.lead

    def _indented(self, start: int) -> bool:
        """Whether the line that it stands on begins with white space."""
        begin = self.text.rfind("\n", 0, start) + 1
        return self.text[begin : begin + 1] in (" ", "\t")


def _points_elsewhere(raw: str) -> bool:
    """Whether nothing is left of it without its links, as in the contents of a chapter."""
    rest, links = _LINK.subn("", _MARKER.sub("", raw))
    return links > 0 and not _WORD.search(_TAG.sub("", rest))


def cells(row: str) -> tuple[str, ...]:
    """The cells of a table row, empty ones included, without markup."""
    inner = row.strip().removeprefix("|").removesuffix("|")
    return tuple(units.plain(cell.strip()) for cell in _CELL.split(inner))


def step_number(raw: str) -> int:
    """The number in front of a step, 0 for anything else."""
    found = _NUMBERED.match(raw)
    return int(found[1]) if found else 0
