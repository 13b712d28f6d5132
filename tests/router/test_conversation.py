"""Kinds of message, and what holds for every message."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router import smalltalk
from router.conversation import has_content, last_question, understand
from router.followups import LONGEST as LONGEST_MESSAGE
from router.topics import ASKED
from router.types import MessageKind, Question, Turn

KINDS = {
    MessageKind.GREETING: [
        "你好",
        "您好！",
        "嗨，在吗？",
        "有人吗",
        "早上好",
        "你是谁",
        "妳好",
        "Hi",
        "HELLO",
        "hey there 👋",
        "Good morning!",
        "Hi! I have a question",
        "Hi, can you please help me here?",
        "how is it going",
    ],
    MessageKind.THANKS: [
        "谢谢",
        "非常感谢您的帮助！",
        "好的，谢谢！",
        "不用了，谢谢",
        "明白了",
        "謝謝",
        "👍",
        "thx",
        "Thanks a lot!!!",
        "thank you so much for your help!",
        "great, thanks",
        "ok",
        "That is fine. Thank you!",
        "thanks for helping me out today",
    ],
    MessageKind.GOODBYE: [
        "再见",
        "再见，谢谢",
        "拜拜",
        "先这样，谢谢",
        "bye",
        "that's all for today, bye!",
        "Thank you, have a nice day",
        "see you later",
    ],
    MessageKind.HANDOFF: [
        "转人工",
        "人工",
        "人工客服",
        "我要找人工客服",
        "怎么转人工",
        "你们有人工吗",
        "能不能帮我转一下人工客服",
        "算了，转人工吧",
        "我不想跟机器人聊，转人工",
        "你好，转人工",
        "請轉人工",
        "我要跟真人说话",
        "talk to a human",
        "I want to speak to an agent please",
        "can I talk to a real person?",
        "contact support",
        "human please",
        "please connect me with a representative",
        "this is useless, let me talk to someone",
        "I need a human agent",
    ],
    MessageKind.UNCLEAR: [
        "为什么？",
        "它多少钱?",
        "多少钱",
        "怎么弄",
        "那个呢",
        "这是什么",
        "怎么回事",
        "有什么区别？",
        "还是不行怎么办",
        "怎么用",
        "报错了",
        "It crashed",
        "42",
        "{{7*7}}",
        "How?",
        "it doesn't work",
        "How do I use it?",
        "Which is better?",
        "what about that?",
        "tell me more",
        "???",
        "",
    ],
    MessageKind.QUESTION: [
        "你好，请问怎么重启集群？",
        "谢谢，怎么导出日志？",
        "人工智能是什么",
        "人工审核流程怎么配",
        "没有人工干预会自动切换吗",
        "客服电话是多少",
        "接入人工客服系统需要哪些配置",
        "转接人工的接口是什么",
        "集群挂了怎么办，转人工",
        "hello world 程序怎么写",
        "好的方案有哪些",
        "怎么重启",
        "报错 PFS_LOG 怎么办",
        "error 404",
        "端口",
        "价格",
        "早期版本支持吗",
        "可以回滚吗",
        "怎么收费",
        "thanks, but how do I restart it?",
        "how do I add a human agent?",
        "How can my customers talk to an agent?",
        "operator pattern",
        "Do you support human review?",
        "How do I install the agent",
        "hi, can you help me with replication?",
        "What does HELLO do?",
        "How do I say thanks in Redis?",
        "PolarDB",
        "What is the default port?",
        "why is redis slow",
        "what time is it",
        "How old do I need to be?",
        "support for ARM",
        "ok google integration",
    ],
}


@pytest.mark.parametrize(("kind", "message"), [(kind, text) for kind, texts in KINDS.items() for text in texts])
def test_kinds(kind: MessageKind, message: str) -> None:
    understood = understand(Question(message))
    assert understood.kind is kind
    assert (understood.standalone, understood.carried) == (message, "")


def test_small_talk_stays_so_after_other_turns() -> None:
    history = (Turn("user", "How do I restart?"), Turn("assistant", "Run restart."))
    for message, kind in (
        ("thanks!", MessageKind.THANKS),
        ("转人工", MessageKind.HANDOFF),
        ("bye", MessageKind.GOODBYE),
    ):
        assert understand(Question(message, history)).kind is kind


def test_what_was_asked_last_is_known_whatever_was_said_since() -> None:
    asked = (Turn("user", "How do I restart the primary node?"), Turn("assistant", "Run restart."))
    more = (Turn("user", "what about the standby node?"), Turn("assistant", "The same."))
    thanked = (*asked, Turn("user", "thanks"), Turn("assistant", "You are welcome."))
    assert last_question(thanked) == "How do I restart the primary node?"
    assert "restart" in last_question((*asked, *more)) and "standby" in last_question((*asked, *more))
    assert last_question((Turn("user", "你好"), Turn("assistant", "您好！"))) == ""
    assert last_question(()) == ""


def test_a_yes_alone_carries_nothing() -> None:
    assert (
        understand(Question("是的", (Turn("user", "备库能写吗"), Turn("assistant", "…")))).kind is MessageKind.UNCLEAR
    )


def test_history_that_asked_nothing_settles_nothing() -> None:
    history = (Turn("user", "你好"), Turn("assistant", "您好！请问您想了解产品的哪些内容？"))
    assert understand(Question("多少钱", history)).kind is MessageKind.UNCLEAR


def test_an_unclear_question_is_settled_by_the_next_message() -> None:
    history = (Turn("user", "多少钱"), Turn("assistant", "请问您具体想了解什么？请说明相关的产品、命令或功能。"))
    understood = understand(Question("标准版", history))
    assert (understood.kind, understood.standalone) == (MessageKind.QUESTION, "标准版，多少钱")


def test_the_language_of_a_word_or_two_is_that_of_the_turn_before() -> None:
    history = (Turn("user", "怎么重启？"), Turn("assistant", "…"))
    assert understand(Question("ok", history)).language == "zh"
    assert understand(Question("How do I restart it?", history)).language == "en"


TURNS = st.lists(st.builds(Turn, st.sampled_from(["user", "assistant", "system"]), st.text(max_size=300)), max_size=8)
PIECES = st.sampled_from(
    "it they that one why how what about and if the second which is better ? , . 它 那 呢 这个 为什么 怎么 重启 集群 "
    "PolarDB max_connections 第二个 "
    "哪个 更好 如果 和 区别 吗 Redis hash keys restart How do I the cluster 人工 转 谢谢 hi 1. \n - `x` 、".split(" ")
)
WORDY = st.lists(PIECES, max_size=25).map(" ".join) | st.lists(PIECES, max_size=25).map("".join)
WORDY_TURNS = st.lists(st.builds(Turn, st.sampled_from(["user", "assistant"]), WORDY), max_size=8)


@given(st.text() | WORDY, TURNS | WORDY_TURNS)
@settings(max_examples=400, deadline=None)
def test_any_message_is_understood(text: str, turns: list[Turn]) -> None:
    understood = understand(Question(text, tuple(turns)))
    assert len(understood.standalone) <= len(text) + ASKED * 4 + 100
    assert understood.language in ("zh", "en")
    if understood.kind is not MessageKind.QUESTION:
        assert understood.standalone == text or understood.kind is MessageKind.UNCLEAR
    if text.strip():
        assert understood.standalone.strip()


@given(st.text() | WORDY)
@settings(max_examples=300, deadline=None)
def test_without_history_the_text_is_untouched(text: str) -> None:
    understood = understand(Question(text))
    assert (understood.standalone, understood.carried) == (text, "")
    assert (understood.kind is MessageKind.UNCLEAR) == (smalltalk.kind_of(text) is None and not has_content(text))


@given(WORDY, WORDY_TURNS)
@example("that", [Turn("user", "?")])
@settings(max_examples=200, deadline=None)
def test_what_was_carried_is_told(text: str, turns: list[Turn]) -> None:
    understood = understand(Question(text, tuple(turns)))
    assert bool(understood.carried) == (understood.standalone != text)


def test_old_turns_are_forgotten() -> None:
    old = (Turn("user", "How do I install PFS?"), Turn("assistant", "…"))
    newer = tuple(turn for _ in range(6) for turn in (Turn("user", "What is HTAP?"), Turn("assistant", "…")))
    assert "PFS" not in understand(Question("how do I remove it?", old + newer)).standalone


def test_long_messages_are_whole() -> None:
    text = "它怎么重启？" + "集群" * LONGEST_MESSAGE
    history = (Turn("user", "怎么安装 PFS？"), Turn("assistant", "…"))
    assert understand(Question(text, history)).standalone == text


@pytest.mark.parametrize(
    "part",
    [
        "我要转",
        "哪里可以",
        "get me ",
        "please ",
        "can I talk to ",
        "how do I ",
        "、a",
        "the second one ",
        "谢谢好的",
        "it ",
        "which ",
        "1. ",
        "和",
        "那",
    ],
)
def test_repetitions_take_no_time(part: str) -> None:
    begun = time.thread_time()
    for times in (20, 200, 20_000):
        turns = (Turn("user", part * times), Turn("assistant", part * times))
        understand(Question(part * times, turns))
        understand(Question(part * 20 + "人工 human it 第二个怎么用 the second one", turns))
    assert time.thread_time() - begun < 1.0
