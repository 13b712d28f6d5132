"""What a quoted answer says about itself."""

from __future__ import annotations

import pytest

from router import support
from router.types import Hit, Passage

WEIGHTS = {"node": 1.0, "port": 3.0}


def hit(fused: float, **scores: float) -> Hit:
    return Hit(Passage("0" * 32, "a.md", (), 0, 1, "x", "en"), scores, fused)


def test_coverage_is_a_share_of_idf() -> None:
    assert support.coverage(WEIGHTS, {"port", "other"}) == 0.75
    assert support.coverage(WEIGHTS, set()) == 0.0
    assert support.coverage({}, {"port"}) == 0.0


def test_rarest() -> None:
    assert support.rarest_covered(WEIGHTS, {"port", "node"}) == 1.0
    assert support.rarest_covered(WEIGHTS, {"port"}) == pytest.approx(2 / 3)
    assert support.rarest_covered(WEIGHTS, {"node"}) == 0.0
    assert support.rarest_covered({}, {"node"}) == 0.0


def test_pairs_across_words_are_not_asked_for() -> None:
    weights = {"何备": 9.0, "备份": 5.0, "备": 2.0, "x9": 8.0}
    assert support.askable(weights, {"备份", "备"}) == {"备份": 5.0, "备": 2.0, "x9": 8.0}


@pytest.mark.parametrize(
    ("question", "text", "share"),
    [
        ("what does max_connections do", "`max_connections` limits", 1.0),
        ("what does max_connections do", "`max_workers` limits", 0.0),
        ("CSN 快照支持 32 位模式吗", "CSN 快照是 64 位整数", 0.5),
        ("is a 32-bit build supported", "builds of 32 bits work", 1.0),
        ("is --force needed in 2.1", "use --force in version 2.0", 0.5),
        ("能存 64 MB 吗", "最多 64MB", 1.0),
        ("能存 64 MB 吗", "最多 64 KB", 0.0),
        ("how do I start", "anything", 1.0),
        ("参数max_workers怎么设", "设置 max_workers", 1.0),
        ("does sort() work in conf.d/main.conf", "sort() and conf.d/other.conf", 0.5),
        ("“最大容灾模式”怎么配置", "最大保护模式的配置", 0.0),
        ('怎么设 "最大保护" 模式', "最大 保护模式", 1.0),
        ('what is the "two phase" mode of COPY', "COPY has one phase", 0.5),
        ("「最大容災模式」怎麼設定", "最大容灾模式的配置", 1.0),  # its pages may be in simplified characters
        ('is column "a" or "b" read', "anything", 1.0),
        ('ERROR: database "mydb" does not exist', "ERROR: another", 1.0),
        ("“我的数据库怎么突然连不上了”怎么办？", "另一件事", 1.0),
        ("is a read-only node needed", "a node for reading", 1.0),
    ],
)
def test_identifiers(question: str, text: str, share: float) -> None:
    assert support.identifiers_covered(question, text) == share


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("does latency monitoring export to Datadog?", ("Datadog",)),
        ("Does it run on Windows, Linux and on Windows?", ("Windows", "Linux")),
        ("How do I start? Then what?", ()),  # the beginning of a sentence says nothing
        ("How Do I Configure My Replica Set", ()),  # a title: every word has a capital
        ("日志写到 Datadog 吗", ()),  # every Latin word counts there anyway
    ],
)
def test_proper_names(question: str, names: tuple[str, ...]) -> None:
    assert support.proper_names(question) == names


def test_further_names_count() -> None:
    assert support.identifiers_covered("export to Datadog?", "export of percentiles", ["Datadog"]) == 0.0
    assert support.identifiers_covered("export to Datadog?", "exports to datadog", ["Datadog"]) == 1.0


def test_words_count_alike_however_many_terms_they_have() -> None:
    words = [("work_mem", "work", "mem"), ("buy",), ("鲸鱼",)]
    assert support.words_covered(words, {"work", "buy"}) == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert support.words_covered(words, ()) == 0.0
    assert support.words_covered([], {"buy"}) == 1.0


def test_gap_and_agreement() -> None:
    hits = [hit(0.8, bm25=5.0, dense=0.2), hit(0.6, bm25=4.0, dense=0.3)]
    assert support.top_gap(hits) == pytest.approx(0.25)
    assert support.agreement(hits) == 0.5
    assert support.top_gap(hits[:1]) == 1.0
    assert support.top_gap([]) == support.agreement([]) == 0.0


def test_a_long_question_takes_no_time() -> None:
    for letter in ("a", "_", "-", "A", "1", "a_", "备"):
        support.identifiers(letter * 20_000)
