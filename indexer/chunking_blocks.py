"""Markdown to a tree of blocks that covers every character of a document.

markdown-it-py finds the blocks (line ranges only; inline markup is never parsed). Containers of the various dialects
(`:::`, `///`, `{% hint %}`, `<SimpleTab>`) are hidden from it, so that what they hold is plain Markdown, and come back
as groups of blocks that belong together.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.front_matter import front_matter_plugin

from indexer.html_tables import row_cuts
from router.units import MARK, container_title, plain, sentences


@dataclass(slots=True)
class Block:
    """`text[start:end]`, white space after it included; children, if any, cover it without gaps.

    kind: "paragraph", "table", "code", "html", "list", "item", "quote", "heading", "front", "rule"; "group" for blocks
        that belong together; "stanza" and "line" (code), "markup" (a line of HTML), "row", "sentence" and "word" for
        what blocks are cut into.
    core: the block itself, without what `start` and `end` take in around it (white space, container lines).
    level: 1 to 6 for a heading.
    preamble: what a passage must repeat that starts at this block inside its parent.
    tokens: length of the words in embedder tokens, filled in by the chunker.
    """

    kind: str
    start: int
    end: int
    children: list[Block] = field(default_factory=list)
    core: tuple[int, int] = (0, 0)
    level: int = 0
    preamble: str = ""
    tokens: int = 0


LONGEST_LEAF = 100
"""Characters; a longer sentence or line can be cut at a word, should nothing else help."""

_KINDS = {
    "paragraph_open": "paragraph",
    "heading_open": "heading",
    "table_open": "table",
    "tr_open": "row",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "list_item_open": "item",
    "blockquote_open": "quote",
    "fence": "code",
    "code_block": "code",
    "html_block": "html",
    "hr": "rule",
    "front_matter": "front",
}
_TRANSPARENT = frozenset({"thead_open", "tbody_open", "th_open", "td_open", "inline"})
_WRAPPERS = r"SimpleTab|Tabs?|TabItem|TabPane|CustomContent|div|section|details|center|span|a|br|img|ArticleInfo"
_MARK = re.compile(MARK, re.X)
_WRAPPER = re.compile(rf"(?:</?(?:{_WRAPPERS})\b[^<>]*>[ \t]*)+$")
_HOLE = "<!---->"  # stands where a container line was: unlike a blank line it ends the list or paragraph above
_OPENS = re.compile(
    r"""(?P<colons>:{3,})[ \t]*\w | (?P<slashes>/{3,})[ \t]*\w
    | \{%[ \t]*(?P<hint>hint|alert|tabs?|content-ref)\b | <(?P<tag>SimpleTab|div|details)\b""",
    re.VERBOSE,
)
_CLOSES = re.compile(r"(?P<colons>:{3,})$|(?P<slashes>/{3,})$|\{%[ \t]*(?:end|/)[ \t]*(?P<hint>\w+)|</(?P<tag>\w+)>")
_FENCE = re.compile(r"(?:[ ]{0,3}>[ ]?)*[ \t]*(?:[-*+][ \t]+|\d+[.)][ \t]+)?(`{3,}(?=[^`]*$)|~{3,})")
_LEAD_IN = re.compile(r"[:：][*_\s]*$")
_LABEL = re.compile(r"\s*(\*\*|__)[^*_\n]+\1\s*$")
_WORD = re.compile(
    r"""(?: `[^`\n]{0,80}` | \[[^\[\]\n]{0,80}\]\([^()\n]*\)
    | </?[A-Za-z][\w.:-]{0,40}(?:\s[^<>\n]{0,200})?>  # half a tag would be counted, and searched, as words
    | [^\s，、,`\[<]{1,40} | [`\[<] )[\s，、,]* | \s+""",
    re.VERBOSE,
)


def blocks_of(text: str) -> list[Block]:
    """The top-level blocks of a Markdown text; together they cover it without gaps ([] for an empty text)."""
    return _Reader(text).read() if text else []


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split("\n")
        self.offsets = [0]
        for line in self.lines:
            self.offsets.append(self.offsets[-1] + len(line) + 1)
        self.offsets[-1] = len(text)
        self.openers: list[int] = []  # offsets where a container begins
        self.containers: list[tuple[int, int]] = []  # outermost ones, offsets
        self.titled: list[tuple[int, int, str]] = []  # containers with a title (tabs above all), inner before outer

    def read(self) -> list[Block]:
        tokens = _PARSER.parse(self._masked())
        root = self._tree(tokens)
        if not root:
            return [Block("paragraph", 0, len(self.text))]
        self._cover(root, 0, len(self.text))
        for start, end, title in self.titled:
            _entitle(root, start, end, title)
        return self._grouped(root)

    def _masked(self) -> str:
        """The text without container lines; as many lines as before, so the parser's line numbers hold."""
        masked, fence, opened = [], "", list[tuple[str, str, int]]()
        for number, line in enumerate(self.lines):
            line = line.replace("\r", " ")
            found = _FENCE.match(line)
            if fence:
                if found and found[1].startswith(fence) and line.rstrip().endswith(found[1]):
                    fence = ""
            elif found:
                fence = found[1]
            else:
                bare = line.strip()
                if bare and bare[0] in ":/{<[" and (_WRAPPER.match(bare) if bare[0] == "<" else _MARK.match(bare)):
                    self._container(number, bare, opened)
                    line = line[: len(line) - len(line.lstrip())] + _HOLE
            masked.append(line)
        return "\n".join(masked)

    def _container(self, number: int, bare: str, opened: list[tuple[str, str, int]]) -> None:
        found = _CLOSES.match(bare)
        if found is None:
            if (found := _OPENS.match(bare)) and (kind := found.lastgroup):
                self.openers.append(self.offsets[number])
                if f"</{found[kind]}>" not in bare:
                    opened.append((kind, found[kind], number))
            return
        for depth in range(len(opened) - 1, -1, -1):
            if opened[depth][:2] == (found.lastgroup, found[found.lastgroup or 0]):
                first = opened[depth][2]
                start, end = self.offsets[first], self.offsets[number + 1]
                if title := container_title(self.lines[first]):
                    self.titled.append((start, end, title))
                if depth == 0:
                    self.containers.append((start, end))
                del opened[depth:]
                break

    def _tree(self, tokens: Sequence[Token]) -> list[Block]:
        root: list[Block] = []
        stack: list[list[Block]] = [root]
        for token in tokens:
            if token.type in _TRANSPARENT or token.type.endswith("_close"):
                if token.nesting < 0 and token.type.replace("_close", "_open") in _KINDS:
                    stack.pop()
                continue
            if token.map is None or (token.type == "html_block" and token.content.strip() == _HOLE):
                continue
            first, last = token.map
            start, end = self.offsets[first], self.offsets[min(last, len(self.lines))]
            block = Block(_KINDS[token.type], start, end, core=(start, end))
            if block.kind == "heading":
                block.level = int(token.tag[1])
            stack[-1].append(block)
            if token.nesting > 0:
                stack.append(block.children)
        return root

    def _cover(self, blocks: list[Block], start: int, end: int) -> None:
        """Moves borders so that the blocks, and within each its parts, cover [start, end)."""
        blocks[0].start = start
        for one, other in pairwise(blocks):
            border = self._border(one.end, other.start)
            one.end = other.start = border
        blocks[-1].end = end
        for block in blocks:
            if block.kind in ("list", "item", "quote") and block.children:
                self._cover(block.children, block.start, block.end)
                block.children = self._grouped(block.children)
            else:
                block.children = self._pieces(block)

    def _border(self, end: int, start: int) -> int:
        """What stands between two blocks goes with the first, but from an opening container line on with the second."""
        if end >= start:
            return start
        at = bisect_left(self.openers, end)
        return min(self.openers[at], start) if at < len(self.openers) else start

    def _grouped(self, blocks: list[Block]) -> list[Block]:
        """Joins a lead-in with what it introduces, then the blocks of one container."""
        joined: list[Block] = []
        for block in blocks:
            before = joined[-1] if joined else None
            if before is not None and before.kind == "paragraph" and self._leads_in(before, block):
                self._hand_down(before, block)
                joined[-1] = Block("group", before.start, block.end, [before, block])
            else:
                joined.append(block)
        for start, end in self.containers:
            inside = [index for index, block in enumerate(joined) if start <= block.start < end]
            if len(inside) > 1 and not any(joined[index].kind == "heading" for index in inside):
                low, high = inside[0], inside[-1] + 1
                joined[low:high] = [Block("group", joined[low].start, joined[high - 1].end, joined[low:high])]
        return joined

    def _leads_in(self, paragraph: Block, block: Block) -> bool:
        if block.kind in ("heading", "rule"):
            return False
        words = self.text[slice(*paragraph.core)]
        return block.kind in ("list", "table", "code") or bool(_LEAD_IN.search(words) or _LABEL.match(words))

    def _hand_down(self, paragraph: Block, block: Block) -> None:
        """A list or code that will be cut repeats the sentence that introduces it."""
        last = list(sentences(self.text, *paragraph.core))[-1:]
        lead = plain(self.text[slice(*last[0])]) if last else ""
        block.preamble = lead
        if block.kind == "list":
            for item in block.children:
                item.preamble = lead
        elif block.kind == "code":
            for part in _stanzas_and_lines(block.children):
                part.preamble = f"{lead}\n\n{part.preamble}" if part.preamble else lead

    def _pieces(self, block: Block) -> list[Block]:
        if block.kind == "paragraph":
            starts = [start for start, _ in sentences(self.text, *block.core)]
            return self._leaves("sentence", [block.start, *starts[1:]], block)
        if block.kind == "table" and block.children:
            return self._rows(block)
        if block.kind == "html" and (rows := self._html_rows(block)):
            return rows
        if block.kind in ("code", "html"):
            return self._stanzas(block)
        return []

    def _rows(self, table: Block) -> list[Block]:
        """The header and delimiter rows stay with the first row of the body; the other rows repeat them."""
        starts = [row.start for row in table.children]
        rows = self._leaves("row", [table.start, *starts[2:]], table)
        for row in rows[1:]:
            row.preamble = self.text[starts[0] : starts[1]].rstrip()
        return rows

    def _stanzas(self, block: Block) -> list[Block]:
        """Runs of lines between blank lines. A fence stays with the line next to it and is repeated by the others."""
        first, last = self._line_of(block.core[0]), self._line_of(block.core[1] - 1)
        lines = self.offsets[first : last + 1]
        opening = self.lines[first].strip() if _FENCE.match(self.lines[first]) and block.kind == "code" else ""
        if opening and len(lines) > 2:
            lines = [lines[0], *lines[2:-1]]
        lines[0] = block.start
        starts = [lines[0], *(b for a, b in pairwise(lines) if a != lines[0] and not self.text[a:b].strip())]
        line = "line" if block.kind == "code" else "markup"
        stanzas = self._lined(starts, line, lines, block)
        for part in _stanzas_and_lines(stanzas):
            part.preamble = opening if part.start > block.start else ""
        return stanzas

    def _html_rows(self, block: Block) -> list[Block]:
        """The rows of the tables in a block of HTML, [] when there is none to cut. A row that is itself too long is cut
        by lines, and those repeat the header too."""
        cuts = row_cuts(self.text, *block.core)
        if not cuts:
            return []
        first, last = self._line_of(block.core[0]), self._line_of(block.core[1] - 1)
        rows = self._lined([block.start, *(at for at, _ in cuts)], "markup", self.offsets[first : last + 1], block)
        for row, (_, header) in zip(rows[1:], cuts, strict=True):
            row.preamble = header
        for row in rows:
            row.kind = "row"
        return rows

    def _lined(self, starts: Sequence[int], line: str, lines: Sequence[int], block: Block) -> list[Block]:
        """Stanzas that begin at `starts`, with the lines that begin in each as its children."""
        stanzas = self._leaves("stanza", starts, block)
        for stanza in stanzas:
            inside = lines[bisect_right(lines, stanza.start) : bisect_left(lines, stanza.end)]
            stanza.children = self._leaves(line, [stanza.start, *inside], stanza)
        return stanzas

    def _line_of(self, offset: int) -> int:
        return bisect_right(self.offsets, offset) - 1

    def _leaves(self, kind: str, starts: Sequence[int], block: Block) -> list[Block]:
        """Blocks that begin at `starts` and run to the end of `block`; too long ones get words as children."""
        low, high = block.core
        leaves = [
            Block(kind, a, b, core=(max(a, low), min(b, high))) for a, b in pairwise([*starts, block.end]) if a < b
        ]
        for leaf in leaves:
            if leaf.core[1] - leaf.core[0] > LONGEST_LEAF and kind != "stanza":
                leaf.children = list(self._words(leaf))
        return leaves

    def _words(self, leaf: Block) -> Iterator[Block]:
        kind = "line" if leaf.kind == "line" else "word"
        begin, (at, stop) = leaf.start, leaf.core
        while at < stop:
            found = _WORD.match(self.text, at, stop)
            at = found.end() if found else at + 1
            if at - begin >= LONGEST_LEAF // 3 or at == stop:
                end = leaf.end if at == stop else at
                yield Block(kind, begin, end, core=(max(begin, leaf.core[0]), at))
                begin = at


def _stanzas_and_lines(stanzas: Sequence[Block]) -> Iterator[Block]:
    for stanza in stanzas:
        yield stanza
        yield from stanza.children


def _entitle(blocks: Sequence[Block], start: int, end: int, title: str) -> None:
    """What a passage must repeat that starts inside the container [start, end) includes the container's title."""
    for block in blocks:
        if start < block.start < end:
            block.preamble = f"{title}\n\n{block.preamble}" if block.preamble else title
        if block.start < end and start < block.end:
            _entitle(block.children, start, end, title)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("table").use(front_matter_plugin)
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


_PARSER = _parser()
