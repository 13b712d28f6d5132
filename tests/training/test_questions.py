"""Rule questions: only where a span of the passage answers, in both languages."""

from __future__ import annotations

import pytest

from router.types import Passage
from services.training.questions import candidates, from_passages


def passage(text: str, language: str = "zh", heading: tuple[str, ...] = ("手册",), number: int = 0) -> Passage:
    return Passage(f"{number:032x}", f"docs/{number}.md", heading, 0, len(text), text, language)


def made(text: str, language: str = "zh", heading: tuple[str, ...] = ("手册",)) -> list[tuple[str, str]]:
    return [(one.question, one.answer) for one in candidates(passage(text, language, heading))]


TABLE = "| 参数名 | 说明 | 默认值 |\n|---|---|---|\n| wal_size | 日志大小 | 64MB |\n| empty_one | 无 | - |\n"


def test_a_table_of_parameters_gives_its_defaults() -> None:
    assert made(TABLE) == [("wal_size 的默认值是多少？", "64MB")]


@pytest.mark.parametrize(
    ("text", "language", "question"),
    [
        ("PolarFS 是一个分布式文件系统。它很快。", "zh", "什么是 PolarFS？"),
        ("A checkpoint is a point in the log. It is written often.", "en", "What is checkpoint?"),
        ("`BLPOP` is the blocking variant of LPOP.", "en", "What is BLPOP?"),
    ],
)
def test_a_sentence_that_defines_is_its_own_answer(text: str, language: str, question: str) -> None:
    [(asked, answer)] = made(text, language)
    assert asked == question
    assert text.startswith(answer)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("这是一个分布式文件系统。", "zh"),
        ("该功能适用于日常业务。", "zh"),
        ("This is a file system.", "en"),
        ("If the log is a file, it is read.", "en"),
        ("Usually it is a file.", "en"),
        ("We are a team.", "en"),
    ],
)
def test_what_only_points_defines_nothing(text: str, language: str) -> None:
    assert made(text, language) == []


def test_a_task_over_steps_becomes_a_how_to() -> None:
    steps = "1. 停止节点。\n2. 启动节点。"
    assert made(steps, "zh", ("手册", "重启节点")) == [("如何重启节点？", steps)]
    assert made("1. Stop it.\n2. Start it.", "en", ("Manual", "Restarting a node"))[0][0] == "How do I restart a node?"
    assert made("1. Stop it.", "en", ("Manual", "Creating users"))[0][0] == "How do I create users?"
    assert made("节点会重启。", "zh", ("手册", "重启节点")) == []


def test_a_cut_section_is_no_answer() -> None:
    heading = ("手册", "重启节点")
    halves = [passage("1. 停止节点。", "zh", heading), passage("2. 启动节点。", "zh", heading)]
    assert from_passages(halves) == []
    assert [one.question for one in from_passages(halves[:1])] == ["如何重启节点？"]


def test_a_question_with_two_answers_is_nobodys() -> None:
    one = passage("1. Use the client.", "en", ("Java", "How do I connect?"), 1)
    other = passage("1. Use the shell.", "en", ("Shell", "How do I connect?"), 2)
    assert from_passages([one, other]) == []
    assert len(from_passages([one])) == 1


def test_answers_are_spans_of_their_passage() -> None:
    for one in candidates(passage(TABLE + "\nPolarFS 是一个文件系统。")):
        assert one.answer in one.passage.text[one.start : one.end]
