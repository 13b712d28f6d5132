"""HTML pages: find the part a reader came for, drop what frames it, render the rest as Markdown."""

from __future__ import annotations

import re
from typing import cast

from lxml import etree
from lxml import html as lxml_html

from indexer.parsing.encoding import decode
from indexer.parsing.page import Context, ParsedPage, ParseError, page
from indexer.parsing.render import all_text, blocks

_META_CHARSET = re.compile(
    rb"<meta[^<>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})|<\?xml[^<>]{0,100}encoding=[\"']([\w.:-]{2,40})", re.I
)
# Where site generators put the page's own text, the surest place first.
_MAIN = (
    "//main", "//*[@role='main']", "//*[contains(concat(' ', @class, ' '), ' markdown-section ')]",
    "//*[contains(concat(' ', @class, ' '), ' theme-default-content ')]",
    "//*[contains(concat(' ', @class, ' '), ' markdown-body ')]", "//article", "//*[@id='content']",
    "//*[contains(concat(' ', @class, ' '), ' document ')]",
)  # fmt: skip
_FRAME_TAGS = ("nav", "footer", "script", "style", "noscript", "template", "svg", "iframe", "button", "form", "dialog")
_FRAME_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "complementary", "menu", "menubar"})
_FRAME_CLASS_NAMES = """headerlink toc table-of-contents toctree-wrapper sidebar breadcrumb breadcrumbs pagination
page-nav page-edit edit-link edit-this-page skip-link prev-next navbar navigation site-header site-footer linenos lineno
gutter clipboard-copy copybtn sr-only visually-hidden footer-nav"""
_FRAME_CLASSES = frozenset(_FRAME_CLASS_NAMES.split())
_ADMONITIONS = (
    "admonition",
    "note",
    "warning",
    "tip",
    "caution",
    "danger",
    "important",
    "footnote",
    "callout",
    "alert",
)
_LARGEST_TREE = 400_000  # elements; a page of that size is a data dump
_DATES = ("article:modified_time", "last-modified", "dcterms.modified", "article:published_time", "date", "dc.date")


def parse(path: str, data: bytes, context: Context) -> ParsedPage:
    root = _tree(data)
    title, modified = _head_title(root), _modified(root)
    found = blocks(_main(root))
    repeated = context.boilerplate()
    own = [block for block in found if not _is_repeated(block, repeated)]
    heading = next((block for block in own if block.startswith("#")), "")
    text = "\n\n".join(own) + "\n" if own else ""
    return page(path, text, title=heading.lstrip("# ") if heading.startswith("# ") else title, modified=modified)


def blocks_of(data: bytes) -> list[str]:
    """The Markdown blocks of a page, for counting which of them stand on every page."""
    return blocks(_main(_tree(data)))


def _is_repeated(block: str, repeated: frozenset[str]) -> bool:
    """Headings ("Parameters", "Example") repeat because the pages are alike, not because they frame them."""
    return block in repeated and not block.startswith("#")


def _tree(data: bytes) -> etree._Element:
    declared = _META_CHARSET.search(data[:4096])
    name = (declared[1] or declared[2]).decode("ascii", errors="ignore") if declared else None
    text = decode(data, name)
    # Text that was decoded already must not be decoded again by what the file declares.
    parser = lxml_html.HTMLParser(
        encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=False
    )
    try:
        root = lxml_html.document_fromstring(text.encode("utf-8"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise ParseError("the HTML holds nothing that can be read") from error
    if sum(1 for _ in zip(root.iter(), range(_LARGEST_TREE + 1), strict=False)) > _LARGEST_TREE:
        raise ParseError(f"the HTML holds more than {_LARGEST_TREE:,} elements; split the page")
    return root


def _main(root: etree._Element) -> etree._Element:
    _drop_frames(root)
    mark_admonitions(root)
    body = root.find("body")
    body = root if body is None else body
    enough = 0.2 * _weight(body)
    for place in _MAIN:
        found = cast("list[etree._Element]", root.xpath(place))
        if len(found) == 1 and _weight(found[0]) >= enough:
            return found[0]
    return body


def mark_admonitions(root: etree._Element) -> None:
    """Note and warning boxes become quotations with a bold title, as other formats show them."""
    for box in root.iter("div", "aside", "section"):
        if "admonition" in box.get("class", "").split():
            box.tag = "blockquote"
    for title in root.iter("p", "div"):
        if "admonition-title" in title.get("class", "").split():
            strong = etree.SubElement(title, "strong")
            strong.text = f"{all_text(title).strip().rstrip(':')}:"
            title[:], title.text, title.tag = [strong], None, "p"


def _weight(element: etree._Element) -> int:
    return sum(len(str(text).strip()) for text in element.itertext())


def _drop_frames(root: etree._Element) -> None:
    doomed = [element for element in root.iter(etree.Element) if _is_frame(element)]
    for element in doomed:
        parent = element.getparent()
        if parent is not None:
            _remove(parent, element)


def _remove(parent: etree._Element, element: etree._Element) -> None:
    """Take an element out and leave the text after it where it is."""
    before = element.getprevious()
    if element.tail:
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)


def _is_frame(element: etree._Element) -> bool:
    tag = element.tag
    if tag in ("html", "body", "main", "head"):
        return False
    if tag in _FRAME_TAGS or element.get("role", "") in _FRAME_ROLES:
        return True
    if "hidden" in element.attrib or element.get("aria-hidden") == "true":
        return True
    classes = element.get("class", "").lower()
    if tag == "aside":
        return not any(kind in classes for kind in _ADMONITIONS)
    if tag == "header":  # of the site; the one of an article holds its title
        return not element.xpath("boolean(.//h1)")
    # "gutter" and the like are also options of code highlighters
    return tag not in ("pre", "code") and not _FRAME_CLASSES.isdisjoint(classes.split())


def _head_title(root: etree._Element) -> str:
    """The <title> without the site's name, which stands after the last separator."""
    title = root.findtext(".//title") or ""
    return re.split(r"\s+[|·—–-]\s+", " ".join(title.split()))[0]


def _modified(root: etree._Element) -> str | None:
    for meta in root.iter("meta"):
        name = (meta.get("property") or meta.get("name") or meta.get("http-equiv") or "").lower()
        date = re.match(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?)?", meta.get("content", "").strip())
        if name in _DATES and date:
            return date[0]
    return None
