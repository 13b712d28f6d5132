"""What a conversation is about so far: the last question, its topic, and what an answer named.

Everything that was said is text to look at, never an instruction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from router.phrases import GENERIC, HAN, RELATIONAL, STOP, Phrase, is_chinese, phrases, stems
from router.script import simplified
from router.types import Turn

TURNS = 4  # user turns looked at
ASKED, SAID = 400, 600  # characters of a user's and of an assistant's turn looked at
LONGEST = 60  # characters of a topic


@dataclass(frozen=True, slots=True)
class Context:
    """Before the message. question: the last question, made whole. topics: what it is about, likeliest first. said: the
    beginning of the answer to it. past: the topics of the questions before that, oldest first, and earlier: those
    questions."""

    question: str
    topics: tuple[str, ...]
    said: str = ""
    past: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()

    @property
    def topic(self) -> str:
        return self.topics[0] if self.topics else ""

    @property
    def asked(self) -> frozenset[str]:
        """Stems of the questions."""
        return frozenset().union(*map(stems, (*self.earlier, self.question)))

    @property
    def told(self) -> frozenset[str]:
        """Stems of the last answer."""
        return stems(self.said)


def exchanges(history: tuple[Turn, ...]) -> list[tuple[str, str]]:
    """The last few (question, answer) pairs, cut to a bounded length."""
    pairs: list[tuple[str, str]] = []
    for turn in history[-4 * TURNS :]:
        if turn.role == "user":
            pairs.append((simplified(turn.content[:ASKED].strip()), ""))
        elif turn.role == "assistant" and pairs:
            asked, said = pairs[-1]
            pairs[-1] = (asked, (said + simplified(turn.content))[:SAID])
    return pairs[-TURNS:]


def after(context: Context | None, whole: str, said: str) -> Context:
    """The context once `whole` (a question made whole) was answered with `said`."""
    found = topics_of(whole, context)
    named = _named_by_answer(whole, said)
    topics = tuple(dict.fromkeys((*named, *found)))
    if not topics and context:
        topics = context.topics
    return Context(
        question=whole,
        topics=topics[:4],
        said=said,
        past=(*context.past, context.topic) if context else (),
        earlier=(*context.earlier, context.question) if context else (),
    )


def topics_of(text: str, context: Context | None) -> tuple[str, ...]:
    """Phrases of a question, likeliest topic first. What the conversation was about already ranks higher."""
    known = stems(context.topic) if context and context.topic else frozenset()
    found = phrases(text)
    first = next((phrase.start for phrase in found if phrase.rank > 0.1), -1)

    def rank(phrase: Phrase) -> float:
        return phrase.rank + 0.4 * (phrase.start == first) + 0.3 * bool(known & stems(phrase.text))

    ordered = sorted(found, key=rank, reverse=True)
    return tuple(phrase.text for phrase in ordered if phrase.rank > 0 and 1 < len(phrase.text) <= LONGEST)


_ASKS_NAME = re.compile(
    r"^\W*(?:and |so )?(?:who|which (?!of)|what (?:is|are|was) the (?:name|command|parameter|option|setting|flag)|"
    r"what \w+ (?:controls?|sets?|does|is used))"
    "|哪[个一条种位]|什么(?:命令|参数|工具|函数|选项|配置)|谁",
    re.IGNORECASE,
)
_NO_ANSWER = re.compile(
    r"\b(?:(?:do not|don't|not) (?:have|know)|sorry|apologi[sz]e|could not find|no information)\b|没有找到|抱歉|对不起",
    re.IGNORECASE,
)


def _named_by_answer(question: str, said: str) -> tuple[str, ...]:
    """The name that answers "who" or "which parameter", if there is one: it is what "it" then means."""
    if not said or not _ASKS_NAME.search(question) or _NO_ANSWER.search(said[:200]):
        return ()
    head, old = said[:160], stems(question)
    code = [name for name in _CODE.findall(head) if not old & stems(name)]
    names = [phrase.text for phrase in phrases(head) if phrase.proper and not old & stems(_latin(phrase.text))]
    return tuple(_latin(name) for name in (*code, *names)[:1] if len(name) <= LONGEST)


_CODE = re.compile(r"`([^`\n]{1,60})`")


def _latin(name: str) -> str:
    """A name without the Chinese words beside it."""
    return re.split(f"[{HAN}]", name)[0].strip() or name


_PAIR_EN = re.compile(
    r"\b(?:between|compare|choose|use)\s+(?P<a>[^,.?!;]{1,50}?)\s+(?:and|or|with|to|versus|"
    r"vs\.?)\s+(?P<b>[^,.?!;]{1,50})"
    r"|(?:^|[,:]|\b(?:is|are|use|between)\s)\s*(?P<c>[^,.?!;:]{1,50}?)\s+(?:or|versus|vs\.?)\s+(?P<d>[^,.?!;]{1,50})",
    re.IGNORECASE,
)
_PAIR_ZH = re.compile(
    r"(?P<a>[^，。？！；、\s]{1,20}?)\s*(?:和|与|跟|同|还是|或者?|vs\.?)\s*(?P<b>[^，。？！；、]{1,20}?)\s*"
    "(?:之间|的?(?:区别|不同|差别|差异)|有什么|有何|哪|相比|比较|[？?吗呢]|$)",
    re.IGNORECASE,
)


def compared(context: Context) -> tuple[str, str] | None:
    """The two things that the last question compares."""
    zh = is_chinese(context.question)
    match = (_PAIR_ZH if zh else _PAIR_EN).search(context.question)
    if match:
        groups = match.groupdict()
        a, b = groups["a"] or groups.get("c") or "", groups["b"] or groups.get("d") or ""
        names = (_named(a, zh), _named(b, zh))
        if all(names):
            return names
    return None


def pair(context: Context) -> tuple[str, str] | None:
    """The two things that were compared, or asked about one after the other."""
    if two := compared(context):
        return two
    before = context.past[-1] if context.past else ""
    if before and context.topic and before not in context.topic and context.topic not in before:
        return before, context.topic
    return None


_BEFORE_NAME_ZH = re.compile("^.*(?:请问|应该|选择|选|使用|用|比较|对比|介绍一?下?|说明|是)")
_BEFORE_NAME = re.compile(r"^(?:.*\b(?:is|are|use|choose|using|take)\s+)?(?:(?:an?|the)\s+)?", re.IGNORECASE)


def _named(text: str, zh: bool) -> str:
    return (_BEFORE_NAME_ZH if zh else _BEFORE_NAME).sub("", text.strip(), count=1).strip()


_ITEM = re.compile(r"^\s*(?:[-*+•]|\d+[.)、])\s+(.+)$", re.MULTILINE)
_INLINE = re.compile(r"(?:^|[\s:：])\(?\d[.)、]\s*([^\d.;；。\n]{2,60})")
_SERIES_ZH = re.compile(
    r"(?:[：:]|包括|分为|支持|有|是)?\s*((?:[^，。、；：:\s]{1,20}、)+[^，。、；：:\s]{1,20}?(?:(?:和|与|以及|及)[^，。、；：:\s]{1,20})?)(?=[。；，]|$)"
)
_SERIES_EN = re.compile(r"((?:\b[\w-]+(?: [\w-]+){0,3}, )+(?:and |or )?[\w-]+(?: [\w-]+){0,3})")


def items(context: Context) -> list[str]:
    """What the last answer listed, in order; else the two things compared."""
    said = context.said
    listed = _ITEM.findall(said) or _INLINE.findall(said)
    if len(listed) < 2:
        zh = is_chinese(said)
        series = (_SERIES_ZH if zh else _SERIES_EN).search(said)
        cut = "、|和|与|以及|及" if zh else r", (?:and |or )?"
        listed = [_last_words(part) for part in re.split(cut, series.group(1))] if series else []
    if len(listed) < 2:
        listed = list(pair(context) or ())
    return [_short(item) for item in listed]


def _last_words(part: str) -> str:
    """The first item of a series drags its sentence along: what follows the last little word is the item."""
    found = phrases(part)
    return found[-1].text if found else part.strip()


def _short(item: str) -> str:
    """A list item's name: what stands before a colon or dash, without markup."""
    return re.split(r"[:：。]|\s[-–—]\s|\. ", item.strip(" *`_"))[0].strip(" *`_")[:LONGEST]


