"""Each format becomes the Markdown that a reader of the original would write."""

from __future__ import annotations

import pytest

from indexer.parsing import Context, ParseError, format_of, parse
from tests.parsing.builders import docx, paragraph, pdf, word_table


def text_of(path: str, source: str, context: Context | None = None) -> str:
    return parse(path, source.encode(), context).text.strip()


# Markdown


def test_markdown_keeps_its_own_text() -> None:
    head = "---\r\ntitle: 部署指南\r\ndate: 2023-02-01\r\naliases: ['/a/', '/b/']\r\n---\r\n"
    source = f"\ufeff{head}\r\n# Other\r\n\r\ntext  \r\n"
    page = parse("a/b.md", source.encode())
    assert page.text == source.replace("\r\n", "\n").removeprefix("\ufeff")
    assert (page.title, page.modified) == ("部署指南", "2023-02-01")


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("## Two\n\n# One `code` [link](x.md) { #anchor }\n", "One code link"),
        ("```sh\n# not a title\n```\n\n## Real\n", "Real"),
        ("Underlined\n=====\n", "Underlined"),
        ("---\ntitle: [broken\n---\n# Heading\n", "Heading"),
        ("no heading at all\n", "how to install"),
        ("# snake_case_name and __init__\n", "snake_case_name and init"),
    ],
)
def test_title(source: str, title: str) -> None:
    assert parse("docs/how-to_install.md", source.encode()).title == title


def test_index_page_is_named_after_its_folder() -> None:
    assert parse("docs/quick-start/index.md", b"hello").title == "quick start"


FILES = {
    "docs_src/app.py": b"import a\n\nx = 1\ny = 2\n",
    "part.md": b"*shared* text\n",
}


def test_includes_are_found_from_any_folder_above_and_become_code() -> None:
    page = "docs/en/docs/tutorial/body.md"
    source = (
        "{* ../../docs_src/app.py ln[3:4] hl[3] *}\n\n<<< @/docs_src/app.py\n\n<!-- @include: ../../../../part.md -->"
    )
    text = text_of(page, source, Context(read=FILES.get))
    assert "```python\nx = 1\ny = 2\n```" in text
    assert "```python\nimport a\n\nx = 1\ny = 2\n```" in text
    assert text.endswith("*shared* text")


@pytest.mark.parametrize("wanted", ["ln[1:2,4]", "ln[1:2, 4:4] hl[4]"])
def test_include_takes_every_range_of_lines(wanted: str) -> None:
    numbered = {"app.py": b"one\ntwo\nthree\nfour\nfive\n"}
    text = text_of("docs/a.md", f"{{* ../app.py {wanted} *}}", Context(read=numbered.get))
    assert text == "```python\none\ntwo\nfour\n```"


def test_include_inside_a_fence_gives_bare_lines() -> None:
    assert text_of("a.md", "```py\n{!> docs_src/app.py!}\n```", Context(read=FILES.get)) == (
        "```py\nimport a\n\nx = 1\ny = 2\n```"
    )


def test_include_that_is_not_there_stays() -> None:
    asked: list[str] = []

    def read(path: str) -> bytes | None:
        asked.append(path)
        return None

    assert text_of("d/a.md", "{* ../../../etc/passwd *}", Context(read=read)) == "{* ../../../etc/passwd *}"
    assert not any(path.startswith(("..", "/")) for path in asked)


# HTML

PAGE = """<html><head><title>Install · Manual</title>
<meta property="article:modified_time" content="2024-05-06T01:02:03Z"></head>
<body><nav><ul><li><a href=x>Chapter</a></li></ul></nav><header><a>Site</a></header>
<main><header><h1>Install<a class="headerlink" href="#i">¶</a></h1></header>
<p>First <strong>bold </strong>and <code>a`b</code>,<br>then <a href="b.html">more</a>.</p>
<ol start="3"><li>one<ul><li>inner</li></ul></li><li><p>two</p><pre><code class="lang-bash">make
  install</code></pre></li></ol>
<table><tr><th>Name</th><th>Value</th></tr><tr><td rowspan=2>a|b</td><td>1<br>2</td></tr><tr><td>3</td></tr></table>
<div class="admonition note"><p class="admonition-title">Note</p><p>Careful.</p></div>
<dl><dt>term</dt><dd>meaning</dd></dl><p># no heading</p><p>1. no list</p><p>***</p></main>
<footer>imprint</footer><script>var x = "<p>no</p>";</script></body></html>"""


def test_html() -> None:
    page = parse("a.html", PAGE.encode())
    assert (page.title, page.modified) == ("Install", "2024-05-06T01:02:03")
    assert (
        page.text.strip()
        == r"""# Install

First **bold** and ``a`b``,
then [more](b.html).

3. one
   - inner

4. two

   ```bash
   make
     install
   ```

| Name | Value |
| --- | --- |
| a\|b | 1<br>2 |
| a\|b | 3 |

> **Note:**
>
> Careful.

- **term**: meaning

\# no heading

1\. no list

\***"""
    )


