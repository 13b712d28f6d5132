"""AsciiDoc to Markdown, by a small converter of our own.

There is no library to lean on: AsciiDoc.py is GPL, Asciidoctor needs Ruby, and the pure Python parsers are first
alphas. What manuals use is covered: sections, attributes, lists with continuations, listings, admonitions,
tables, links, references and includes. Conditionals keep all their branches; macros that are not known keep
their text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from indexer.parsing import includes
from indexer.parsing.encoding import decode
from indexer.parsing.page import Context, ParsedPage, page

_DEEPEST = 20
_ADMONITIONS = ("NOTE", "TIP", "WARNING", "CAUTION", "IMPORTANT")
_HEADING = re.compile(r"(={1,6}|#{1,6})[ \t]+(\S.*)")
_ATTRIBUTE = re.compile(r":(!?[\w-]+)!?:[ \t]*(.*)")
_BLOCK_ATTRIBUTES = re.compile(r"\[([^\[\]]*)\][ \t]*")
_DELIMITER = re.compile(r"(-{4,}|\.{4,}|={4,}|\*{4,}|_{4,}|\+{4,}|/{4,}|--|`{3,}\w*|[|,:!]={3,})[ \t]*")
_ITEM = re.compile(r"[ \t]*(\*{1,5}|-|\.{1,5}|\d{1,4}\.|<(?:\d{1,3}|\.)>)[ \t]+(\S.*)")
_TERM = re.compile(r"[ \t]*(\S[^\n]{0,300}?)(:{2,4}|;;)(?:[ \t]+(.*))?")
_MACRO_LINE = re.compile(r"(image|video|audio|toc|ifdef|ifndef|ifeval|endif)::([^\[\]\s]*)\[([^\[\]]*)\][ \t]*")
_CELL = re.compile(r"(?:^|(?<=[ \t]))(?:(\d{1,2})(?:\.\d{1,2})?\+|\.\d{1,2}\+)?[<^>.]*[aehlmdsv]?\|")


def parse(path: str, data: bytes, context: Context) -> ParsedPage:
    lines = _with_includes(path, decode(data), context)
    converter = _Converter()
    return page(path, "\n\n".join(converter.blocks(lines, 0)) + "\n", modified=converter.modified())


def _with_includes(path: str, text: str, context: Context) -> list[str]:
    lines: list[str] = []
    for line in text.split("\n"):
        match = includes.directive(line) if line.startswith("include::") else None
        included = includes.text_of(path, match, context.read) if match else None
        lines += [line.rstrip()] if included is None else [part.rstrip() for part in included.split("\n")]
    return lines


@dataclass
class _Converter:
    """Walks the lines of one page once; `attributes` holds what the page defined so far."""

    attributes: dict[str, str] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)  # markers of the lists around the one being read

    def modified(self) -> str | None:
        date = re.match(r"\d{4}-\d\d-\d\d", self.attributes.get("revdate", ""))
        return date[0] if date else None

    def blocks(self, lines: list[str], depth: int) -> list[str]:
        out: list[str] = []
        style, title, at = "", "", 0
        while at < len(lines):
            line = lines[at]
            if not line.strip() or (line.startswith("//") and not line.startswith("////")):
                at += 1
            elif found := _ATTRIBUTE.fullmatch(line):
                self.attributes[found[1]] = found[2]
                at += 1
            elif found := _BLOCK_ATTRIBUTES.fullmatch(line):
                style, at = found[1], at + 1
            elif re.match(r"\.[^\s.]", line):
                title, at = line[1:], at + 1
            else:
                made, at = self._block(lines, at, style, depth)
                out += ([f"**{self.inline(title)}**"] if title else []) + made
                style, title = "", ""
        return [block for block in out if block.strip()]

    def _block(self, lines: list[str], at: int, style: str, depth: int) -> tuple[list[str], int]:
        line = lines[at]
        if found := _DELIMITER.fullmatch(line):
            return self._delimited(lines, at, found[1], style, depth)
        if found := _HEADING.fullmatch(line):
            at += 1
            if len(found[1]) == 1:
                at = self._after_header(lines, at)
            return [f"{'#' * len(found[1])} {self.inline(found[2])}"], at
        if found := _MACRO_LINE.fullmatch(line):
            alt = found[3].split(",")[0].strip('" ')
            return [f"![{alt}]({self._filled(found[2])})"] if found[1] == "image" else [], at + 1
        if depth < _DEEPEST and _marker(line):
            return self._list(lines, at, depth)
        if line.strip() in ("'''", "<<<", "---", "***", "+") or line.startswith("[["):
            return [], at + 1
        return self._paragraph(lines, at, style)

    def _paragraph(self, lines: list[str], at: int, style: str) -> tuple[list[str], int]:
        end = at
        while end < len(lines) and lines[end].strip() and not (end > at and _interrupts(lines[end])):
            end += 1
        text = lines[at:end]
        kind = style.split(",")[0].strip().lower()
        if kind in ("source", "listing", "literal") or style.startswith(","):
            return [includes.fenced("\n".join(text), _language(style))], end
        if text[0][0] in " \t":
            return [includes.fenced("\n".join(line[1:] for line in text))], end
        joined = self.inline(" ".join(line.strip() for line in text).replace(" + ", "\n"))
        name, colon, rest = joined.partition(": ")
        if colon and name in _ADMONITIONS:
            return [f"> **{name.capitalize()}:** {rest}"], end
        if style.upper() in _ADMONITIONS:
            return [f"> **{style.capitalize()}:** {joined}"], end
        return [joined], end

    def _delimited(self, lines: list[str], at: int, mark: str, style: str, depth: int) -> tuple[list[str], int]:
        closing = re.sub(r"\w+$", "", mark)
        end = next((row for row in range(at + 1, len(lines)) if lines[row].rstrip() == closing), len(lines))
        inner = lines[at + 1 : end]
        kind = style.split(",")[0].strip()
        if mark[0] in "/+":
            return [], end + 1
        if mark.endswith("==") and mark[0] in "|,:!":
            return self._table(inner, style), end + 1
        if mark[:4] in ("----", "....") or mark[0] == "`" or kind in ("source", "listing"):
            language = mark.lstrip("`") if mark[0] == "`" else _language(style)
            return [includes.fenced("\n".join(inner).strip("\n"), language)], end + 1
        made = self.blocks(inner, depth + 1) if depth < _DEEPEST else ["\n".join(inner)]
        if kind.upper() in _ADMONITIONS:
            made = [_quoted([f"**{kind.capitalize()}:**", *made])]
        elif mark[0] == "_":
            made = [_quoted(made)]
        return made, end + 1

    def _after_header(self, lines: list[str], at: int) -> int:
        """Past the author and revision lines right under the document's title; attributes are kept for later."""
        while at < len(lines) and lines[at].strip() and not _ATTRIBUTE.fullmatch(lines[at]):
            if date := re.search(r"\b\d{4}-\d\d-\d\d\b", lines[at]):
                self.attributes.setdefault("revdate", date[0])
            at += 1
        return at

    # Lists

    def _list(self, lines: list[str], at: int, depth: int) -> tuple[list[str], int]:
        """All items of one list; deeper markers and continuations belong to the item before them."""
        first = _marker(lines[at])
        items: list[str] = []
        while at < len(lines) and _marker(lines[at]) == first:
            item, at = self._item(lines, at, first, depth, len(items) + 1)
            items.append(item)
            following = _skip_blank(lines, at)
            if following < len(lines) and _marker(lines[following]) == first:
                at = following
        return ["\n\n".join(items) if any("\n\n" in item for item in items) else "\n".join(items)], at

    def _item(self, lines: list[str], at: int, first: str, depth: int, number: int) -> tuple[str, int]:
        marker = f"{number}. " if first[0] in ".<0" else "- "
        found = _ITEM.fullmatch(lines[at])
        term = None if found else _TERM.fullmatch(lines[at])
        text = [found[2]] if found else [term[3]] if term and term[3] else []
        at += 1
        if term and not text:
            at = _skip_blank(lines, at)
        while at < len(lines) and lines[at].strip() and lines[at].strip() != "+" and not _interrupts(lines[at]):
            text.append(lines[at].strip())
            at += 1
        words = self.inline(" ".join(text))
        if term:
            head = self.inline(term[1])
            words = f"{head if '`' in head else f'**{head}**'}{': ' if words else ''}{words}"
        inner = [words]
        while True:
            more, next_at = self._attached(lines, at, first, depth)
            if next_at == at:
                break
            inner, at = inner + more, next_at
        joiner = "\n" if len(inner) == 2 and re.match(r"(?:- |\d+\. )", inner[1]) and "\n\n" not in inner[1] else "\n\n"
        return _indented(joiner.join(inner), marker), at

    def _attached(self, lines: list[str], at: int, first: str, depth: int) -> tuple[list[str], int]:
        """What follows an item and belongs to it: a block after "+", or a list with other markers."""
        if at < len(lines) and lines[at].strip() == "+":
            at += 1
            style = ""
            while at < len(lines) and (found := _BLOCK_ATTRIBUTES.fullmatch(lines[at])):
                style, at = found[1], at + 1
            return self._block(lines, at, style, depth + 1) if at < len(lines) and lines[at].strip() else ([""], at)
        following = _skip_blank(lines, at)
        marker = _marker(lines[following]) if following < len(lines) else ""
        if marker and marker != first and depth < _DEEPEST and marker not in self._open:
            self._open.append(first)
            try:
                return self._list(lines, following, depth + 1)
            finally:
                self._open.pop()
        return [], at

    # Tables

    def _table(self, lines: list[str], style: str) -> list[str]:
        rows = self._rows(lines, style)
        width = max(map(len, rows), default=0)
        if not width:
            return []
        shown = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
        return ["\n".join([shown[0], "|" + " --- |" * width, *shown[1:]])]

    def _rows(self, lines: list[str], style: str) -> list[list[str]]:
        """Cells in reading order, cut into rows by the number of columns."""
        cells: list[str] = []
        width = _columns(style)
        for line in lines:
            marks = list(_CELL.finditer(line))
            if not marks:
                if cells and line.strip():
                    cells[-1] = f"{cells[-1]} {line.strip()}"
                continue
            if cells and line[: marks[0].start()].strip():
                cells[-1] = f"{cells[-1]} {line[: marks[0].start()].strip()}"
            for mark, following in zip(marks, [*marks[1:], None], strict=True):
                cells.append(line[mark.end() : following.start() if following else len(line)].strip())
                cells += [""] * (int(mark[1] or 1) - 1)
            width = width or len(cells)  # without a "cols" attribute the first line tells
        texts = [self.inline(cell).replace("|", "\\|").replace("\n", "<br>") for cell in cells]
        width = max(1, width)
        return [texts[start : start + width] for start in range(0, len(texts), width)]

    # Inline

    def _filled(self, text: str) -> str:
        return re.sub(r"\{([\w-]{1,60})\}", lambda found: self.attributes.get(found[1], found[0])[:500], text)

    def inline(self, text: str) -> str:
        """Marks, links and references in Markdown's way; code stays as it is."""
        parts = re.split(r"(`\+?[^`]+\+?`)", self._filled(text)[:100_000])
        return "".join(_code(part) if number % 2 else _marked(part) for number, part in enumerate(parts)).strip()


