"""What a page says about itself in the block before its text (YAML between "---" lines)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

_LARGEST = 64 * 1024
_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ](\d{1,2}:\d{2}(?::\d{2})?))?")
_DATE_KEYS = ("lastmod", "last_modified", "last_update", "updated", "modified", "date")


@dataclass(frozen=True, slots=True)
class FrontMatter:
    title: str = ""
    modified: str | None = None


def read(text: str) -> FrontMatter:
    """Title and date; an absent or broken block gives an empty record, the text is never lost."""
    block = _block(text)
    if not block:
        return FrontMatter()
    try:
        values = yaml.load(block, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        return FrontMatter()
    if not isinstance(values, dict):
        return FrontMatter()
    return FrontMatter(_title(values), _modified(values))


def _block(text: str) -> str:
    if not text.startswith("---\n"):
        return ""
    end = text.find("\n---", 3, _LARGEST)
    return text[4:end] if end > 0 else ""


def _title(values: dict[object, object]) -> str:
    title = values.get("title")
    return title.strip() if isinstance(title, str) else ""


def _modified(values: dict[object, object]) -> str | None:
    for key in _DATE_KEYS:
        value = values.get(key)
        if isinstance(value, str) and (found := _DATE.search(value)):
            year, month, day = (int(found[part]) for part in (1, 2, 3))
            if 1 <= month <= 12 and 1 <= day <= 31:
                return f"{year:04}-{month:02}-{day:02}" + (f"T{found[4]}" if found[4] else "")
    return None
