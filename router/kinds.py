"""What kind of answer a question wants, and how well a piece of text fits it. Chinese and English, by their words.

A question may be of several kinds ("how large is X by default" wants a number and a default), or of none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from router.script import simplified
from router.types import UnitKind


class Kind(StrEnum):
    COUNT = "count"  # a number: how many, how long, 多少
    DEFAULT = "default"  # the value that holds when nobody sets one
    HOW_TO = "how_to"  # steps or a command
    COMMAND = "command"  # the name of a command, parameter, function or file
    LIST = "list"  # all that there are: which ones, what kinds
    WHY = "why"
    WHETHER = "whether"  # yes or no
    WHAT_IS = "what_is"  # a definition
    WHEN = "when"
    WHERE = "where"
    WHO = "who"


_THING = r"(?:command|parameter|option|flag|setting|function|statement|config\w*|directive|variable|view|table)"
_THING_ZH = "(?:命令|参数|选项|函数|语句|配置项|配置|变量|字段|视图|脚本|工具|SQL)"
_AUXILIARY = (
    "(?:is|are|was|were|do|does|did|can|could|may|must|should|will|would|has|have|need|isn't|aren't|don't|doesn't)"
)

_ASKED_BY: dict[Kind, tuple[str, ...]] = {  # patterns in Chinese apart from those in English, which are in lower case
    Kind.COUNT: (
        r"\bhow (?:many|much|long|large|big|often|far|old|fast|high|deep|soon)\b",
        r"\bwhat (?:number|percentage|size)\b|\b(?:max(?:imum)?|min(?:imum)?|limit|number of|size of)\b",
        "多少|几[个年位次种台天秒分小条倍份]|多[久长高大重远深宽快]|百分之几|大小|时长|间隔",
        "最[大小多少长短高低][值数]?|上限|下限",
    ),
    Kind.DEFAULT: (r"\bdefaults?\b", "默认|缺省|预设"),
    Kind.HOW_TO: (
        r"\bhow (?:do|can|could|should|would|to|might)\b|\bhow(?:'d|'s)? (?:i|we|you)\b|\b(?:way|steps?) to\b",
        "怎么(?!回事|样的|会)|怎样|如何|咋(?!回事)|步骤|教程",
    ),
    Kind.COMMAND: (
        rf"\b(?:which|what) (?:\w+ ){{0,2}}{_THING}s?\b|{_THING}\b.{{0,12}}\bwhich\b|\bcommand to\b",
        rf"(?:什么|哪[个些条种]|啥).{{0,4}}{_THING_ZH}|{_THING_ZH}(?:是|叫)?(?:什么|哪|啥)",
    ),
    Kind.LIST: (
        r"\bwhat are\b|\blist\b|\b(?:kinds|types|ways) of\b",
        r"\bwhich (?:\w+ )?\w{3,}s (?:are|can|do|must|should|exist|were)\b",
        r"\bwhat (?:\w+ )?\w{3,}s (?:are (?:there|available|supported|allowed)|can be|exist)\b",
        "哪些|哪几|有什么(?!区别)|都有|列出|分别",
    ),
    Kind.WHY: (r"\bwhy\b|\bhow come\b|\b(?:reason|cause)s?\b", "为什么|为何|为啥|原因|怎么回事|怎么会|咋回事"),
    Kind.WHETHER: (
        rf"^\W*(?:(?:and|but|so|then|or|hi|hey|ok),? )?{_AUXILIARY}\b(?! (?:you|we) (?:tell|explain|show))",
        rf"\b{_AUXILIARY} (?:i|we|you|it|they|the|others)\b|\bwhether\b",
        r"(?:吗|(?<![什怎这那多])么)(?:\W*$|[，。？！,?])",
        "是否|能不能|可不可以|是不是|有没有|会不会|要不要|支不支持|需不需要|用不用|行不行",
    ),
    Kind.WHAT_IS: (
        r"^\W*what(?:'s| is)\b(?! (?:the )?(?:default|max|min|number|size|limit))",
        r"\bstand for\b|\bmean(?:s|ing)?\b|\bdefin",
        "什么是|是什么|是啥|指的?是?什么|什么意思|含义|何谓|定义",
    ),
    Kind.WHEN: (
        r"\bwhen\b|\bwhat (?:year|date|month|day|time|century|decade)\b|\bin which (?:year|month)\b",
        "什么时[候期间]|何时|哪一?[年天月日]|几[点号月]|什么情况下|啥时候",
    ),
    Kind.WHERE: (
        r"\bwhere\b|\b(?:what|which) (?:country|city|place|directory|folder|file|path|region|state)\b",
        "哪里|哪儿|在哪|何处|何地|什么地[方带]|位于|哪个(?:目录|文件|城市|国家|地方|路径)|路径",
    ),
    Kind.WHO: (r"\bwho(?:m|se)?\b", "谁|哪位|何人|什么人"),
}
_WH = (r"\b(?:what|which|who|whom|whose|where|when|why|how)\b", "什么|哪|谁|怎么|怎样|如何|为何|多少|几[个年位次]")
_MAY_ASK = ("(?!)", "甚么|啥|(?<![任几])何|几(?![乎何])", r"(?:[^不]是|为|叫做?|在于)\W*$")
"""Words that ask, and in a question for yes or no may be something else: 这几台 … 吗？ None in English."""

_MONTHS = (
    "jan(?:uary)?|feb(?:ruary)?|march|april|june|july|aug(?:ust)?|sept(?:ember)?|oct(?:ober)?|nov(?:ember)?"
    "|dec(?:ember)?"
)
_COUNTED = "one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|hundred|thousand|million|half|once|twice"

# Clear signs of an answer of the kind, and weak ones: patterns apart again, and English ones in lower case.
_SAID_BY: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Kind.COUNT: (
        (
            r"\d[\d.,]*\s?(?:%|[kmgt]i?b\b|ms\b|s\b|(?:milli|micro)?seconds?|minutes?|hours?|days?|bytes?|times|million)",
            r"\d[\d.,]*\s?[个年位次种台天秒分小条倍份万亿元米公千％人字]",
            rf"\b(?:{_COUNTED})\b",
        ),
        (
            r"\d",
            r"[一二两三四五六七八九十百千万](?![些般旦样定直体致起])",
            r"\b(?:equals?|equal to|as (?:many|much|large|big|long) as|at (?:least|most)|unlimited)\b",
            "等于|相同|不限|至少|至多|以上|以下",
        ),
    ),
    Kind.DEFAULT: (
        (
            r"\bdefault\w*\b.{0,40}(?:\d|`|\b(?:on|off|yes|no|true|false|none|enabled|disabled)\b)",
            r"(?:默认|缺省|预设).{0,12}(?:\d|`|[关开]|启|停|空|不|on|off|[a-z])",
        ),
        (r"\bdefault", "默认|缺省|预设"),
    ),
    Kind.HOW_TO: (
        (
            r"^\W*\d{1,2}[.)]\s",  # a step
            r"^\W*\d{1,2}、",
            r"^\W*(?:use|run|set|add|create|call|click|select|open|install|start|execute|type|enable)\b",
            r"\byou can\b|\bin order to\b|\bto \w+.{0,60}, (?:use|run|set|you|just|call)\b|\bis done\b|as follows",
            r":\s*$",
            r"：\s*$",
            "(?:可以|请|需要|通过|使用|执行|运行).{0,40}(?:命令|参数|语句|步骤|接口|工具|如下)|步骤|首先|如下[：:]",
        ),
        (r"\b(?:by|using|use|run|set)\b", "使用|执行|运行|通过|可以|设置|点击|创建|添加|修改|输入"),
    ),
    Kind.COMMAND: ((r"--\w{2,}|\w_\w|[a-z]{3,}|\w\(\)",), (r"\b\w+\.\w+\b|[a-z]{3,}",)),
    Kind.LIST: (
        ("[、].+[、和及]", ", .+,? and ", r":\s*$|following", r"：\s*$|以下|如下|包括|分为|分别"),
        ("include|all", "包含|都|和"),
    ),
    Kind.WHY: (
        (r"\bbecause\b|\bdue to\b|\breason|\bso that\b", "因为|由于|原因|以便|为了|避免|使得"),
        (
            r"\bsince\b|\btherefore\b|\bin order to\b|\bcause|\bas a result\b|\bthus\b|\bthis is\b",
            "因此|所以|从而|导致",
        ),
    ),
    Kind.WHETHER: (
        (
            r"\b(?:cannot|can't|not|no|never|must|only|always|won't|doesn't|don't|without|even|need(?:s|ed)?|required?)\b",
            r"\b(?:supports?|supported|optional|possible|allow(?:s|ed)?|able)\b",
            "支持|可以|不能|不可|无需|无须|必须|需要|无法|不会|不再|不需|能够|可选|只能|没有|不必|尚未|允许|禁止|不影响",
        ),
        (r"\b(?:can|may|should|will|does|yes)\b", "不|仅|未|会|能|各自|独立|相同"),
    ),
    Kind.WHAT_IS: (
        (
            r"^\W*(?:(?:the|an?) )?(?:[\w'`*-]+ ){1,4}(?:is an?|is the|are|was an?|means|refers to|stands for)\b",
            "^.{1,30}?(?:是一|是指|指的?是|表示|称为|全称|意为|意思)",
            "stands for",
        ),
        (r"\b(?:is|are|means|called)\b", "是|为|指|即"),
    ),
    Kind.WHEN: (
        (
            rf"\b(?:1\d|20)\d\d\b|\b(?:{_MONTHS})\b",
            r"\b(?:midnight|noon|hourly|daily|nightly|weekly|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b|\b\d?\d:\d\d\b",
            r"\bevery (?:minute|hour|day|night|week|month)\b",
            r"凌晨|上午|中午|下午|午夜|每[天日周月晚]|\d点",
            r"\d\s?[年月日]|世纪|只有.{0,20}(?:后|时)|时[，,候]|[之以]后[，,]",
        ),
        (r"\b(?:when|after|before|until|once|during|century|while|if)\b", "之后|以后|之前|如果|一旦|期间|情况"),
    ),
    Kind.WHERE: (
        (
            r"\b(?:located|situated|stored|found) (?:in|at|on|under)\b|(?:^|\s)/\w+/",
            "位于|坐落|地处|目录下|存放在|籍贯",
        ),
        (
            r"\b(?:in|at|on|from|near|under|inside) (?:the )?\w",
            "目录|路径|文件|[省市县区国州]|在.{1,12}[里中下上内]",
        ),
    ),
    Kind.WHO: (
        (r"\bby \w+|\b(?:founded|led|author|leader|president|king)\b", "由.{2,}|[·•]|师从|父|母|担任"),
        (r"\w \w", "被|为|是"),
    ),
}
_DENIES = (r"\b(?:not|n't) (?:yet )?(?:supported|possible|available)\b|\bcannot be\b", "不支持|暂未|尚未|无法")
"""What cannot be done is no way to do it."""
_MARKER = re.compile(r"^\W*\d{1,2}(?:[.:)、]|\s-)\s")
"""In front of a list's item: it counts the items, and answers no "how many"."""
_SUITS: dict[Kind, dict[UnitKind, float]] = {
    Kind.HOW_TO: {UnitKind.ITEM: 0.1, UnitKind.CODE: 0.5, UnitKind.ROW: -0.1},
    Kind.COMMAND: {UnitKind.CODE: 0.2, UnitKind.ROW: 0.1, UnitKind.ITEM: 0.1},
    Kind.DEFAULT: {UnitKind.ROW: 0.1, UnitKind.ITEM: 0.1, UnitKind.CODE: -0.3},
    Kind.LIST: {UnitKind.ITEM: 0.2, UnitKind.ROW: 0.1, UnitKind.CODE: -0.3},
    Kind.WHY: {UnitKind.CODE: -0.5, UnitKind.ROW: -0.2},
    Kind.WHETHER: {UnitKind.CODE: -0.5},
    Kind.WHAT_IS: {UnitKind.CODE: -0.3},
}
_LEVELS: dict[Kind, tuple[float, float, float]] = {  # what a clear sign, a weak one and none are worth
    Kind.COUNT: (0.95, 0.75, 0.1),
    Kind.WHAT_IS: (0.65, 0.6, 0.4),
    Kind.LIST: (0.75, 0.6, 0.35),
}
_LEVEL = (0.9, 0.55, 0.2)  # of the other kinds; how much each helps was seen on SQuAD and CMRC


