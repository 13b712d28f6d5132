"""A condensed passage is made of the original's units, in order, within its budget, and keeps what bounds them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.analysis import analyse, analyse_question
from router import units
from router.condense import SHARES, Condensed, condense, holds
from router.survival import Survived, survived
from router.types import UnitKind
from tests.bench.condense import cases, in_half, measure
from tests.bench.retrieval import DATA
from tests.router.test_units import LINES

markdown = st.lists(st.sampled_from(LINES) | st.text(max_size=40), max_size=25).map("\n".join)


def words(text: str) -> int:
    return len(text.split())


def made(text: str, share: float = 0.5, question: str = "") -> Condensed:
    asked = dict.fromkeys(analyse_question(question), 1.0) if question else None
    return condense(text, int(len(text) * share), len, analyse, asked)


@given(markdown, st.integers(0, 400), st.sampled_from([len, words]))
@settings(max_examples=300, deadline=None)
def test_spans_of_the_original_in_order_and_never_above_the_budget(text: str, budget: int, count) -> None:
    result = condense(text, budget, count, analyse, {"step": 1.0})
    assert count(result.text) <= budget
    spans = sorted((*result.kept, *result.dropped))
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    rows = {(unit.start, unit.end) for unit in units.split(text) if unit.kind is UnitKind.ROW}
    at = 0
    for start, end in result.kept:
        if (start, end) not in rows:  # a row is shown as key and value
            at = result.text.index(text[start:end], at) + end - start


@given(markdown)
@settings(max_examples=100, deadline=None)
def test_every_unit_is_kept_or_dropped(text: str) -> None:
    result = condense(text, len(text) // 2, len, analyse)
    if result.text != text:
        assert sorted((*result.kept, *result.dropped)) == [(unit.start, unit.end) for unit in units.split(text)]


def test_what_fits_stays_as_it_is() -> None:
    text = "One. \n\n* Two\n"
    assert condense(text, len(text), len, analyse) == Condensed(text, ((0, len(text)),), ())
    assert condense("", 0, len, analyse) == Condensed("", (), ())
    assert condense("One.", -1, len, analyse) == Condensed("", (), ((0, 4),))


PAGE = """# Backups

Backups are written to the folder that the setting names. The folder may be on another disk. Many people like disks.
The weather was fine when this page was written. It rained later on that day, and the writers stayed at home for tea.
A backup runs every 6 hours. However, no backup runs while the cluster is being upgraded.
The writers went out again when the rain was over. They walked along the river and talked about the fine weather.
"""


def test_the_question_is_answered_first() -> None:
    assert "fine when this page" in made(PAGE, 0.4, "How was the weather when the page was written?").text
    assert "every 6 hours" in made(PAGE, 0.4, "How often does a backup run?").text


@pytest.mark.parametrize(
    ("text", "question", "together"),
    [
        (PAGE, "How often does a backup run?", "A backup runs every 6 hours. However, no backup runs while"),
        (
            "河边有树。" * 9
            + "参数修改后立即生效。除非参数是只读的，此时要重启。"
            + "天气很好，大家都出去散步了。" * 3,
            "参数修改后多久生效",
            "参数修改后立即生效。除非参数是只读的，此时要重启。",
        ),
    ],
)
def test_what_bounds_a_sentence_stays_with_it(text: str, question: str, together: str) -> None:
    """Even where only the question's words count, and the room is only for these two."""
    asked = dict.fromkeys(analyse_question(question), 1.0)
    blind = replace(SHARES, early=0.0, central=0.0)
    result = condense(text, len(together) + 45, len, analyse, asked, shares=blind)
    assert together in result.text
    assert together[:12] not in condense(text, len(together) - 1, len, analyse, asked, shares=blind).text


