"""What one index version says in words: its documents and passages, in one read-only SQLite file.

A passage's row number is also its row in the version's arrays. Written once, by the build; thousands of passages are
read in milliseconds, and a running server keeps none of the text in memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.types import Document, Location, Passage, Skipped

_SCHEMA = """
CREATE TABLE documents (
    path TEXT PRIMARY KEY, source TEXT, title TEXT, language TEXT, revision TEXT, content_hash TEXT, modified TEXT,
    aliases TEXT, same_as TEXT, signature BLOB, text TEXT);
CREATE TABLE passages (
    row INTEGER PRIMARY KEY, id TEXT UNIQUE, document TEXT, heading TEXT, start INTEGER, end INTEGER, text TEXT,
    language TEXT, preamble TEXT, also_at TEXT);
CREATE INDEX passages_of_document ON passages (document);
CREATE TABLE skipped (path TEXT, reason TEXT, content_hash TEXT);
"""
# The text stands last: SQLite reads a row from its start, and what is behind a long text costs the whole of it.
_DOCUMENT = "path, source, title, language, revision, content_hash, modified, aliases, text"
_AT_ONCE = 500  # ids in one statement: SQLite bounds the number of parameters
_PASSAGE = "id, document, heading, start, end, text, language, preamble, also_at"

Facts = dict[str, tuple[str, str | None, tuple[str, ...]]]
"""Path → revision, modification date and aliases: what a citation says about its document."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A document with what an incremental build needs to know again.

    signature: see `indexer.duplicates`; same_as: path of the nearly identical page that is searched instead.
    """

    document: Document
    signature: bytes
    same_as: str | None


class Content:
    """Reads a content file. One connection, usable from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True, check_same_thread=False)

    def close(self) -> None:
        self._connection.close()

    def passages(self, rows: Sequence[int]) -> list[Passage]:
        """In the order asked for. Raises KeyError for a row that is not there."""
        marks = ",".join("?" * len(rows))
        found = self._connection.execute(f"SELECT row, {_PASSAGE} FROM passages WHERE row IN ({marks})", list(rows))
        by_row = {row[0]: _passage(row[1:]) for row in found}
        return [by_row[row] for row in rows]

    def all_passages(self) -> Iterator[Passage]:
        """In row order."""
        yield from map(_passage, self._connection.execute(f"SELECT {_PASSAGE} FROM passages ORDER BY row"))

    def ids(self) -> list[str]:
        """Of all passages, in row order."""
        return [str(row[0]) for row in self._connection.execute("SELECT id FROM passages ORDER BY row")]

    def places(self) -> list[tuple[str, str]]:
        """Document and language of each passage, in row order, without reading any text."""
        rows = self._connection.execute("SELECT document, language FROM passages ORDER BY row")
        return [(document, language) for document, language in rows]

    def headings(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Document and headings of each passage, in row order, without reading any text."""
        for document, heading in self._connection.execute("SELECT document, heading FROM passages ORDER BY row"):
            yield document, tuple(json.loads(heading))

    def known(self, ids: Iterable[str]) -> set[str]:
        """Those of these passage ids that this version holds."""
        return {str(row[0]) for row in self._chosen("id", ids)}

    def by_id(self, ids: Iterable[str]) -> dict[str, Passage]:
        """Those that this version holds."""
        return {str(row[0]): _passage(row) for row in self._chosen(_PASSAGE, ids)}

    def of_document(self, path: str) -> list[Passage]:
        """In the order in which they stand; [] for a document that is not there."""
        query = f"SELECT {_PASSAGE} FROM passages WHERE document = ? ORDER BY start"
        return [_passage(row) for row in self._connection.execute(query, (path,))]

    def beside(self, passage: Passage) -> tuple[Passage | None, Passage | None]:
        """The passages right before and right after one in its document; None where there is none."""
        own = self._connection.execute("SELECT row FROM passages WHERE id = ?", (passage.id,)).fetchone()
        row = int(own[0]) if own else -2
        query = f"SELECT row, {_PASSAGE} FROM passages WHERE row IN (?, ?)"
        found = {one[0]: _passage(one[1:]) for one in self._connection.execute(query, (row - 1, row + 1))}
        before, after = (found.get(at) for at in (row - 1, row + 1))
        return (
            before if before and before.document == passage.document and before.start < passage.start else None,
            after if after and after.document == passage.document and after.start > passage.start else None,
        )

    def _chosen(self, columns: str, ids: Iterable[str]) -> Iterator[Sequence[object]]:
        wanted = list(ids)
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            yield from self._connection.execute(f"SELECT {columns} FROM passages WHERE id IN ({marks})", some)

    def document(self, path: str) -> Document | None:
        row = self._connection.execute(f"SELECT {_DOCUMENT} FROM documents WHERE path = ?", (path,)).fetchone()
        return _document(row) if row else None

    def stored(self) -> Iterator[Stored]:
        rows = self._connection.execute(f"SELECT {_DOCUMENT}, signature, same_as FROM documents ORDER BY path")
        for row in rows:
            yield Stored(_document(row[:-2]), row[-2], row[-1])

    def hashes(self) -> dict[str, tuple[str, str]]:
        """Path → content hash and revision, without reading any text."""
        rows = self._connection.execute("SELECT path, content_hash, revision FROM documents")
        return {path: (content_hash, revision) for path, content_hash, revision in rows}

    def facts(self) -> Facts:
        """Of all documents: some hundred bytes each, so that an answer need not go to the disk for them."""
        rows = self._connection.execute("SELECT path, revision, modified, aliases FROM documents")
        return {row[0]: (row[1], row[2], tuple(json.loads(row[3]))) for row in rows}

    def skipped(self) -> list[Skipped]:
        return [Skipped(*row) for row in self._connection.execute("SELECT path, reason FROM skipped ORDER BY path")]

    def unreadable(self) -> dict[str, str]:
        """Path → content hash of the files that are documents by name and could not be parsed."""
        rows = self._connection.execute("SELECT path, content_hash FROM skipped WHERE content_hash IS NOT NULL")
        return dict(rows.fetchall())


def write(
    path: Path, documents: Iterable[Stored], passages: Iterable[Passage], skipped: Iterable[tuple[Skipped, str | None]]
) -> None:
    """Writes a new content file; passages get rows 0, 1, 2, … in the order given. skipped: with the content hash of
    what could not be parsed."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")  # the build flushes the whole folder before it is used
        connection.executescript(_SCHEMA)
        connection.executemany(
            f"INSERT INTO documents ({_DOCUMENT}, signature, same_as) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            ((*_document_row(item.document), item.signature, item.same_as) for item in documents),
        )
        connection.executemany(
            "INSERT INTO passages VALUES (?,?,?,?,?,?,?,?,?,?)",
            ((row, *_passage_row(passage)) for row, passage in enumerate(passages)),
        )
        connection.executemany(
            "INSERT INTO skipped VALUES (?,?,?)", ((item.path, item.reason, known) for item, known in skipped)
        )
    connection.close()


