"""Curated entries as files: out and in again without loss, and in from what other programs write."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.errors import InvalidInput
from router.types import Citation, CuratedEntry, EntryStatus
from services.curated.checks import checked, id_for
from services.curated.exchange import FORMATS, format_of, parse, to_csv, to_jsonl
from services.curated.importing import ImportReport, import_entries, merged
from services.store.sql import SqlStore

QA = Path(__file__).resolve().parents[3] / "shared" / "data" / "qa"
WRITE = {"jsonl": to_jsonl, "csv": to_csv}


def bring_in(store: SqlStore, text: str | bytes, format: str = "", **more: bool) -> ImportReport:
    content = text if isinstance(text, bytes) else text.encode()
    return asyncio.run(import_entries(store.curated, content, format or format_of("", content), "anna", **more))


def held(store: SqlStore) -> dict[str, CuratedEntry]:
    return {entry.id: entry for entry in asyncio.run(store.curated.entries_at()).changed}


# What any file may hold: formulas, quotes, separators, brackets, every kind of newline, full width, emoji.
nasty = st.text(st.sampled_from("=+-@'\"|,;\t\r\n[]{}\\ ＝aé中🙂\u2028\x85\ufeff\x00\x1f"), max_size=12)
texts = nasty | st.text(max_size=20)
citations = st.builds(
    Citation, texts, texts, texts, texts, st.integers(0, 9), st.integers(9, 99), texts, st.lists(texts).map(tuple)
)
lists = st.lists(texts, max_size=4).map(tuple)
raw_entries = st.builds(
    CuratedEntry,
    texts,
    texts,
    texts,
    lists,
    lists,
    st.lists(citations, max_size=2).map(tuple),
    st.sampled_from(EntryStatus),
)


def acceptable(raw: CuratedEntry) -> CuratedEntry | None:
    try:
        return checked(raw)
    except InvalidInput:
        return None


entries = raw_entries.map(acceptable).filter(lambda entry: entry is not None)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(many=st.lists(entries, min_size=1, max_size=4, unique_by=lambda entry: entry.id))
def test_what_goes_out_comes_in_again(format: str, many: list[CuratedEntry]) -> None:
    written = WRITE[format](many).encode()
    assert format_of("", written) == format
    parsed = parse(written, format)
    assert (parsed.skipped, parsed.left_out) == ((), ())
    assert [merged(row.fields, str(row.fields["id"]), None) for row in parsed.rows] == many


@given(raw=raw_entries)
def test_checking_again_changes_nothing(raw: CuratedEntry) -> None:
    once = acceptable(raw)
    assert once is None or checked(once) == once


@given(cells=st.lists(nasty, min_size=1, max_size=3))
def test_no_cell_is_a_formula(cells: list[str]) -> None:
    entry = CuratedEntry(cells[0], cells[-1], cells[0], tuple(cells))
    rows = list(csv.reader(io.StringIO(to_csv([entry]).removeprefix("\ufeff"), newline="")))
    assert not [cell for row in rows for cell in row if cell[:1] in tuple("=+-@\t\r\n＝＋－＠")]


@given(content=st.binary(max_size=200) | st.text(st.sampled_from('{}[]",:|a\n'), max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for format in FORMATS:
        try:
            parse(content, format)
        except InvalidInput as exc:
            assert str(exc)


def test_a_spreadsheet_from_a_chinese_windows(store: SqlStore) -> None:
    table = "编号,问题,答案,相似问,来源\r\n1,如何重启集群？,"
    table += '"执行 restart。\r\n等两分钟。","集群怎么重启|重启集群的命令",运维.md\r\n'
    for content in (table.encode("gb18030"), table.encode("utf-16"), ("\ufeff" + table).encode()):
        report = bring_in(store, content)
        assert not report.skipped
        assert held(store)["1"] == CuratedEntry(
            "1",
            "如何重启集群？",
            "执行 restart。\n等两分钟。",
            ("集群怎么重启", "重启集群的命令"),
            citations=(Citation("", "运维.md", "", "", 0, 0, ""),),
        )
    assert report.revision == 1  # the second and the third said nothing new


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('["a | b", "c"]', ("a | b", "c")),
        ("[]", ()),
        ("a | b", ("a", "b")),
        ("a | b\nc", ("a | b", "c")),
        ("[unclosed | b", ("[unclosed", "b")),
        ("", ()),
        ("'=1+1", ("=1+1",)),
    ],
)
def test_lists_in_a_cell(cell: str, expected: tuple[str, ...]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=";").writerows([["Question", "Answer", "Similar-Questions"], ["q", "a", cell]])
    (row,) = parse(file.getvalue().encode(), "csv").rows
    assert merged(row.fields, "x", None).variants == expected


def test_bad_rows_are_named_and_the_others_go_on(store: SqlStore) -> None:
    lines = [
        '{"id": "a", "question": "Q a?", "answer": "A", "owner": "me"}',
        "not json",
        '{"id": "b", "question": " ", "answer": "A"}',
        "",
        '{"id": "a", "question": "again", "answer": "A"}',
        '{"id": "c", "question": "Q c?"}',
        '{"id": "d", "question": ["x"], "answer": "A"}',
        '{"id": "import", "question": "Q", "answer": "A"}',
        '{"id": "e", "question": "q A！", "answer": "A", "status": "dead"}',
        '{"question": "Q a", "answer": "B", "lang": "en"}',
        '{"id": "f", "question": "Q f", "answer": "A", "citations": [{"source": "x", "start": "1"}]}',
        json.dumps({"id": "g", "question": "Q g", "answer": "x" * 20_001}),
    ]
    report = bring_in(store, "\n".join(lines))
    assert [row.line for row in report.skipped] == [2, 3, 5, 6, 7, 8, 9, 11, 12]
    assert report.skipped[0].reason == "the line is not a JSON object"
    assert "blank" in report.skipped[1].reason and "line 1" in report.skipped[2].reason
    assert "20001" in report.skipped[-1].reason
    assert set(held(store)) == {"a", id_for("Q a")}
    assert [(one.line, one.same_as) for one in report.duplicates] == [(10, "a")]
    assert report.fields_left_out == ("owner", "lang")
    with pytest.raises(InvalidInput, match=r"9 rows.*line 2"):
        bring_in(store, "\n".join([*lines, '{"question": "new", "answer": "new"}']), strict=True)
    assert len(held(store)) == 2


def test_importing_again_updates_by_id_and_keeps_what_the_file_does_not_say(store: SqlStore) -> None:
    first = '{"faq_id": "a", "question": "Q a?", "answer": "A", "source": "docs/a.md"}'
    assert bring_in(store, first).created == 1

    async def enrich() -> None:
        there = await store.curated.get("a")
        exact = Citation("p1", "docs/a.md", "A > B", "quoted", 3, 9, "r1")
        better = CuratedEntry("a", "Q a?", "A", ("V",), ("N",), (exact,), EntryStatus.STALE)
        await store.curated.update(better, there.version, "ben")

    asyncio.run(enrich())
    assert bring_in(store, first).unchanged == 1
    assert asyncio.run(store.curated.head()) == 2
    report = bring_in(store, first.replace('"A"', '"A new"'))
    assert (report.updated, report.revision, report.changed) == (1, 3, ("a",))
    entry = held(store)["a"]
    assert (entry.answer, entry.variants, entry.negatives, entry.status) == ("A new", ("V",), ("N",), EntryStatus.STALE)
    assert entry.citations[0].passage_id == "p1"
    moved = bring_in(store, first.replace("docs/a.md", "docs/b.md"))
    assert moved.updated == 1
    assert held(store)["a"].citations == (Citation("", "docs/b.md", "", "", 0, 0, ""),)
    cleared = bring_in(store, "id,question,answer,variants\na,Q a?,A,\n")
    assert (cleared.updated, held(store)["a"].variants) == (1, ())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty|no entry"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "binary|columns"),
        (b"a,b\n1,2\n", "`question` among them"),
        (b"question,answer\n", "no entry"),
        (b"[1, 2", "not valid JSON"),
        (b'question,answer\nq,"' + b"x" * 200_000 + b'"\n', "beyond line"),
    ],
)
def test_a_file_that_is_none(store: SqlStore, content: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        bring_in(store, content)
    assert asyncio.run(store.curated.head()) == 0


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("polardb_faq.jsonl", ("lang",)),
        ("tidb_faq_entries_zh.jsonl", ("lang",)),
        ("covid_faq_entries.jsonl", ("lang",)),
    ],
)
def test_lists_of_others_load_as_they_are(store: SqlStore, name: str, left_out: tuple[str, ...]) -> None:
    if not QA.is_dir():
        pytest.skip("needs ../shared/data/qa, which is not here")
    content = (QA / name).read_bytes()
    rows = [json.loads(line) for line in content.decode().splitlines()]
    report = bring_in(store, content)
    assert (report.created, report.skipped, report.fields_left_out) == (len(rows), (), left_out)
    there = held(store)
    for row in rows:
        entry = there[row.get("faq_id") or row["id"]]
        assert (entry.question, entry.answer) == (row["question"].strip(), row["answer"].strip().replace("\r\n", "\n"))
        assert entry.citations[0].source == row["source"]
    assert bring_in(store, content).unchanged == len(rows)
    for format in FORMATS:
        assert bring_in(store, WRITE[format](there.values()), format).unchanged == len(rows)