def _code(part: str) -> str:
    return "`" + re.sub(r"^\+|\+$", "", part[1:-1]) + "`"


_SPAN = r"(?<![\w\\{0}]){0}(?=\S)([^{0}\n]{{1,500}}?)(?<=\S){0}(?![\w{0}])"
_INLINE = (
    (re.compile(r"\[\[[^\[\]]*\]\]|\[#[^\[\]]*\](?=[#*_])|\banchor:[^\s\[\]]{1,200}\[[^\[\]]*\]"), ""),
    (re.compile(r"<<([^<>,]{1,200}),[ \t]*([^<>]{1,300})>>"), r"\2"),
    (re.compile(r"<<([^<>]{1,200})>>"), r"\1"),
    (re.compile(_SPAN.format(r"\*").replace("[^\\*", "[^*").replace("[\\w\\*", "[\\w*")), r"**\1**"),
    (re.compile(_SPAN.format("_")), r"*\1*"),
    (re.compile(r"\*\*([^*\n]{1,500})\*\*"), r"**\1**"),
    (re.compile(r"__([^_\n]{1,500})__"), r"*\1*"),
    (re.compile(r"\bimage:([^\s\[\]:]{1,500})\[([^\[\],]*)[^\[\]]*\]"), r"![\2](\1)"),
    (re.compile(r"\b(?:link:)?((?:https?|ftp)://[^\s\[\]<>]{1,1000})\[([^\[\]]+?)\^?\]"), r"[\2](\1)"),
    (re.compile(r"\blink:([^\s\[\]]{1,1000})\[([^\[\]]*?)\^?\]"), r"[\2](\1)"),
    (re.compile(r"((?:https?|ftp)://[^\s\[\]<>]{1,1000})\[\]"), r"<\1>"),
    (re.compile(r"\bxref:([^\s\[\]]{1,500})\[([^\[\]]+)\]"), r"[\2](\1)"),
    (re.compile(r"\bxref:([^\s\[\]]{1,500})\[\]"), r"\1"),
    (re.compile(r"\b(?:kbd|btn):\[([^\[\]]*)\]"), r"`\1`"),
    (re.compile(r"\bmenu:([^\[\]\n]{1,100})\[([^\[\]]*)\]"), r"\1 > \2"),
    (re.compile(r"\bfootnote:?[\w-]*\[([^\[\]]*)\]"), r" (\1)"),
    (re.compile(r"\b(?:pass|stem|latexmath):[a-z]*\[([^\[\]]*)\]"), r"\1"),
    (re.compile(r"(?<!\w)\+([^+\n]{1,300})\+(?!\w)"), r"`\1`"),
)


