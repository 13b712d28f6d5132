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
GOES_ON = {
    "en": "(It goes on: see {document}.)",
    "zh": "（未完，后续内容见 {document}。）",
}
WHICH = {
    "en": "Which one do you mean by “{pointed}”? Please name it.",
    "zh": "请问“{pointed}”具体指哪一个？请说明它的名称。",
}

REASON = {
    "exact": {"en": "An approved answer to this very question.", "zh": "这个问题有已批准的答案，原文返回。"},
    "near": {
        "en": "An approved answer to the same question: probability {probability:.2f}, {margin:.2f} ahead of the next.",
        "zh": "同一问题有已批准的答案：概率 {probability:.2f}，领先下一个 {margin:.2f}。",
    },
    "noted": {
        "en": "An approved answer to this very question; a source of it has changed since, and a person looks at it.",
        "zh": "这个问题有已批准的答案；它的来源后来有改动，正由人工复核。",
    },
    "held": {
        "en": "An approved answer to this very question waits for a person, because a source of it has changed.",
        "zh": "这个问题的已批准答案因来源有改动，正等待人工复核。",
    },
    "called back": {
        "en": "This answer was called back as wrong, so it is not sent again.",
        "zh": "这个答案曾因有误被撤回，不再发送。",
    },
    "greeting": {"en": "A greeting; nothing was searched.", "zh": "问候语，没有检索。"},
    "thanks": {"en": "Thanks; nothing was searched.", "zh": "致谢，没有检索。"},
    "goodbye": {"en": "A goodbye; nothing was searched.", "zh": "道别，没有检索。"},
    "handoff": {"en": "A person was asked for.", "zh": "用户要求人工服务。"},
    "unclear": {
        "en": "The question does not say what it is about, and nothing before it does.",
        "zh": "问题没有说明所指的对象，上文也没有。",
    },
    "points": {
        "en": "The question points at something (“{pointed}”) that nothing names, and no passage surely answers it.",
        "zh": "问题提到“{pointed}”，但没有说明所指，也没有段落能可靠地回答。",
    },
    "sent": {
        "en": "The quoted passages answer it: confidence {confidence:.2f}, the line is {line:.2f}.",
        "zh": "引用的段落回答了这个问题：置信度 {confidence:.2f}，发送线 {line:.2f}。",
    },
    "unsure": {
        "en": "Not sure enough: confidence {confidence} is below the line {line}.",
        "zh": "把握不够：置信度 {confidence} 低于发送线 {line}。",
    },
    "words alone": {
        "en": "The passage found has the question's words, and nothing else says that it answers: "
        "confidence {confidence} is below the line {line} for that.",
        "zh": "找到的段落只是含有问题的词语，没有别的依据：置信度 {confidence} 低于这种情况的发送线 {line}。",
    },
    "no index": {"en": "The index is not available ({problem}).", "zh": "索引不可用（{problem}）。"},
    "no word": {
        "en": "No passage has a word of the question.",
        "zh": "没有段落包含问题中的词语。",
    },
    "no word within": {
        "en": "No passage within the filters has a word of the question.",
        "zh": "过滤范围内没有段落包含问题中的词语。",
    },
    "no quote": {
        "en": "Nothing in the passages found can be quoted as an answer.",
        "zh": "找到的段落中没有可以作为答案引用的内容。",
    },
    "other kind": {
        "en": "The approved answer found is to another kind of question ({kind}).",
        "zh": "找到的已批准答案回答的是另一类问题（{kind}）。",
    },
    "other action": {
        "en": "The passage found is about another action than the question: {action}.",
        "zh": "找到的段落讲的是另一种操作：{action}。",
    },
    "no value": {
        "en": "The question asks for a value or a name (a figure, a time, a price, a default, a limit, a setting), and "
        "the passage found does not give it.",
        "zh": "问题问的是具体的值或名称（数值、时间、价格、默认值、上限、参数名等），而找到的段落没有给出。",
    },
    "no model": {
        "en": "The model is not available ({problem}); quoted instead. ",
        "zh": "模型不可用（{problem}），改为直接引用文档。",
    },
}
"""Why an answer has its route, by name and language; filled in by `reason`."""


def reason(name: str, language: str, **values: object) -> str:
    """One sentence of `REASON`. What other parts report (`problem`, the names of actions) stays as it was said."""
    return in_language(REASON[name], language).format(**values)


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
