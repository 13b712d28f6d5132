"""A tolerant reader of SGML and XML.

No XML parser reads these files: fragments have several roots, entities whose declarations are elsewhere, SGML's
short end tags and, as found in the wild, unresolved merge conflicts. A small tokenizer builds the tree instead,
in one pass; so there is no DTD to fetch and no entity to blow up.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.entities import html5

from lxml import etree

from indexer.parsing.page import clean

_DEEPEST = 150
_TAG = re.compile(r"<(/?)([A-Za-z_][\w:.-]*|(?<=/))((?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*)>")
_ATTRIBUTE = re.compile(r"([\w:.-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'<>]+))")
_DECLARATION = re.compile(r"\s*(?:<!--.{0,5000}?-->|<![A-Z]+(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>|%[\w.-]+;)", re.S)
_SECTION_HEAD = re.compile(r"<!\[\s*([%\w;-]{1,60})\s*\[")
_OWN_ENTITY = re.compile(r"<!ENTITY\s+([\w.-]{1,100})\s+(?:\"([^\"<>%]{0,500})\"|'([^'<>%]{0,500})')\s*>")
_ENTITY = re.compile(r"&([A-Za-z][\w.-]{0,100});")
_CONFLICT = re.compile(r"^(?:<{7} [^\n]*|={7}|>{7} [^\n]*|\|{7} [^\n]*)\n", re.M)
_EMPTY = frozenset({"xref", "colspec", "spanspec", "anchor", "imagedata", "co", "area", "footnoteref", "void", "sbr"})


def tree(text: str) -> etree._Element:
    """The elements below a root called "fragment"; comments, declarations and unknown entities are gone."""
    entities = {found[1]: found[2] or found[3] or "" for found in _OWN_ENTITY.finditer(text[:200_000])}
    builder, stack = etree.TreeBuilder(), ["fragment"]
    builder.start("fragment", {})
    for kind, name, value in _tokens(_CONFLICT.sub("", text)):
        if kind == "text":
            builder.data(clean(_resolved(value, entities)))
        elif kind == "literal":
            builder.data(clean(value))
        elif kind == "open":
            _open(builder, stack, name, value)
        else:
            _close(builder, stack, name)
    for name in reversed(stack):
        builder.end(name)
    return builder.close()


def _close(builder: etree.TreeBuilder, stack: list[str], name: str) -> None:
    """End the named element and what is still open inside it; SGML's "</>" (no name) ends the innermost one.
    An end tag without its start is dropped."""
    if len(stack) == 1 or (name and name not in stack[1:]):
        return
    while True:
        closed = stack.pop()
        builder.end(closed)
        if not name or closed == name:
            return


def _open(builder: etree.TreeBuilder, stack: list[str], name: str, attributes: str) -> None:
    if len(stack) >= _DEEPEST:
        return
    values: dict[str | bytes, str | bytes] = {}
    for found in _ATTRIBUTE.finditer(attributes):
        key = found[1].rpartition(":")[2].lower()
        if re.fullmatch(r"[a-z_][a-z0-9._-]*", key):
            values[key] = clean(html.unescape(found[2] or found[3] or found[4] or ""))
    builder.start(name, values)
    if attributes.rstrip().endswith("/") or name in _EMPTY:
        builder.end(name)
    else:
        stack.append(name)


def _tokens(text: str) -> Iterator[tuple[str, str, str]]:
    """("text" | "literal" | "open" | "close", element name, text or attributes), in one pass."""
    at = 0
    while (mark := text.find("<", at)) >= 0:
        yield "text", "", text[at:mark]
        if text.startswith("<![CDATA[", mark):
            end = _after(text, "]]>", mark)
            yield "literal", "", text[mark + 9 : end].removesuffix("]]>")
            at = end
        elif text.startswith(("<!", "<?"), mark):
            at = _after_declaration(text, mark)
        elif tag := _TAG.match(text, mark):
            name = tag[2].rpartition(":")[2].lower()
            if re.fullmatch(r"[a-z_][a-z0-9_.-]*", name):
                yield "close" if tag[1] else "open", name, tag[3]
            elif not name:  # SGML's "</>" ends whatever is open
                yield "close", "", ""
            at = tag.end()
        else:
            yield "literal", "", "<"
            at = mark + 1
    yield "text", "", text[at:]


def _after(text: str, end: str, start: int) -> int:
    found = text.find(end, start)
    return found + len(end) if found >= 0 else len(text)


def _after_declaration(text: str, mark: int) -> int:
    """Where to go on after a comment, a processing instruction, a marked section's head or a document type."""
    if text.startswith("<!--", mark):
        return _after(text, "-->", mark + 4)
    if text.startswith("<?", mark):
        return _after(text, ">", mark)
    if section := _SECTION_HEAD.match(text, mark):
        return _after(text, "]]>", mark) if "ignore" in section[1].lower() else section.end()
    end = _after(text, ">", mark)
    if text.startswith("<!DOCTYPE", mark) and "[" in text[mark:end]:
        return _after(text, ">", _after(text, "]", _last_entity(text, end)))
    return end


def _last_entity(text: str, at: int) -> int:
    """Entities' values may hold "]" and ">": step over the declarations of a document type one by one."""
    while declaration := _DECLARATION.match(text, at):
        at = declaration.end()
    return at


def _resolved(text: str, entities: dict[str, str]) -> str:
    """Characters for entities. One that stands for a file or is declared elsewhere leaves nothing behind."""
    if "&" not in text:
        return text.replace("]]>", "") if "]]>" in text else text
    return html.unescape(_ENTITY.sub(lambda found: _entity(found, entities), text)).replace("]]>", "")


def _entity(found: re.Match[str], entities: dict[str, str]) -> str:
    name = found[1]
    if name == "zwsp":
        return ""
    if name in entities:
        return entities[name]
    return found[0] if name + ";" in html5 else ""
