"""What a question asks for by name, and whether a text has it: a figure, a time, a price, the most of something, a
default, the name of a setting or command. What the question itself brings along answers nothing. Both languages.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from router.facts import figures, quantities
from router.kinds import Kind, kinds_of
from router.script import simplified
from router.support import squeezed

Says = Callable[[str, str], bool]
"""Of a question and a text, in simplified characters: whether the text has what is asked for."""


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_ELSE = frozenset({Kind.HOW_TO, Kind.COMMAND, Kind.WHY, Kind.WHETHER, Kind.WHERE, Kind.WHO})
_NO_VALUE = _any_of(
    r"^\W*(?:show|see|check|count|find|get|list|change|set|reset|limit|add|alter|invalid|err(?:or)?)\b",
    r"^\W*(?:can|could|may|do|does|did|is|are|will|should)\b(?!.{0,12}\b(?:tell|know|say)\b)",
    r"\b(?:exceed\w*|reached|not working|matter)\b|\bwhat (?:determines|affects|controls|decides|limits|happens)\b",
    "^(?:查看|查询|统计|获取|监控|修改|重置|设置|设定|限制|恢复|删除|添加|取消|调整|自动)",
    "(?<![知道告诉])吗\\W*$|报错|不生效|没多久|不管多|无论多|给.{1,8}(?:加|设)",
)
"""Tasks, messages of machines and questions for yes or no, in which a figure is spoken of."""


@dataclass(frozen=True, slots=True)
class Demand:
    """asks: how a question asks for it. says: whether a text has it. value: whether an answer begins with it, as with a
    figure; a name often stands below the sentence that says what it does. above: words in the headings over a text that
    say it. unit: whether a plain figure is not enough, as for a time or a price. hardly: whether a text may have it all
    the same."""

    asks: re.Pattern[str]
    says: Says
    value: bool = False
    above: re.Pattern[str] | None = None
    unit: bool = False
    hardly: Says | None = None


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
        found = [demand for demand in self.wanted if demand.value]
        plain = found and _ELSE.isdisjoint(kinds_of(self.question)) and not _NO_VALUE.search(self.question)
        found = [demand for demand in found if demand.unit] or found
        return Demands(self.question, tuple(found) if plain else ())

    def met(self, text: str, above: str = "") -> bool:
        """Whether a text has all of them. above: the headings over it."""
        said, over = simplified(text), simplified(above)
        return all(self._has(demand, said, over) for demand in self.wanted)

    def touched(self, text: str, above: str = "") -> bool:
        """Whether a text may have one of them, if there are any: of a figure and a default a figure is enough."""
        said, over = simplified(text), simplified(above)
        return not self.wanted or any(
            self._has(demand, said, over) or (demand.hardly is not None and demand.hardly(self.question, said))
            for demand in self.wanted
        )

    def beside_names(self, quotes: Iterable[str]) -> bool:
        """Whether quotes may have what is asked for where it would stand: the default or limit of a setting that the
        question names (work_mem) in a line that names it or below, the name of a setting anywhere."""
        said = [simplified(quote) for quote in quotes]
        if _ASKS_NAME.search(self.question) and not any(_names_setting(self.question, quote) for quote in said):
            return False
        names = _named_settings(self.question)
        bound = [says for asks, says in _OF_SETTINGS if asks.search(self.question)] if names else []
        near = [line for quote in said for line in _lines_naming(names, quote)] if bound else []
        return not near or all(any(says(self.question, line) for line in near) for says in bound)

    def _has(self, demand: Demand, said: str, over: str) -> bool:
        return demand.says(self.question, said) or bool(demand.above and demand.above.search(over))


def _speaks(*patterns: str) -> Says:
    spoken = _any_of(*patterns)
    return lambda _question, text: bool(spoken.search(text))


# --- figures ----------------------------------------------------------------------------------------------------------

_AMOUNT = _any_of(
    r"\b(?:un\w*limited|in\w*finite\w*|not limited|no (?:\w+ )?limits?|any number|equals?(?= (?:to|the)\b)|equal to"
    r"|as (?:many|much|large)|once(?= (?:an?|per|every|each)\b)|twice|half|double(?![- ](?:click|quote))|majority|all"
    r"|every|each|both|quarter|thirds?|dozens|hundreds|thousands|millions|single(?! quote)|none"
    r"|one(?! (?:of|or|that|which|can)\b))\b",
    "不限|不受限|无限|无上限|没有[^，。]{0,6}(?:上限|限制)|等于|(?:数量|个数|大小|数).{0,4}(?:相同|一致)|一半|半数|多数|所有|全部"
    "|[一单][个台次种份条倍]|[一二三四五六七八九十]分之|[一上数几][十百千万亿]|[KMGTP]B ?级|[两三四五六七八]副本",
)
"""How much, in words. "One" in "one of them" counts nothing."""
_COUNTABLE = _any_of(r"\bhow many\b", "(?:几|多少)[个种类]")
_ENUMERATES = _any_of("、[^，。；\\n]+[、和及与]", r",[^.;\n]+,? and\b", "(?:^|\\n)[-*] .*\\n+[-*] ")
_OF_WHAT = re.compile(r"(\d[\d.,]*)\s?([A-Za-z]+|[\u3400-\u9fff]{1,2})?")


def _counts(question: str, text: str) -> bool:
    """Who lists things has said how many there are."""
    if figures(text) - figures(question) or _AMOUNT.search(text):
        return True
    if not set(_OF_WHAT.findall(text)) <= {*_OF_WHAT.findall(question), ("", "")}:
        return True  # 3 replicas for 3 primaries
    return bool(_COUNTABLE.search(question) and _ENUMERATES.search(text))


_TIMES = frozenset({"ns", "us", "ms", "s", "min", "h", "d", "wk", "mo", "y"})
_LENGTHS = frozenset({"b", "kb", "mb", "gb", "tb", "bit"})  # how long a name may be
_TIME = _any_of(
    r"\b(?:hourly|daily|nightly|weekly|monthly|quarterly|yearly|annual\w*|immediately|instant\w*|real.?time|never|always"
    r"|forever|\w*finite\w*|midnight|until|at once"
    r"|(?:each|every|per) (?:write|commit|command|query|request)|(?:\d+|two|three|four|five) times (?!more\b))\b",
    r"\b(?:every|each|per|one|half an?|(?:a )?few|several|some|within|in|takes?) (?:\w+ )?"
    r"(?:(?:nano|micro|milli)?seconds?|minutes?|hours?|days?|nights?|weeks?|months?|years?)\b",
    r"\ban? (?:millisecond|minute|hour|day|night|week|month|year)s?\b|\bone second\b|\b\d?\d:\d\d\b",
    r"\d (?:characters?|chars|letters?|digits?|elements?|pages?|(?:kilo)?met(?:er|re)s?|km|miles?|feet)\b",
    r"立即|立刻|马上|永[久不]|实时|一直|无限|直到|凌晨|季度|\d倍|[秒分]钟?级|[每几半]个?(?:毫秒|秒|分|小时|天|日|周|星期|月|年|次)",
    r"(?<![参函整多少大系])数个?(?:毫秒|秒|分钟|小时|天|周|月|年)|\d个?字[符节]|\d[公千]?米",
    r"[一二两三四五六七八九十百千]个?(?:毫秒|微秒|秒|分钟|小时|天|日|周|星期|月|年|字[符节])",
)
"""How long or how often, in words; and how long a name may be, or a road."""


def _times(question: str, text: str) -> bool:
    fresh = quantities(text) - quantities(question)
    return any(unit in _TIMES or unit in _LENGTHS for _, unit in fresh) or bool(_TIME.search(text))


# --- prices -----------------------------------------------------------------------------------------------------------

_PRICE = _any_of(
    r"\$\s?\d|\d\s?(?:usd|eur|gbp|cny|rmb)\b|\b(?:usd|eur|gbp|cny|rmb)\s?\d",
    r"\b(?:dollars?|euros?|pounds|cents?|yuan)\b|\d\s?(?:%|percent\b) of\b",
    r"\b(?:fee|rate|charge|commission|discount|interest)\w*\b.{0,60}\d\s?(?:%|percent\b)",
    r"[€£¥￥₹]|[0-9一二三四五六七八九十百千万]\s?(?:元|块(?! ?[磁盘网])|美元|人民币)|按[^，。]{1,10}(?:收费|计费|付费)",
)
_FREE = _any_of(
    r"\b(?:(?:is|are|for) free|free (?:of|plan|tier|trial)|no (?:extra |additional )?(?:cost|charge|fee)s?)\b",
    r"免费|无[需须]付费|不(?:另|额外)?收(?:费|取)",
)
_BESIDE_FREE = _any_of(
    r"\bfree[ -](?:trial|period|tier|plan|version|quota|month|year)s?\b", "免费(?:期|版|试用|额度|套餐|时长|名额)"
)
_WHETHER_FREE = _any_of(
    r"\b(?:is|are|be) (?:[\w'-]+ ){0,5}free(?: of charge|(?= or\b))|\b(?:have|need) to pay for\b",
    r"[收付要花]\w?[费钱](?:用|的)?(?:吗|么)|免费的?(?:吗|么)|是否[^，。？！]{0,4}(?:免费|收费|付费)|要不要(?:钱|付费)",
)


def _prices(question: str, text: str) -> bool:
    """What it costs when the free period ends is not answered by "free"."""
    return bool(_PRICE.search(text) or (_FREE.search(text) and not _BESIDE_FREE.search(question)))


# --- defaults ---------------------------------------------------------------------------------------------------------

_DEFAULT = _any_of(r"\bdefault", "默认|缺省|预设")
_SETTING = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z]\w*(?:[-_.]\w+)+", re.ASCII)
_LONGEST_NAME = 100  # characters
_BELOW = 6  # lines below a name that may still be about it
_SET_TO = r"[`*\"']*(?:\s*[=:：]\s*|[ \t]+)[`\"']?(?:[-+]?\d|(?:yes|no|on|off|true|false)\b)"


def _defaults(question: str, text: str) -> bool:
    """A configuration file says it by setting what is asked for: `hash-max-listpack-entries 512`."""
    names = "|".join(re.escape(name) for name in _SETTING.findall(question) if len(name) <= _LONGEST_NAME)
    return bool(_DEFAULT.search(text) or (names and re.search(f"(?:{names}){_SET_TO}", text, re.IGNORECASE)))


def _figures(question: str, text: str) -> bool:
    """ "It listens on port 6379" may say a default."""
    return bool(figures(text) - figures(question))


# --- names ------------------------------------------------------------------------------------------------------------

_THING = (
    "command|parameter|option|flag|setting|function|directive|variable|argument|keyword|subcommand|config(?:uration)?"
)
_THING_ZH = "命令|参数|选项|函数|配置项|变量|开关|指令|关键字|字段名?"
_NAME = re.compile(
    r"""`[^`\n]+` | ```[^`]+
    | (?<![\w/.-])--?[A-Za-z][\w-]+                   # --flag
    | (?<![A-Za-z0-9_.])[A-Za-z]\w*(?:(?:[_.]\w+)+|\(\))   # a_name, a.name, call()
    | (?<![A-Za-z0-9])[A-Z]{2,}[A-Z0-9]*(?![a-z])     # SET
    | (?<![\w-])[a-z]+(?:-[a-z]+){2,}\b               # hash-max-entries
    | (?<![\w/])/\w+(?:/[\w.-]+)+""",
    re.VERBOSE | re.ASCII,
)


def _names(question: str, text: str) -> bool:
    """Whether it has a name that the question does not have."""
    known = squeezed(question)
    return any(squeezed(found[0].strip("`-")) not in known for found in _NAME.finditer(text))


# --- what is asked of a setting that is named -------------------------------------------------------------------------

_ASKS_NAME = _any_of(
    r"\b(?:which|what)(?: the| is the)? (?:[\w-]+ ){0,1}(?:parameter|setting|directive|config(?:uration)? option)s?\b"
    r"(?=.{0,40}\b(?:control|set|limit|change|define|decide|turn|enable|disable|govern)\w*\b)",
    r"(?:什么|哪[个些条一]|啥)\s?(?:GUC|系统变量|变量|参数|配置项)(?:来|里|可以|能)?(?:控制|限制|调|设|改|决定|打开|关闭|管)",
    r"(?:GUC|参数|变量|配置项)\s?叫(?:什么|啥)|(?:改|调|设|用|由|是|在)(?:哪个|什么|啥)\s?(?:GUC|系统变量|变量|参数|配置项)",
)
_SETTING_NAME = re.compile(
    r"""`(?!(?:on|off|true|false|yes|no|null|none)`)[A-Za-z][\w.-]+`
    | (?<![\w/.-])--?[A-Za-z][\w-]+
    | (?<![A-Za-z0-9_.])[A-Za-z]\w*(?:[_.]\w+)+
    | (?<![\w-])[a-z]+(?:-[a-z]+)+\b""",
    re.VERBOSE | re.ASCII,
)
_BEGINS_SETTING = re.compile(r"[\W_]*[A-Za-z]\w*(?:[_.]\w+)+", re.ASCII)


def _names_setting(question: str, text: str) -> bool:
    """Whether it has a name that the question does not say in the same way: `cache` or --cache for "the cache"."""
    names = (found[0].strip("`") for found in _SETTING_NAME.finditer(text))
    return any(name.isalnum() or name.lower() not in question.lower() for name in names)


def _named_settings(question: str) -> list[str]:
    found = (name.lower() for name in _SETTING.findall(question) if len(name) <= _LONGEST_NAME)
    return [name for name in found if "_" in name or "." in name or name.count("-") > 1]


def _lines_naming(names: Sequence[str], text: str) -> Iterator[str]:
    """Each line with one of the names, and those below it, as far as one that names another setting."""
    lines = [line for line in text.splitlines() if line.strip()]
    for at, line in enumerate(lines, 1):
        if any(name in line.lower() for name in names):
            below = itertools.takewhile(lambda one: not _BEGINS_SETTING.match(one), lines[at : at + _BELOW])
            yield "\n".join([line, *below])


_IN_DIGITS = re.compile(r"(?<![A-Za-z_.\d])\d")  # "between two arrays" sets nothing
_MAY_BE_SET = _speaks(
    r"\b(?:range|between|at most|up to|no more than|exceed\w*|unlimited|limit(?:ed)? (?:is|to))\b",
    r"\bmax\w* (?:is|of|value)\b",
    "范围|上限|下限|最[大小]值|不(?:能|可|得)?(?:超过|小于|大于|少于|多于)|以内|至[多少]|不限",
    r"\d\s?[~～,，至到-]\s?[-+]?\d|[<>≤≥]=?\s?\d",
)
_OF_SETTINGS: tuple[tuple[re.Pattern[str], Says], ...] = (
    (
        _any_of(
            r"\b(?:max(?:imum)?|min(?:imum)?|largest|smallest|highest|lowest) (?:value|setting)\b",
            "最[大小高低][^，。？！]{0,4}(?:设|调|配|填|改)|[上下]限(?:是|为)?多|最[大小]值",
        ),
        _MAY_BE_SET,
    ),
    (
        _any_of(
            r"\bdefaults?(?: value)? (?:of|for)\b|(?<!by )\bdefaults?(?: value)?\W*$",
            "(?:默认|缺省)(?:值|是|为|多|\\W*$)",
        ),
        lambda question, text: _defaults(question, text) or bool(_IN_DIGITS.search(text)),
    ),
)


_CLAUSE = (
    r"(?=\W*$| (?:is|are|was|were|do|does|did|can|could|may|might|must|should|will|would|has|have|a|an|the|it|they|this"
    r"|that|after|before|until|ago|for)\b)"
)
"""Behind "how long": not "how long polling works"."""
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
            rf"\bhow many\b(?!-)|\bhow (?:large|big|high|deep|old){_CLAUSE}",
            r"\bhow far (?:apart|away|back|behind|from)\b",
            r"\bhow much (?:memory|ram|space|disk|data|storage|faster|slower|more|less|time)\b",
            r"\b(?:what|which) (?:number|percentage|port)\b",
            r"(?:^|\bwhat(?:'?s| is| are) (?:the )?)(?:[\w.-]+ ){0,2}"
            r"(?:max(?:imum)?|min(?:imum)?|default|largest|longest) (?:\w+ )?(?:size|length|number|port)\b",
            f"(?<!没)多少(?!有点|会)|{_SOME}几[个年位次种台天秒分小条倍份]|百分之几|第几",
            "多(?:高(?!可用|并发)|大(?!语言|模型)|重(?![身认定索继试启要])|远(?!程)|深(?!度学)|宽(?!表)|快(?!照)|长(?!时间))",
        ),
        _counts,
        value=True,
    ),
    Demand(
        _any_of(
            rf"\bhow (?:long|often|soon){_CLAUSE}",
            r"\bhow many (?:(?:milli|micro|nano)?second|minute|hour|day|week|month|year)s?\b",
            rf"多久|多长时间|(?:{_SOME}几|多少)个?(?:毫秒|微秒|秒|分钟|小时|天|周|月|年)",
        ),
        _times,
        value=True,
        unit=True,
    ),
    Demand(
        _any_of(
            r"\bhow much (?:money\b|.{0,40}\b(?:costs?|charged?|pay|paid|earn|owe|(?:people|they|we|you|i) make)\b)",
            r"\bwhat(?:'s| is| are| does| do)\b.{0,30}\b(?:prices?|pricing|fees?|salary|salaries)\b"
            r"(?! (?:page|control|alert|structure|model|calculator|paid))|\bwhat(?:'s| is) the rent\b",
            r"(?:价格|价钱|售价|单价|费用|资费|工资|薪水)(?:是|要|为|大概|一般)?多少|多少(?:钱|元|费用)",
            r"[怎如]\w?[么何]?(?:收费|计费|定价)",
        ),
        _prices,
        value=True,
        unit=True,
    ),
    Demand(
        _WHETHER_FREE,
        _speaks(
            r"\b(?:free|costs?|charged?|charges|fees?|paid|pay(?:ing|s|ment)?|prices?|priced|pricing|licen[cs]\w*|\$\d)\b",
            "免费|收费|付费|费用|计费|价格|开源|许可|[元钱]",
        ),
    ),
    Demand(
        _any_of(
            r"\b(?:what|which) (?:year|month|date|day)\b(?! of the (?:week|month))",
            "(?<!那)哪一?[年月](?!份?的)|几几年|几月份|哪年哪月",
        ),
        _speaks(
            r"(?<!\d)[1-9]\d{2,3}(?!\d)|\b(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)\b\.? ?\d",
            r"\b(?:january|february|march|april|june|july|august|september|october|november|december)\b|day\b",
            r"\b(?:Q[1-4]|quarter|century|years? (?:ago|later|after|before))\b",
            r"\d\s?[年月]|季度|[年月][初中底末]|[一二三四五六七八九十〇零]年|[本今明去前同次]年|世纪|星期|周[一二三四五六日]",
        ),
        value=True,
        unit=True,
    ),
    Demand(
        _any_of(
            r"\bwhich(?: one)? (?:is|are|runs?|performs?|works?) (?:\w+er|better)\b.*\bor\b",
            "和[^，。？！]{1,16}(?:哪个|谁)[^，。？！]{0,8}更?(?:快|慢|好|省|高|强|稳定?)",
        ),
        _speaks(
            r"\b\w+er\b.{0,60}\bthan\b|\b(?:fast|slow|quick|bett|small|larg|cheap|high|low)\w*er\b|\boutperform",
            r"\d\s?(?:%|times\b|倍)|比|更|优于|高于|低于|快于|慢于|不如|最[快慢好高低大小]|推荐|建议",
        ),
        value=True,
    ),
    Demand(_any_of(r"\bdefaults?\b", "默认|缺省|预设"), _defaults),
    Demand(
        _any_of(
            r"\bdefaults? (?:value|size|port|number|length|limit|timeout|interval)s?\b",
            r"\bdefaults? (?:of|for)\b|(?<!by )\bdefaults?\W*$",
            r"(?:默认|缺省|预设)[^，。？！]{0,4}(?:值|大小|端口|多[少大久长高]|几)|(?:默认|缺省|预设)\W*$",
        ),
        _defaults,
        value=True,
        above=_DEFAULT,
        hardly=_figures,
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
