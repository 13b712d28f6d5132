"""The smallest things of a passage that can be quoted, and their words without Markdown markup.

Line based and linear in the length of the text: a passage is split each time it is shown, matched or embedded.
A passage may start or stop in the middle of a table, a list or a code block; what is there is then split as what it
most likely is: rows need no header, and a bare fence right below a line of text closes code that began before the
passage. Code with neither fence in sight is split like prose.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from router.types import Unit, UnitKind


class Part(NamedTuple):
    """A span that carries words: a unit, or, where `kind` is None, words that are searched but never quoted on their
    own (a table's header row, the caption of an image, the title of a container). Offsets are relative to the text
    that was split."""

    kind: UnitKind | None
    start: int
    end: int


MARK = r"""(?:
      :{3,}.*                                           # VuePress: "::: tip"
    | /{3,}(?:[ \t].*)?                                 # Python-Markdown blocks: "/// note | Title"
    | \{%.*%\} | \{\{[<%].*[>%]\}\} | \{\*.*\*\}          # GitBook, Hugo, included sources
    | \[!\w+\] | \[\[?(?:toc|TOC)\]\]?
    | (?:</?[A-Za-z](?:[^<>\n]|(?<==)>)*>[ \t]*)+            # nothing but tags
    )[ \t]*$"""
"""A line (white space in front removed) that is a writer's tool and says nothing: for `re.VERBOSE | re.MULTILINE`."""

_LINE = re.compile(
    r"""^(?P<quote>(?:[ ]{0,3}>[ ]?)*)(?P<indent>[ \t]*)(?:
      (?P<blank>$)
    | (?P<fence>`{3,}(?=[^`\n]*$)|~{3,}) .*$
    | (?P<atx>\#{1,6}(?=[ \t]|$)) .*$
    | (?P<delimiter>(?=[^|\n]*\|)(?=[^-\n]*-)[|: \t-]+$)
    | (?P<rule>(?:=+|-+|(?:[-*_][ \t]*){3,})[ \t]*$)
    | (?P<item>(?:[-*+]|\d{1,9}[.)])(?=[ \t]|$)) .*$
    | (?P<row>\|) .*$
    | (?P<comment><!--) .*$
    | (?P<mark>"""
    + MARK
    + r""")
    | (?P<definition>\[[^\]\n]+\]:[ \t]*\S) .*$
    | (?P<image>!\[[^\]\n]*\](?:\([^)\n]*\))[ \t]*$)
    | (?P<text>.) .*$
    )""",
    re.VERBOSE | re.MULTILINE,
)
_TITLE = re.compile(
    r""":{3,}[ \t]*[\w-]+[ \t]+(?P<colons>\S.*)
    | /{3,}+[^|\n]*+\|(?P<slashes>.*)
    | \{%[ \t]*tab[ \t]+title="(?P<tab>[^"\n]+)"
    | <\w[^<>]*?[ ]label="(?P<label>[^"\n]+)\"""",
    re.VERBOSE,
)
_FRONT_MATTER = re.compile(
    r"\A(?:---[ \t]*\n(?:[\w-]+[ \t]*:|\#).*?^(?:---|\.\.\.)|\+\+\+[ \t]*\n.*?^\+\+\+)[ \t]*$", re.M | re.S
)
_CLOSERS = r"""[”’"'」』】）)\]*_~]*"""
_BREAK = re.compile(
    r"""``(?:[^`]|`(?!`))+`` | `[^`]+`                   # never inside code, links and addresses
    | \[[^\[\]]*\]\([^()\n]*\) | https?://[^\s<>()，。；、]*[\w/]
    | (?P<wide>[。！？；]+"""
    + _CLOSERS
    + r""")
    | (?P<narrow>[.!?]+"""
    + _CLOSERS
    + r""")(?=\s|\Z)
    | (?P<hard>[ ]{2,}\n|\\\n|<br[ ]?/?>)""",
    re.VERBOSE,
)
_LAST_WORD = re.compile(r"[A-Za-z.]+\Z")
_NEXT = re.compile(r"[\s>*_`\"'(\[“]*(\w?)")
_LEADING = re.compile(r"[\s>]*")
_ABBREVIATIONS = frozenset(
    {"e.g", "i.e", "eg", "ie", "etc", "vs", "cf", "al", "fig", "eq", "sec", "vol", "pp", "approx", "resp", "incl"}
    | {"mr", "mrs", "ms", "dr", "prof", "st", "inc", "ltd", "corp"}
)


def split(text: str) -> tuple[Unit, ...]:
    """The units of a passage's text, in order, without overlaps, trimmed of surrounding white space. Never raises."""
    return tuple(Unit(kind, start, end) for kind, start, end in parts(text) if kind is not None)


def parts(text: str) -> list[Part]:
    """Everything in `text` that carries words, in order: its units and what stands between them (see `Part`)."""
    scanner = _Scanner(text)
    front = _FRONT_MATTER.match(text)
    scanner.scan(front.end() if front else 0)
    return scanner.parts


def sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of the sentences of one paragraph `text[start:end]`, trimmed; what lies between them is white space."""
    begin = start
    for found in _BREAK.finditer(text, start, end):
        kind = found.lastgroup
        if kind is None or (kind == "narrow" and not _ends_sentence(text, begin, found, end)):
            continue
        if span := _trimmed(text, begin, found.start() if kind == "hard" else found.end()):
            yield span
        begin = found.end()
    if span := _trimmed(text, begin, end):
        yield span


def container_title(line: str) -> str:
    """The title in a container's opening line ("::: tip Title", "/// note | Title", `{% tab title="Title" %}`,
    `<div label="Title">`) or ""."""
    found = _TITLE.match(line.strip())
    return found[found.lastgroup or 0].strip() if found else ""


def _ends_sentence(text: str, begin: int, found: re.Match[str], end: int) -> bool:
    """Whether a Latin full stop, question or exclamation mark before white space ends a sentence."""
    following = _NEXT.match(text, found.end(), end)
    if following and following[1].isascii() and following[1].islower():
        return False
    if text[found.start()] != ".":
        return True
    word = _LAST_WORD.search(text, max(begin, found.start() - 12), found.start())
    if word is None:
        return not text[begin : found.start()].strip(" \t\n>").isdigit()  # "1." in front of a step
    return word[0].lower() not in _ABBREVIATIONS and not (len(word[0]) == 1 and word[0].isupper() and word[0] != "I")


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The span without white space around it and without the quotation marks in front."""
    if (leading := _LEADING.match(text, start, end)) is not None:
        start = leading.end()
    end = start + len(text[start:end].rstrip())
    return (start, end) if start < end else None


