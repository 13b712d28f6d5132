"""Whatever the bytes are: a clean page or the one parse error, and within a bounded time."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.parsing import ParseError, parse
from tests.parsing.builders import docx, paragraph, pdf

PATHS = ["a.md", "a.html", "a.sgml", "a.xml", "a.rst", "a.adoc", "a.txt", "a.pdf", "a.docx"]
_FRAGMENTS = """<p> </p> <table> <tr> <td colspan=9> </div> <pre> <a href= <![CDATA[ ]]> <!-- --> <!DOCTYPE [ <!ENTITY
&lt; &x; &#0; &#xD800; <sect1> <title> </ > <xref linkend='a'/> <variablelist> <varlistentry> <term> <listitem>
<entry morerows='99'> <tgroup> <row> # ## ``` ~~~ --- === |=== |a|b * ** . .. + term:: [source,x] [NOTE] ==== ---- {*
{! <<< include:: .. ::note:: .. |x| replace:: :ref:`x` `x`_ __ *a* \x00 \ufeff \r\n 中文 é :field: +---+ 1. - > code::
table:: list-table:: class:: raw:: html /etc/passwd math:: csv-table:: figure:: default-role:: role:: sectnum::
contents:: |a| image:: [1] _x: :: ~~~~ ^^^^"""
FRAGMENTS = st.sampled_from(_FRAGMENTS.split(" "))


def check(path: str, data: bytes) -> None:
    try:
        page = parse(path, data)
    except ParseError as error:
        assert str(error)
        return
    assert page.text.strip()
    assert page.title.strip()
    assert not {"\x00", "\r", "\ufeff"} & set(page.text)
    assert "\n" not in page.title
    page.text.encode()


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400))
def test_arbitrary_bytes(path: str, data: bytes) -> None:
    check(path, data)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parts=st.lists(st.tuples(FRAGMENTS, st.sampled_from(["", " ", "\n", "\n\n", "\n   "])), max_size=40))
def test_markup_in_any_order(path: str, parts: list[tuple[str, str]]) -> None:
    check(path, "".join(fragment + gap for fragment, gap in parts).encode())


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 10_000), value=st.binary(min_size=1, max_size=4), cut=st.integers(0, 10_000))
@pytest.mark.parametrize("path", ["a.pdf", "a.docx"])
def test_damaged_files(path: str, at: int, value: bytes, cut: int) -> None:
    whole = pdf([(12, "Hello there")]) if path == "a.pdf" else docx(paragraph("Hello", "1"))
    at %= len(whole)
    damaged = whole[:at] + value + whole[at + len(value) :]
    check(path, damaged)
    check(path, whole[: cut % len(whole)])


WORST = {
    "a.md": [b"[" * 200_000, b"<!-- include" * 20_000, b"# " + b"*_" * 100_000, b"---\n" + b"[" * 60_000 + b"\n---\n"],
    "a.html": [
        b"<div>" * 200_000 + b"x",
        b"<b>" * 50_000 + b"x",
        b"<ul><li>" * 20_000 + b"x",
        b"<" * 500_000,
        b"x" + b"<td>" * 100_000,
    ],
    "a.sgml": [
        b"<para>" * 100_000 + b"x",
        b"<para>x" + b"</x>" * 100_000,
        b'<para x="' + b'<para "' * 50_000,
        b"<para>" + b"<![CDATA[" * 50_000,
        b"<!DOCTYPE a [" + b'<!ENTITY a "&b;">' * 20_000 + b"]><para>&a;</para>",
        b"<!DOCTYPE a [" + b"<!--" * 20_000,
        b"<variablelist><varlistentry><listitem>" * 2_000 + b"<para>x",
    ],
    "a.adoc": [
        b"* " * 100_000,
        b"a::\n" * 20_000,
        b"|===\n" + b"|a" * 100_000,
        b"====\n\nx\n\n" * 20_000,
        b"`" * 100_000,
        b"<<" * 50_000,
        b"*a " * 50_000,
    ],
    "a.txt": [b"\xe4\xb8" * 200_000, bytes(range(128, 256)) * 4_000],
    "a.rst": [b"* " * 2_000 + b"x", b".. note::\n" * 3_000, b"`a" * 20_000],
}


@pytest.mark.parametrize(("path", "data"), [(path, data) for path, many in WORST.items() for data in many])
def test_worst_cases_end_soon(path: str, data: bytes) -> None:
    started = time.process_time()
    check(path, data)
    assert time.process_time() - started < 10  # a few hundred kilobytes; quadratic work takes minutes