def _document_row(document: Document) -> tuple[object, ...]:
    return (
        document.path,
        document.source,
        document.title,
        document.language,
        document.revision,
        document.content_hash,
        document.modified,
        json.dumps(document.aliases, ensure_ascii=False),
        document.text,
    )


def _document(row: Sequence[object]) -> Document:
    path, source, title, language, revision, content_hash, modified, aliases, text = row
    return Document(
        str(path), str(source), str(title), str(language), str(text), str(revision), str(content_hash),
        None if modified is None else str(modified), tuple(json.loads(str(aliases))),
    )  # fmt: skip


def _passage_row(passage: Passage) -> tuple[object, ...]:
    also_at = [[place.path, place.start, place.end] for place in passage.also_at]
    return (
        passage.id,
        passage.document,
        json.dumps(passage.heading, ensure_ascii=False),
        passage.start,
        passage.end,
        passage.text,
        passage.language,
        passage.preamble,
        json.dumps(also_at, ensure_ascii=False) if also_at else "",
    )


def _passage(row: Sequence[Any]) -> Passage:
    identity, document, heading, start, end, text, language, preamble, also_at = row
    places = tuple(Location(*place) for place in json.loads(also_at)) if also_at else ()
    return Passage(identity, document, tuple(json.loads(heading)), start, end, text, language, preamble, places)
