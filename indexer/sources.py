"""From a source (folder, git repository or git URL) to its files, and from a file to a Document.

    source = parse_source("manual=https://example.org/manual.git#main")
    found = scan(open_source(source, cache), Limits())
    documents = [load(entry) for entry in found.entries]      # each may raise ParseError

Scanning reads and hashes files but parses nothing, so that an index with nothing to do is done at once.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from indexer import git
from indexer.parsing import format_of
from indexer.parsing.includes import LARGEST_INCLUDE, find, mentioned
from indexer.parsing.page import Context, ParseError
from router.errors import InvalidInput
from router.types import Document, Skipped

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_IGNORED_FOLDERS = frozenset({"node_modules", "__pycache__"})
_ADVICE = {
    ".doc": "old Word format; save it as .docx",
    ".rtf": "rich text; save it as .docx or .md",
    ".epub": "e-book; convert it to HTML or Markdown",
}
_BOILERPLATE_SAMPLE = 200  # pages looked at; enough to see what stands on most of them
_BOILERPLATE_MIN_PAGES = 5  # fewer pages say nothing about repetition


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for one source. Sizes in bytes."""

    max_file_bytes: int = 10 * 1024 * 1024
    max_files: int = 100_000
    max_depth: int = 40


@dataclass(frozen=True, slots=True)
class Source:
    """A named place that documents come from. location: a folder or a git URL; branch: for git URLs only."""

    name: str
    location: str
    branch: str | None = None

    @property
    def is_remote(self) -> bool:
        return git.is_url(self.location) or self.location.rstrip("/").endswith(".git")

    def located(self) -> Source:
        """The same place for who reads it again elsewhere: a folder is named from the root. Links in its name stay,
        because what they lead to may be changed, except before a "..", which goes on from where they lead."""
        if git.is_url(self.location):
            return self
        path = Path(self.location).expanduser().absolute()
        if ".." in path.parts:
            after = len(path.parts) - path.parts[::-1].index("..")
            path = Path(*path.parts[:after]).resolve().joinpath(*path.parts[after:])
        return replace(self, location=str(path))


@dataclass(frozen=True, slots=True)
class OpenSource:
    """A source whose files are on disk. commit: the git commit checked out, or None for a plain folder.
    held: path below root → blob id of what that commit holds; None for a clone of our own: it holds all."""

    source: Source
    root: Path
    commit: str | None = None
    held: Mapping[str, str] | None = None


@dataclass(frozen=True)
class FileEntry:
    """One candidate file. path: inside the source, forward slashes. size: bytes. Bytes are read when asked for."""

    path: str
    size: int
    folder: Folder = field(repr=False, compare=False)

    @property
    def document_path(self) -> str:
        return f"{self.folder.opened.source.name}/{self.path}"

    def read(self) -> bytes:
        """Raises ParseError when the file cannot be read any more."""
        data = self.folder.read(self.path)
        if data is None:
            raise ParseError("the file cannot be read (removed, no permission, or a link out of the source)")
        return data

    @cached_property
    def content_hash(self) -> str:
        """sha256 hex of the bytes, and of the files that the page includes. Raises ParseError as `read` does."""
        data = self.read()
        own = hashlib.sha256(data)
        for path in mentioned(data):
            included = find(self.path, path, self.folder.read_include)
            own.update(b"\0include\0" + path.encode() + b"\0" + hashlib.sha256(included or b"").digest())
        return own.hexdigest()

    @property
    def revision(self) -> str:
        """The commit when it holds this very file, else "sha256:<12 hex digits>"."""
        commit = self.folder.opened.commit
        if commit and self.folder.is_committed(self.path):
            return commit
        return f"sha256:{self.content_hash[:12]}"


@dataclass(frozen=True, slots=True)
class Scan:
    """What a source holds. skipped: files that cannot be documents; those of one kind are one line."""

    entries: tuple[FileEntry, ...]
    skipped: tuple[Skipped, ...]


