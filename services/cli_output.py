"""How the command line speaks: results to stdout, everything else to stderr, JSON for scripts, no traceback."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

STYLES = {
    "curated": "bold green",
    "grounded": "green",
    "abstained": "yellow",
    "handoff": "yellow",
    "ok": "green",
    "info": "cyan",
    "warning": "yellow",
    "missing": "bold red",
    "done": "green",
    "failed": "red",
    "interrupted": "yellow",
    "running": "cyan",
}


def by_place(citations: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """(source, heading) → "[1] [3]": the citations of one place in one line, in the order of the first of each."""
    marks: dict[tuple[str, str], str] = {}
    for number, one in enumerate(citations, 1):
        place = one["source"], one["heading"]
        marks[place] = f"{marks[place]} [{number}]" if place in marks else f"[{number}]"
    return marks


def plain(text: object, style: str = "") -> Text:
    """Text from outside: shown as it is, never obeyed as markup or as a terminal's escape sequence."""
    return Text(_UNPRINTABLE.sub(" ", str(text)), style=style)


def state(word: str) -> Text:
    return plain(word, STYLES.get(word, ""))


def when(moment: str | None) -> str:
    """A moment of the store, to the second."""
    return moment[:19].replace("T", " ") if moment else ""


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def say(text: str) -> None:
    err.print(plain(text))


def complain(text: str) -> None:
    err.print(Text("error: ", style="bold red").append_text(plain(text)))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    grid = Table(title=title or None, title_justify="left", header_style="bold", show_header=any(columns))
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    out.print(grid)


class Bars:
    """A `router.ports.Progress` that draws one bar per stage. stop: so that somebody can be asked; what comes after is
    not drawn any more."""

    def __init__(self, drawn: Progress) -> None:
        self._drawn = drawn
        self._stages: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._stages:
            self._stages[stage] = self._drawn.add_task(stage)
        self._drawn.update(self._stages[stage], completed=done, total=total or None)

    def stop(self) -> None:
        self._drawn.stop()


@contextlib.contextmanager
def progress_bar(shown: bool = True) -> Iterator[Bars]:
    """On stderr, when that is a terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=not (shown and err.is_terminal)) as drawn:
        yield Bars(drawn)


def print_report(report: Mapping[str, Any], title: str = "") -> None:
    """Any JSON report: its plain values as one table, then each group of values under its name."""
    lists = {name: value for name, value in report.items() if _is_rows(value)}
    flat = {name: value for name, value in report.items() if name not in lists and not isinstance(value, Mapping)}
    if flat:
        table(title, ("", ""), [(name, _cell(value)) for name, value in flat.items()])
    for name, value in report.items():
        if isinstance(value, Mapping):
            _print_group(f"{title} / {name}" if title else name, value)
    for name, rows in lists.items():
        table(f"{title} / {name}", list(rows[0]), [[_cell(cell) for cell in row.values()] for row in rows])


def _is_rows(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _print_group(title: str, group: Mapping[str, Any]) -> None:
    rows = [value for value in group.values() if isinstance(value, Mapping)]
    same = bool(rows) and len(rows) == len(group) and all(row.keys() == rows[0].keys() for row in rows)
    if not same or any(isinstance(cell, Mapping) for row in rows for cell in row.values()):
        return print_report(group, title)
    cells = [(name, *(_cell(value) for value in row.values())) for name, row in group.items()]
    return table(title, ("", *rows[0].keys()), cells)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return "" if value is None else str(value)
