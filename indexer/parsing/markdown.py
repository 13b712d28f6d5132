"""Markdown stays as its author wrote it; only newlines, the byte order mark and includes change."""

from __future__ import annotations

from indexer.parsing import frontmatter, includes
from indexer.parsing.encoding import decode
from indexer.parsing.page import Context, ParsedPage, page


def parse(path: str, data: bytes, context: Context) -> ParsedPage:
    text = decode(data)
    facts = frontmatter.read(text)
    text = includes.resolve(path, text, context.read)
    return page(path, text, title=facts.title, modified=facts.modified)
