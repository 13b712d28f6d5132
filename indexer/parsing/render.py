"""One renderer: an HTML element tree to Markdown blocks. HTML, DocBook, reStructuredText and DOCX all end here.

A block is Markdown without blank lines around it. Text is escaped only where a line would otherwise turn into
a heading, list, quote or table: quotations are shown to people, and backslashes in them help nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from indexer.parsing.includes import fenced

_WIDEST = 200  # columns, and rows that one cell may reach over
DEEPEST = 60  # elements below this depth become plain text; real pages stay under 30

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCK_NAMES = """address article aside blockquote body center dd details dialog div dl dt fieldset figcaption
figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html li main menu nav ol p pre section summary table tbody td
tfoot th thead tr ul caption"""
_SILENT_NAMES = "script style noscript template svg math iframe object head button input select textarea"
_BLOCKS, _SILENT = frozenset(_BLOCK_NAMES.split()), frozenset(_SILENT_NAMES.split())
_MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*", "code": "`", "kbd": "`", "samp": "`", "tt": "`", "del": "~~"}
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight(?:-source)?|brush:?|sourceCode)[-\s:]+([\w+#.-]+)")
_NOT_LANGUAGES = frozenset(
    {"none", "text", "plaintext", "default", "notranslate", "hljs", "nohighlight", "no-highlight"}
)
_STRUCTURE = re.compile(r"(#{1,6}(?=\s|$)|>|[-+*](?=\s|$)|\d{1,9}[.)](?=\s|$)|`{3,}|~{3,}|=+\s*$|[-*_]{3,}\s*$|\|)")
_SPACE = re.compile(r"[ \t\n\r\f\v]+")


def blocks(element: etree._Element, depth: int = 0) -> list[str]:
    """The Markdown blocks of an element's content."""
    out: list[str] = []
    run: list[str] = [_text(element.text)]
    for child in element:
        tag = _tag(child)
        if tag in _BLOCKS or (tag and tag not in _SILENT and depth < DEEPEST and _holds_blocks(child)):
            _flush(run, out)
            out += _block(child, tag, depth + 1) if depth < DEEPEST else [_flat(child)]
        else:
            run.append(_inline(child, tag, depth + 1))
        run.append(_text(child.tail))
    _flush(run, out)
    return [block for block in out if block.strip()]


def _tag(element: etree._Element) -> str:
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _holds_blocks(element: etree._Element) -> bool:
    """Whether an inline or unknown element directly wraps blocks (a link around a div, a web component)."""
    return any(_tag(child) in _BLOCKS for child in element)


def all_text(element: etree._Element) -> str:
    return "".join(str(text) for text in element.itertext())


def _text(text: str | None) -> str:
    return text or ""


def _flush(run: list[str], out: list[str]) -> None:
    text = _paragraph("".join(run))
    run.clear()
    if text:
        out.append(text)


def _paragraph(text: str) -> str:
    """White space as a browser shows it; hard line breaks ("\\x00") kept as new lines."""
    lines = (_SPACE.sub(" ", line).strip() for line in text.split("\x00"))
    return "\n".join(_escaped(line) for line in lines if line)


def _escaped(line: str) -> str:
    mark = _STRUCTURE.match(line)
    if not mark or (mark[0] == "|" and line.count("|") < 2):
        return line
    at = mark.end() - 1 if mark[0][-1] in ".)" else 0
    return line[:at] + "\\" + line[at:]


def _block(element: etree._Element, tag: str, depth: int) -> list[str]:
    if level := _HEADINGS.get(tag):
        text = _one_line(element, depth)
        return [f"{'#' * level} {text}"] if text else []
    if tag == "pre":
        return _code(element)
    if tag in ("ul", "ol", "menu"):
        return _list(element, tag == "ol", depth)
    if tag == "dl":
        return _definitions(element, depth)
    if tag == "table":
        return _table(element, depth)
    if tag == "blockquote":
        inner = "\n\n".join(blocks(element, depth))
        return [_prefixed(inner, "> ", "> ")] if inner else []
    if tag == "summary":
        text = _one_line(element, depth)
        return [f"**{text}**"] if text else []
    return [] if tag == "hr" or tag in _SILENT else blocks(element, depth)


def _one_line(element: etree._Element, depth: int) -> str:
    return _SPACE.sub(" ", _content(element, depth).replace("\x00", " ")).strip()


def _flat(element: etree._Element) -> str:
    return _paragraph(all_text(element))


def _prefixed(text: str, first: str, rest: str) -> str:
    lines = text.split("\n")
    return "\n".join(
        (first if number == 0 else rest).rstrip() if not line else (first if number == 0 else rest) + line
        for number, line in enumerate(lines)
    )