@dataclass(frozen=True, slots=True)
class _Signs:
    """The patterns above, as they are looked for."""

    wh: re.Pattern[str]
    may_ask: re.Pattern[str]
    asked: Mapping[Kind, re.Pattern[str]]
    said: Mapping[Kind, tuple[re.Pattern[str], re.Pattern[str]]]
    denied: re.Pattern[str]

    @classmethod
    def of(cls, compiled: Callable[[Iterable[str]], re.Pattern[str]]) -> _Signs:
        asked = {kind: compiled(patterns) for kind, patterns in _ASKED_BY.items()}
        said = {kind: (compiled(clear), compiled(weak)) for kind, (clear, weak) in _SAID_BY.items()}
        return cls(compiled(_WH), compiled(_MAY_ASK), asked, said, compiled(_DENIES))


_SIGNS = _Signs.of(lambda patterns: re.compile("|".join(patterns), re.IGNORECASE))
_PLAIN = _Signs.of(lambda patterns: re.compile("|".join(filter(str.isascii, patterns)), re.ASCII))


def _signs_in(text: str) -> tuple[_Signs, str]:
    """What to look for, and in what: ASCII is looked at in lower case and by the English patterns alone, in a fifth of
    the time. Traditional characters are looked for as simplified ones."""
    return (_PLAIN, text.lower()) if text.isascii() else (_SIGNS, simplified(text))


