"""reStructuredText through docutils to HTML, and on to Markdown like every HTML page.

Files are not opened and raw HTML is not passed through. Sphinx's roles and directives, which docutils does not
know, are taught just enough to keep their text; Sphinx itself would run the project's Python.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from docutils import nodes
from docutils.core import publish_parts
from docutils.parsers.rst import Directive, directives, roles
from docutils.parsers.rst.languages import en
from docutils.utils import SystemMessage
from lxml import html as lxml_html

from indexer.parsing import includes
from indexer.parsing.encoding import decode
from indexer.parsing.html import mark_admonitions
from indexer.parsing.page import Context, ParsedPage, ParseError, page
from indexer.parsing.render import blocks

_SETTINGS: dict[str, Any] = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "report_level": 5,  # nothing is printed or put into the page
    "halt_level": 5,
    "syntax_highlight": "none",
    "embed_stylesheet": False,
    "stylesheet_path": "",
    "doctitle_xform": True,
    "sectsubtitle_xform": False,
    "initial_header_level": 2,
    "math_output": "LaTeX",
    "line_length_limit": 1_000_000,
    "smart_quotes": False,
    "section_self_link": False,
    "input_encoding": "unicode",
}
_CODE_ROLE_NAMES = "class func meth mod attr data exc obj const option envvar file kbd command program samp"
_CODE_ROLES = frozenset(_CODE_ROLE_NAMES.split())
_SIGNATURE_NAMES = """function method classmethod staticmethod attribute data exception decorator module option envvar
describe object cmdoption program property type macro member var enum struct confval setting"""
_SILENT_NAMES = """toctree index currentmodule sectionauthor codeauthor tabularcolumns highlight default-role testsetup
testcleanup autosummary literalinclude default-domain automodule autoclass autofunction"""
_SIGNATURES, _SILENT = frozenset(_SIGNATURE_NAMES.split()), frozenset(_SILENT_NAMES.split())
_DIRECTIVE_NAME = re.compile(r"^[ \t]*\.\.[ \t]+(?:\|[^|\n]{1,100}\|[ \t]+)?([A-Za-z][\w:+.-]{0,60})::", re.M)
_ROLE_NAME = re.compile(r":([A-Za-z][\w:+.-]{0,60}):`")
_MOST_NAMES = 500  # that one page may teach
# docutils on broken input: its transforms and its writer take a sound tree for granted.
_SLIPS = (SystemMessage, ValueError, TypeError, AttributeError, LookupError, AssertionError, NotImplementedError)
_NEWS = {
    "versionadded": "New in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
    "versionremoved": "Removed in version",
}
_REFERENCE = re.compile(r"(.+?)\s*<[^<>]+>\s*", re.S)


def parse(path: str, data: bytes, context: Context) -> ParsedPage:
    text = _with_includes(path, decode(data), context)
    _teach(text)
    try:
        body = publish_parts(text, writer="html5", settings_overrides=_SETTINGS)["html_body"]
    except _SLIPS as error:
        raise ParseError(f"the reStructuredText cannot be read: {type(error).__name__}: {str(error)[:200]}") from error
    root = lxml_html.fragment_fromstring(body, create_parent="body")
    for literal in root.find_class("literal"):
        literal.tag = "code"
    mark_admonitions(root)
    for quote in root.iter("blockquote"):
        if len(quote) and all(child.tag in ("ul", "ol", "dl") for child in quote):
            quote.tag = "div"  # an indented list, which the grammar calls a quotation
    return page(path, "\n\n".join(blocks(root)) + "\n")


def _with_includes(path: str, text: str, context: Context) -> str:
    """Included code as code blocks, included text as text; the directive's option lines go with it."""
    lines: list[str] = []
    dropping_options = False
    for line in text.split("\n"):
        if dropping_options and line.lstrip().startswith(":"):
            continue
        match = includes.directive(line) if "include::" in line else None
        included = includes.text_of(path, match, context.read) if match else None
        dropping_options = included is not None
        if included is None:
            lines.append(line)
        elif "literalinclude" in line:
            indent = line[: len(line) - len(line.lstrip())]
            code = [
                f".. code-block:: {includes.language_of(str(match and match['path']))}",
                "",
                *_indented(included),
                "",
            ]
            lines += [indent + part for part in code]
        else:
            lines += included.split("\n")
    return "\n".join(lines)