def test_without_a_question_negations_and_qualifiers_stay() -> None:
    plain = "The tool has a window with a menu. " * 3 + "The menu has entries for the tool and the window. " * 3
    text = plain + "Passwords are never logged. " + plain + "Use it only on trusted networks. " + plain
    result = made(text, 0.2)
    assert "never logged" in result.text
    assert "only on trusted" in result.text


PAGE_EN = """PolarDB is a database. Backups are kept for 7 days. It was named by a team. Do not delete the WAL of
version 11.9 unless the standby has it. The weather was fine that day. Many people like databases.

| name | default |
|---|---|
| ttl | 7 days |
| size | 64 MB |
"""
PAGE_ZH = """PolarDB 是一种数据库。备份保留七天。它的名字是团队起的。
备库收到之前，不要删除 11.9 版本的日志。那天天气很好。很多人喜欢数据库。

| 参数 | 默认值 |
|---|---|
| 大小 | 64 MB |
"""


@pytest.mark.parametrize(
    ("text", "budget", "count", "left"),
    [
        (
            PAGE_EN,
            30,
            words,
            "Backups are kept for 7 days. | Do not delete the WAL of\nversion 11.9 unless the standby has it. | "
            "name: ttl; default: 7 days | name: size; default: 64 MB",
        ),
        (PAGE_ZH, 54, len, "备份保留七天。 | 备库收到之前，不要删除 11.9 版本的日志。 | 参数: 大小; 默认值: 64 MB"),
    ],
)
def test_numbers_and_what_bounds_go_last(text: str, budget: int, count: Callable[[str], int], left: str) -> None:
    """Also a number that a row says as well: it is another statement."""
    result = condense(text, budget, count, analyse)
    assert result.text == left.replace(" | ", "\n")
    report = survived(text, result)
    assert (report.numbers, report.numbered, report.denials, report.lost) == (1.0, 1.0, 1.0, ())


def test_what_the_question_names_comes_before_them() -> None:
    asked = dict.fromkeys(analyse_question("Who named it?"), 1.0)
    result = condense(PAGE_EN, 24, words, analyse, asked)
    assert "It was named by a team." in result.text and "The weather" not in result.text
    assert survived(PAGE_EN, result).lost == ("64 mb",)
    assert "It was named" not in condense(PAGE_EN, 24, words, analyse, {"unknown": 1.0}).text


PLAIN = ("The tool has a menu.", "Many people like it.", "天气很好。", "It was named long ago by its makers.")
STATED = (
    "It keeps 7 days.",
    "Never stop it.",
    "默认 64 MB。",
    "Only on 11.9.",
    "Do not wait for 30 s in a row.",
    "最多三个。",
)


@given(st.lists(st.sampled_from(PLAIN + STATED), max_size=14), st.integers(0, 60))
@settings(max_examples=300, deadline=None)
def test_nothing_plain_stays_at_the_cost_of_them(sentences: list[str], budget: int) -> None:
    """A statement with a number, negation or qualifier is left out only where it has no room beside its like."""
    text = "\n\n".join(sentences)
    result = condense(text, budget, words, analyse)
    kept = [text[start:end] for start, end in result.kept]
    taken = sum(words(one) for one in kept if one in STATED)
    for start, end in result.dropped:
        assert text[start:end] in PLAIN or taken + words(text[start:end]) > budget


LISTED_EN = """The following are not supported:

- joins
- views

Port 443 is open to everyone on the network. It was named by a team long ago and people like it.
"""
LISTED_ZH = """以下对象不支持复制到备库，无论集群处于哪一种模式：

- 序列
- 视图

端口 443 对所有人开放。这个工具的名字是团队起的，大家都很喜欢。
"""


