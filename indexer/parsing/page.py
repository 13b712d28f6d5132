"""What a parser takes and gives: the records that every format shares, and how a page gets its title."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from router.errors import AnswerloopError

_UNWANTED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff\ud800-\udfff]")
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_FENCE = re.compile(r"[ \t]*(?:[-*+>][ \t]+)?(`{3,}|~{3,})")
_INDEX_NAMES = {"index", "_index", "readme", "summary"}


class ParseError(AnswerloopError):
    """This file cannot become a page. The message is one sentence that a person can act on."""

    code = "unreadable_document"


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """One page as Markdown. `modified` is what the page says of itself (ISO 8601) or None."""

    title: str
    text: str
    modified: str | None = None


def _no_file(_path: str) -> bytes | None:
    return None


def _no_blocks() -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class Context:
    """What a parser may know beyond the bytes of its file.

    read: bytes of another file of the same source, by its path inside the source; None when there is no
        such file or it may not be read.
    boilerplate: blocks (exact Markdown) that stand on most pages of the source; asked for by HTML only.
    """

    read: Callable[[str], bytes | None] = _no_file
    boilerplate: Callable[[], frozenset[str]] = _no_blocks


def clean(text: str) -> str:
    """Newlines as "\\n"; no NUL, no other control characters, no byte order marks, no lone surrogates."""
    return _UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def page(path: str, text: str, *, title: str = "", modified: str | None = None) -> ParsedPage:
    """Make the record: clean the text and find a title. Raises ParseError when no text is left."""
    text = clean(text)
    if not text.strip():
        raise ParseError("the page holds no text")
    plain = plain_words(clean(title)) or title_of(text) or readable_name(path)
    return ParsedPage(plain, text, modified)


def title_of(markdown: str) -> str:
    """The first level-one heading, else the first heading of any level, else ""."""
    first = ""
    for level, heading in headings(markdown):
        if level == 1:
            return heading
        first = first or heading
    return first


def headings(markdown: str) -> list[tuple[int, str]]:
    """(level, plain text) of the ATX and underlined headings outside code fences and front matter."""
    found: list[tuple[int, str]] = []
    fence, previous = "", ""
    for line in _without_front_matter(markdown).split("\n"):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
        elif atx := _ATX.match(line):
            found.append((len(atx[1]), plain_words(atx[2].rstrip().rstrip("#"))))
        elif previous and len(line) > 1 and (set(line.rstrip()) == {"="} or set(line.rstrip()) == {"-"}):
            found.append((1 if line[0] == "=" else 2, plain_words(previous)))
        previous = "" if mark or fence or line.lstrip().startswith(("|", "- ", "* ", ">", "#")) else line.strip()
    return [(level, text) for level, text in found if text]


def _without_front_matter(markdown: str) -> str:
    if markdown.startswith("---\n"):
        end = markdown.find("\n---", 3)
        return markdown[end + 4 :] if end > 0 else markdown
    return markdown


def plain_words(inline: str) -> str:
    """Inline Markdown without its marks: links and images become their text, anchors and tags go."""
    text = inline[:2000]
    text = re.sub(r"!\[[^\]\[]*\]\([^()]*\)", "", text)
    text = re.sub(r"\[([^\]\[]*)\]\([^()]*\)", r"\1", text)
    text = re.sub(r"\{[ ]?#[^{}]*\}", "", text)
    text = re.sub(r"</?[a-zA-Z][^<>]*>", "", text)
    text = re.sub(r"(?<![\\\w])[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}(?!\w)|`", "", text).replace("\\", "")
    return " ".join(text.split())[:300]


def readable_name(path: str) -> str:
    """A title made from the file name: "how-to_install.md" gives "how to install"."""
    pure = PurePosixPath(path)
    stem = pure.stem
    if stem.lower() in _INDEX_NAMES and pure.parent.name:
        stem = pure.parent.name
    return " ".join(re.sub(r"[-_]+", " ", stem).split()) or pure.name
