"""Text to tokens: what must find what."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexer.analysis import analyse, analyse_question, fold, question_language, stem, term_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ｎｏｄｅ　７．１", "node 7.1"),
        ("Cluster", "CLUSTER"),
        ("資料庫叢集", "资料库丛集"),
        ("ﬁle", "file"),
        ("backups", "backup"),
        ("restarting", "restarted"),
        ("the node's disk", "the node disk"),
        ("node’s", "node"),
    ],
)
def test_different_writings_of_the_same_thing_are_the_same_tokens(one: str, other: str) -> None:
    assert analyse(one) == analyse(other)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("polar_enable_shared_server", {"polar_enable_shared_server", "polar", "enabl", "share", "server"}),
        ("--max-len", {"--max-len", "max-len", "max", "len"}),
        ("-v2", {"-v2", "v2"}),
        ("v1.2.3", {"v1.2.3", "1", "2", "3"}),
        ("/etc/postgresql/pg_hba.conf", {"etc/postgresql/pg_hba.conf", "pg", "hba", "conf"}),
        ("10.0.0.1:5432", {"10.0.0.1:5432", "5432"}),
        ("maxConnections", {"maxconnect", "max", "connect"}),
        ("PostgreSQL", {stem("postgresql")}),
        ("节点数", {"节", "点", "数", "节点", "点数"}),
        ("使用psql登录", {"使", "用", "使用", "psql", "登", "录", "登录"}),
        ("user@example.com", {"user@example.com", "user", "exampl", "com"}),
    ],
)
def test_names_are_kept_whole_and_in_parts(text: str, tokens: set[str]) -> None:
    assert tokens <= set(analyse(text))


def test_tokens_come_in_reading_order_with_repeats() -> None:
    assert analyse("node disk node") == ["node", "disk", "node"]


def test_a_space_or_punctuation_ends_a_pair() -> None:
    assert "点磁" not in analyse("节点，磁盘") and "点磁" not in analyse("节点 磁盘")


@pytest.mark.parametrize(
    ("question", "left"),
    [
        ("How do I add a node?", ["add", "node"]),
        ("What is the default port of the server", ["default", "port", "server"]),
        ("如何添加节点？", analyse("添加节点")),
        ("什么是只读节点", analyse("只读节点")),
        ("默认端口是多少", analyse("默认端口")),
        ("請問如何備份", analyse("备份")),
        ("How long are backups kept?", ["backup", "kept"]),
        ("备份保留多久？", analyse("备份保留")),
        ("How much memory is used?", ["memori", "use"]),
        ("How large is a page?", ["larg", "page"]),
        ("How long-running queries end", analyse("long-running queries end")),
    ],
)
def test_words_that_only_ask_are_left_out(question: str, left: list[str]) -> None:
    assert analyse_question(question) == left


@pytest.mark.parametrize(
    "question", ["polar_px 是什么意思？", "polar_px 啥意思", "请告诉我 polar_px", "我想知道 polar_px 是什么"]
)
def test_polite_and_roundabout_words_only_ask(question: str) -> None:
    assert analyse_question(question) == ["polar_px", "polar", "px"]


@pytest.mark.parametrize("question", ["what is it", "为什么", "怎么办？", "Who are you?", "的", "is"])
def test_a_question_of_nothing_but_such_words_keeps_them(question: str) -> None:
    assert analyse_question(question) == analyse(question) != []


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("how", "en"), ("如何 backup", "zh"), ("どうやって設定する", "ja"), ("어떻게", "ko"), ("", "en"), ("123", "en"),
        ("備份在哪裡", "zh"),
    ],
)  # fmt: skip
def test_the_language_of_a_question(text: str, language: str) -> None:
    assert question_language(text) == language


def test_term_ids_are_the_same_on_every_machine() -> None:
    assert term_id("123456789") == 0xCBF43926  # the check value of CRC-32
    assert 0 <= term_id("节点") < 2**32


@given(st.text(max_size=200))
@example("\ud800")  # a lone surrogate, as a broken file name may hold
@example("İstanbul ẞ ŉ \u0345")
@example("--" * 50 + "_" * 50)
def test_any_text_gives_tokens_that_are_words(text: str) -> None:
    for token in analyse(text):
        assert token and token == token.strip() and not any(char.isspace() for char in token)
    question = analyse_question(text)
    assert bool(question) == bool(analyse(text))
    assert isinstance(fold(text), str)


@given(st.text(max_size=60), st.text(max_size=60))
def test_texts_on_two_lines_give_the_tokens_of_both(one: str, other: str) -> None:
    assert analyse(f"{one}\n{other}") == analyse(one) + analyse(other)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "-",
        "--a",
        "a.",
        "a-",
        "_",
        "节",
        "A",
        "aA",
        "'",
        "1",
        "１",
        "@a",
        ":/",
        "İ",
        "的",
        "什么",
        "哪一",
        "几",
        "a'",
    ],
)
@pytest.mark.parametrize("call", [analyse, analyse_question], ids=["text", "question"])
def test_hostile_text_takes_time_in_proportion_to_its_length(piece: str, call: Callable[[str], list[str]]) -> None:
    text = piece * (160_000 // len(piece))
    call("warm 節點")
    begun = time.process_time()
    call(text)
    assert time.process_time() - begun < 3  # 0.1 s if linear; minutes if quadratic