def test_html_boilerplate_goes_and_headings_stay() -> None:
    context = Context(boilerplate=lambda: frozenset({"Was this page helpful?", "## Parameters"}))
    text = text_of("a.html", "<h2>Parameters</h2><p>Own.</p><p>Was this page helpful?</p>", context)
    assert text == "## Parameters\n\nOwn."


def test_html_code_of_highlighters() -> None:
    sphinx = '<div class="highlight-python"><div class="highlight"><pre><span>x</span> = 1\n</pre></div></div>'
    cells = '<td class="linenos"><pre>1</pre></td><td class="code"><pre>x = 1</pre></td>'
    numbered = f'<table class="highlighttable"><tr>{cells}</tr></table>'
    assert text_of("a.html", '<pre class="brush: sql; gutter">SELECT 1</pre>') == "```sql\nSELECT 1\n```"
    assert text_of("a.html", sphinx) == "```python\nx = 1\n```"
    assert text_of("a.html", numbered) == "```\nx = 1\n```"


# DocBook


def test_docbook() -> None:
    source = """<!DOCTYPE chapter [<!ENTITY name "Foo">]>
<chapter id="c"><title>Settings of &name; &mdash; all</title>
<para>Use <command>run</command>, see <xref linkend="mem"/> and <xref linkend="elsewhere"/>.&file;</para>
<sect1><title>Memory</title>
<<<<<<< HEAD
<para>old</para>
=======
<para>new</para>
>>>>>>> abc
<variablelist><varlistentry id="mem" xreflabel="work_mem"><term><varname>work_mem</varname></term>
<listitem><para>How much.</para></listitem></varlistentry></variablelist>
<table><title>T</title><tgroup cols="2"><thead><row><entry>A</entry><entry>B</entry></row></thead>
<tbody><row><entry morerows="1">x</entry><entry>1</entry></row><row><entry>2</entry></row></tbody></tgroup></table>
<note><para>Mind <quote>this</quote>.</para></note>
<programlisting language="sql"><![CDATA[SELECT a < b;]]></programlisting>
<orderedlist><listitem><para>one</para></listitem><listitem><para>two</para></listitem></orderedlist>
</sect1></chapter></sect1>
<sect1><title>After a stray end tag</title><para>Still <>here.</para></sect1>"""
    assert (
        text_of("a.sgml", source)
        == r"""# Settings of Foo — all

Use `run`, see *work_mem* and `elsewhere`.

## Memory

old

new

- `work_mem`: How much.

**T**

| A | B |
| --- | --- |
| x | 1 |
| x | 2 |

> **Note:**
>
> Mind “this”.

```sql
SELECT a < b;
```

1. one
2. two

## After a stray end tag

Still <>here."""
    )


def test_sgml_short_and_missing_end_tags() -> None:
    source = "<chapter><title>A</><para>one <literal>x</> two<para>three</para></chapter>"
    assert text_of("a.sgml", source) == "# A\n\none `x` two\n\nthree"


def test_docbook_does_not_expand_bombs() -> None:
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    page = parse("a.sgml", f'<!DOCTYPE x [<!ENTITY a0 "ha">{levels}]><para>start &a11; end</para>'.encode())
    assert len(page.text) < 1_000


def test_other_xml_is_refused_with_a_reason() -> None:
    with pytest.raises(ParseError, match="without DocBook"):
        parse("pom.xml", b"<project><version>1</version></project>")


# reStructuredText


def test_rst() -> None:
    source = """Guide
=====

Text with :ref:`a label <x>`, :func:`~pkg.go`, :rfc:`2822` and ``lit``.

.. note:: Mind this.

.. code-block:: python
   :linenos:

   x = 1

.. py:function:: go(x, y)

   Does it.

.. unheard-of:: argument
   :option: 1

   Its body.

.. literalinclude:: docs_src/app.py
   :language: python

.. raw:: html

   <script>bad</script>

.. include:: /etc/passwd

===  ===
A    B
===  ===
1    2
===  ===
"""
    text = text_of("docs/a.rst", source, Context(read=FILES.get))
    assert text.startswith("# Guide\n\nText with a label, `go`, RFC 2822 and `lit`.\n\n> **Note:**\n>\n> Mind this.")
    for part in (
        "```python\nx = 1\n```",
        "`go(x, y)`\n\nDoes it.",
        "Its body.",
        "import a",
        "| A | B |\n| --- | --- |\n| 1 | 2 |",
    ):
        assert part in text
    assert "script" not in text and "root:" not in text