# Inline


def _content(element: etree._Element, depth: int) -> str:
    parts = [_text(element.text)]
    for child in element:
        parts.append(_inline(child, _tag(child), depth + 1) if depth < DEEPEST else _flat(child))
        parts.append(_text(child.tail))
    return "".join(parts)


def _inline(element: etree._Element, tag: str, depth: int) -> str:
    if not tag or tag in _SILENT:
        return ""
    if tag == "br":
        return "\x00"
    if tag == "img":
        return _image(element)
    if depth >= DEEPEST:
        return _flat(element)
    if tag in _MARKS:
        return _marked(element, _MARKS[tag], depth)
    text = _content(element, depth)
    if tag == "a":
        return _link(element, text)
    return f" {text} " if tag in _BLOCKS else text


def _marked(element: etree._Element, mark: str, depth: int) -> str:
    inner = all_text(element) if mark == "`" else _content(element, depth)
    text = _SPACE.sub(" ", inner.replace("\x00", " "))
    words = text.strip()
    if not words or (mark != "`" and words.startswith(mark)):
        return inner
    if mark == "`":
        longest = max((len(run) for run in re.findall("`+", words)), default=0)
        fence = "`" * (longest + 1)
        padded = f" {words} " if "`" in (words[0], words[-1]) else words
        words, mark = padded, fence
    before, after = " " * (text[:1] == " "), " " * (text[-1:] == " ")
    return f"{before}{mark}{words}{mark}{after}"


def _image(element: etree._Element) -> str:
    source, alt = element.get("src", ""), _SPACE.sub(" ", element.get("alt", "")).strip()
    if source.startswith("data:") or not source:
        return alt
    return f"![{alt}]({_target(source)})"


def _link(element: etree._Element, text: str) -> str:
    target = element.get("href", "")
    words = text.strip()
    if not words or words in ("¶", "#", "§") or "headerlink" in element.get("class", ""):
        return ""
    if not target or target.startswith(("#", "javascript:", "data:")) or "\x00" in text:
        return text
    if words == target and re.fullmatch(r"https?://[^\s<>]+", target):
        return f"<{target}>"
    return f"[{words}]({_target(target)})"


def _target(url: str) -> str:
    url = url.strip()
    return f"<{url}>" if re.search(r"[\s()]", url) and not re.search(r"[<>\n]", url) else re.sub(r"\s", "%20", url)


# Code


def _code(element: etree._Element) -> list[str]:
    for line_break in element.iter("br", "{*}br"):
        line_break.tail = "\n" + _text(line_break.tail)
    code = all_text(element).replace("\r\n", "\n").strip("\n").rstrip()
    return [fenced(code, _language(element))] if code.strip() else []


def _language(pre: etree._Element) -> str:
    """From the classes of the block, the code inside, or the two boxes around it (as highlighters write them)."""
    around = [pre, *(child for child in pre if _tag(child) == "code")]
    parent = pre.getparent()
    for _ in range(2):
        if parent is not None and _tag(parent) in ("div", "figure"):
            around.append(parent)
            parent = parent.getparent()
    for box in around:
        if name := box.get("data-lang") or box.get("data-language"):
            return re.sub(r"[^\w+#.-]", "", name)[:30]
        for found in _LANGUAGE.finditer(box.get("class", "")):
            if found[1].lower() not in _NOT_LANGUAGES:
                return found[1]
    classes = pre.get("class", "").split()
    return classes[1] if classes[:1] == ["code"] and len(classes) > 1 and classes[1] not in _NOT_LANGUAGES else ""


# Lists


def _list(element: etree._Element, ordered: bool, depth: int) -> list[str]:
    start = element.get("start", "1")
    number = int(start) if start.isascii() and start.isdigit() and len(start) < 9 else 1
    items: list[str] = []
    for child in element:
        inner = blocks(child, depth) if _tag(child) == "li" else _stray(child, depth)
        if inner:
            items.append(_item(inner, f"{number}. " if ordered else "- "))
            number += 1
    loose = any("\n\n" in item for item in items)
    return ["\n\n".join(items) if loose else "\n".join(items)] if items else []


def _stray(child: etree._Element, depth: int) -> list[str]:
    """Content that stands between list items, as broken pages have it."""
    tag = _tag(child)
    return (
        _block(child, tag, depth) if tag in _BLOCKS else [text] if (text := _inline(child, tag, depth).strip()) else []
    )


