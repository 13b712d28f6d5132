"""What a question asks for by name, and whether a text has it: a figure, a time, a price, the most of something, a
default, the name of a setting or command. What the question itself brings along answers nothing. Both languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from router.facts import Quantity, figures, quantities
from router.kinds import Kind, kinds_of
from router.script import simplified

_NO_VALUE = frozenset({Kind.HOW_TO, Kind.COMMAND, Kind.WHY, Kind.WHETHER, Kind.WHERE, Kind.WHO})

Says = Callable[[str, str], bool]
"""Of a question and a text, in simplified characters: whether the text has what is asked for."""


@dataclass(frozen=True, slots=True)
class Demand:
    """asks: how a question asks for it. says: whether a text has it. value: whether an answer begins with it, as with a
    figure; a name often stands below the sentence that says what it does."""

    asks: re.Pattern[str]
    says: Says
    value: bool = False


@dataclass(frozen=True, slots=True)
class Demands:
    """What one question asks for by name: nothing for most. question: in simplified characters."""

    question: str
    wanted: tuple[Demand, ...]

    @classmethod
    def of(cls, question: str) -> Demands:
        asking = simplified(question)
        return cls(asking, tuple([demand for demand in _DEMANDS if demand.asks.search(asking)]))

    @property
    def values(self) -> Demands:
        """Those that an answer begins with, where nothing else is asked: "how do I see how many" asks for a way."""
        if not _NO_VALUE.isdisjoint(kinds_of(self.question)):
            return Demands(self.question, ())
        return Demands(self.question, tuple([demand for demand in self.wanted if demand.value]))

    def met(self, text: str) -> bool:
        """Whether a text has all of them."""
        if not self.wanted:
            return True
        said = simplified(text)
        return all(demand.says(self.question, said) for demand in self.wanted)


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


def _speaks(*patterns: str) -> Says:
    spoken = _any_of(*patterns)
    return lambda _question, text: bool(spoken.search(text))


# --- figures ----------------------------------------------------------------------------------------------------------

_AMOUNT = _any_of(
    r"\b(?:un\w*limited|in\w*finite\w*|no (?:fixed |upper |hard )?limit|any number|equals?|equal to"
    r"|as (?:many|much|large)|once|twice|half|double|single|none|one(?! (?:of|or|that|which|can)\b))\b",
    "不限|无限|没有(?:上限|限制)|任意|等于|相同|一半|[一单][个台次种份条]|唯一",
)
"""How much, in words. "One" in "one of them" counts nothing."""


def _counts(question: str, text: str) -> bool:
    return bool(figures(text) - figures(question) or _AMOUNT.search(text))


_TIMES = frozenset({"ns", "us", "ms", "s", "min", "h", "d", "wk", "mo", "y"})
_TIME = _any_of(
    r"\b(?:hourly|daily|nightly|weekly|monthly|yearly|annual\w*|immediately|instant\w*|real.?time|never|always|forever"
    r"|\w*finite\w*|midnight|until|at once)\b",
    r"\b(?:every|each|per|an?|one|half an?|(?:a )?few|several|some) (?:\w+ )?"
    r"(?:(?:nano|micro|milli)?second|minute|hour|day|night|week|month|year)s?\b",
    r"\b(?:characters?|chars|letters?|bytes?|digits?|elements?|pages?|(?:kilo)?met(?:er|re)s?|km|miles?|feet)\b",
    r"立即|立刻|马上|永[久不]|实时|一直|无限|直到|[每几半数][个]?(?:毫秒|秒|分|小时|天|日|周|星期|月|年|次)|字符|字节|[公千]?米",
    r"[一二两三四五六七八九十百千]个?(?:毫秒|微秒|秒|分钟|小时|天|日|周|星期|月|年)",
)
"""How long or how often, in words; and how long a name may be, or a road."""


def _times(question: str, text: str) -> bool:
    fresh: frozenset[Quantity] = quantities(text) - quantities(question)
    return any(unit in _TIMES for _, unit in fresh) or bool(_TIME.search(text))


# --- defaults ---------------------------------------------------------------------------------------------------------

_DEFAULT = _any_of(r"\bdefault", "默认|缺省|预设")
_SETTING = re.compile(r"[A-Za-z]\w*(?:[-_.]\w+)+")
_SET_TO = r"[`*\"']*(?:\s*[=:：]\s*|[ \t]+)[`\"']?(?:\d|(?:yes|no|on|off|true|false)\b)"


def _defaults(question: str, text: str) -> bool:
    """A configuration file says it by setting what is asked for: `hash-max-listpack-entries 512`."""
    names = "|".join(map(re.escape, _SETTING.findall(question)))
    return bool(_DEFAULT.search(text) or (names and re.search(f"(?:{names}){_SET_TO}", text, re.IGNORECASE)))


# --- names ------------------------------------------------------------------------------------------------------------

_THING = (
    "command|parameter|option|flag|setting|function|directive|variable|argument|keyword|subcommand|config(?:uration)?"
)
_THING_ZH = "命令|参数|选项|函数|配置项|变量|开关|指令|关键字|字段名?"
_NAME = re.compile(
    r"""`[^`\n]+` | ```[^`]+
    | (?<![\w/.-])--?[A-Za-z][\w-]+                   # --flag
    | [A-Za-z]\w*(?:[_.]\w+)+ | [A-Za-z]\w*\(\)       # a_name, a.name, call()
    | (?<![A-Za-z])[A-Z]{2,}[A-Z0-9]*(?![a-z])        # SET
    | \b[a-z]+(?:-[a-z]+){2,}\b                       # hash-max-entries
    | /\w+(?:/[\w.-]+)+""",
    re.VERBOSE,
)


def _names(question: str, text: str) -> bool:
    """Whether it has a name that the question does not have."""
    known = _squeezed(question)
    return any(_squeezed(found[0].strip("`-")) not in known for found in _NAME.finditer(text))


def _squeezed(text: str) -> str:
    return "".join(text.split()).lower()


_SOME = "(?<![这那前后头哪好任上下每隔十])"  # 这几个 and 哪几个 ask for no number
_DEMANDS = (
    Demand(
        _any_of(
            r"\b(?:max(?:imum)?|min(?:imum)?|at (?:most|least)|limit|largest|smallest|longest|highest|lowest)\b",
            r"\b(?:fastest|slowest|cheapest|newest|oldest)\b",
            "最[大小多少长短高低快慢新旧](?!化)|上限|下限|至少|至多",
        ),
        _speaks(
            r"\b(?:max\w*|min(?:imum)?|at (?:most|least)|up to|(?:un)?limit\w*|between|ranges?|exceed\w*)\b",
            r"\b(?:largest|smallest|longest|shortest|highest|lowest)\b",
            r"\b(?:no (?:more|less|fewer)|(?:larg|long|small|great|high|low|short)er|less|more|fewer)(?: \w+)? than\b",
            r"\b(?:fast|slow|cheap|new|old)(?:er|est)\b|\blatest\b|\brecommend",
            "最[大小多少长短高低快慢新旧]|推荐|上限|下限|至少|至多|不(?:能|可|得)?(?:超过|小于|大于|少于|多于)|范围|超过|低于"
            "|以内|以[上下]",
        ),
    ),
    Demand(
        _any_of(
            r"\bhow (?:many|large|big|high|deep|old)\b|\bhow far (?:apart|away|back|behind|from)\b",
            r"\bhow much (?:memory|ram|space|disk|data|storage|faster|slower|more|less|time)\b",
            r"\b(?:what|which) (?:number|percentage|port)\b",
            r"(?:^|\bwhat(?:'?s| is| are) (?:the )?)(?:[\w.-]+ ){0,2}"
            r"(?:max(?:imum)?|min(?:imum)?|default|largest|longest) (?:\w+ )?(?:size|length|number|port)\b",
            f"(?<!没)多少(?!有点|会)|{_SOME}几[个年位次种台天秒分小条倍份]|多[久长高大重远深宽快]|百分之几|第几",
        ),
        _counts,
        value=True,
    ),
    Demand(
        _any_of(
            r"\bhow (?:long|often|soon)\b",
            r"\bhow many (?:(?:milli|micro|nano)?second|minute|hour|day|week|month|year)s?\b",
            rf"多久|多长时间|(?:{_SOME}几|多少)个?(?:毫秒|微秒|秒|分钟|小时|天|周|月|年)",
        ),
        _times,
        value=True,
    ),
    Demand(
        _any_of(
            r"\bhow much (?:money\b|.{0,40}\b(?:costs?|charged?|pay|paid|earn|owe|(?:people|they|we|you|i) make)\b)",
            r"\bwhat(?:'s| is| are| does| do)\b.{0,30}\b(?:prices?|pricing|fees?|salary|salaries|rent)\b",
            r"(?:价格|价钱|售价|单价|费用|资费|工资|薪水)(?:是|要|为|大概|一般)?多少|多少(?:钱|元|费用)",
            r"[怎如]\w?[么何]?(?:收费|计费|定价)",
        ),
        _speaks(
            r"[$]|\d\s?(?:usd|eur|gbp|cny|rmb)\b|\b(?:dollars?|euros?|pounds|cents?|yuan)\b",
            r"\d\s?(?:%|percent\b) of\b",
            r"\b(?:fee|rate|charge|commission|discount|interest)\w*\b.{0,60}\d\s?(?:%|percent\b)",
            r"\b(?:free|no (?:extra |additional )?(?:cost|charge|fee)s?)\b",
            r"[€£¥￥]|[0-9一二三四五六七八九十百千万]\s?(?:元|块|美元|人民币)|免费|不(?:另)?收费",
            r"按[^，。]{1,10}(?:收费|计费|付费)",
        ),
        value=True,
    ),
    Demand(_any_of(r"\bdefaults?\b", "默认|缺省|预设"), _defaults),
    Demand(
        _any_of(
            r"\bdefaults? (?:value|size|port|number|length|limit|level|mode|timeout|interval)s?\b",
            r"\bdefaults? (?:of|for)\b|\b(?:is|are) the default\b|(?<!by )\bdefaults?\W*$",
            r"(?:默认|缺省|预设)[^，。？！]{0,4}(?:值|大小|多[少大久长高]|几|什么|啥|\W*$)",
        ),
        _defaults,
        value=True,
    ),
    Demand(
        _any_of(
            rf"\b(?:which|what(?:'?s| is)?)(?: the| an?)? (?:[\w.-]+ ){{0,2}}(?:{_THING})s?\b",
            rf"\b(?:{_THING}) (?:to|for|that)\b|\bname of the (?:\w+ ){{0,2}}(?:file|{_THING})\b",
            rf"(?:什么|哪[个些条种一]|啥)[^，。？！]{{0,4}}(?:{_THING_ZH})|(?:{_THING_ZH})(?:是|叫)?(?:什么|哪|啥|名)",
        ),
        _names,
    ),
)
"""Each with what a text that has it speaks of."""
