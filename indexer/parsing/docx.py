"""Word documents through mammoth (by their styles: headings, lists, tables) to HTML, and on to Markdown."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from xml.parsers.expat import ExpatError

import mammoth
from lxml import html as lxml_html

from indexer.parsing.page import Context, ParsedPage, ParseError, page
from indexer.parsing.render import blocks

_LARGEST_PART = 100 * 1024 * 1024  # bytes, unpacked
_LARGEST_TOTAL = 300 * 1024 * 1024
_MOST_PARTS = 5_000
_DEEPEST = 100
# What mammoth lets through when a part is missing or is not the XML that it expects.
_DAMAGE = (ExpatError, LookupError, AttributeError, TypeError, ValueError, AssertionError)
_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='标题'] => h1:fresh
p[style-name='标题 1'] => h1:fresh
p[style-name='标题 2'] => h2:fresh
p[style-name='标题 3'] => h3:fresh
p[style-name='标题 4'] => h4:fresh
p[style-name='Code'] => pre:separator('\\n')
p[style-name='Source Code'] => pre:separator('\\n')
p[style-name='HTML Preformatted'] => pre:separator('\\n')
r[style-name='Code'] => code
r[style-name='HTML Code'] => code
"""


def parse(path: str, data: bytes, context: Context) -> ParsedPage:  # noqa: ARG001 - the parsers' common shape
    try:
        modified = _check(data)
        html = mammoth.convert_to_html(
            io.BytesIO(data), style_map=_STYLES, convert_image=mammoth.images.img_element(lambda _image: {"src": ""})
        ).value
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise ParseError(f"the file is not a Word document, or it is encrypted: {error}") from error
    except _DAMAGE as error:
        raise ParseError(f"the Word document is damaged: {type(error).__name__}: {str(error)[:200]}") from error
    if not html.strip():
        raise ParseError("the Word document holds no text")
    root = lxml_html.fragment_fromstring(html, create_parent="body")
    return page(path, "\n\n".join(blocks(root)) + "\n", modified=modified)


def _check(data: bytes) -> str | None:
    """Refuse archives that would unpack to something huge or hostile; give the date of the last change."""
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise ParseError(
            "the Word document is encrypted or in the old .doc format; save it as .docx without a password"
        )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        total = sum(part.file_size for part in parts)
        if len(parts) > _MOST_PARTS or total > _LARGEST_TOTAL:
            raise ParseError(f"the Word document unpacks to {total:,} bytes in {len(parts):,} parts; that is refused")
        for part in parts:
            if part.filename.endswith((".xml", ".rels")):
                _check_xml(part, archive)
        facts = archive.read("docProps/core.xml") if "docProps/core.xml" in archive.namelist() else b""
    found = re.search(rb"<dcterms:modified[^<>]*>(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", facts)
    return found[1].decode() + "Z" if found else None


def _check_xml(part: zipfile.ZipInfo, archive: zipfile.ZipFile) -> None:
    if part.file_size > _LARGEST_PART:
        raise ParseError(f"{part.filename} in the Word document unpacks to {part.file_size:,} bytes; that is refused")
    content = archive.read(part)  # never more than file_size bytes: zipfile stops there
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\x00<\x00!" in content or b"<\x00!\x00" in content:
        raise ParseError("the Word document declares XML entities, which no word processor writes; that is refused")
    if _depth(content) > _DEEPEST:
        raise ParseError("the Word document is nested too deeply to be read")


def _depth(xml: bytes) -> int:
    """How deep the elements are nested, from the tags alone."""
    depth = deepest = 0
    for step in _steps(xml):
        depth += step
        deepest = max(deepest, depth)
    return deepest


def _steps(xml: bytes) -> Iterator[int]:
    for tag in re.finditer(rb"<(/?)[A-Za-z][^<>]*?(/?)>", xml):
        yield -1 if tag[1] else 0 if tag[2] else 1