def _item(inner: list[str], marker: str) -> str:
    tight = len(inner) == 2 and re.match(r"(?:[-*+]|\d+\.) ", inner[1]) and "\n\n" not in inner[1]
    return _prefixed(("\n" if tight else "\n\n").join(inner), marker, " " * len(marker))


def _definitions(element: etree._Element, depth: int) -> list[str]:
    """Terms as bold list items with their explanation below: searchable and cut at the term."""
    items: list[str] = []
    terms: list[str] = []
    for child in _definition_parts(element):
        if _tag(child) == "dt":
            terms.append(_one_line(child, depth))
        elif inner := blocks(child, depth):
            items.append(_definition(terms, inner))
            terms = []
    items += [f"- {_bold(term)}" for term in terms if term]
    loose = any("\n\n" in item for item in items)
    return ["\n\n".join(items) if loose else "\n".join(items)] if items else []


def _definition_parts(element: etree._Element) -> Iterator[etree._Element]:
    for child in element:
        if _tag(child) == "div":
            yield from (part for part in child if _tag(part) in ("dt", "dd"))
        elif _tag(child):
            yield child


def _definition(terms: list[str], inner: list[str]) -> str:
    head = ", ".join(_bold(term.rstrip(":")) for term in terms if term)
    if head and not re.match(r"(?:[-*+>|#]|\d+\.|`{3,})", inner[0]):
        inner = [f"{head}: {inner[0]}", *inner[1:]]
    elif head:
        inner = [head, *inner]
    return _item(inner, "- ")


def _bold(term: str) -> str:
    return term if term.startswith(("`", "*", "[")) or "`" in term else f"**{term}**"


# Tables


def _table(element: etree._Element, depth: int) -> list[str]:
    code = [pre for pre in element.iter("pre") if "code" in (getattr(pre.getparent(), "attrib", {}).get("class") or "")]
    rows = list(_rows(element))
    if code and len(rows) == 1:
        return [block for pre in code for block in _code(pre)]  # code beside its line numbers
    grid = _grid([[cell for cell in row if _tag(cell) in ("td", "th")] for row in rows], depth)
    width = max(map(len, grid), default=0)
    caption = [_one_line(part, depth) for part in element if _tag(part) == "caption"]
    above = [f"**{caption[0]}**"] if caption and caption[0] else []
    if width <= 1 or width > _WIDEST:
        return above + [block for row in rows for cell in row for block in blocks(cell, depth)]
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in grid if any(row)]
    return [*above, "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])] if lines else above


def _grid(rows: list[list[etree._Element]], depth: int) -> list[list[str]]:
    """Cell texts by row and column. A cell over several rows is repeated in each, so that a row cut from the
    table still says what it is about; one over several columns is followed by empty cells."""
    below: dict[int, tuple[int, str]] = {}  # column -> (rows it still reaches into, text)
    grid = []
    for cells in rows:
        row: list[str] = []
        for cell in cells:
            _fill_from_above(row, below)
            text, high = _cell(cell, depth), _span(cell, "rowspan")
            if high > 1:
                below[len(row)] = (high - 1, text)
            row += [text, *[""] * (_span(cell, "colspan") - 1)]
        _fill_from_above(row, below)
        grid.append(row)
    return grid


def _fill_from_above(row: list[str], below: dict[int, tuple[int, str]]) -> None:
    while len(row) in below:
        left, text = below.pop(len(row))
        if left > 1:
            below[len(row)] = (left - 1, text)
        row.append(text)


def _span(cell: etree._Element, name: str) -> int:
    text = cell.get(name, "1")
    return max(1, min(int(text), _WIDEST)) if text.isascii() and text.isdigit() and len(text) < 5 else 1


def _rows(table: etree._Element) -> Iterator[etree._Element]:
    """The rows of this table, not of tables inside it."""
    for child in table:
        if _tag(child) == "tr":
            yield child
        elif _tag(child) in ("thead", "tbody", "tfoot"):
            yield from (row for row in child if _tag(row) == "tr")


def _cell(cell: etree._Element, depth: int) -> str:
    """The cell in one line; blocks and line breaks inside are joined with <br>."""
    if _holds_blocks(cell):
        parts = [_code_line(block) if block.startswith("```") else block for block in blocks(cell, depth)]
        lines = [line for part in parts for line in part.split("\n")]
    else:
        lines = _content(cell, depth).split("\x00")
    texts = (_SPACE.sub(" ", line).strip() for line in lines)
    return "<br>".join(text for text in texts if text).replace("|", "\\|")


def _code_line(block: str) -> str:
    lines = [line for line in block.split("\n")[1:-1] if line.strip()]
    return "\n".join(f"`{line.strip()}`" if "`" not in line else line for line in lines)