# AsciiDoc


def test_asciidoc() -> None:
    source = """= Guide
Jane Doe <j@example.org>
v1.0, 2024-05-01
:product: Foo

About {product}: https://example.org/x[site], *bold*, _em_, `co_de_x`.

== Part

[cols="1,2"]
|===
|Name |Meaning

|port
|a number
|===

NOTE: Restart.

. One
+
[source,bash]
----
make
----
. Two
** inner

Terms:

term:: meaning

[source,python]
----
x = 1
----

////
hidden
////
"""
    page = parse("a.adoc", source.encode())
    assert (page.title, page.modified) == ("Guide", "2024-05-01")
    assert (
        page.text.strip()
        == r"""# Guide

About Foo: [site](https://example.org/x), **bold**, *em*, `co_de_x`.

## Part

| Name | Meaning |
| --- | --- |
| port | a number |

> **Note:** Restart.

1. One

   ```bash
   make
   ```

2. Two
   - inner

Terms:

- **term**: meaning

```python
x = 1
```"""
    )


# PDF


def test_pdf_headings_paragraphs_and_running_heads() -> None:
    body = [(11, "This line is long enough to be wrapped by the"), (11, "printer and goes on here."), (11, "- an item")]
    titles = ["Install", "Part 1", "Part 2", "Part 3"]
    pages = [[(9, "The Manual"), (24, title), *body, (9, f"Page {n}")] for n, title in enumerate(titles)]
    page = parse("a.pdf", pdf(*pages))
    assert page.title == "Install"
    assert (
        "# Install\n\nThis line is long enough to be wrapped by the printer and goes on here.\n\n- an item" in page.text
    )
    assert "The Manual" not in page.text and "Page 2" not in page.text


def test_pdf_typewriter_lines_are_code() -> None:
    assert parse("a.pdf", pdf([(11, "make install"), (11, "make test")], font="Courier")).text.strip() == (
        "```\nmake install\nmake test\n```"
    )


def test_pdf_without_text_and_with_a_password() -> None:
    with pytest.raises(ParseError, match="OCR"):
        parse("a.pdf", pdf([]))
    locked = (
        "/Encrypt << /Filter /Standard /V 1 /R 2 /O <" + "00" * 32 + "> /U <" + "00" * 32 + "> /P -4 >> /ID [<00><00>] "
    )
    with pytest.raises(ParseError, match="password"):
        parse("a.pdf", pdf([(11, "secret")], trailer=locked))


# DOCX


def test_docx() -> None:
    body = paragraph("安装指南", "1") + paragraph("正文。") + paragraph("步骤", "2")
    body += paragraph("第一", level=0) + paragraph("子项", level=1) + word_table(("参数", "默认值"), ("port", "5432"))
    core = b"<cp:x><dcterms:modified xsi:type='x'>2024-01-02T03:04:05Z</dcterms:modified></cp:x>"
    page = parse("a.docx", docx(body, {"docProps/core.xml": core}))
    assert (page.title, page.modified) == ("安装指南", "2024-01-02T03:04:05Z")
    assert page.text.strip() == (
        "# 安装指南\n\n正文。\n\n## 步骤\n\n- 第一\n  1. 子项\n\n| 参数 | 默认值 |\n| --- | --- |\n| port | 5432 |"
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (docx(paragraph("x"), {"word/bomb.xml": b" " * (101 * 1024 * 1024)}), "unpacks to"),
        (docx(paragraph("x"), {f"word/media/{n}.bin": b"\0" * (80 * 1024 * 1024) for n in range(4)}), "unpacks to"),
        (docx(paragraph("&a;"), doctype='<!DOCTYPE x [<!ENTITY a "b">]>'), "entities"),
        (docx("<w:p>" * 500 + "</w:p>" * 500), "nested too deeply"),
        (b"\xd0\xcf\x11\xe0 old", "old .doc format"),
        (b"PK\x03\x04 broken", "not a Word document"),
        (docx(""), "no text"),
    ],
    ids=["large part", "large in all", "entities", "deep", "old", "broken", "empty"],
)
def test_docx_refusals(data: bytes, reason: str) -> None:
    with pytest.raises(ParseError, match=reason):
        parse("a.docx", data)


# All


def test_formats_by_extension() -> None:
    assert format_of("A/B.HTML") == "html"
    assert format_of("LICENSE") is None
    with pytest.raises(ParseError, match=r"not a document format: \.png"):
        parse("a.png", b"x")


@pytest.mark.parametrize(
    "data", [b"", b" \n\t", b"\x00\x00", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 4]
)
def test_empty_and_binary_files_are_refused(data: bytes) -> None:
    with pytest.raises(ParseError, match=r"empty|binary"):
        parse("a.md", data)
