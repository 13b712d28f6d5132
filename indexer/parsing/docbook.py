"""DocBook, XML or SGML, whole books or fragments, to Markdown: its elements are renamed to their HTML counterparts
and rendered like every other page."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from lxml import etree

from indexer.parsing import sgml
from indexer.parsing.encoding import decode
from indexer.parsing.page import Context, ParsedPage, ParseError, page
from indexer.parsing.render import all_text, blocks

_DECLARED = re.compile(rb"<\?xml[^<>]{0,100}?encoding=[\"']([\w.:-]{2,40})")


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_LEVELS = {
    **dict.fromkeys(_set("book part chapter appendix preface reference refentry article glossary bibliography set"), 1),
    **dict.fromkeys(_set("sect1 refsect1 simplesect refsynopsisdiv partintro topic"), 2),
    **dict.fromkeys(_set("sect2 refsect2"), 3),
    **dict.fromkeys(_set("sect3 refsect3"), 4),
    **dict.fromkeys(_set("sect4"), 5),
    **dict.fromkeys(_set("sect5"), 6),
}
_DROPPED = _set(
    "indexterm remark refmiscinfo manvolnum titleabbrev refmeta toc lot index colspec spanspec anchor comment "
    "refclass refdescriptor revhistory authorgroup author corpauthor keywordset"
)
_CODE = _set(
    "literal command function type varname structname structfield filename option parameter returnvalue envar symbol "
    "constant sgmltag tag token userinput computeroutput prompt classname keycap code methodname property uri email "
    "markup errorname errorcode interfacename database guibutton keycode"
)
_ITALIC = _set("emphasis firstterm citetitle replaceable term glossterm")
_LISTINGS = _set("programlisting screen synopsis literallayout funcsynopsis address programlistingco screenco")
_NOTES = _set("note tip warning caution important")
_RENAMED = {
    "para": "p", "simpara": "p", "itemizedlist": "ul", "orderedlist": "ol", "procedure": "ol", "substeps": "ol",
    "step": "li", "member": "li", "callout": "li", "calloutlist": "ol", "variablelist": "dl", "glosslist": "dl",
    "glossdef": "dd", "informaltable": "table", "row": "tr", "thead": "thead",
    "tbody": "tbody", "blockquote": "blockquote", "epigraph": "blockquote", "qandaset": "div", "question": "div",
    "answer": "div",
}  # fmt: skip


def parse(path: str, data: bytes, context: Context) -> ParsedPage:  # noqa: ARG001 - the parsers' common shape
    declared = _DECLARED.search(data[:200])
    text = decode(data, declared[1].decode() if declared else None)
    root = sgml.tree(text)
    if not any(element.tag in _LEVELS or element.tag in ("para", "simpara") for element in root.iter()):
        raise ParseError(f"a {PurePosixPath(path).suffix} file without DocBook text (chapters, sections, paragraphs)")
    _Converter(root).convert()
    return page(path, "\n\n".join(blocks(root)) + "\n")


# DocBook elements to HTML elements


class _Converter:
    """Renames the elements of one tree in place, children after their parents."""

    def __init__(self, root: etree._Element) -> None:
        self.root = root
        self.labels = {
            element.get("id", ""): element.get("xreflabel") or _title_of(element)
            for element in root.iter(etree.Element)
            if element.get("id")
        }

    def convert(self) -> None:
        for element in list(self.root.iter(etree.Element)):
            name = str(element.tag)
            if name in _DROPPED:
                self._drop(element)
            elif name in _LEVELS or name == "section":
                self._section(element, name)
            elif name in _CODE:
                element.tag = "code"
            elif name in _LISTINGS or name == "cmdsynopsis":
                self._listing(element, name)
            else:
                self._other(element, name)

    def _other(self, element: etree._Element, name: str) -> None:
        handler = getattr(self, f"_on_{name}", None)
        if handler:
            handler(element)
        elif name in _ITALIC:
            bold = element.get("role") in ("bold", "strong")
            element.tag = "strong" if bold else "em"
        elif name in _NOTES:
            self._titled(element, "blockquote", name.capitalize() + ":")
        elif name in _RENAMED:
            element.tag = _RENAMED[name]
        elif name in ("example", "figure", "formalpara", "sidebar", "equation", "mediaobject", "bibliodiv"):
            self._titled(element, "div", "")

    @staticmethod
    def _drop(element: etree._Element) -> None:
        tail = element.tail
        element.clear()
        element.tag, element.tail = "template", tail  # silent in the renderer

    def _section(self, element: etree._Element, name: str) -> None:
        level = _LEVELS.get(name) or min(6, 2 + sum(1 for _ in element.iterancestors("div", "section")))
        element.tag = "div"
        element.set("level", str(level))
        heading = element.find("title")
        if heading is None:
            heading = next((info.find("title") for info in element if str(info.tag).endswith("info")), None)
        if heading is not None:
            heading.tag = f"h{level}"
        elif name == "refentry" and (title := element.findtext(".//refentrytitle") or element.findtext(".//refname")):
            _insert(element, "h1", title)
        elif name == "refsynopsisdiv":
            _insert(element, "h2", "Synopsis")

    @staticmethod
    def _listing(element: etree._Element, name: str) -> None:
        text = " ".join(_command_line(element).split()) if name == "cmdsynopsis" else all_text(element)
        language = element.get("language", "")
        tail = element.tail
        element.clear()
        element.tag, element.text, element.tail = "pre", text, tail
        if language:
            element.set("data-lang", language)

    @staticmethod
    def _titled(element: etree._Element, tag: str, default: str) -> None:
        element.tag = tag
        title = element.find("title")
        if title is not None:
            title.tag = "strong"
            title.tail = None
            box = etree.Element("p")
            element.replace(title, box)
            box.append(title)
        elif default:
            _insert(element, "p", "").append(_made("strong", default))

    def _on_refnamediv(self, element: etree._Element) -> None:
        names = ", ".join(all_text(name).strip() for name in element.iter("refname"))
        purpose = " ".join(all_text(part).strip() for part in element.iter("refpurpose"))
        element.clear()
        element.tag, element.text = "p", f"{names} — {' '.join(purpose.split())}"

    def _on_quote(self, element: etree._Element) -> None:
        element.tag = "span"
        element.text = "“" + (element.text or "")
        if len(element):
            element[-1].tail = (element[-1].tail or "") + "”"
        else:
            element.text += "”"

    def _on_footnote(self, element: etree._Element) -> None:
        text = " ".join(all_text(element).split())
        tail = element.tail
        element.clear()
        element.tag, element.text, element.tail = "span", f" ({text})", tail

    def _on_ulink(self, element: etree._Element) -> None:
        target = element.get("url") or element.get("href") or ""
        element.tag = "a"
        element.set("href", target)
        if not all_text(element).strip():
            element.text = target

    def _on_link(self, element: etree._Element) -> None:
        if element.get("href"):
            self._on_ulink(element)
        else:
            element.tag = "span"
            if not all_text(element).strip():
                element.text = self.labels.get(element.get("linkend", "")) or element.get("linkend", "")

    def _on_xref(self, element: etree._Element) -> None:
        """The title of what is referred to, when it stands on this page; else its identifier."""
        target = element.get("linkend", "")
        label = self.labels.get(target)
        element.tag, element.text = ("em", label) if label else ("code", target)

    def _on_listitem(self, element: etree._Element) -> None:
        parent = element.getparent()
        element.tag = "dd" if parent is not None and parent.tag in ("varlistentry", "dl", "div.entry") else "li"

    def _on_variablelist(self, element: etree._Element) -> None:
        """Long explanations get headings of their own: they are sections in all but name."""
        entries = [entry for entry in element if entry.tag == "varlistentry"]
        size = sum(len(all_text(entry)) for entry in entries) / max(1, len(entries))
        nested = any(parent.tag in ("dl", "li", "dd", "td", "tr") for parent in element.iterancestors())
        self._titled(element, "dl" if nested or size < 600 else "div", "")
        level = next((int(box.get("level", "1")) for box in element.iterancestors("div") if box.get("level")), 1)
        for entry in entries:
            terms = [term for term in entry if term.tag == "term"]
            if element.tag == "div":
                self._headed(entry, terms, min(6, level + 1))
            else:
                for part in list(entry):  # <dl> wants terms and explanations directly
                    entry.addprevious(part)
                    part.tag = "dt" if part.tag == "term" else "dd" if part.tag == "listitem" else part.tag
                self._drop(entry)

    @staticmethod
    def _headed(entry: etree._Element, terms: list[etree._Element], level: int) -> None:
        entry.tag = "div"
        entry.set("level", str(level))
        for term in terms[1:]:  # "-D directory" and "--pgdata=directory" are one heading
            terms[0].append(term)
            term.tag, term.tail, before = "span", "", terms[0][-2] if len(terms[0]) > 1 else None
            if before is None:
                terms[0].text = (terms[0].text or "") + ", "
            else:
                before.tail = (before.tail or "").rstrip() + ", "
        if terms:
            terms[0].tag = f"h{level}"
        for item in entry:
            if item.tag == "listitem":
                item.tag = "div"

    def _on_glossentry(self, element: etree._Element) -> None:
        element.tag = "dl"
        for term in element.findall("glossterm"):
            term.tag = "dt"

    def _on_simplelist(self, element: etree._Element) -> None:
        if element.get("type") == "inline":
            words = ", ".join(" ".join(all_text(member).split()) for member in element)
            tail = element.tail
            element.clear()
            element.tag, element.text, element.tail = "span", words, tail
        else:
            element.tag = "ul"

    def _on_table(self, element: etree._Element) -> None:
        title = element.find("title")
        if title is not None:
            title.tag = "caption"
        for group in [child for child in element if child.tag == "tgroup"]:
            single = max((len(row) for row in group.iter("row")), default=0) == 1
            if single:  # one column of paragraphs is a list drawn as a table
                element.tag, group.tag = "div", "ul"
                if title is not None:
                    title.tag = "p"
                    title[:] = [_made("strong", " ".join(all_text(title).split()))]
                    title.text = None
            for part in list(group):
                if single and part.tag == "tbody":
                    group.extend(list(part))
                    group.remove(part)
                elif single:
                    self._drop(part)
                else:
                    element.append(part)
            for row in group.iter("row") if single else ():
                row.tag = "li"
            if not single:
                self._drop(group)

    _on_informaltable = _on_table

    def _on_entry(self, element: etree._Element) -> None:
        parent = element.getparent()
        if parent is not None and parent.tag == "li":
            element.tag = "div"
            return
        head = any(box.tag == "thead" for box in element.iterancestors())
        element.tag = "th" if head else "td"
        first, last = (re.sub(r"\D", "", element.get(key, "")) for key in ("namest", "nameend"))
        if first and last and len(first) < 3 and len(last) < 3:
            element.set("colspan", str(max(1, int(last) - int(first) + 1)))
        if (more := element.get("morerows", "")).isdigit() and len(more) < 4:
            element.set("rowspan", str(int(more) + 1))


def _made(tag: str, text: str) -> etree._Element:
    element = etree.Element(tag)
    element.text = text
    return element


def _insert(parent: etree._Element, tag: str, text: str) -> etree._Element:
    """A new first child; the parent's leading text moves behind it."""
    element = _made(tag, " ".join(text.split()))
    element.tail, parent.text = parent.text, None
    parent.insert(0, element)
    return element


def _title_of(element: etree._Element) -> str:
    for name in ("title", "refmeta/refentrytitle", "term"):
        found = element.find(name)
        if found is not None:
            return " ".join(all_text(found).split())
    return ""


def _command_line(element: etree._Element) -> str:
    """A command synopsis as a usage line: optional parts in brackets, alternatives in braces."""
    separator = " | " if element.tag == "group" else " "
    parts = [element.text or ""]
    for child in element:
        inner = _command_line(child)
        required = child.get("choice", "opt") in ("req", "plain")
        if child.tag == "group":
            inner = f"{{ {inner} }}" if required else f"[ {inner} ]"
        elif child.tag == "arg" and element.tag != "group" and not required:
            inner = f"[ {inner} ]"
        more = "..." if child.get("rep") == "repeat" else ""
        parts += [separator if child.getprevious() is not None else "", inner, more, child.tail or ""]
    return "".join(parts)
