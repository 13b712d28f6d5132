"""What kind of answer a question wants, and how well a piece of text fits it. Chinese and English, by their asking words.

A question may be of several kinds ("how large is X by default" wants a number and a default), or of none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

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


_NUMBER = r"(?:\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|hundred|thousand|million)\b|[一二两三四五六七八九十百千万亿](?![些般旦样定直体致起]))"
_NAMED_THING = r"(?:command|parameter|option|flag|setting|function|statement|config\w*|directive|variable|view|table)"
_NAMED_THING_ZH = "(?:命令|参数|选项|函数|语句|配置项|配置|变量|字段|视图|脚本|工具|SQL)"

_ASKS: dict[Kind, re.Pattern[str]] = {
    kind: re.compile(pattern, re.IGNORECASE)
    for kind, pattern in {
        Kind.COUNT: r"\bhow (?:many|much|long|large|big|often|far|old|fast|high|deep)\b|\bwhat (?:number|percentage|size)\b"
        r"|\b(?:max(?:imum)?|min(?:imum)?|limit|number of|size of|how soon)\b"
        r"|多少|几[个年位次种台天秒分小条倍份]|多[久长高大重远深宽快]|最[大小多少长短高低][值数]?|上限|下限|大小|时长|间隔|百分之几",
        Kind.DEFAULT: r"\bdefaults?\b|默认|缺省|預設|预设",
        Kind.HOW_TO: r"\bhow (?:do|can|could|should|would|to|might)\b(?! \w+ (?:many|much))|\bhow(?:'d| would)? (?:i|we|you)\b"
        r"|\b(?:way|steps?) to\b|怎么(?!回事|样的|会)|怎样|如何|咋(?!回事)|步骤|教程|怎麼",
        Kind.COMMAND: rf"\b(?:which|what) (?:\w+ ){{0,2}}{_NAMED_THING}s?\b|{_NAMED_THING}\b.{{0,12}}\bwhich\b"
        rf"|(?:什么|哪[个些条种]|啥).{{0,4}}{_NAMED_THING_ZH}|{_NAMED_THING_ZH}(?:是|叫)?(?:什么|哪|啥)|\bcommand to\b",
        Kind.LIST: r"\bwhat are\b|\blist\b|\bwhich (?:\w+ )?(?:\w{3,}s) (?:are|can|do|must|should|exist|were)\b|\b(?:kinds|types|ways) of\b"
        r"|哪些|哪几|有什么(?!区别)|都有|列出|分别",
        Kind.WHY: r"\bwhy\b|\bhow come\b|\b(?:reason|cause)s?\b|为什么|为何|为啥|原因|怎么回事|怎么会|咋回事|為什麼",
        Kind.WHETHER: r"^\W*(?:\w+,? )?(?:is|are|was|were|do|does|did|can|could|may|must|should|will|would|has|have|need)\b"
        r"(?! (?:you|we) (?:tell|explain|show))|\b(?:do|can|does|must|will|should) (?:i|we|you|it|they|the|others)\b"
        r"|\bwhether\b|[吗么嗎](?:\W*$|[，。？！,?])|是否|能不能|可不可以|是不是|有没有|会不会|要不要|支不支持|需不需要|行不行|必须.{0,6}[吗么]",
        Kind.WHAT_IS: r"^\W*what(?:'s| is| are)\b(?! (?:the )?(?:default|max|min|number|size|limit))|\bstand for\b"
        r"|\bmean(?:s|ing)?\b|\bdefin|什么是|是什么|是啥|指的?是?什么|什么意思|含义|何谓|定义",
        Kind.WHEN: r"\bwhen\b|\bwhat (?:year|date|month|day|time|century|decade)\b|\bin which (?:year|month)\b"
        r"|什么时候|何时|哪[一]?[年天月日]|几[点号月]|什么情况下|啥时候|时间",
        Kind.WHERE: r"\bwhere\b|\b(?:what|which) (?:country|city|place|directory|folder|file|path|region|state)\b"
        r"|哪里|哪儿|在哪|何处|何地|什么地方|位于|哪个(?:目录|文件|城市|国家|地方|路径)|路径",
        Kind.WHO: r"\bwho(?:m|se)?\b|(?<!.)谁|谁|哪位|何人|什么人",
    }.items()
}

_MONTHS = "jan(?:uary)?|feb(?:ruary)?|march|april|june|july|aug(?:ust)?|sept(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
_SAYS: dict[Kind, re.Pattern[str]] = {
    kind: re.compile(pattern, re.IGNORECASE)
    for kind, pattern in {
        Kind.COUNT: _NUMBER,
        Kind.DEFAULT: r"\bdefault|默认|缺省|預設|预设",
        Kind.HOW_TO: r"^\W*(?:\d+[.)]\s*)?(?:use|run|set|add|create|call|click|select|open|install|start|execute|type|enable|edit|make)\b"
        r"|\b(?:you can|in order to|by (?:using|setting|running|calling|\w+ing)|use the|run the|using|is done)\b"
        r"|使用|执行|运行|通过|可以|设置|点击|创建|添加|修改|输入|步骤|如下|首先",
        Kind.COMMAND: r"`[^`]+`|\b[A-Z]{2,}\b|\b\w+_\w+\b|--?\w{2,}|\w\.\w",
        Kind.LIST: r"[、，].+[、，和]|, .+,? and |following|以下|如下|包括|包含|分为|include",
        Kind.WHY: r"\bbecause\b|\bsince\b|\bdue to\b|\btherefore\b|\bso that\b|\bin order to\b|\breason|\bcause|\bas a result\b|\bthus\b"
        r"|因为|由于|因此|所以|原因|以便|从而|导致|为了|避免|使得",
        Kind.WHETHER: r"\b(?:can|cannot|can't|not|no|never|must|may|only|always|should|will|won't|does|doesn't|don't|yes|without|even"
        r"|supports?|supported|need(?:s|ed)?|required?|optional|possible|allow(?:s|ed)?|able)\b"
        r"|支持|可以|不能|不可|无需|无须|必须|需要|无法|不会|不再|不需|不支持|能够|可选|只能|只有|没有|不必|尚未|仅|未|允许|禁止|不",
        Kind.WHAT_IS: r"^\W*(?:(?:the|an?) )?(?:[\w'`*-]+ ){1,6}(?:is|are|was|means|refers to|stands for)\b"
        r"|^.{1,30}?(?:是(?!否)|指|即|表示|称为|用于|全称)|stands for",
        Kind.WHEN: rf"\b(?:1\d|20)\d\d\b|\b(?:{_MONTHS})\b|\b(?:when|after|before|until|once|during|century|while|if)\b"
        r"|\d年|\d月|世纪|时[，,候]|之后|以后|之前|如果|一旦|期间|只有|情况",
        Kind.WHERE: r"\b(?:in|at|on|from|near|under|located|inside) (?:the )?[A-Z`/]|/\w+|\b\w+\.(?:conf|log|yml|json)\b"
        r"|位于|目录|路径|在[^，。]{1,12}[里中下上内]|[省市县区国州]|文件",
        Kind.WHO: r"\b[A-Z][\w'-]+ [A-Z][\w'-]+|\bby [A-Z]|由[^，。]{2,}|[·•]|被",
    }.items()
}
_SUITS: dict[Kind, dict[UnitKind, float]] = {
    Kind.HOW_TO: {UnitKind.ITEM: 0.25, UnitKind.CODE: 0.35, UnitKind.ROW: -0.1},
    Kind.COMMAND: {UnitKind.CODE: 0.3, UnitKind.ROW: 0.1, UnitKind.ITEM: 0.1},
    Kind.DEFAULT: {UnitKind.ROW: 0.1, UnitKind.ITEM: 0.1, UnitKind.CODE: -0.3},
    Kind.LIST: {UnitKind.ITEM: 0.2, UnitKind.ROW: 0.1, UnitKind.CODE: -0.3},
    Kind.WHY: {UnitKind.CODE: -0.5, UnitKind.ROW: -0.2},
    Kind.WHETHER: {UnitKind.CODE: -0.5},
    Kind.WHAT_IS: {UnitKind.CODE: -0.3},
}
_VALUE = re.compile(
    r"\d|`[^`]+`|\b(?:on|off|yes|no|true|false|none|enabled|disabled)\b|[关开]|启|停|空|不", re.IGNORECASE
)


def kinds_of(question: str) -> tuple[Kind, ...]:
    """Every kind whose asking words occur, in the order of `Kind`; empty when none does."""
    return tuple(kind for kind, asks in _ASKS.items() if asks.search(question))


def fit(kinds: Iterable[Kind], unit: UnitKind, text: str) -> float:
    """How well `text`, of the form `unit`, fits what the kinds want: 0..1, the mean over the kinds; 0.5 for no kind."""
    found = [_fit_one(kind, unit, text) for kind in kinds]
    return sum(found) / len(found) if found else 0.5


def _fit_one(kind: Kind, unit: UnitKind, text: str) -> float:
    value = 0.75 if _SAYS[kind].search(text) else 0.2
    if kind is Kind.DEFAULT and value > 0.5 and _VALUE.search(text):
        value = 0.95
    return min(max(value + _SUITS.get(kind, {}).get(unit, 0.0), 0.0), 1.0)