class Folder:
    """Reads files below one root and nothing outside it; remembers what its pages have in common."""

    def __init__(self, opened: OpenSource, limits: Limits) -> None:
        self.opened = opened
        self.limits = limits
        self.html_paths: tuple[str, ...] = ()
        self._root = os.path.realpath(opened.root)

    def confined(self, path: str) -> str | None:
        """The real path of a file of this source; None when it lies outside (by links or "..")."""
        real = os.path.realpath(os.path.join(self._root, path))  # noqa: PTH118 - 10 times faster than pathlib
        return real if real.startswith(self._root.rstrip(os.sep) + os.sep) else None

    def read(self, path: str) -> bytes | None:
        real = self.confined(path)
        return _read_bounded(real, self.limits.max_file_bytes) if real else None

    def is_committed(self, path: str) -> bool:
        """Whether the commit holds the file as it is: not where it was edited, nor where git ignores it."""
        held = self.opened.held
        if held is None:
            return True
        real = self.confined(path)  # a link says what the page says that it leads to
        blob_id = held.get(os.path.relpath(real, self._root)) if real else None
        return blob_id is not None and git.is_blob(self.read(path) or b"", blob_id)

    def read_include(self, path: str) -> bytes | None:
        real = self.confined(path)
        return _read_bounded(real, LARGEST_INCLUDE) if real else None

    @cached_property
    def boilerplate(self) -> frozenset[str]:
        """Blocks that stand on more than half of the source's HTML pages (navigation, footers).

        Counted over an even sample of the pages there are now. A page indexed earlier keeps its text until
        it changes, so a new site footer does not reindex every page.
        """
        from indexer.parsing.html import blocks_of  # lxml is needed only where there are HTML pages

        pages = self.html_paths[:: max(1, -(-len(self.html_paths) // _BOILERPLATE_SAMPLE))]
        counts: Counter[str] = Counter()
        for path in pages:
            try:
                counts.update(set(blocks_of(self.read(path) or b"")))
            except ParseError:
                continue  # `load` reports it when its turn comes
        if len(pages) < _BOILERPLATE_MIN_PAGES:
            return frozenset()
        return frozenset(block for block, count in counts.items() if count > len(pages) / 2)

    @cached_property
    def commit_dates(self) -> dict[str, str]:
        return git.commit_dates(self.opened.root) if self.opened.held else {}


def parse_source(text: str) -> Source:
    """Read "NAME=PATH_OR_GIT_URL", optionally with "#branch" after a git URL. Raises InvalidInput."""
    name, equals, location = text.partition("=")
    name, location = name.strip(), location.strip()
    if not equals or not name or not location:
        raise InvalidInput(f"source {text!r}: write it as NAME=PATH_OR_GIT_URL, for example manual=./docs")
    if not _NAME.fullmatch(name) or name.strip(".") == "":
        raise InvalidInput(f"source name {name!r}: use letters, digits, '.', '_' and '-' only (at most 100)")
    if "\0" in location or location.startswith("-"):
        raise InvalidInput(f"source {name!r}: {location!r} is not a path or a git URL")
    branch = None
    if git.is_url(location):
        location, _, branch_text = location.partition("#")
        branch = branch_text or None
        git.check_branch(branch)
    elif "://" in location or re.match(r"[A-Za-z0-9]+::", location):
        raise InvalidInput(f"source {name!r}: {location!r}: git URLs start with https://, ssh://, git@ or file://")
    return Source(name, location, branch)


def open_source(source: Source, cache: Path) -> OpenSource:
    """Bring the source's files to disk: git URLs are cloned or updated below `cache`.

    Raises InvalidInput when there is no such folder or git cannot fetch it (the message holds git's reason).
    """
    if source.is_remote:
        root = git.checkout(source.location, source.branch, cache)
        return OpenSource(source, root, git.head(root))
    root = Path(source.location).expanduser().resolve()
    if not root.is_dir():
        raise InvalidInput(f"source {source.name!r}: there is no folder {root}")
    if not git.is_inside(root):
        return OpenSource(source, root)
    commit = git.head(root)
    return OpenSource(source, root, commit, git.held_files(root, commit) if commit else None)


def scan(opened: OpenSource, limits: Limits = Limits()) -> Scan:
    """List the source's documents, sorted by path. Parses nothing."""
    folder = Folder(opened, limits)
    entries: list[FileEntry] = []
    skipped: list[Skipped] = []
    others: Counter[str] = Counter()
    name = opened.source.name
    for path, size, problem in _walk(folder):
        if problem:
            skipped.append(Skipped(f"{name}/{path}", problem))
        elif format_of(path) is None:
            others[PurePosixPath(path).suffix.lower()] += 1
        elif size > limits.max_file_bytes:
            skipped.append(
                Skipped(f"{name}/{path}", f"too large: {size:,} bytes, the limit is {limits.max_file_bytes:,}")
            )
        elif len(entries) >= limits.max_files:
            skipped.append(
                Skipped(f"{name}/{path}", f"too many files: this and what follows; the limit is {limits.max_files:,}")
            )
            break
        else:
            entries.append(FileEntry(path, size, folder))
    entries.sort(key=lambda entry: entry.path)
    folder.html_paths = tuple(entry.path for entry in entries if format_of(entry.path) == "html")
    return Scan(tuple(entries), (*skipped, *_other_files(name, others)))


def load(entry: FileEntry) -> Document:
    """Parse one file. Raises ParseError; `skip(entry, error)` makes the line for the report."""
    from indexer import language, parsing

    folder = entry.folder
    content_hash = entry.content_hash  # before the text: if the file changes in between, the next scan sees it
    context = Context(read=folder.read_include, boilerplate=lambda: folder.boilerplate)
    page = parsing.parse(entry.path, entry.read(), context)
    return Document(
        path=entry.document_path,
        source=folder.opened.source.name,
        title=page.title,
        language=language.detect(page.text),
        text=page.text,
        revision=entry.revision,
        content_hash=content_hash,
        modified=page.modified or folder.commit_dates.get(entry.path),
    )


def skip(entry: FileEntry, error: ParseError) -> Skipped:
    return Skipped(entry.document_path, str(error))


def is_left_out(name: str) -> bool:
    """Whether files and folders of this name are hidden or vendored, and never read."""
    return name.startswith(".") or name in _IGNORED_FOLDERS


def _walk(folder: Folder) -> Iterator[tuple[str, int, str]]:
    """(path, size, problem) of every regular file; hidden and vendored folders are left out."""
    stack = [("", 0)]
    while stack:
        prefix, depth = stack.pop()
        place = os.path.join(folder.opened.root, prefix)  # noqa: PTH118
        try:
            with os.scandir(place) as listing:
                children = sorted(listing, key=lambda child: child.name)
        except OSError as error:
            yield prefix or ".", 0, f"the folder cannot be read: {error.strerror}"
            continue
        for child in children:
            path = prefix + child.name
            if is_left_out(child.name):
                continue
            if child.is_dir(follow_symlinks=False):
                if depth >= folder.limits.max_depth:
                    yield path, 0, f"folders are nested deeper than {folder.limits.max_depth}"
                else:
                    stack.append((path + "/", depth + 1))
            else:
                yield from _file(folder, path, child)


def _file(folder: Folder, path: str, child: os.DirEntry[str]) -> Iterator[tuple[str, int, str]]:
    try:
        path.encode()
        if child.is_symlink() and (child.is_dir() or not folder.confined(path)):
            # A linked folder would give the same pages twice, or lead in circles.
            yield path, 0, "a link to a folder, or out of the source, is not followed"
        elif child.is_file():
            yield path, child.stat().st_size, ""
        elif child.is_symlink():
            yield path, 0, "a link that leads nowhere"
    except UnicodeEncodeError:
        yield path.encode(errors="backslashreplace").decode(), 0, "the file name is not valid UTF-8"
    except OSError as error:
        yield path, 0, f"the file cannot be read: {error.strerror}"


def _other_files(name: str, others: Counter[str]) -> Iterator[Skipped]:
    for suffix, count in sorted(others.items()):
        reason = _ADVICE.get(suffix, f"not a document format: {suffix or 'no file extension'}")
        yield Skipped(f"{name}/**/*{suffix}", f"{reason} ({count} file{'s' if count > 1 else ''})")


def _read_bounded(path: str, limit: int) -> bytes | None:
    """The file's bytes; None when it is not a regular file, cannot be read or is larger than the limit."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe must not block us
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            data = file.read(limit + 1)
    except OSError:
        return None
    return data if data is not None and len(data) <= limit else None