class _Scanner:
    """One pass over the lines: each kind of line has its method, which may take further lines along.

    open: what is being read (a paragraph's sentences or a list item) from `start` to `end`, or None.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts: list[Part] = []
        self.lines: list[re.Match[str]] = []
        self.next = 0
        self.open: UnitKind | None = None
        self.start = self.end = 0
        self.after_blank, self.in_table = True, False
        self.in_list = text[:1] in (" ", "\t")  # a passage that starts indented goes on in the middle of a list

    def scan(self, position: int) -> None:
        self.lines = list(_LINE.finditer(self.text, position))
        self._cut_code()
        while self.next < len(self.lines):
            line = self.lines[self.next]
            self.next += 1
            kind = line.lastgroup or "blank"
            if kind not in _CONTINUING:
                self._flush()
            getattr(self, "_" + kind)(line)
            self.after_blank = kind == "blank"
        self._flush()

    def _begin(self, kind: UnitKind, line: re.Match[str]) -> None:
        self.open, self.start, self.end = kind, line.end("indent"), line.end()

    def _flush(self) -> None:
        if self.open is UnitKind.SENTENCE:
            self.parts.extend(Part(UnitKind.SENTENCE, *span) for span in sentences(self.text, self.start, self.end))
        elif self.open is not None:
            self._add(self.open, self.start, self.end)
        self.open = None

    def _add(self, kind: UnitKind | None, start: int, end: int) -> None:
        if span := _trimmed(self.text, start, end):
            self.parts.append(Part(kind, *span))

    def _blank(self, _: re.Match[str]) -> None:
        self.in_table = False

    def _text(self, line: re.Match[str]) -> None:
        indent = line["indent"]
        if self.in_table and "|" in line[0]:
            self._flush()
            self._row(line)
        elif self.open is not None:
            self.end = line.end()
        elif len(indent.expandtabs(4)) >= 4 and self.after_blank and not self.in_list:
            self._indented(line)
        else:
            self.in_list = self.in_list and indent != ""
            self._begin(UnitKind.SENTENCE, line)

    def _item(self, line: re.Match[str]) -> None:
        self._begin(UnitKind.ITEM, line)
        self.in_list = True

    def _row(self, line: re.Match[str]) -> None:
        self._add(UnitKind.ROW, *line.span())

    def _atx(self, line: re.Match[str]) -> None:
        """Between two lines of text it is rather a comment in code whose fences were cut away."""
        around = self.lines[max(0, self.next - 2) : self.next + 1]
        crowded = len(around) == 3 and around[0].lastgroup == "text" and around[2].lastgroup in ("text", "atx")
        self._add(UnitKind.SENTENCE if crowded else UnitKind.HEADING, *line.span())
        self.in_list = False

    def _image(self, line: re.Match[str]) -> None:
        self._add(None, *line.span())

    def _mark(self, line: re.Match[str]) -> None:
        """Of a container only its title says something."""
        if title := _TITLE.match(self.text, line.end("indent"), line.end()):
            self._add(None, *title.span(title.lastgroup or 0))

    def _definition(self, _: re.Match[str]) -> None:
        """Where a link points to says nothing."""

    def _rule(self, line: re.Match[str]) -> None:
        """Dashes or equals signs make a heading of the paragraph above them; alone they are a thematic break."""
        if self.open is UnitKind.SENTENCE and self.text[line.end("indent")] in "=-":
            self.open = UnitKind.HEADING
        self._flush()

    def _delimiter(self, _: re.Match[str]) -> None:
        """The line above a delimiter row is the table's header: words to search, nothing to quote."""
        self.in_table = True
        if self.open is UnitKind.SENTENCE:
            end = self.end
            self.end = max(self.start, self.text.rfind("\n", 0, end) + 1)
            header = self.end
            self._flush()
            self._add(None, header, end)
        elif self.open is None and self.parts and self.parts[-1].kind is UnitKind.ROW:
            self.parts[-1] = self.parts[-1]._replace(kind=None)

    def _fence(self, line: re.Match[str]) -> None:
        last = line
        while self.next < len(self.lines):
            last = self.lines[self.next]
            self.next += 1
            if _closes(last, line["fence"]):
                break
        self._add(UnitKind.CODE, line.end("indent"), last.end())

    def _indented(self, line: re.Match[str]) -> None:
        last = line
        for index in range(self.next, len(self.lines)):
            following = self.lines[index]
            if following.lastgroup != "blank":
                if len(following["indent"].expandtabs(4)) < 4:
                    break
                last, self.next = following, index + 1
        self._add(UnitKind.CODE, line.start(), last.end())

    def _comment(self, line: re.Match[str]) -> None:
        close = self.text.find("-->", line.start())
        while self.next < len(self.lines) and (close < 0 or self.lines[self.next].start() < close):
            self.next += 1

    def _cut_code(self) -> None:
        """Takes in code at the very top whose opening fence was cut away."""
        fences = [index for index, line in enumerate(self.lines) if line.lastgroup == "fence"]
        if not fences or not _unbalanced(self.lines, fences):
            return
        first = fences[0]
        line = self.lines[first]
        if first > 0 and self.lines[first - 1].lastgroup != "blank" and _closes(line, line["fence"]):
            self._add(UnitKind.CODE, self.lines[0].start(), line.end())
            self.next = first + 1


