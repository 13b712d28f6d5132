"""Files in, Markdown pages out. One module per format, imported when the first such file is met."""

from __future__ import annotations

import importlib
from pathlib import PurePosixPath

from indexer.parsing.page import Context, ParsedPage, ParseError

__all__ = ["Context", "ParseError", "ParsedPage", "format_of", "parse"]

_FORMATS = {
    "markdown": (".md", ".markdown", ".mdx", ".mdown"),
    "html": (".html", ".htm", ".xhtml"),
    "docbook": (".sgml", ".docbook", ".dbk", ".xml"),
    "rst": (".rst", ".rest"),
    "asciidoc": (".adoc", ".asciidoc", ".asc"),
    "plain": (".txt", ".text"),
    "pdf": (".pdf",),
    "docx": (".docx",),
}
_FORMAT_OF_SUFFIX = {suffix: name for name, suffixes in _FORMATS.items() for suffix in suffixes}


def format_of(path: str) -> str | None:
    """Name of the format by the file's extension, or None when it is not a document format."""
    return _FORMAT_OF_SUFFIX.get(PurePosixPath(path).suffix.lower())


def parse(path: str, data: bytes, context: Context | None = None) -> ParsedPage:
    """Convert one file to a page. `path` is inside the source, with forward slashes.

    Raises ParseError, and nothing else, for whatever the bytes are.
    """
    name = format_of(path)
    if name is None:
        raise ParseError(f"not a document format: {PurePosixPath(path).suffix or 'no file extension'}")
    parser = importlib.import_module(f"indexer.parsing.{name}")
    try:
        page: ParsedPage = parser.parse(path, data, context or Context())
    except RecursionError as error:
        raise ParseError("the page is nested too deeply to be read") from error
    return page