def _indented(code: str) -> list[str]:
    return ["   " + line for line in code.split("\n")]


class _AnyOption(dict[str, Any]):
    """Accepts every option as text: which ones Sphinx knows does not matter here."""

    def __missing__(self, key: str) -> Any:
        return directives.unchanged


_ANY = _AnyOption(name=directives.unchanged)  # an empty table would mean "no options"


class _Box(Directive):
    """A directive whose content counts and whose name does not."""

    optional_arguments = 1
    has_content = True
    final_argument_whitespace = True
    option_spec = _ANY

    def run(self) -> Sequence[nodes.Node]:
        box = nodes.container()
        if self.arguments:
            text = " ".join([_NEWS.get(self.name, ""), *self.arguments]).strip()
            inline, messages = self.state.inline_text(text, self.lineno)
            box += [nodes.paragraph(text, "", *inline), *messages]
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


class _Signature(Directive):
    """A described thing (function, option): its signature as code, then its description."""

    optional_arguments = 1
    has_content = True
    final_argument_whitespace = True
    option_spec = _ANY

    def run(self) -> Sequence[nodes.Node]:
        box = nodes.container()
        for line in "\n".join(self.arguments).split("\n"):
            if line.strip():
                box += nodes.paragraph("", "", nodes.literal("", line.strip()))
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


class _Code(Directive):
    """Docutils' own refuses the options that Sphinx has."""

    optional_arguments = 1
    has_content = True
    option_spec = _ANY

    def run(self) -> Sequence[nodes.Node]:
        code = "\n".join(self.content)
        classes = ["code", *(re.sub(r"[^\w+#.-]", "", name) for name in self.arguments)]
        return [nodes.literal_block(code, code, classes=classes)]


class _Silence(Directive):
    optional_arguments = 1
    has_content = True
    final_argument_whitespace = True
    option_spec = _ANY

    def run(self) -> Sequence[nodes.Node]:
        return []


def _role(name: str, rawtext: str, text: str, *_rest: Any, **_options: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """ ":ref:`text <target>`" shows the text, ":func:`~a.b.c`" shows "c", ":rfc:`2822`" shows "RFC 2822"."""
    if explicit := _REFERENCE.fullmatch(text):
        words = explicit[1]
    else:
        words = text.rpartition(".")[2].lstrip("~") if text.startswith("~") else text.lstrip("!")
    if name in ("rfc", "pep"):
        words = f"{name.upper()} {words}"
    code = name.rpartition(":")[2] in _CODE_ROLES
    return [nodes.literal(rawtext, words) if code else nodes.inline(rawtext, words)], []


def _teach(text: str) -> None:
    """Register the roles and directives that this page uses and docutils has not heard of.

    Its tables belong to the process; a name taught once stays taught, and always means the same.
    """
    for name in ("code", "code-block", "sourcecode"):
        directives.register_directive(name, _Code)
    for name in sorted(set(_DIRECTIVE_NAME.findall(text)))[:_MOST_NAMES]:
        last = name.rpartition(":")[2].lower()
        if last in _SILENT:
            directives.register_directive(name, _Silence)
        elif last in _SIGNATURES:
            directives.register_directive(name, _Signature)
        elif name.lower() not in en.directives:
            directives.register_directive(name, _Box)
    for name in ("rfc", "pep"):
        roles.register_local_role(name, _role)
    for name in sorted(set(_ROLE_NAME.findall(text)))[:_MOST_NAMES]:
        if name.lower() not in en.roles:
            roles.register_local_role(name, _role)