_LEAD_EN = re.compile(
    r"^\W*(?:(?:and|but|so|then|ok|also|hi|hello|please|by the way|,)\s+)*"
    r"(?:(?:can|could|would|do|will) you (?:please |kindly )?(?:tell|explain|show|describe|give|provide|summarize|"
    r"know|think)"
    r"(?: (?:to )?me)?(?: (?:about|that))?\s+|tell me (?:about )?|i(?:'d like| want) to know (?:about )?)?"
    r"(?:(?:what|which|who|where|when|why|how)(?:'s)?(?: (?:much|many|long|often|far|come|to))?\s+)?"
    r"(?:(?:is|are|was|were|do|does|did|can|could|should|would|will|must|has|have)\s+)?(?:(?:i|we|you|there|"
    r"one)\s+)?(?:(?:the|an?)\s+)?",
    re.IGNORECASE,
)
_ASK_ZH = re.compile(
    "请问一?下?|请教一?下?|请?告诉我|我?想[知问]道?|为什么|为何|为啥|什么时候|是什么|什么|怎么样|怎么办|怎么|怎样|如何|是多少|多少|有哪些|哪些|"
    "是不是|是否|有没有|能不能|可不可以|会不会|要不要|能否|可否|^那么?|[吗呢吧啊呀么]?[？?。！!\\s]*$"
)


def statement(question: str) -> str:
    """The question without what only asks: "How do I add a node?" → "add a node"; "怎么重启集群？" → "重启集群"."""
    if is_chinese(question):
        return _ASK_ZH.sub("", question).strip(" ，。？！,.?!")
    rest = re.sub(r" (?:are|is) there$", "", _LEAD_EN.sub("", question, count=1).strip(" ?!.,;:"))
    return rest or question.strip(" ?!.,;:")


def is_content(word: str) -> bool:
    """Whether an English word says what a question is about."""
    low = word.lower().replace("’", "'")
    return low not in STOP and low not in GENERIC and low not in RELATIONAL
