"""What to write next: questions that the documents did not answer, as a report to take away."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from services.review.desk import Desk
from services.store.records import QueuedItem
from services.store.review_records import ItemFilter

MEDIA = {"csv": "text/csv; charset=utf-8", "md": "text/markdown; charset=utf-8"}
MOST = 10_000
_PAGE = 1_000
_COLUMNS = ("asked", "question", "language", "cause", "first_asked", "last_asked", "id")


async def everything(desk: Desk) -> list[QueuedItem]:
    """Open gaps, what most people ask first; at most `MOST`."""
    found: list[QueuedItem] = []
    for offset in range(0, MOST, _PAGE):
        page = await desk.items(ItemFilter(gaps=True, order="asks", limit=_PAGE, offset=offset))
        found += page.items
        if len(found) >= page.total:
            break
    return found


def as_csv(found: Sequence[QueuedItem]) -> str:
    """With a byte order mark, so that spreadsheets read Chinese."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for one in found:
        item = one.item
        row = (one.asks, item.question, item.language, item.cause, item.created, one.updated, item.id)
        writer.writerow([_harmless(cell) for cell in row])
    return "\ufeff" + text.getvalue()


def _harmless(cell: object) -> object:
    """Spreadsheets take text that begins like this for a formula, and anybody may ask anything."""
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip().startswith(("=", "+", "-", "@")) else cell


def as_markdown(found: Sequence[QueuedItem]) -> str:
    lines = ["# What to write next", "", f"{len(found)} questions without an answer in the documents.", ""]
    lines += ["| Asked | Question | Last asked | Item |", "|---:|---|---|---|"]
    for one in found:
        lines.append(f"| {one.asks} | {_cell(one.item.question)} | {one.updated[:10]} | {one.item.id} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Words only: what could be a table, a link or HTML is escaped."""
    flat = " ".join(text.split())
    return "".join(f"\\{char}" if char in "\\`*_[]<>|#!" else char for char in flat)
