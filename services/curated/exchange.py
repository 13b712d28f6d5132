"""Curated entries as files: JSON lines or a CSV table, out without loss and in from wherever they were kept before.

Reading is generous: byte order marks, UTF-16 and GB18030, other names for the same field, lists as JSON, as lines or
with `|` between. A row that cannot be read is named with its line and its reason, and the others go on.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from indexer.parsing.encoding import decode
from indexer.parsing.page import ParseError, clean
from router.errors import InvalidInput
from router.types import CuratedEntry

MOST_ROWS = 50_000
FORMATS = ("jsonl", "csv")
COLUMNS = ("id", "question", "answer", "variants", "negatives", "status", "citations")

_NAMES = {
    "id": "id faq_id entry_id qid 编号",
    "question": "question q query standard_question 问题 标准问 标准问题",
    "answer": "answer a response reply 答案 回答 标准答案",
    "variants": "variants similar_questions paraphrases alternatives 相似问 相似问法 相似问题 变体",
    "negatives": "negatives negative_questions near_misses 反例",
    "status": "status state 状态",
    "citations": "citations 引用",
    "source": "source document doc_id path 来源 出处",
    "heading": "heading section 标题 章节",
    "url": "url link 链接",
}
FIELD_OF = {alias: field for field, aliases in _NAMES.items() for alias in aliases.split()}
_LISTS = frozenset({"variants", "negatives"})
_FORMULA = "=+-@\t\r\n＝＋－＠"  # what a spreadsheet may take a cell for a formula by


@dataclass(frozen=True, slots=True)
class Row:
    """line: of the file, from 1; in a JSON array the number of the item. fields: only those that it has, by our names:
    texts, lists of texts (variants, negatives) or a list of objects (citations)."""

    line: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """reason: one sentence that a person can act on."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """left_out: names of fields that the file has and an entry has not."""

    rows: tuple[Row, ...]
    skipped: tuple[SkippedRow, ...]
    left_out: tuple[str, ...]


# Out


def to_jsonl(entries: Iterable[CuratedEntry]) -> str:
    """One object per line; U+2028 and the like are escaped, so that every reader sees the same lines."""
    lines = (json.dumps(asdict(entry), ensure_ascii=False) for entry in entries)
    return "".join(line.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029") + "\n" for line in lines)


def to_csv(entries: Iterable[CuratedEntry]) -> str:
    """With a byte order mark, by which spreadsheets know UTF-8. A cell that a spreadsheet would take for a formula
    begins with an apostrophe, which reading takes away again."""
    file = io.StringIO(newline="")
    file.write("\ufeff")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for entry in entries:
        record = asdict(entry)
        writer.writerow([_guarded(_cell(record[column])) for column in COLUMNS])
    return file.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    return json.dumps(value, ensure_ascii=False) if value else ""


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(tuple(_FORMULA)) or _is_guarded(cell) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if _is_guarded(cell) else cell


def _is_guarded(cell: str) -> bool:
    return cell.startswith("'") and cell[1:].startswith(("'", *_FORMULA))


# In


def format_of(name: str, content: bytes) -> str:
    """By the file's name, else by how its content begins."""
    suffix = name.lower().rpartition(".")[2]
    if suffix in {"csv", "tsv"}:
        return "csv"
    if suffix in {"jsonl", "ndjson", "json"}:
        return "jsonl"
    start = content.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1]
    return "jsonl" if start in {b"{", b"["} else "csv"


def parse(content: bytes, format: str) -> Parsed:
    """Raises `InvalidInput` when the file as a whole cannot be read, is empty, or has too many rows."""
    text = _decoded(content)
    if not text.strip():
        raise InvalidInput("the file is empty")
    found = _csv_records(text) if format == "csv" else _json_records(text)
    rows: list[Row] = []
    skipped: list[SkippedRow] = []
    left_out: dict[str, None] = {}
    for line, record in found:
        if len(rows) + len(skipped) >= MOST_ROWS:
            raise InvalidInput(f"the file has more than {MOST_ROWS} rows; import it in parts")
        try:
            rows.append(Row(line, _fields(record, left_out)))
        except InvalidInput as exc:
            skipped.append(SkippedRow(line, str(exc)))
    if not rows and not skipped:
        raise InvalidInput("the file holds no entry")
    return Parsed(tuple(rows), tuple(skipped), tuple(left_out))