def _marked(text: str) -> str:
    for form, replacement in _INLINE:
        text = form.sub(replacement, text)
    return text


def _marker(line: str) -> str:
    """What makes two items siblings: the list marker, numbers made alike; "" for other lines."""
    if found := _ITEM.fullmatch(line):
        return re.sub(r"\d+", "0", found[1]) if not found[1].startswith("<") else "<"
    found = _TERM.fullmatch(line) if ":: " in line or line.endswith((":", ";;")) else None
    return found[2] if found else ""


def _interrupts(line: str) -> bool:
    """Whether a paragraph or an item's text ends before this line."""
    return bool(
        line.strip() == "+"
        or _DELIMITER.fullmatch(line)
        or _BLOCK_ATTRIBUTES.fullmatch(line)
        or _ITEM.fullmatch(line)
        or (_TERM.fullmatch(line) and _marker(line))
        or line.startswith("//")
    )


def _skip_blank(lines: list[str], at: int) -> int:
    while at < len(lines) and not lines[at].strip():
        at += 1
    return at


def _language(style: str) -> str:
    parts = [part.strip().strip('"') for part in style.split(",")]
    return parts[1] if len(parts) > 1 and re.fullmatch(r"[\w+#.-]{1,30}", parts[1]) else ""


def _columns(style: str) -> int:
    found = re.search(r'cols="?([^"\]]*)', style)
    if not found:
        return 0
    repeated = re.fullmatch(r"(\d{1,2})\*.*", found[1])
    return (
        int(repeated[1]) if repeated else min(100, len([part for part in re.split(r"[,;]", found[1]) if part.strip()]))
    )


def _indented(text: str, marker: str) -> str:
    pad = " " * len(marker)
    return "\n".join((marker if row == 0 else pad) + line if line else "" for row, line in enumerate(text.split("\n")))


def _quoted(blocks: list[str]) -> str:
    return "\n".join(f"> {line}".rstrip() for line in "\n\n".join(blocks).split("\n"))
