"""PDF to Markdown: lines become paragraphs, headings come from the outline and from letters larger than the rest.

A PDF has no structure to rely on, only letters at places. What is done here is modest and predictable: running
heads and page numbers go, hyphenated words and wrapped lines are joined, tables stay as lines of text.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from dataclasses import dataclass
from itertools import chain

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from indexer.parsing.page import Context, ParsedPage, ParseError, clean, page

_MOST_PAGES = 5_000
_MOST_CHARACTERS = 20_000_000
_LARGER = 1.15  # times the size of the running text makes a heading
_LONGEST_HEADING = 120
_CJK = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
_SENTENCE_END = re.compile(r"[.!?:;。！？：；…][\"'”’)）」』]?$")
_ITEM = re.compile(r"(?:[•●▪◦‣∙·*–-]|\(?\d{1,3}[.)、]|[a-z][.)])\s*(?=\S)")
_LEADER = re.compile(r"(?:\. ?){4,}\s*[\divxlc]*$")  # a line of a table of contents
_PAGE_NUMBER = re.compile(r"[-–— ]*(?:\d{1,5}|[ivxlc]{1,8})[-–— ]*")
_BULLET = re.compile(r"^[•●▪◦‣∙·–]\s*")


@dataclass(frozen=True, slots=True)
class _Line:
    """size: font size in points. code: set in a typewriter face. As letters inside the line have it."""

    text: str
    size: float
    code: bool = False


def parse(path: str, data: bytes, context: Context) -> ParsedPage:  # noqa: ARG001 - the parsers' common shape
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        locked = "password" in str(error).lower()
        raise ParseError(
            "the PDF is protected by a password" if locked else f"the PDF cannot be opened: {error}"
        ) from error
    try:
        pages, outline, title, modified = _pages(document), _outline(document), *_metadata(document)
    except pdfium.PdfiumError as error:
        raise ParseError(f"the PDF is damaged: {error}") from error
    finally:
        document.close()
    if not any(line.text for line in chain(*pages)):
        raise ParseError("the PDF holds no text, only images; run it through text recognition (OCR) first")
    body = _body_size(pages)
    text = _markdown(list(chain(*_without_running_heads(pages, body))), outline, body)
    # Titles in the metadata are often left over from a template: one that the first page shows is right.
    shown = _letters(" ".join(line.text for line in pages[0]))
    return page(path, text, title=title if _letters(title) in shown else "", modified=modified)


def _pages(document: pdfium.PdfDocument) -> list[list[_Line]]:
    if len(document) > _MOST_PAGES:
        raise ParseError(f"the PDF has {len(document):,} pages, the limit is {_MOST_PAGES:,}; split it")
    pages: list[list[_Line]] = []
    total = 0
    for number in range(len(document)):
        sheet = document[number]
        text_page = sheet.get_textpage()
        pages.append(_lines(text_page))
        total += sum(len(line.text) for line in pages[-1])
        text_page.close()
        sheet.close()
        if total > _MOST_CHARACTERS:
            raise ParseError(f"the PDF holds more than {_MOST_CHARACTERS:,} characters; split it")
    return pages


def _lines(text_page: pdfium.PdfTextPage) -> list[_Line]:
    count = text_page.count_chars()
    buffer = (ctypes.c_ushort * (2 * count + 2))()
    written = raw.FPDFText_GetText(text_page.raw, 0, count, buffer) if count else 0
    text = bytes(buffer)[: 2 * max(0, written - 1)].decode("utf-16-le", errors="replace")
    lines, at = [], 0
    for line in re.split(r"\r\n|\n|\r", text):
        words = clean(line.replace("\ufffe", "").replace("\u00ad", "").replace("\u00a0", " ")).strip()
        early, late = (min(at + len(line) * part // 4, max(0, count - 1)) for part in (1, 3))
        size = round(raw.FPDFText_GetFontSize(text_page.raw, late) * 2) / 2
        code = (
            bool(words) and not _ITEM.match(words) and all(_is_typewriter(text_page, place) for place in (early, late))
        )
        lines.append(_Line(words, size, code))
        at += len(line) + 2
    return lines


def _is_typewriter(text_page: pdfium.PdfTextPage, at: int) -> bool:
    name, flags = ctypes.create_string_buffer(128), ctypes.c_int(0)
    raw.FPDFText_GetFontInfo(text_page.raw, at, name, len(name), ctypes.byref(flags))
    return bool(
        re.search(rb"courier|mono|nimbusmon|consol|typewriter|menlo|cmtt|source ?code|fira ?code", name.value.lower())
    )


def _outline(document: pdfium.PdfDocument) -> dict[str, int]:
    """Heading text (letters only) to its level, 0 for the top."""
    entries: dict[str, int] = {}
    for bookmark in document.get_toc(max_depth=6):
        entries.setdefault(_letters(bookmark.get_title()), bookmark.level)
        if len(entries) > 20_000:
            break
    entries.pop("", None)
    return entries


def _metadata(document: pdfium.PdfDocument) -> tuple[str, str | None]:
    facts = document.get_metadata_dict()
    date = re.match(r"D:(\d{4})(\d\d)(\d\d)", facts.get("ModDate") or facts.get("CreationDate") or "")
    return clean(facts.get("Title") or "").strip(), f"{date[1]}-{date[2]}-{date[3]}" if date else None


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", text).casefold()


def _body_size(pages: list[list[_Line]]) -> float:
    """The size in which most of the text is set."""
    sizes: Counter[float] = Counter()
    for line in chain(*pages):
        sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0]


def _without_running_heads(pages: list[list[_Line]], body: float) -> list[list[_Line]]:
    """Drop lines at the top or bottom of pages that come back on many of them, page numbers aside.

    Never lines larger than the running text: "Chapter 1", "Chapter 2" are headings.
    """
    keys = ({_running(line) for line in _edges(lines) if line.size < body * _LARGER} for lines in pages)
    counts = Counter(chain(*keys))
    often = {key for key, count in counts.items() if count >= max(3, len(pages) * 0.3)}
    return [
        [
            line
            for line in lines
            if not (_is_running(line, often) and line in _edges(lines)) and not _LEADER.search(line.text)
        ]
        for lines in pages
    ]


def _is_running(line: _Line, often: set[str]) -> bool:
    return _running(line) in often or bool(_PAGE_NUMBER.fullmatch(line.text))


def _edges(lines: list[_Line]) -> list[_Line]:
    written = [line for line in lines if line.text]
    many = 2 if len(written) >= 10 else 1
    return written[:many] + written[-many:]


def _running(line: _Line) -> str:
    return re.sub(r"\d+|\b[ivxlc]+\b", "#", line.text)


def _markdown(lines: list[_Line], outline: dict[str, int], body: float) -> str:
    larger = sorted({line.size for line in lines if line.size >= body * _LARGER and line.text}, reverse=True)
    levels = {size: min(6, 1 + place) for place, size in enumerate(larger)}
    full = max(20, sorted(len(line.text) for line in lines)[int(len(lines) * 0.9)])
    blocks: list[str] = []
    run: list[str] = []
    for line in lines:
        level = _heading_level(line, outline, levels)
        if line.code and not level:
            _end(run, blocks)
            _add_code(blocks, line.text)
            continue
        starts = not run or (_SENTENCE_END.search(run[-1]) and len(run[-1]) < 0.8 * full)
        if not line.text or level or starts or _ITEM.match(line.text):
            _end(run, blocks)
        if level:
            _add_heading(blocks, level, line.text)
        elif line.text:
            run.append(line.text)
    _end(run, blocks)
    return "\n\n".join(blocks) + "\n"


def _heading_level(line: _Line, outline: dict[str, int], levels: dict[float, int]) -> int:
    if not line.text or len(line.text) > _LONGEST_HEADING or not re.search(r"[^\W\d_]", line.text):
        return 0
    in_outline = outline.get(_letters(line.text))
    if in_outline is not None:
        return min(6, in_outline + 1)
    return levels.get(line.size, 0)


def _add_heading(blocks: list[str], level: int, text: str) -> None:
    """A heading that was wrapped over two lines is one heading."""
    mark = "#" * level + " "
    if (
        blocks
        and blocks[-1].startswith(mark)
        and len(blocks[-1]) + len(text) < _LONGEST_HEADING
        and not re.match(r"\d", text)
    ):
        blocks[-1] = _joined([blocks[-1], text])
    else:
        blocks.append(mark + text)


def _add_code(blocks: list[str], text: str) -> None:
    """Typewriter lines in a row are one block of code."""
    if blocks and blocks[-1].startswith("```") and text:
        blocks[-1] = f"{blocks[-1].removesuffix('```')}{text}\n```"
    elif text:
        blocks.append(f"```\n{text}\n```")


def _end(run: list[str], blocks: list[str]) -> None:
    if run:
        text = _joined(run)
        text = _BULLET.sub("- ", text)
        blocks.append("\\" + text if text.startswith("#") else text)
        run.clear()


def _joined(lines: list[str]) -> str:
    """Wrapped lines as one: no space between Chinese characters, none where a word was hyphenated."""
    text = lines[0]
    for line in lines[1:]:
        if text.endswith("-") and len(text) > 1 and text[-2].isalpha() and line[:1].islower():
            text = text[:-1] + line
        elif text and line and _CJK.match(text[-1]) and _CJK.match(line[0]):
            text += line
        else:
            text = f"{text} {line}"
    return text