_CONTINUING = frozenset({"text", "rule", "delimiter"})  # lines that belong to what is open, if anything is


def _closes(line: re.Match[str], fence: str) -> bool:
    return line.lastgroup == "fence" and line["fence"].startswith(fence) and line[0].rstrip().endswith(line["fence"])


def _unbalanced(lines: list[re.Match[str]], fences: list[int]) -> bool:
    fence: str | None = None
    for index in fences:
        if fence is None:
            fence = lines[index]["fence"]
        elif _closes(lines[index], fence):
            fence = None
    return fence is not None


# --- words without markup ---------------------------------------------------------------------------------------------

_FENCED = re.compile(r"\A[ \t>]*(`{3,}|~{3,})[^\n]*\n?")
_CLOSING = re.compile(r"(?:\A|\n)[ \t>]*(?:`{3,}|~{3,})[ \t]*\Z")
_PREFIX = re.compile(r"^(?:[ ]{0,3}>[ ]?)*[ \t]*(?:\#{1,6}(?:[ \t]+|$)|[-*+](?:[ \t]+(?:\[[ xX]\][ \t]+)?|$))?", re.M)
_USELESS = re.compile(
    r"^[ \t]*(?:" + MARK + r"|\[[^\]\n]+\]:[ \t]*\S.*$|(?=[^|\n]*\|)(?=[^-\n]*-)[|:\ \t-]+$|(?:=+|-{2,})[ \t]*$)",
    re.M | re.X,
)
_INLINE = re.compile(
    r"""``(?P<code2>(?:[^`]|`(?!`))+)`` | `(?P<code>[^`]+)`
    | !\[(?P<image>[^\[\]]*)\]\([^()\n]*\)
    | \[(?P<link>(?:[^\[\]]++|\[[^\[\]]*+\])*+)\](?:\([^()\n]*(?:\([^()\n]*\)[^()\n]*)?\)|\[[^\[\]\n]*\])
    | <(?P<url>https?://[^\s<>]+)>
    | (?P<gone><!--.*?(?:-->|\Z) | </?[A-Za-z][\w.:-]*(?:\s(?:[^<>]|(?<==)>)*)?/?>
      | \{%[^{}]*%\} | \{\{[<%][^{}]*[>%]\}\} | [ \t]*(?<!\{)\{[ ]*[#.][\w.\ #-]+\}(?!\}))
    | \\(?P<escaped>[!-/:-@\[-`{-~])""",
    re.VERBOSE | re.DOTALL,
)
_EMPHASIS = re.compile(r"(\*{1,3}|~~)(?=\S)([^*~\n]+)(?<=\S)\1|(?<!\w)(_{1,3})(?=\S)([^_\n]+)(?<=\S)\3(?!\w)")
_MARKUP = re.compile(r"[\\`*_~\[<&#|{>!:/=+-]")
_SOFT_BREAK = re.compile(r"\n")
_WIDE = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff60]")
_CELL = re.compile(r"(?<!\\)\|")


