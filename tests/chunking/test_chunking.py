from __future__ import annotations

import re
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from indexer.chunking import FINGERPRINT, chunk, index_spans, index_text
from router.types import Document, Passage
from router.units import plain, split

DRAWN = re.compile(r"([-=+*#_~.─━═])\1{3}")
TOKEN = re.compile(r"[\u3400-\u9fff]|[A-Za-z0-9]+|[^\s\w]")


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Like a WordPiece tokenizer: a Han character, a word or a mark is a token."""
    return [len(TOKEN.findall(text)) for text in texts]


def document(text: str, title: str = "", language: str = "en", path: str = "docs/a.md") -> Document:
    return Document(path, "docs", title, language, text, "r1", "0" * 64)


def cut(text: str, budget: int = 200, overlap: int = 30, title: str = "", language: str = "en") -> list[Passage]:
    return chunk(document(text, title, language), count_tokens, budget, overlap)


def assert_rebuilds(text: str, passages: Sequence[Passage]) -> None:
    at = 0
    for passage in passages:
        assert passage.text == text[passage.start : passage.end]
        assert passage.start <= at < passage.end
        at = passage.end
    assert at == len(text)


words = st.sampled_from(
    [
        "start",
        "the server",
        "重启主节点",
        "v1.2.3",
        "`a|b`",
        "[x](y.md)",
        "e.g.",
        "。",
        "; ",
        "**bold**",
        "🙂",
        "http://a.b/c",
        "\\",
    ]
)
prose = st.lists(words, min_size=1, max_size=40).map(" ".join)
row = st.lists(prose, min_size=2, max_size=3).map(lambda cells: "| " + " | ".join(cells) + " |")
gap = st.sampled_from(["", "\n", "\n    ", "\t", "\n\n"])
html_row = st.tuples(
    st.sampled_from(["<tr>", '<tr class="a">', "<TR\n id=b>"]),
    st.lists(st.tuples(st.sampled_from(["<td>", "<th>", '<td\trowspan="2">', "<th align=left>"]), prose), max_size=3),
    st.sampled_from(["</tr>", "</TR >", ""]),
)


@st.composite
def html_tables(draw: st.DrawFn) -> str:
    """Rows with attributes and white space between cells; some nested, some with tags missing."""
    between = draw(gap)
    rows = [
        between.join([opening, *(f"{cell}{words}</{cell[1:3]}>" for cell, words in cells), closing])
        for opening, cells, closing in draw(st.lists(html_row, max_size=8))
    ]
    head = draw(st.integers(0, 2))
    if draw(st.booleans()):
        rows[:head] = [between.join(["<thead>", *rows[:head], "</thead>", "<tbody>"])]
    inner = between.join(rows)
    if draw(st.integers(0, 5)) == 0:
        inner = f"<tr><td>{draw(prose)}<table>{between}{inner}{between}</table></td></tr>{between}{inner}"
    opening = draw(st.sampled_from(["<table>", '<table style="a">', "<div><table>", "", "<table><table>"]))
    closing = draw(
        st.sampled_from(["</table>", "</table>\nand after", "</tbody></table></div>", "", "</table></table>"])
    )
    return between.join([opening, inner, closing])


blocks = st.one_of(
    html_tables(),
    prose,
    st.tuples(st.integers(1, 6), prose).map(lambda it: f"{'#' * it[0]} {it[1]}"),
    prose.map(lambda it: f"{it}\n==="),
    st.lists(row, min_size=1, max_size=12).map(lambda rows: "\n".join(["| a | b |", "|---|---|", *rows])),
    st.lists(prose, min_size=1, max_size=12).map(lambda it: "```sh\n" + "\n\n".join(it) + "\n```"),
    st.lists(prose, min_size=1, max_size=8).map(lambda it: "\n".join(f"- {item}" for item in it)),
    st.lists(prose, min_size=1, max_size=5).map(
        lambda it: "\n".join(f"{'  ' * n}1. {item}" for n, item in enumerate(it))
    ),
    st.tuples(prose, prose).map(lambda it: f"1. {it[0]}\n\n   ```\n   {it[1]}\n   ```\n\n   > {it[0]}"),
    prose.map(lambda it: f"::: tip {it}\n{it}\n:::"),
    prose.map(lambda it: f"/// note | {it}\n\n{it}\n\n///"),
    prose.map(lambda it: f'<SimpleTab>\n<div label="{it}">\n\n- {it}\n\n</div>\n</SimpleTab>'),
    prose.map(lambda it: f'{{% tabs %}}\n{{% tab title="{it}" %}}\n\n1. {it}\n\n{{% endtab %}}\n{{% endtabs %}}'),
    prose.map(lambda it: f'{{% hint style="info" %}}\n{it}\n{{% endhint %}}'),
    prose.map(lambda it: f"> **Note:**\n>\n> {it}"),
    prose.map(lambda it: f"<table>\n<tr><td>{it}</td></tr>\n</table>"),
    st.sampled_from(
        ["---", "<!-- c -->", "[x]: /y", "![i](j.png)", "", "    code", ":::", "```", "> - a\n> - b", "\t- x"]
    ),
    st.text(max_size=80),
)
markdown = st.tuples(
    st.sampled_from(["", "\n\n", "---\ntitle: x\n---\n", "+++\na = 1\n+++\n"]), st.lists(blocks, max_size=14)
).map(lambda it: it[0] + "\n\n".join(it[1]))


@given(markdown, st.sampled_from([(200, 30), (40, 10), (16, 0)]), st.sampled_from(["", "A title", "标题"]))
@settings(max_examples=250, deadline=None)
def test_passages_rebuild_any_document(text: str, sizes: tuple[int, int], title: str) -> None:
    passages = cut(text, *sizes, title=title)
    assert_rebuilds(text, passages)
    for passage in passages:
        searched, spans = index_spans(passage)
        for unit, (start, end) in zip(split(passage.text), spans, strict=True):
            quote = passage.text[unit.start : unit.end]
            if not DRAWN.search(quote):
                assert searched[start:end] == plain(quote) or plain(quote) in passage.heading


@given(st.lists(prose, min_size=1, max_size=60).map("\n\n".join))
@settings(max_examples=80, deadline=None)
def test_no_passage_is_longer_than_the_embedder_reads(text: str) -> None:
    assert all(count_tokens([index_text(passage)])[0] <= 254 for passage in cut(text))


@given(st.lists(html_tables(), min_size=1, max_size=4).map("\n\n".join))
@settings(max_examples=80, deadline=None)
def test_no_part_of_an_html_table_is_longer_than_the_embedder_reads(text: str) -> None:
    assert all(count_tokens([index_text(passage)])[0] <= 254 for passage in cut(text))


@given(prose, st.integers(2, 40))
@settings(max_examples=50, deadline=None)
def test_overlap_is_small_and_only_inside_a_paragraph(sentence: str, times: int) -> None:
    text = "# H\n\n" + " ".join([f"{sentence} End."] * times)
    for one, other in pairwise(cut(text, budget=60, overlap=20)):
        assert count_tokens([plain(text[other.start : one.end])])[0] <= 20


def test_one_call_counts_the_tokens_of_a_document() -> None:
    calls = []

    def counting(texts: Sequence[str]) -> list[int]:
        calls.append(len(texts))
        return count_tokens(texts)

    chunk(document("# A\n\nText.\n\n## B\n\n- x\n- y\n"), counting)
    assert len(calls) == 1


def test_empty_document() -> None:
    assert cut("") == []


def test_a_section_is_a_passage_with_its_heading_path() -> None:
    body = (
        "This section says a few things about the feature that it documents, at some length, so that it stands alone. "
    )
    text = f"# Guide\n\n{body * 2}\n\n## Install `it` {{ #install }}\n\n{body * 2}\n\n### On *Linux*\n\n{body * 2}\n"
    passages = cut(text, title="Guide")
    assert [passage.heading for passage in passages] == [
        ("Guide",),
        ("Guide", "Install it"),
        ("Guide", "Install it", "On Linux"),
    ]
    assert passages[1].text.startswith("## Install")


def test_the_title_leads_unless_the_first_heading_says_it() -> None:
    assert cut("Text.", title="EXPIRE")[0].heading == ("EXPIRE",)
    assert cut("# Expire\n\nText.", title="EXPIRE")[0].heading == ("Expire",)
    assert cut("# Appendix\n\nText.", title="EXPIRE")[0].heading == ("EXPIRE", "Appendix")
    assert cut("Text.")[0].heading == ()


def test_front_matter_belongs_to_the_first_passage_and_is_not_searched() -> None:
    (passage,) = cut("---\ntitle: Secret\n---\n\n# Page\n\nWords.\n")
    assert passage.start == 0
    assert index_text(passage) == "Page\nWords."


def test_headings_without_a_body_join_what_follows() -> None:
    (passage,) = cut("# Top\n\n## Middle\n\n### Leaf\n\nThe body.\n")
    assert passage.heading == ("Top", "Middle", "Leaf")
    assert index_text(passage) == "Top > Middle > Leaf\nThe body."


def test_a_line_of_introduction_joins_its_first_child_but_topics_stay_apart() -> None:
    long = (
        "A full explanation that is long enough to be a passage of its own, with all the words that this takes today. "
    )
    passages = cut(f"# Top\n\nShort.\n\n## One\n\n{long * 3}\n\n## Two\n\n{long * 3}\n")
    assert [passage.heading for passage in passages] == [("Top",), ("Top", "Two")]
    assert "## One" in passages[0].text


def test_a_lead_in_stays_with_what_it_introduces() -> None:
    filler = "Some other words that fill this paragraph up. " * 18
    listed = "\n".join(f"- item number {n} of the list" for n in range(10))
    passages = cut(f"# H\n\n{filler}\n\nDo the following:\n\n{listed}\n")
    assert [passage.text.startswith("Do the following:") for passage in passages] == [False, True]


def test_a_long_table_is_cut_by_rows_and_repeats_its_header() -> None:
    rows = [f"| name_{n} | what the setting number {n} does |" for n in range(60)]
    passages = cut("\n".join(["# H", "", "| Name | Use |", "| --- | --- |", *rows]))
    assert len(passages) > 2
    for passage in passages[1:]:
        assert passage.preamble == "| Name | Use |\n| --- | --- |"
        assert passage.text.startswith("| name_")
        assert "Name | Use\n" in index_text(passage)


def html_table(header: str, rows: int, before: str = "", after: str = "") -> str:
    body = "\n".join(
        f'    <tr class="r">\n        <td>name_{n}</td>\n        <td>what the setting {n} does</td>\n    </tr>'
        for n in range(rows)
    )
    return f"# H\n\n{before}<table>\n{header}{body}\n</table>{after}\n"


HEADER_ROW = '<tr>\n        <th>Name</th>\n        <th align="left">Use</th>\n    </tr>'


@pytest.mark.parametrize(
    ("before", "repeated", "after"),
    [
        ("    ", HEADER_ROW, "\n"),
        ("<thead>\n", HEADER_ROW, "\n</thead>\n<tbody>\n"),
        ("<thead>\n", f"<tr><th colspan=2>All</th></tr>\n{HEADER_ROW}", "\n</thead>\n"),
        ("", f"<tr><th colspan=2>All</th></tr>\n{HEADER_ROW}", "\n"),
        ("", "<TR><TD>Name</TD><TD>Use</TD></TR>", ""),
    ],
)
def test_a_long_html_table_is_cut_by_rows_and_repeats_its_header(before: str, repeated: str, after: str) -> None:
    text = html_table(before + repeated + after, 60)
    passages = cut(text)
    assert_rebuilds(text, passages)
    assert len(passages) > 2
    for passage in passages[1:]:
        assert passage.preamble == repeated
        assert passage.text.lstrip().startswith('<tr class="r">')
        assert re.search(r"Name\s+Use", index_text(passage).split("name_")[0], re.S)
    for passage in passages:
        assert passage.text.count('<tr class="r">') == passage.text.count("setting")
        assert count_tokens([index_text(passage)])[0] <= 200


def test_attributes_take_no_room() -> None:
    """Only words count: a long tag is never counted in halves, which would not be tags."""
    cell = '<td style="text-align:center" class="a very long list of classes" data-x="one two three four five">yes</td>'
    rows = "\n".join(f"<tr>\n<td>name_{n}</td>\n{cell}\n</tr>" for n in range(40))
    (passage,) = cut(f"# H\n\n<table>\n{HEADER_ROW}\n{rows}\n</table>\n")
    assert count_tokens([index_text(passage)])[0] < 200


def test_a_table_on_one_line_is_cut_by_rows_too() -> None:
    text = html_table(HEADER_ROW, 60).replace("\n    ", "")
    passages = cut(text)
    assert_rebuilds(text, passages)
    assert len(passages) > 2
    assert all(passage.text.lstrip().startswith("<tr class") and passage.preamble for passage in passages[1:])


def test_a_row_longer_than_the_budget_is_cut_by_lines_and_repeats_the_header() -> None:
    cells = "\n".join(f"<td>cell {n} of the very long row of this table</td>" for n in range(60))
    passages = cut(f"# H\n\n<table>\n{HEADER_ROW}\n<tr><td>short</td></tr>\n<tr>\n{cells}\n</tr>\n</table>\n")
    assert len(passages) > 2
    assert all(passage.preamble == HEADER_ROW for passage in passages[1:])


def test_each_of_two_tables_repeats_its_own_header_and_the_words_after_them_none() -> None:
    one, other = (html_table(f"<tr><th>{name}</th><th>Use</th></tr>\n", 40)[5:].strip() for name in ("One", "Other"))
    words = "\n".join(f"<p>and some words {n} that follow the tables</p>" for n in range(40))
    passages = cut(f"# H\n\n{one}\n{other}\n{words}\n")
    for passage in passages[1:]:
        if passage.text.lstrip().startswith("<tr class"):
            second = passage.start > len(one)
            assert passage.preamble == f"<tr><th>{'Other' if second else 'One'}</th><th>Use</th></tr>"
        else:
            assert passage.preamble == ""


def test_a_row_title_and_an_endless_header_are_not_repeated() -> None:
    titled = "\n".join(f"<tr><th>name {n}</th><td>what the setting {n} does</td></tr>" for n in range(120))
    passages = cut(f"# H\n\n<table>\n{titled}\n</table>\n")
    assert len(passages) > 2
    assert all(passage.text.startswith("<tr>") and not passage.preamble for passage in passages[1:])
    endless = f"<tr><th style='{'x' * 3000}'>Name</th><th>Use</th></tr>"
    assert not any(passage.preamble for passage in cut(html_table(endless, 60)))


def test_rows_of_a_table_inside_a_cell_are_no_place_to_cut() -> None:
    rows = "\n".join(
        f"<tr><td>outer {n}<table><tr><td>inner {n}</td></tr><tr><td>more of it</td></tr></table></td></tr>"
        for n in range(120)
    )
    passages = cut(f"# H\n\n<table>\n{HEADER_ROW}\n{rows}\n</table>\n")
    assert len(passages) > 2
    assert all(passage.text.startswith("<tr><td>outer") for passage in passages[1:])


@pytest.mark.parametrize(
    "piece",
    [
        "<tr></tr>",
        "<tr>",
        "<tr>\n",
        "<tr\n",
        "</tr ",
        "<tr><td>a\n",
        "<tr><th>a</th></tr>",
        "<td>x",
        "<table>",
        "</table>",
        "<table ",
        "<table><tr>",
        "<table><tr></table>",
        "<tr><td>                    ",
    ],
)
def test_cutting_strange_tables_takes_time_in_proportion(piece: str) -> None:
    def with_ends(texts: Sequence[str]) -> list[int]:
        """As a real tokenizer counts: what begins and ends a text, too. So nothing is free."""
        return [count + 2 for count in count_tokens(texts)]

    def seconds(times: int) -> float:
        text = f"<table>{HEADER_ROW}\n{(piece * times).rstrip()}\n{'words ' * 300}"
        took = []
        for _ in range(3):  # the least: a busy machine adds to some
            started = time.process_time()
            assert_rebuilds(text, chunk(document(text), with_ends, 200, 30))
            took.append(time.process_time() - started)
        return min(took)

    assert seconds(16_000) < 0.4 + 16 * seconds(2_000)  # 8 times the text; 64 times the work would be quadratic


def test_a_long_list_is_cut_by_items_and_repeats_the_sentence_before_it() -> None:
    items = [f"{n}. Do the step with number {n}, and wait until it is done.\n   Then look." for n in range(1, 40)]
    passages = cut("# H\n\nIt is easy. Follow these steps:\n\n" + "\n".join(items))
    assert len(passages) > 2
    for passage in passages[1:]:
        assert passage.preamble == "Follow these steps:"
        assert re.match(r"\d+\. Do", passage.text)


def test_long_code_is_cut_between_lines_and_repeats_its_fence() -> None:
    lines = [f"set parameter_{n} = {n}" for n in range(80)]
    passages = cut("# H\n\nRun:\n\n```sql\n" + "\n".join(lines) + "\n```\n")
    assert len(passages) > 1
    for passage in passages[1:]:
        assert passage.preamble == "Run:\n\n```sql"
        assert passage.text.startswith("set parameter_")


wholes = st.one_of(
    st.lists(row, min_size=1, max_size=8).map(lambda rows: "\n".join(["| a | b |", "|---|---|", *rows])),
    st.lists(st.sampled_from(["make", "x = 1", "", "start 'a b'"]), min_size=1, max_size=12).map(
        lambda lines: "```sh\nrun\n" + "\n".join(lines) + "\nend\n```"
    ),
    st.lists(st.sampled_from(["Stop it.", "重启主节点。", "Run `a --b`."]), min_size=1, max_size=10).map(
        lambda steps: "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    ),
)


@given(wholes, st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=150, deadline=None)
def test_what_fits_is_never_cut(whole: str, before: int, after: int) -> None:
    """A table, a code block, a list of steps; words on either side that leave no room for it, or nearly none."""
    assume(count_tokens([whole])[0] <= 150)
    passages = cut(f"# H\n\n{'Some words. ' * before}\n\n{whole}\n\n{'Some words. ' * after}")
    assert sum(whole in passage.text for passage in passages) == 1


def test_a_sentence_without_end_is_cut_at_the_budget() -> None:
    passages = cut("很" * 1000, language="zh")
    assert_rebuilds("很" * 1000, passages)
    assert all(count_tokens([index_text(passage)])[0] <= 200 for passage in passages)


def test_tabs_do_not_run_into_each_other() -> None:
    steps = "\n".join(
        f"{n}. Step {n} is done like this, with some more words for it to be long.\n" for n in range(1, 9)
    )
    tabs = "".join(f'<div label="{label}">\n\n{steps}\n</div>\n' for label in ("Cloud", "Self-hosted"))
    text = f"# H\n\n<SimpleTab>\n{tabs}</SimpleTab>\n"
    passages = cut(text)
    assert any(passage.text.startswith('<div label="Self-hosted">') for passage in passages)
    assert any("Self-hosted\n1. Step 1" in index_text(passage) for passage in passages)
    half = len(text) // 2
    assert all("Cloud" in index_text(passage) for passage in passages if passage.end < half)
    assert all("Self-hosted" in index_text(passage) for passage in passages if passage.start > half)


def test_ids_name_the_words_and_their_headings_only() -> None:
    one, other = "# H\n\nSame words.\n", "# Else\n\nOther.\n\n# H\n\nSame words.\n"
    (passage,) = chunk(document(one, path="docs/a.md"), count_tokens)
    later = chunk(document(other, path="docs/b.md"), count_tokens)[-1]
    assert passage.id == later.id and re.fullmatch(r"[0-9a-f]{32}", passage.id)
    assert cut("# H\n\nSame word.\n")[0].id != passage.id
    assert cut("# I\n\nSame words.\n")[0].id != passage.id


def test_index_text_keeps_words_and_leaves_markup() -> None:
    text = (
        "# 部署\n\n::: tip 提示\n见 [文档](https://a.b/c)。\n:::\n\n| 参数 | 值 |\n|---|---|\n| `max_conn` | 100 |\n\n"
        "```sh\n+-----+------+\n| a   |\ndocker run -p 5432:5432 x\n```\n\n![架构图](a.png) <b>粗</b>"
    )
    (passage,) = cut(text, language="zh")
    assert index_text(passage).split("\n") == [
        "部署", "提示", "见 文档。", "参数 | 值", "max_conn | 100", "| a   |", "docker run -p 5432:5432 x", "架构图 粗",
    ]  # fmt: skip


def test_spans_lead_from_units_to_the_index_text() -> None:
    (passage,) = cut("# H\n\nFirst *one*. Second one.\n\n- item\n")
    text, spans = index_spans(passage)
    assert [text[start:end] for start, end in spans] == ["H", "First one.", "Second one.", "item"]


def test_a_very_long_heading_path_leaves_room_for_the_text() -> None:
    text = "".join(f"{'#' * n} " + f"level{n} " * 30 + "\n\n" for n in range(1, 7)) + "body words " * 300
    passages = cut(text)
    assert all(count_tokens([index_text(passage)])[0] <= 254 for passage in passages)
    assert all("body" in index_text(passage) for passage in passages)


@pytest.mark.parametrize(
    ("text", "of_document", "language"),
    [
        ("重启 primary 节点。", "en", "zh"),
        ("The server is restarted for you, and that is all.", "zh", "en"),
        ("```sh\nthe is for and of to in\n```", "zh", "zh"),
        ("max_connections", "zh", "zh"),
        ("これはテストです。", "en", "ja"),
        ("이것은 시험입니다.", "en", "ko"),
        ("Der Server wird neu gestartet.", "de", "de"),
        ("", "en", "en"),
    ],
)
def test_language(text: str, of_document: str, language: str) -> None:
    assert [passage.language for passage in cut(f"{text}\n", language=of_document)] == [language]


def test_the_fingerprint_names_the_parameters() -> None:
    assert "budget=200" in FINGERPRINT and "overlap=30" in FINGERPRINT


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="budget 8"):
        cut("x", budget=8)
