"""Where an HTML table may be cut: at its rows, each of which then repeats the table's header.

Only tags are looked for, in one pass; that is enough for tables as people write them in Markdown. What does not add up
(a table closed twice, or one inside another left open) gives no cuts at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

LONGEST_HEADER = 2000
"""Characters, tags included: a longer one is not repeated. No embedder could read it next to a row."""

_TAG = re.compile(r"<(/?)(table|thead|tbody|tr|t[dh])(?=[\s/>])>?", re.IGNORECASE)
_SAYS = re.compile(r"(?<=>)\s*[^<\s]")  # something other than white space between two tags


@dataclass(slots=True)
class _Row:
    """titles, cells: how many `<th>` and `<td>` it has. head: it stands in a `<thead>`."""

    start: int
    end: int = 0
    titles: int = 0
    cells: int = 0
    head: bool = False


@dataclass(slots=True)
class _Table:
    rows: list[_Row] = field(default_factory=list)
    end: int = 0


def row_cuts(text: str, start: int, end: int) -> list[tuple[int, str]]:
    """Where the tables in `text[start:end]` may be cut, in order, and the header that is repeated there.

    The header stays with the first row below it. A row of empty cells goes with the next one: it is no passage, and
    thousands of them would make packing slow. What follows a table is cut from it and repeats nothing.
    """
    cuts: list[tuple[int, str]] = []
    said, seen = False, start
    for at, header in _candidates(text, _tables(text, start, end)):
        said = said or _SAYS.search(text, seen, at) is not None
        seen = at
        if said:
            cuts.append((at, header))
            said = False
    if cuts and not _SAYS.search(text, seen, end):
        cuts.pop()
    return cuts


def _candidates(text: str, tables: list[_Table]) -> Iterator[tuple[int, str]]:
    for table in tables:
        if not table.rows:
            continue
        above = _header_rows(table.rows)
        header = _header(text, table.rows, above)
        for row in table.rows[above + 1 :]:
            yield _line_start(text, row.start), header
        if table.end:
            yield table.end, ""


def _tables(text: str, start: int, end: int) -> list[_Table]:
    """The outermost tables; the rows of a table inside a cell are not theirs."""
    tables: list[_Table] = []
    depth, head = 0, False
    for tag in _TAG.finditer(text, start, end):
        closing, name = tag[1] != "", tag[2].lower()
        if name == "table":
            depth += -1 if closing else 1
            if depth < 0:
                return []
            if depth == 0:
                tables[-1].end = tag.end()
            elif depth == 1 and not closing:
                tables.append(_Table())
                head = False
        elif depth == 1 and name in ("thead", "tbody"):
            head = name == "thead" and not closing
        elif depth == 1:
            _take(tables[-1].rows, tag, name, closing, head)
    return tables if depth <= 1 else []  # 1: a blank line ended the block in the middle of the table


def _take(rows: list[_Row], tag: re.Match[str], name: str, closing: bool, head: bool) -> None:
    if name == "tr" and not closing:
        rows.append(_Row(tag.start(), head=head))
    elif not rows:
        return
    elif name == "tr":
        rows[-1].end = tag.end()
    elif not closing and name == "th":
        rows[-1].titles += 1
    elif not closing:
        rows[-1].cells += 1


def _header_rows(rows: list[_Row]) -> int:
    """How many rows at the top are the header: those in `<thead>`, else those of `<th>` only, else the first one, as
    in Markdown. None where the first row is like the others and its `<th>` is the row's own title."""
    first = rows[0]
    if first.head:
        above = next((index for index, row in enumerate(rows) if not row.head), 1)
    elif first.titles and not first.cells:
        above = next((index for index, row in enumerate(rows) if row.cells), 1)
    else:
        above = 0 if 0 < first.titles <= first.cells else 1
    return above


def _header(text: str, rows: list[_Row], above: int) -> str:
    if not 0 < above < len(rows):
        return ""
    start, end = rows[0].start, rows[above - 1].end or rows[above].start
    return text[start:end].rstrip() if end - start <= LONGEST_HEADER else ""


def _line_start(text: str, at: int) -> int:
    """`at`, or where its line begins when only white space stands before it."""
    start = at
    while text[start - 1 : start] in (" ", "\t"):
        start -= 1
    return start if text[start - 1 : start] == "\n" else at
