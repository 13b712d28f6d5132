"""Files that a page pulls in: which ones, where they are, and their lines in place of the directive.

Understood are MkDocs ("{* path ln[1:9] *}", "{!> path !}"), VuePress ("<<< @/path{3-5}"), comment includes
("<!-- @include: path -->"), AsciiDoc ("include::path[]") and reStructuredText ("literalinclude", "include").
One level only: an included file's own directives stay as they are.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from indexer.parsing.encoding import decode
from indexer.parsing.page import ParseError

Read = Callable[[str], bytes | None]

MOST_INCLUDES = 200
LARGEST_INCLUDE = 1024 * 1024
_HINTS = (b"{*", b"{!", b"<<<", b"include")
_DIRECTIVES = (
    re.compile(r"[ \t]*\{\*[ \t]*(?P<path>[^\s*{}]+)(?P<rest>[^*{}]*)\*\}[ \t]*"),
    re.compile(r"[ \t]*\{![ \t]*(?P<code>>)?[ \t]*(?P<path>[^\s!{}]+)(?P<rest>)[ \t]*!\}[ \t]*"),
    re.compile(r"[ \t]*<<<[ \t]*(?P<path>@?[^\s{}\[\]]+)(?P<rest>[^\n]*)"),
    re.compile(r"[ \t]*<!--[ \t]*@?include:?[ \t]*(?P<path>[^\s{}<>]+)(?P<rest>)[^<>\n]*-->[ \t]*"),
    re.compile(r"include::(?P<path>[^\s\[\]]+)\[(?P<rest>[^\[\]\n]*)\][ \t]*"),
    re.compile(r"[ \t]*\.\.[ \t]+(?:literal)?include::[ \t]*(?P<path>\S+)(?P<rest>)[ \t]*"),
)
_LINES = re.compile(r"(?:ln\[|lines=\"?)([\d:.,; \t-]+)")
_RANGE = re.compile(r"(\d+)(?:(?::|\.\.|-)(\d+))?")
_LANGUAGES = {
    "py": "python", "js": "javascript", "ts": "typescript", "sh": "bash", "yml": "yaml", "rs": "rust", "rb": "ruby",
    "cs": "csharp", "kt": "kotlin", "h": "c", "hpp": "cpp", "cc": "cpp", "ps1": "powershell", "md": "markdown",
}  # fmt: skip


def mentioned(data: bytes) -> tuple[str, ...]:
    """Paths named by the include directives of a page, as written; quick when there are none."""
    if not any(hint in data for hint in _HINTS):
        return ()
    lines = data.decode("utf-8", errors="ignore").splitlines()
    paths = (match["path"] for line in lines if (match := directive(line)))
    return tuple(path for path, _ in zip(dict.fromkeys(paths), range(MOST_INCLUDES), strict=False))


def directive(line: str) -> re.Match[str] | None:
    """The include directive that fills this line, if it is one."""
    if len(line) > 1000 or not any(mark in line for mark in ("{*", "{!", "<<<", "include")):
        return None
    return next((match for form in _DIRECTIVES if (match := form.fullmatch(line))), None)


def candidates(page: str, path: str) -> Iterator[str]:
    """Places inside the source where an included file may be, nearest first.

    Site generators resolve such paths from the page, from the folder they were started in or from the root
    of the documents, so every folder from the page's up to the source's root is tried.
    """
    path = path.removeprefix("@/").removeprefix("@").lstrip("/")
    folder = posixpath.dirname(page)
    while True:
        place = posixpath.normpath(posixpath.join(folder, path))
        if not place.startswith(".."):
            yield place
        if not folder:
            return
        folder = posixpath.dirname(folder)


def find(page: str, path: str, read: Read) -> bytes | None:
    """Bytes of the first candidate that exists, or None."""
    for place in candidates(page, path):
        data = read(place)
        if data is not None:
            return data
    return None


def resolve(page: str, text: str, read: Read) -> str:
    """The text with each directive replaced by the file's lines; one that cannot be read stays as it is."""
    if not any(hint.decode() in text for hint in _HINTS):
        return text
    lines, fence, left = [], "", MOST_INCLUDES
    for line in text.split("\n"):
        mark = re.match(r"[ \t]*(`{3,}|~{3,})", line)
        if mark:
            fence = mark[1] if not fence else ("" if mark[1].startswith(fence) else fence)
        match = directive(line) if left else None
        included = _included(page, match, read, bool(fence)) if match else None
        left -= included is not None
        lines.append(line if included is None else included)
    return "\n".join(lines)


def _included(page: str, match: re.Match[str], read: Read, in_fence: bool) -> str | None:
    text = text_of(page, match, read)
    if text is None:
        return None
    if not in_fence and not (match["path"].endswith((".md", ".markdown")) and "<<<" not in match[0]):
        text = fenced(text, language_of(match["path"]))
    indent = match[0][: len(match[0]) - len(match[0].lstrip())]
    return "\n".join(indent + line if line else line for line in text.split("\n"))


def text_of(page: str, match: re.Match[str], read: Read) -> str | None:
    """The lines that a directive asks for; None when the file is absent, too large or not text."""
    data = find(page, match["path"], read)
    if data is None or len(data) > LARGEST_INCLUDE:
        return None
    try:
        return _selected(decode(data), match["rest"]).strip("\n")
    except ParseError:
        return None


def language_of(path: str) -> str:
    """The name that code fences use for a file's language, by its extension."""
    suffix = PurePosixPath(path).suffix.lstrip(".").lower()
    return _LANGUAGES.get(suffix, suffix)


def _selected(text: str, options: str) -> str:
    """The lines that "ln[1:9,24]" or "lines=1..9;24" asks for; everything when nothing is asked."""
    found = _LINES.search(options)
    if not found:
        return text
    lines = text.split("\n")
    ranges = ((int(first), int(last or first)) for first, last in _RANGE.findall(found[1]))
    return "\n".join(line for first, last in ranges for line in lines[max(0, first - 1) : last])


def fenced(code: str, language: str = "") -> str:
    """A fenced code block whose fence is longer than any run of backticks in the code."""
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"
