"""The few sentences that are ours, one per language, and the form in which two questions count as the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

STALE = {
    "en": "(Note: a page that this answer rests on has changed since; the answer is being looked at.)",
    "zh": "（注意：这个回答依据的页面后来有改动，正在复核。）",
}
REFUSAL = {
    "en": "I could not find a reliable answer to this in the documents. It has been passed on to a person.",
    "zh": "在文档中没有找到可靠的答案，这个问题已转给人工处理。",
}
"""The canonical refusal. One text per language: it is also what refusal rows of a training set say."""


GREETING = {"en": "Hello! What would you like to know about the product?", "zh": "您好！请问您想了解产品的哪些内容？"}
THANKS = {"en": "You are welcome.", "zh": "不客气。"}
GOODBYE = {"en": "Goodbye!", "zh": "再见！"}
HANDOFF = {"en": "Your message has been passed on to a person.", "zh": "您的消息已转给人工处理。"}
CLARIFY = {
    "en": "What exactly is your question about? Please name the product, command or feature.",
    "zh": "请问您具体想了解什么？请说明相关的产品、命令或功能。",
}


def normalise(question: str) -> str:
    """Width, case, spacing and the punctuation at the ends folded away."""
    folded = unicodedata.normalize("NFKC", question).casefold()
    return " ".join(folded.split()).strip(" ?!.,;:。，；：？！、~…\"'")


def language_of(text: str) -> str:
    """zh if there is any Han character and no kana (that is Japanese), else en: the languages the wording exists in."""
    if text.isascii():
        return "en"
    han = any("\u3400" <= char <= "\u9fff" for char in text)
    return "zh" if han and not any("\u3040" <= char <= "\u30ff" for char in text) else "en"


def in_language(texts: Mapping[str, str], language: str) -> str:
    """The text for this language, English where there is none."""
    return texts.get(language, texts["en"])
