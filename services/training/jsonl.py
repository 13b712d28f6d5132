"""Rows on disk: strict JSON lines. A key that nobody knows is an error that names the row: a typo must not train."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from router.errors import InvalidInput
from services.training.records import Context, Example, Made

Row = Mapping[str, Any]

SHAPES: Mapping[str, frozenset[str]] = {
    "chat": frozenset({"messages"}),
    "completion": frozenset({"prompt", "completion"}),
    "context": frozenset({"question", "context", "answer"}),
    "text": frozenset({"text"}),
}
"""The training row formats, by the keys that a row has, no more and no fewer."""

_EXAMPLE_KEYS = frozenset(Example.__slots__) - {"__dict__"}
_CONTEXT_KEYS = frozenset(Context.__slots__) - {"__dict__"}


def write(path: Path, rows: Iterable[Row]) -> int:
    """UTF-8, one object a line, keys in their own order, the same bytes for the same rows. Returns how many."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
            count += 1
    return count


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object). Raises `InvalidInput` naming the line that is not UTF-8 JSON of an object."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
            except ValueError as error:
                raise InvalidInput(f"{path}, line {number}: not JSON in UTF-8 ({error})") from error
            if not isinstance(row, dict):
                raise InvalidInput(f"{path}, line {number}: a row is a JSON object, this is {type(row).__name__}")
            yield number, row


def shape_of(row: Row, where: str) -> str:
    """Raises `InvalidInput` naming the unknown or missing keys."""
    keys = frozenset(row)
    for name, wanted in SHAPES.items():
        if keys == wanted:
            return name
    nearest = min(SHAPES, key=lambda name: len(SHAPES[name] ^ keys))
    unknown, missing = sorted(keys - SHAPES[nearest]), sorted(SHAPES[nearest] - keys)
    said = [f"unknown key {', '.join(unknown)}"] * bool(unknown) + [f"no {', '.join(missing)}"] * bool(missing)
    raise InvalidInput(f"{where}: {'; '.join(said)}; a {nearest} row has exactly {', '.join(sorted(SHAPES[nearest]))}")


def check_rows(path: Path) -> dict[str, int]:
    """Shape → number of rows. Raises `InvalidInput` naming the first row that is none, or mixes text and prompts
    of two formats in one file."""
    counts: dict[str, int] = {}
    for number, row in read(path):
        shape = shape_of(row, f"{path}, line {number}")
        _check_inside(row, f"{path}, line {number}")
        counts[shape] = counts.get(shape, 0) + 1
    supervised = [shape for shape in counts if shape != "text"]
    if len(supervised) > 1:
        raise InvalidInput(f"{path}: rows of {' and '.join(sorted(supervised))} in one file; use one format")
    return counts


def _check_inside(row: Row, where: str) -> None:
    """Texts are texts, and a message has its role and content alone: a typo in one would train on nothing."""
    values = [row[name] for name in row if name != "context"]
    messages = [message for one in values if isinstance(one, list) for message in one]
    for message in messages:
        if not isinstance(message, dict) or message.keys() != {"role", "content"}:
            raise InvalidInput(f"{where}: a message has exactly content, role; this is {str(message)[:80]}")
    texts = [one for one in values if not isinstance(one, list)] + [message["content"] for message in messages]
    if wrong := [one for one in texts if not isinstance(one, str)]:
        raise InvalidInput(f"{where}: a text is needed where {str(wrong[0])[:80]} stands")


def example_row(example: Example) -> dict[str, Any]:
    return asdict(example)


def read_examples(path: Path) -> list[Example]:
    """Raises `InvalidInput` naming the line and the key."""
    return [_example(row, f"{path}, line {number}") for number, row in read(path)]


def _example(row: dict[str, Any], where: str) -> Example:
    _only(row, _EXAMPLE_KEYS, where)
    try:
        shown = row.get("context", ())
        for one in shown:
            _only(one, _CONTEXT_KEYS, where)
        context = tuple(Context(**one) for one in shown)
        lists = {name: tuple(row.get(name, ())) for name in ("differences", "rejected")}
        return Example(**{**row, **lists, "context": context, "made": Made(row["made"])})
    except (TypeError, KeyError, ValueError) as error:
        raise InvalidInput(f"{where}: not a row of a dataset ({error})") from error


def _only(row: Mapping[str, Any], allowed: frozenset[str], where: str) -> None:
    if unknown := sorted(set(row) - allowed):
        raise InvalidInput(f"{where}: unknown key {', '.join(unknown)}")