def plain(text: str) -> str:
    """A unit's text without Markdown markup: for display in an answer, for matching words and for search.

    Code keeps its every character but loses its fences; the cells of a row are joined with " | "; the lines of
    anything else become one.
    """
    text = text.strip("\n")
    opening, closing = _FENCED.match(text), _CLOSING.search(text)
    if opening or closing:
        return text[opening.end() if opening else 0 : closing.start() if closing else None]
    if _MARKUP.search(text):
        text = _without_markup(text)
    lines = (_plain_line(line) for line in text.split("\n"))
    return _SOFT_BREAK.sub(_joint, "\n".join(filter(None, lines)))


def _joint(found: re.Match[str]) -> str:
    """Chinese and Japanese are written without spaces, so a line break between two such characters is none."""
    text, start, end = found.string, found.start(), found.end()
    return "" if _WIDE.match(text, start - 1) and _WIDE.match(text, end) else " "


def _without_markup(text: str) -> str:
    """Block marks and inline markup taken away; line breaks and table pipes stay."""
    text = _PREFIX.sub("", _USELESS.sub("", text))
    text = _INLINE.sub(_words, text)
    if "](" in text:  # an image inside a link
        text = _INLINE.sub(_words, text)
    text = _EMPHASIS.sub(_emphasised, _EMPHASIS.sub(_emphasised, text))
    return html.unescape(text) if "&" in text else text


def _words(found: re.Match[str]) -> str:
    group = found.lastgroup
    if group is None or group == "gone":
        return " " if _APART.match(found[0]) else ""
    return _INLINE.sub(_words, found[group]) if group == "link" else found[group]


_APART = re.compile(r"</?(?:br|t[dhr]|li|p|div)\b", re.IGNORECASE)
"""Tags that part words on one line: `<td>max_nodes</td><td>the most</td>`."""


def _emphasised(found: re.Match[str]) -> str:
    return found[2] or found[4]


def _plain_line(line: str) -> str:
    line = line.strip()
    if line.startswith("|"):
        cells = (cell.strip().replace("\\|", "|") for cell in _CELL.split(line.strip("|")))
        return " | ".join(cell for cell in cells if cell)
    return line
