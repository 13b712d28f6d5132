"""Which questions share a review item: small cases, and the seeded queue where the question files are."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.curated.vocabulary import packaged_guards
from services.review.clusters import Clusters, Join, assign
from tests.review import seeded


@pytest.fixture
def clusters() -> Clusters:
    return Clusters(packaged_guards())


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("如何重启整个数据库集群？", "请问怎么重启整个数据库集群"),
        ("如何重启整个数据库集群？", "如何重啟整個數據庫集群？謝謝"),
        ("How do I enable TDE?", "hi, how can I  ENABLE tde please??"),
        ("What's the default port?", "what is the default port"),
        ("polar_stat_env 参数是什么？", "ｐｏｌａｒ_ｓｔａｔ_ｅｎｖ 参数是什么"),
    ],
)
def test_the_same_question_joins(clusters: Clusters, first: str, then: str) -> None:
    clusters.add("a", first)
    placement = clusters.place(then)
    assert (placement.item_id, placement.nearest) == ("a", first)
    assert placement.how in (Join.SAME, Join.NEAR)


NEAR_MISSES = [
    ("如何重启数据库集群？", "如何重建数据库集群？"),
    ("如何把 RO 节点迁移到另一台机器？", "怎么把 RW 节点迁移到另一台机器？"),
    ("如何开启闪回表功能？", "如何关闭闪回表功能？"),
    ("如何扩容存储？", "如何缩容存储？"),
    ("如何安装 pgvector 插件？", "如何卸载 pgvector 插件？"),
    ("升级到 v6.1 要多久？", "升级到 v6.5 要多久？"),
    ("超时 30 秒怎么改？", "超时 60 秒怎么改？"),
    ("如何重启集群？", "重启集群要多久？"),
    ("闪回表支持哪些对象？", "闪回表不支持哪些对象？"),
    ("How do I enable the shared server?", "How do I disable the shared server?"),
    ("How do I add a replica?", "How do I remove a replica?"),
    ("Can I use --max-len here?", "Can I use --min-len here?"),
    ("How can I replace a fan with a light?", "How can I replace a light with a fan?"),
    ("How many days are backups kept?", "How many hours are backups kept?"),
    ("Why does the cluster restart?", "How does the cluster restart?"),
    ("How do I restart the primary?", "如何重启主节点？"),
]


@pytest.mark.parametrize("pair", NEAR_MISSES)
def test_near_misses_never_share_an_item(pair: tuple[str, str]) -> None:
    for first, then in (pair, pair[::-1]):
        fresh = Clusters(packaged_guards(), line=0.0)  # by the guards alone
        fresh.add("a", first)
        assert fresh.place(then).item_id is None


def test_a_guard_against_any_wording_keeps_a_question_out(clusters: Clusters) -> None:
    """A wording that says less is no bridge between two that differ."""
    clusters.add("a", "如何重启数据库集群？")
    clusters.keep_together([("如何重启数据库集群？", "数据库集群的操作")])
    assert clusters.place("数据库集群的操作").how is Join.TOLD
    clusters.add("a", "数据库集群的操作")
    assert clusters.place("如何重建数据库集群？").item_id is None


def test_reviewers_win_over_words(clusters: Clusters) -> None:
    clusters.add("a", "主库挂了怎么办？")
    assert clusters.place("RW 节点宕机如何处理？").how is Join.NEW
    clusters.keep_together([("主库挂了怎么办", "RW 节点宕机如何处理")])
    assert clusters.place("请问 RW 节点宕机如何处理？").item_id == "a"
    clusters.keep_apart([("主库挂了怎么办", "RW 节点宕机如何处理")])
    assert clusters.place("RW 节点宕机如何处理？").how is Join.NEW


def test_a_split_question_does_not_come_back() -> None:
    clusters = Clusters(packaged_guards(), line=0.3)
    clusters.add("a", "How do I back up the tables?")
    near = "How do I back up the system tables?"
    assert clusters.place(near).item_id == "a"
    clusters.keep_apart([("how do i back up the tables", near)])
    placement = clusters.place(near)
    assert (placement.item_id, placement.guards) == (None, ("split by a reviewer",))


def test_a_question_moves_with_its_item_and_a_closed_item_takes_no_more(clusters: Clusters) -> None:
    clusters.add("a", "How do I enable TDE?")
    clusters.add("b", "how do i enable tde")
    assert clusters.wordings("a") == () and clusters.wordings("b") == ("how do i enable tde",)
    clusters.close("b")
    clusters.close("never opened")
    assert clusters.place("How do I enable TDE?").how is Join.NEW
    assert len(clusters) == 0 and clusters.place("How do I enable SSL?").nearest == ""


def test_what_says_nothing_joins_only_itself(clusters: Clusters) -> None:
    clusters.add("a", "怎么办？")
    clusters.add("b", "???")
    assert clusters.place("怎么办").item_id == "a"
    assert clusters.place("？？").item_id == "b"
    assert clusters.place("如何重启集群？").how is Join.NEW


def test_similar_items_are_shown_with_what_differs(clusters: Clusters) -> None:
    clusters.add("a", "如何重启数据库集群？")
    clusters.add("b", "如何重建数据库集群？")
    clusters.add("c", "pgvector 怎么装")
    (found,) = clusters.similar("a")
    assert found.item_id == "b" and any("action" in guard for guard in found.guards)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.text("如何重启建集群 abcR1v.?", max_size=12)), max_size=12))
def test_adding_and_closing_leaves_nothing_behind(adds: list[tuple[str, str]]) -> None:
    clusters = Clusters(packaged_guards())
    for item_id, question in adds:
        clusters.add(item_id, question)
        assert clusters.place(question).item_id == item_id
    for item_id in "abcd":
        clusters.close(item_id)
    assert not (clusters._wordings or clusters._keys or clusters._items or clusters._postings)


@pytest.mark.data
@pytest.mark.skipif(not seeded.present(), reason="the question files are not here")
def test_the_seeded_queue() -> None:
    traces = seeded.queue(3_000, seed=7)
    placed = assign(Clusters(packaged_guards()), [(trace.id, trace.question) for trace in traces])
    found = seeded.pairs(traces, placed)
    assert found.precision >= 0.97
    assert found.recall >= 0.60
    misses = [trace for trace in traces if trace.origin == "near miss"]
    assert seeded.pairs(misses, placed).precision == 1.0


@pytest.mark.data
@pytest.mark.skipif(not seeded.present(), reason="the question files are not here")
def test_no_faq_near_miss_ever_joins_what_it_is_confused_with() -> None:
    groups = [group for group in seeded.groups(random.Random(0)) if group.origin in ("faq", "near miss")]
    for seed in range(3):
        asked = [(f"{group.id}#{at}", text) for group in groups for at, text in enumerate(group.wordings)]
        random.Random(seed).shuffle(asked)
        placed = assign(Clusters(packaged_guards()), asked)
        items: dict[str, set[str]] = {}
        for name, item_id in placed.items():
            items.setdefault(item_id, set()).add(name.split("#")[0])
        assert not [names for names in items.values() if len(names) > 1]
