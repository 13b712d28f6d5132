"""The built-in source "uploads": documents that came over HTTP, as files in `<home>/uploads`.

Everything a name could do to leave that folder is refused here, and a document is on disk for good, whole, when
`save` returns. Files enter the index at the next reindex.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from indexer.durable import flush
from indexer.parsing import format_of
from indexer.sources import is_left_out
from router.errors import InvalidInput, NotFound, Unavailable

MOST_PARTS = 12
LONGEST_PART = 200  # bytes; file systems take 255 and the temporary name needs some


@dataclass(frozen=True, slots=True)
class Upload:
    """path: as the index will name it, "uploads/<path>". size in bytes."""

    path: str
    size: int
    modified: str


class Uploads:
    """The folder. Calls block on the disk; the server makes them on a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list(self) -> list[Upload]:
        return sorted(self._all(), key=lambda upload: upload.path)

    def save(self, name: str, content: bytes) -> tuple[Upload, bool]:
        """The document and whether it is new.

        Raises `InvalidInput` for a name that is not safe, `Unavailable` for a full disk.
        """
        target = self._target(name)
        for part in target.relative_to(self.folder).parts:
            if is_left_out(part):  # not in `safe_name`: what was taken before can still be deleted
                raise InvalidInput(f"{name!r} cannot be a document's path: what is in {part!r} is not indexed.")
        new = not target.exists()
        if target.is_dir():
            raise InvalidInput(f"{name!r} is a folder here; choose another name.")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as exc:
            raise InvalidInput(f"A part of {name!r} is a document already, not a folder.") from exc
        self._confine(target.parent, name)
        try:
            _write_durably(target, content)
        except OSError as exc:
            raise Unavailable(f"{name!r} could not be written: {exc.strerror}. What was there is untouched.") from exc
        return self._describe(target), new

    def delete(self, name: str) -> None:
        """Raises `NotFound`."""
        target = self._target(name)
        self._confine(target.parent, name)
        try:
            target.unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as exc:
            raise NotFound(f"There is no uploaded document {name!r}.") from exc
        flush(target.parent)

    def _all(self) -> Iterator[Upload]:
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                yield self._describe(path)

    def _describe(self, path: Path) -> Upload:
        stat = path.stat()
        modified = datetime.fromtimestamp(stat.st_mtime, UTC).isoformat(timespec="seconds")
        return Upload(f"uploads/{path.relative_to(self.folder).as_posix()}", stat.st_size, modified)

    def _target(self, name: str) -> Path:
        return self.folder / safe_name(name.removeprefix("uploads/"))

    def _confine(self, parent: Path, name: str) -> None:
        """A link inside the folder must not lead out of it."""
        if not parent.resolve().is_relative_to(self.folder.resolve()):
            raise InvalidInput(f"{name!r} leads out of the uploads folder.")


def safe_name(name: str) -> PurePosixPath:
    """The name, normalised (NFC). Raises `InvalidInput` with the reason when it is not safe on every file system."""
    parts = unicodedata.normalize("NFC", name).split("/")
    if len(parts) > MOST_PARTS:
        raise InvalidInput(f"A document's path may have at most {MOST_PARTS} parts.")
    for part in parts:
        if reason := _objection(part):
            raise InvalidInput(f"{name[:200]!r} cannot be a document's path: {reason}.")
    path = PurePosixPath(*parts)
    if format_of(str(path)) is None:
        raise InvalidInput(f"{name[:200]!r} has no file extension of a document format.")
    return path


def _objection(part: str) -> str | None:
    if not part:
        return "a part of it is empty"
    if part.startswith(".") or part.endswith((".", " ")) or part.startswith(" "):
        return f"{part!r} starts or ends with a dot or a space"
    if any(char in '\\:*?"<>|' or unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in part):
        return f"{part!r} holds a character that file names cannot have"
    if len(part.encode()) > LONGEST_PART:
        return f"a part of it is longer than {LONGEST_PART} bytes"
    return None


def _write_durably(target: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=".upload-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    flush(target.parent)
