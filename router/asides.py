"""Prompts for the two small things that a model may be asked beside answering: whether two questions are the same one,
and what a follow-up says when it is made whole. Data in them is kept data as in `router.prompt`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from router.prompt import Message, escape
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
YES, NO = "yes", "no"


def same_question(first: str, second: str, language: str) -> tuple[Message, ...]:
    """To be answered with `YES` or `NO`. A language that has no words of its own gets the English ones."""
    system = _SAME.get(language, _SAME["en"])
    return (Message("system", system), Message("user", f"{_asked(first)}\n{_asked(second)}"))


def whole_question(question: str, history: Sequence[Turn], language: str) -> tuple[Message, ...]:
    system = _WHOLE.get(language, _WHOLE["en"])
    said = [f"{turn.role}: {escape(' '.join(turn.content.split()))}" for turn in history[-_TURNS:]]
    return (Message("system", system), Message("user", "\n".join((*said, _asked(question)))))


def _asked(question: str) -> str:
    return f"<question>\n{escape(question.strip())}\n</question>"
