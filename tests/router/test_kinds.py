"""Kinds of question, in both languages, and what fits them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.kinds import Kind, asks, fit, kinds_of
from router.types import UnitKind


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How many connections are allowed?", Kind.COUNT),
        ("一个集群最多可以有多少个节点？", Kind.COUNT),
        ("What is the default port?", Kind.DEFAULT),
        ("缓存默认多大", Kind.DEFAULT),
        ("How do I add a node?", Kind.HOW_TO),
        ("怎么添加节点", Kind.HOW_TO),
        ("如何備份", Kind.HOW_TO),
        ("Which parameter limits the cache?", Kind.COMMAND),
        ("重启用哪个命令", Kind.COMMAND),
        ("What are the log levels?", Kind.LIST),
        ("支持哪些系统", Kind.LIST),
        ("Why is the replica behind?", Kind.WHY),
        ("为什么备库有延迟", Kind.WHY),
        ("Can I use it offline?", Kind.WHETHER),
        ("and can I use it offline?", Kind.WHETHER),
        ("可以离线使用吗", Kind.WHETHER),
        ("是否支持 ARM", Kind.WHETHER),
        ("What is a snapshot?", Kind.WHAT_IS),
        ("What eviction policies are available?", Kind.LIST),
        ("什么是快照", Kind.WHAT_IS),
        ("When was it released?", Kind.WHEN),
        ("什么时候发布的", Kind.WHEN),
        ("什麼時候發布的", Kind.WHEN),
        ("Where are the logs?", Kind.WHERE),
        ("日志在哪里", Kind.WHERE),
        ("Who maintains it?", Kind.WHO),
        ("谁负责维护", Kind.WHO),
        ("誰負責維護", Kind.WHO),
        ("連線數的預設值是多少？", Kind.DEFAULT),
        ("服务重启后数据会丢，是不是？", Kind.WHETHER),
        ("这几天的备份还在吗？", Kind.WHETHER),
        ("几何类型支持索引吗？", Kind.WHETHER),
        ("何总批准了吗？", Kind.WHETHER),
    ],
)
def test_asking_words(question: str, kind: Kind) -> None:
    assert kind in kinds_of(question)


@pytest.mark.parametrize("question", ["When did it start?", "它是什么？", "How does it work?", "那么多节点怎么管理"])
def test_yes_or_no_only_where_nothing_else_is_asked(question: str) -> None:
    assert Kind.WHETHER not in kinds_of(question)


@pytest.mark.parametrize(
    "question", ["一共有几层", "於何年爆發", "甚麼東西", "有何作用", "主要的用途是？", "別名為？", "又可以叫啥"]
)
def test_something_in_particular_is_asked(question: str) -> None:
    assert asks(question)


@pytest.mark.parametrize(
    "text", ["几乎没有", "几何类型", "任何节点", "请简述架构", "shared buffers", "这个是主库。它很大"]
)
def test_nothing_in_particular_is_asked(text: str) -> None:
    assert not asks(text)


def test_no_kind() -> None:
    assert kinds_of("shared buffers") == ()
    assert fit((), UnitKind.CODE, "x") == 0.5


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Kind.COUNT, "At most 128 connections.", "Connections are pooled."),
        (Kind.COUNT, "最多 128 个连接。", "连接会放入连接池。"),
        (Kind.DEFAULT, "端口默认为 5432。", "端口可以修改。"),
        (Kind.DEFAULT, "It is off by default, the default is 5.", "It can be changed."),
        (Kind.WHY, "因为网络有延迟。", "网络有延迟。"),
        (Kind.WHY, "It lags because the network is slow.", "It lags."),
        (Kind.WHETHER, "不支持离线使用。", "离线手册见下页。"),
        (Kind.WHEN, "It was released in May 2021.", "It was released."),
        (Kind.WHEN, "The backup runs at midnight.", "The backup needs disk space."),
        (Kind.WHEN, "备份每天凌晨执行。", "备份占用磁盘。"),
        (Kind.LIST, "The following policies are available:", "A policy may change."),
        (Kind.WHERE, "日志位于 /var/log 目录。", "日志按天滚动。"),
    ],
)
def test_a_fitting_sentence_fits_better(kind: Kind, good: str, bad: str) -> None:
    assert fit((kind,), UnitKind.SENTENCE, good) > fit((kind,), UnitKind.SENTENCE, bad)


def test_code_suits_how_to_and_not_why() -> None:
    assert fit((Kind.HOW_TO,), UnitKind.CODE, "x") > fit((Kind.HOW_TO,), UnitKind.SENTENCE, "x")
    assert fit((Kind.WHY,), UnitKind.CODE, "x") == 0.0


@given(st.text(), st.text(), st.sampled_from(UnitKind))
def test_any_text_has_a_fit(question: str, text: str, unit: UnitKind) -> None:
    assert 0.0 <= fit(kinds_of(question), unit, text) <= 1.0


@pytest.mark.parametrize("part", ["which ", "a", "是不是", "、", ", and ", "how do ", "参数"])
def test_long_texts_take_no_time(part: str) -> None:
    kinds_of(part * 5_000)
    fit(tuple(Kind), UnitKind.SENTENCE, (part * 400)[:400])


def test_the_number_of_an_item_counts_nothing() -> None:
    marked, plain = (fit([Kind.COUNT], UnitKind.ITEM, text) for text in ("2. Use another disk.", "Use another disk."))
    assert marked == plain < fit([Kind.COUNT], UnitKind.ITEM, "2. Use 3 disks.")


ENGLISH = st.lists(
    st.sampled_from("Because, it IS: a default SET of 10MB USE_IT --flag You can 1999 by Default? Why not all".split()),
    max_size=12,
).map(" ".join)


@given(ENGLISH, st.sampled_from(Kind), st.sampled_from(UnitKind))
def test_text_in_ascii_is_judged_as_by_all_patterns(text: str, kind: Kind, unit: UnitKind) -> None:
    """It is looked at by fewer of them: a sign that is none of theirs, and not ASCII, changes nothing."""
    assert fit([kind], unit, text) == fit([kind], unit, "\u200b" + text)
    assert kinds_of(text) == kinds_of("\u200b" + text)
