"""Prompts for the small things that a model may be asked beside answering: whether two questions are the same one,
what a follow-up says when made whole, and, for a dataset, what a passage answers and how else a question is asked.
Data in them is kept data as in `router.prompt`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from router.prompt import Message, Source, block, escape
from router.types import Turn

_TURNS = 6  # of the history that a follow-up is read in: what it refers to is seldom further back
_SAME: Mapping[str, str] = {
    "en": "Two people ask about a product. Would exactly the same answer be right for both questions? A different "
    "number, version, condition, negation or action makes them different. Answer yes or no.",
    "zh": "两位用户询问同一个产品。同一个答案是否对两个问题都完全正确？数字、版本、条件、否定或动作不同，"
    "就是不同的问题。只回答 yes 或 no。",
}
_WHOLE: Mapping[str, str] = {
    "en": "Rewrite the last question so that it can be understood without the conversation before it. Keep its words, "
    "add only what it refers to, answer nothing. Reply with the question alone.",
    "zh": "改写最后一个问题，使它脱离前面的对话也能看懂。保留原来的用词，只补上它所指的内容，不要回答。"
    "只回复改写后的问题。",
}
_PROPOSE: Mapping[str, str] = {
    "en": "Write one question that a user of the product would ask and that the passage answers. It must be understood "
    "without the passage. Then copy out of the passage, word for word, the shortest text that answers it. Reply with "
    "two lines:\nQ: the question\nA: the copied text",
    "zh": "写出一个产品用户会问、并且这个段落能回答的问题，不看段落也要能看懂。再从段落中逐字抄下能回答它的最短文字。"
    "只回复两行：\nQ: 问题\nA: 抄下的文字",
}
_OTHERWISE: Mapping[str, str] = {
    "en": "Ask exactly the same question in other words. Keep every number, name, command, condition and negation. "
    "Reply with the question alone.",
    "zh": "用别的说法问完全相同的问题。数字、名称、命令、条件和否定都不能变。只回复改写后的问题。",
}
YES, NO = "yes", "no"


def same_question(first: str, second: str, language: str) -> tuple[Message, ...]:
    """To be answered with `YES` or `NO`. A language that has no words of its own gets the English ones."""
    system = _SAME.get(language, _SAME["en"])
    return (Message("system", system), Message("user", f"{_asked(first)}\n{_asked(second)}"))


def whole_question(question: str, history: Sequence[Turn], language: str) -> tuple[Message, ...]:
    system = _WHOLE.get(language, _WHOLE["en"])
    said = [f"{turn.role}: {escape(' '.join(turn.content.split()))}" for turn in history[-_TURNS:]]
    return (Message("system", system), Message("user", "\n".join((*said, _asked(question)))))


def proposed_question(passage: Source, language: str) -> tuple[Message, ...]:
    """To be answered with a line "Q: …" and a line "A: …"."""
    return (Message("system", _PROPOSE.get(language, _PROPOSE["en"])), Message("user", block(1, passage)))


def other_wording(question: str, language: str) -> tuple[Message, ...]:
    return (Message("system", _OTHERWISE.get(language, _OTHERWISE["en"])), Message("user", _asked(question)))


def _asked(question: str) -> str:
    return f"<question>\n{escape(question.strip())}\n</question>"