def _decoded(content: bytes) -> str:
    """Clean UTF-8 as it is, so that nothing is lost on the way back in; anything else is found out."""
    if b"\x00" not in content:  # valid in UTF-8, but rather UTF-16 without its mark
        with contextlib.suppress(UnicodeDecodeError):
            return content.decode("utf-8-sig")
    try:
        return decode(content)
    except ParseError as exc:
        raise InvalidInput(str(exc)) from exc


def _json_records(text: str) -> Iterator[tuple[int, Any]]:
    """Lines of JSON, or one JSON array."""
    if text.lstrip().startswith("["):
        yield from enumerate(_json_array(text), 1)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _json_value(line)


def _json_array(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidInput(f"the file is not valid JSON: {exc}") from exc
    return found if isinstance(found, list) else [found]


def _json_value(line: str) -> Any:
    """None for what is not JSON: `_fields` says so."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _csv_records(text: str) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        header = [name.strip() for name in next(reader, [])]
        if "question" not in {_field(name) for name in header}:
            raise InvalidInput(f"the first row must name the columns, `question` among them, not {header[:8]}")
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, _csv_record(header, cells)
            line = reader.line_num + 1
    except csv.Error as exc:
        raise InvalidInput(f"the table cannot be read beyond line {reader.line_num}: {exc}") from exc


def _csv_record(header: Sequence[str], cells: Sequence[str]) -> dict[str, Any] | str:
    """The row, or what is wrong with it."""
    if len(cells) > len(header):
        return f"the row has {len(cells)} cells and the header {len(header)}; is a cell with commas not quoted?"
    return {name: _unguarded(cell) for name, cell in zip(header, cells, strict=False) if name}


def _delimiter(text: str) -> str:
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _fields(record: Any, left_out: dict[str, None]) -> dict[str, Any]:
    """By our names. Raises `InvalidInput` when it is not a row, or a value has the wrong type."""
    if not isinstance(record, dict):
        raise InvalidInput(record if isinstance(record, str) and record else "the line is not a JSON object")
    fields: dict[str, Any] = {}
    for name, value in record.items():
        field = _field(name)
        if field is None:
            left_out.setdefault(clean(name)[:100])
        elif field not in fields and value is not None:  # the first of two names for the same field counts
            read: Callable[[Any, str], Any] = _READ.get(field, _read_text)
            fields[field] = read(value, field)
    return fields


def _field(name: str) -> str | None:
    return FIELD_OF.get(name.strip().lower().replace(" ", "_").replace("-", "_"))


def _read_text(value: Any, field: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidInput(f"`{field}` must be text, not {_shown(value)}")
    return str(value)


def _read_texts(value: Any, field: str) -> list[str]:
    """A list of texts; or one text: a JSON list, or lines, or parts with `|` between."""
    if isinstance(value, str):
        listed = _json_list(value, field)
        value = _split(value) if listed is None else listed
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidInput(f"`{field}` must be a list of texts, not {_shown(value)}")
    return value


def _split(text: str) -> list[str]:
    parts = text.splitlines() if "\n" in text.strip() else text.split("|")
    return [part.strip() for part in parts if part.strip()]


def _json_list(text: str, field: str) -> Any:
    if not text.lstrip().startswith("["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        if field in _LISTS:
            return None  # a question may begin with a bracket
        raise InvalidInput(f"`{field}` is not a JSON list: {exc}") from exc


def _read_objects(value: Any, field: str) -> list[dict[str, Any]]:
    if isinstance(value, str):
        value = _json_list(value, field) if value.strip() else []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidInput(f"`{field}` must be a list of objects, not {_shown(value)}")
    return value


_READ: Mapping[str, Callable[[Any, str], Any]] = {
    "variants": _read_texts,
    "negatives": _read_texts,
    "citations": _read_objects,
}


def _shown(value: Any) -> str:
    return repr(value)[:80]
