"""Readings of all passages of an index version, made once, after the version was built.

A question that meets passages nobody asked about before decodes eight readings (16 microseconds each) and does not read
eight passages (270 microseconds each). It is a cache: a version without the file, or with one that other rules made, is
answered from all the same, only slower.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import marshal
import os
import shutil
import sqlite3
from pathlib import Path

from indexer import analysis
from indexer.content import Content
from router import script, units
from router.ports import Progress
from router.types import UnitKind
from services.generation import reading
from services.generation.reading import Piece, Reading

log = logging.getLogger(__name__)

NAME = "readings.db"
_EACH = 500  # passages at once
_KINDS = {kind.value: kind for kind in UnitKind}


def _rules() -> str:
    """Names everything that a reading depends on: the source of the reader itself, so that nobody has to remember."""
    sources = (Path(module.__file__ or "").read_bytes() for module in (reading, units, script))
    own = Path(__file__).read_bytes()
    return hashlib.sha256(b"\0".join((*sources, own, analysis.FINGERPRINT.encode()))).hexdigest()


RULES = f"{marshal.version}-{_rules()[:32]}"


class Readings:
    """Reads one file. Give `get` to `reading.keep`."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True, check_same_thread=False)

    @classmethod
    def open(cls, folder: Path) -> Readings | None:
        """folder: of an index version. None where there is no file that the present rules made."""
        return cls(folder / NAME) if _fits(folder / NAME) else None

    def get(self, passage: str) -> Reading | None:
        """passage: its id, which names its content. None for one that is not here, or in a damaged file."""
        blob = self.raw(passage)
        try:
            return None if blob is None else decode(blob)
        except (ValueError, EOFError, TypeError):  # what `marshal` says of bytes that are not its own
            return None

    def raw(self, passage: str) -> bytes | None:
        try:
            row = self._connection.execute("SELECT reading FROM readings WHERE id = ?", (passage,)).fetchone()
        except sqlite3.Error:
            return None
        return row[0] if row else None

    def close(self) -> None:
        self._connection.close()


def write(folder: Path, parent: Path | None, progress: Progress) -> None:
    """Make the file of the version in `folder`, unless it is there: that of the version in `parent`, where it fits,
    with what is new and without what is gone."""
    if _fits(folder / NAME):
        return
    temporary = folder / f".{NAME}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    content = Content(folder / "content.db")
    try:
        if not (parent and _fits(parent / NAME) and _taken_over(parent / NAME, temporary, content, progress)):
            _fill(temporary, content, progress)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # SQLite flushes what it wrote, and not what was copied
        temporary.replace(folder / NAME)  # a reader sees all of it or none
    finally:
        content.close()
        temporary.unlink(missing_ok=True)


def _taken_over(known: Path, temporary: Path, content: Content, progress: Progress) -> bool:
    """False where the file is damaged, or gone by now: it is a cache, and is made anew then."""
    try:
        shutil.copyfile(known, temporary)
        _fill(temporary, content, progress)
    except (OSError, sqlite3.Error) as error:
        log.warning("%s cannot be taken over, so all passages are read again: %s", known, error)
        temporary.unlink(missing_ok=True)
        return False
    return True


def _fill(path: Path, content: Content, progress: Progress) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        _mend(connection, content, progress)


def _mend(connection: sqlite3.Connection, content: Content, progress: Progress) -> None:
    if not connection.execute("SELECT name FROM sqlite_master").fetchone():
        connection.execute("CREATE TABLE rules (name TEXT)")
        connection.execute("CREATE TABLE readings (id TEXT, reading BLOB)")  # filled in order: its pages are full
        connection.execute("INSERT INTO rules VALUES (?)", (RULES,))
    held = {row[0] for row in connection.execute("SELECT id FROM readings")}
    wanted = content.ids()
    connection.executemany("DELETE FROM readings WHERE id = ?", ((one,) for one in held.difference(wanted)))
    missing = [one for one in wanted if one not in held]
    for done in range(0, len(missing), _EACH):
        some = missing[done : done + _EACH]
        passages = content.by_id(some)
        rows = ((one, encode(reading.read_anew(passages[one]))) for one in some)
        connection.executemany("INSERT INTO readings VALUES (?, ?)", rows)
        progress("quotes", done + len(some), len(missing))
    connection.execute("CREATE INDEX IF NOT EXISTS by_id ON readings (id)")


def encode(found: Reading) -> bytes:
    """With the interpreter's own fast format; `RULES` names its version."""
    pieces = tuple((piece.kind.value, *piece[1:]) for piece in found.pieces)
    return marshal.dumps((pieces, found.title, found.words))


def decode(blob: bytes) -> Reading:
    pieces, title, words = marshal.loads(blob)
    return Reading(tuple([Piece(_KINDS[piece[0]], *piece[1:]) for piece in pieces]), title, words)


def _fits(path: Path) -> bool:
    """Whether the file is there, whole, and made by the present rules."""
    if not path.is_file():
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            return bool(connection.execute("SELECT name FROM rules").fetchone() == (RULES,))
    except sqlite3.Error:
        return False