def asks(question: str) -> bool:
    """Whether it asks for something in particular: by a word like "which" or 什么, or by being of some kind."""
    signs, text = _signs_in(question)
    return bool(signs.wh.search(text) or kinds_of(question) or signs.may_ask.search(text))


def kinds_of(question: str) -> tuple[Kind, ...]:
    """Every kind whose asking words occur, in the order of `Kind`; empty when none does.

    "Does" and "is" also stand in questions of every other kind, so yes or no is wanted only where no other word asks.
    """
    signs, text = _signs_in(question)
    kinds = tuple([kind for kind, asked in signs.asked.items() if asked.search(text)])
    if Kind.WHETHER in kinds and signs.wh.search(text):
        return tuple(kind for kind in kinds if kind is not Kind.WHETHER)
    return kinds


def fit(kinds: Iterable[Kind], unit: UnitKind, text: str) -> float:
    """How well `text`, of the form `unit`, fits what the kinds want: 0..1, the mean over the kinds; 0.5 for no kind."""
    signs, text = _signs_in(text)
    found = [_fit_one(kind, unit, signs, text) for kind in kinds]
    return sum(found) / len(found) if found else 0.5


def _fit_one(kind: Kind, unit: UnitKind, signs: _Signs, text: str) -> float:
    clear, weak = signs.said[kind]
    levels = _LEVELS.get(kind, _LEVEL)
    text = _MARKER.sub("", text, count=1) if kind is Kind.COUNT else text
    if kind is Kind.HOW_TO and signs.denied.search(text):
        return levels[2]
    value = levels[0] if clear.search(text) else levels[1] if weak.search(text) else levels[2]
    return min(max(value + _SUITS.get(kind, {}).get(unit, 0.0), 0.0), 1.0)
