"""Plain text is nearly Markdown already."""

from __future__ import annotations

from indexer.parsing.encoding import decode
from indexer.parsing.page import Context, ParsedPage, page


def parse(path: str, data: bytes, context: Context) -> ParsedPage:  # noqa: ARG001 - the parsers' common shape
    return page(path, decode(data))