@pytest.mark.parametrize(
    ("text", "lead", "items", "question"),
    [
        (LISTED_EN, "not supported:", ("- joins", "- views"), "are views supported"),
        (LISTED_ZH, "不支持", ("- 序列", "- 视图"), "视图能复制吗"),
        ("## Not supported\n\n" + LISTED_EN.partition("\n\n")[2], "## Not", ("- joins", "- views"), "views"),
    ],
)
def test_a_list_and_what_denies_it_stay_together(text: str, lead: str, items: tuple[str, ...], question: str) -> None:
    """Neither are the items said without it, nor does it stand over something else."""
    for asked in ({}, dict.fromkeys(analyse_question(question), 1.0)):
        for budget in range(len(text)):
            left = condense(text, budget, len, analyse, asked).text
            if not lead.startswith("#") or any(item in left for item in items):
                assert (lead in left) == any(item in left for item in items)


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("The tool is a nice one indeed. Don’t delete the WAL. It was named by a team.", "Don’t delete the WAL."),
        ("工具很好用，大家都喜欢。系统需要 JDK1.8。团队给它起了名字。", "系统需要 JDK1.8。"),
        ("Many like the tool very much. Use port: 443. It was named by a team.", "Use port: 443."),
        ("The tool is a very nice one. Keep it for thirty days. It was named by a team.", "Keep it for thirty days."),
        ("The tool is a very nice one. Set max_wal_size on it. It was named by a team.", "Set max_wal_size on it."),
        ("版本很好，大家都喜欢它。請勿刪除日誌。团队给它起了名字。", "請勿刪除日誌。"),
    ],
)
def test_what_counts_as_a_number_or_negation(text: str, stays: str) -> None:
    assert condense(text, max(len(stays) + 3, len(text) // 2 - 3), len, analyse).text == stays


def test_the_name_of_a_column_bounds_no_row() -> None:
    rows = "".join(f"| {letter} | red |\n" for letter in "abcdefgh")
    text = f"The port is 443. It waits 30 s. It keeps 8 copies.\n\n| No. | default |\n|---|---|\n{rows}"
    assert condense(text, 60, len, analyse).text.startswith("The port is 443. It waits 30 s. It keeps 8 copies.")


def test_numbers_that_stand_nowhere_come_before_those_that_do() -> None:
    same = [f"It is kept {how} 7 days." for how in ("for", "about", "some", "nearly")]
    text = "\n\n".join([*same, "The other port of the second machine here is 443."])
    assert "443" in condense(text, 16, words, analyse).text
    assert "11.9" in condense(f"It was 5 MB.\n\n# Release 11.9\n\nIt is 5 MB.\n\n{text}", 9, words, analyse).text


def test_the_room_is_filled() -> None:
    """Chinese sentences are joined by nothing, paragraphs by more than one character."""
    text = "甲保留七天。乙保留八天。丙保留九天。丁保留六天。很好。天气好。"
    assert condense(text, 24, len, analyse).text == text[:24]
    apart = (
        "Use port 443 here.\n\nWait for 30 s then.\n\nIt keeps 7 days on disk.\n\n5 MB.\n\nIt is a tool.\n\nIt is nice."
    )
    assert len(condense(apart, 44, len, analyse).text) > 38


def test_one_long_answer_may_take_the_room_of_the_rest_but_not_its_neighbours() -> None:
    stated = "Never stop the primary. It keeps 7 days."
    text = f"A backup runs. Many people like long walks. {stated} It rained on and on for the whole of that day."
    result = condense(text, 60, len, analyse, dict.fromkeys(analyse_question("when does a backup run"), 1.0))
    assert "A backup runs." in result.text and stated in result.text and "walks" not in result.text
    long = "A backup, said the writer of this page, is what everybody likes to have when the day comes at last."
    result = condense(f"{long} {stated} It rained.", len(long) + 5, len, analyse, {"backup": 1.0})
    assert result.text == long


def test_a_whole_text_has_lost_nothing() -> None:
    whole = survived(PAGE_EN, condense(PAGE_EN, 1000, words, analyse))
    assert (whole.numbers, whole.names, whole.numbered, whole.denials, whole.qualified, whole.lost) == (1,) * 5 + ((),)


def test_the_report_says_what_was_lost() -> None:
    text = "It keeps 7 days. Never stop it. Only Grace may. It waits 30 s. 版本为 11.9。請勿刪除。"
    spans = [(unit.start, unit.end) for unit in units.split(text)]
    first, rest = tuple(spans[:2]), tuple(spans[2:])
    report = survived(text, Condensed(text[: spans[1][1]], first, rest))
    assert (report.numbers, report.lost) == (pytest.approx(1 / 3), ("11.9", "30 s"))
    assert (report.names, report.numbered) == (0.0, pytest.approx(1 / 3))
    assert (report.denials, report.qualified) == (0.5, 0.0)
    nothing = survived("", condense("", 0, len, analyse))
    assert nothing == Survived(None, None, None, None, None, None, ())


def test_rows_are_shown_with_their_columns() -> None:
    table = "| name | default |\n|---|---|\n" + "".join(f"| setting_{n} | {n} MB |\n" for n in range(20))
    result = condense(table, 60, len, analyse, dict.fromkeys(analyse_question("default of setting_7"), 1.0))
    assert "name: setting_7; default: 7 MB" in result.text
    start, end = result.kept[-1]
    assert table[start:end].startswith("| setting_")


def test_code_is_whole_or_not_there() -> None:
    code = "```sh\nfirst --step\n\nsecond --step\n```"
    text = f"Run this:\n\n{code}\n\n" + "Then there is much to read about the tool and its makers. " * 8
    with_it = made(text, 0.3, "which command runs the first step")
    assert f"Run this:\n\n{code}" in with_it.text
    for budget in range(0, len(code), 5):
        assert "second" not in condense(text, budget, len, analyse).text


def test_evidence_comes_first() -> None:
    start = PAGE.index("Many people")
    span = (start, start + len("Many people like disks."))
    room, asked = int(len(PAGE) * 0.3), dict.fromkeys(analyse_question("How often does a backup run?"), 1.0)
    assert not holds(condense(PAGE, room, len, analyse, asked), span)
    result = condense(PAGE, room, len, analyse, asked, [span])
    assert holds(result, span)
    assert "Many people like disks." in result.text
    assert not holds(condense(PAGE, 10, len, analyse, keep=[span]), span)


def test_evidence_that_announces_a_list_comes_with_an_item_of_it() -> None:
    lead = LISTED_EN.partition("\n")[0]
    result = condense(
        "Port 443 is never open. " * 5 + LISTED_EN, len(lead) + 12, len, analyse, keep=[(120, 120 + len(lead))]
    )
    assert result.text == f"{lead}\n\n- joins"


def test_a_heading_comes_with_what_stands_under_it() -> None:
    assert made(PAGE, 0.4, "How often does a backup run?").text.startswith("# Backups\n")


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Python's collector looks at all that the tests before have left, which may take a second of anybody's time."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("letter", ["重启主节点，然后检查。", "A sentence with 7 words in it. ", "- an item\n"])
def test_time_grows_with_the_length_only(letter: str) -> None:
    def spent(repeats: int) -> float:
        text = "".join(f"{letter[:-1]} {n}{letter[-1]}" for n in range(repeats))
        begun = time.process_time()
        condense(text, len(text) // 2, len, analyse)
        return time.process_time() - begun

    spent(100)
    assert spent(4000) < 40 * max(min(spent(400) for _ in range(3)), 0.002)


@pytest.mark.data
def test_gold_answers_survive_half_the_length() -> None:
    """The bar is 0.8 of the questions over whole articles; a sample of the half that nothing was chosen on."""
    if not (DATA / "qa" / "covidqa_longdoc_en.jsonl").exists():
        pytest.skip("../shared/data is absent")
    chosen = [case for case in cases("covidqa") if in_half(case, "odd", "covidqa")][::20]
    figures = measure(chosen, 0.5, aware=True)
    assert figures["support_kept"] >= 0.8
    assert min(figures["numbers"], figures["denials"], figures["qualified"]) >= 0.8
