"""What a question asks for by name, in both languages, and which texts have it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.demands import Demands


@pytest.mark.parametrize(
    ("question", "text", "said"),
    [
        ("polar_bulk_read_size 最大能设成多少？", "默认大小为 128kB。", False),
        ("polar_bulk_read_size 最大能设成多少？", "默认 128kB，不超过 1MB。", True),
        ("What is the maximum length of a name?", "Names are 8 letters long.", False),
        ("What is the maximum length of a name?", "Names have up to 8 letters.", True),
        ("which region is the fastest?", "A region is a group of houses.", False),
        ("which region is the fastest?", "Region 2 is faster than the others.", True),
        ("How long is a name?", "Names are 8 letters long.", True),
        ("How long does a failover take?", "A failover needs the majority of the masters.", False),
        ("How long does a failover take?", "It is over within a few seconds.", True),
        ("How long does a failover take?", "通常在 30 秒内完成。", True),
        ("切换要多久？", "切换时先通知只读节点。", False),
        ("切换要多久？", "一般 2 分钟之内。", True),
        ("What is the default port?", "The port is set by RI_PORT.", False),
        ("What is the default port?", "| RI_PORT | default: 5540 |", True),
        ("默认端口是多少？", "端口由 RI_PORT 决定。", False),
        ("How much does the managed service cost?", "The managed service runs in 12 regions.", False),
        ("How much does the managed service cost?", "The managed service is $20 a month.", True),
        ("How much do they charge?", "Advisers ask for 1% of what they manage.", True),
        ("How much do they charge?", "The fee of an adviser is 1% a year.", True),
        ("How much does the database cost?", "It is 100% compatible and has an availability of 99.9%.", False),
        ("What is the price of a licence?", "A licence is free of charge.", True),
        ("How much memory does it use?", "It takes 3 MB.", True),
        ("How much does a pipeline improve throughput?", "Five times.", True),
        ("企业版多少钱一年？", "企业版支持 24 小时服务。", False),
        ("企业版多少钱一年？", "企业版每年 9800 元。", True),
        ("备份怎么收费？", "备份按存储量计费。", True),
        ("How many replicas may there be?", "Replicas follow the primary.", False),
        ("How many replicas may there be?", "One of the replicas follows the primary.", False),
        ("How many replicas may there be?", "There may be twelve.", True),
        ("How many replicas may there be?", "There is no limit.", True),
        ("How many slots hold 16 keys?", "16 keys are held by a slot.", False),
        ("How many seconds does moving 1000 slots take?", "We move 1000 slots now.", False),
        ("钉钉群号是多少？", "扫描二维码加入钉钉群。", False),
        ("钉钉群号是多少？", "钉钉群号为 3120。", True),
        ("鏡像佔用多少個連接埠？", "鏡像會使用三個連接埠。", True),
        ("How long may a script run?", "A script may run until it is stopped.", True),
        ("default of hash-max-entries", "hash-max-entries 512", True),
        ("default of hash-max-entries", "hash-max-entries bounds a hash.", False),
        ("Which option keeps the owner?", "The owner is kept.", False),
        ("Which option keeps the owner?", "With --keep-owner it is kept.", True),
        ("Which option of COPY keeps the owner?", "COPY keeps the owner.", False),
        ("哪个参数控制缓存？", "缓存由系统控制。", False),
        ("哪个参数控制缓存？", "由 cache_size 控制。", True),
        ("How do I add a node?", "Nothing is asked for by name.", True),
    ],
)
def test_what_a_question_asks_for_by_name_is_spoken_of(question: str, text: str, said: bool) -> None:
    assert Demands.of(question).met(text) is said


@pytest.mark.parametrize(
    "question",
    [
        "How many nodes may a pool have?",
        "一个池最多有多少个节点？",
        "一個池最多有幾個節點？",
        "default port",
        "smlar.threshold 默认值",
        "缓存默认多大",
        "What is the maximum length of a name?",
        "切换要多久？",
        "How much does a licence cost?",
    ],
)
def test_an_answer_begins_with_a_value(question: str) -> None:
    assert Demands.of(question).values.wanted


@pytest.mark.parametrize(
    "question",
    [
        "How do I see how many nodes there are?",
        "Why are there so many nodes, and how many are too many?",
        "Which setting says how long a script may run?",
        "怎么恢复几天前的备份？",
        "这几个节点怎么重启？",
        "这几天的备份还在吗？",
        "哪几个参数可以改？",
        "保留几天由哪个参数控制？",
        "What happens by default when a key expires?",
        "默认情况下会写日志吗？",
        "What happens when the maximum number of clients is reached?",
    ],
)
def test_an_answer_begins_with_something_else(question: str) -> None:
    assert not Demands.of(question).values.wanted


@given(st.text(), st.text())
def test_any_text_can_be_asked_and_searched(question: str, text: str) -> None:
    demands = Demands.of(question)
    assert set(demands.values.wanted) <= set(demands.wanted)
    assert demands.met(text) or demands.wanted


@pytest.mark.parametrize("part", ["default of a-b ", "how many ", "a-", "_a.", "最大多少", "--a", "12 "])
def test_long_texts_take_no_time(part: str) -> None:
    Demands.of(part * 2_000).met(part * 2_000)
