"""What a text must not get nearly right: quantities, negations, qualifiers, identifiers, names. Chinese and English.

Pure functions of text. Condensing drops last what holds them, checking compares them between a draft and its passage.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import NamedTuple

from router import support
from router.script import simplified


class Quantity(NamedTuple):
    """value: the number without separators ("1,000" → "1000", "3.0" → "3.0"). unit: folded ("MB", "m", "d"), or ""."""

    value: str
    unit: str


_UNITS = {
    "ns": "nanosecond nanoseconds 纳秒",
    "us": "μs µs microsecond microseconds 微秒",
    "ms": "millisecond milliseconds msec 毫秒",
    "s": "sec secs second seconds 秒 秒钟",
    "min": "mins minute minutes 分钟",
    "h": "hr hrs hour hours 小时 个小时",
    "d": "day days 天 日",
    "wk": "week weeks 周 星期 个星期",
    "mo": "month months 个月 月",
    "y": "year years 年",
    "%": "percent 百分之",
    "b": "byte bytes 字节",
    "kb": "k kib kilobyte kilobytes",
    "mb": "m mib megabyte megabytes",
    "gb": "g gib gigabyte gigabytes",
    "tb": "t tib terabyte terabytes",
    "bit": "bits 位 比特",
    "x": "times 倍",
    "row": "rows 行",
    "node": "nodes 个节点 节点 台",
    "wan": "万",
    "yi": "亿",
    "million": "millions",
    "billion": "billions",
}
_FOLDED = {name: unit for unit, names in _UNITS.items() for name in (unit, *names.split())}
_WIDE_UNITS = "|".join(sorted((name for name in _FOLDED if name[0] >= "\u2e80"), key=len, reverse=True))
_LATIN_UNITS = "|".join(sorted((name for name in _FOLDED if name[0] < "\u2e80" and name != "%"), key=len, reverse=True))
_NUMBER = re.compile(
    rf"""(?<![A-Za-z0-9_.])(?:百分之)?(?:v(?=\d))?
    (?P<value>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?(?!\d|\.\d) | \d+(?:\.\d+)*)
    (?:\ ?(?P<unit>%|{_WIDE_UNITS}|(?:{_LATIN_UNITS})(?![A-Za-z0-9_])))?""",
    re.VERBOSE | re.IGNORECASE,
)
_GLUED = re.compile(rf"(?<![A-Za-z0-9_.-])(\d+(?:\.\d+)?)(?=(?:{_LATIN_UNITS})(?![A-Za-z0-9_]))", re.IGNORECASE)
_DIGITS_WIDE = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_TENS_WIDE = {"十": 10, "百": 100, "千": 1000}
_NUMERALS_WIDE = "".join((*_DIGITS_WIDE, *_TENS_WIDE))
_SPELLED_WIDE = re.compile(  # 一个 and 一天 are "a"
    rf"(?<![第几数万{_NUMERALS_WIDE}])(?!一[^{_NUMERALS_WIDE}])(?P<value>[{_NUMERALS_WIDE}]+)"
    rf"(?:个|(?P<unit>{_WIDE_UNITS})|[种次台条倍份步])"
)
_TEENS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SPELLED = re.compile(
    rf"\b(?P<value>(?:{'|'.join(_TENS)})(?:[ -](?:{'|'.join(_TEENS[1:10])}))?|{'|'.join(_TEENS[2:])})\b"
    rf"(?:[ -](?P<unit>{_LATIN_UNITS})\b)?",
    re.I,
)
_VALUES = {word: at for at, word in enumerate(_TEENS)} | {word: 10 * at for at, word in enumerate(_TENS, 2)}
_CODED = re.compile(r"(?<![\w.])[A-Za-z_][\w+-]{0,63}\d[\w.+-]*")  # JDK1.8, PG14

_NEGATION = re.compile(
    r"""\b(?:not|no|never|none|neither|nor|cannot|without|unable|unsupported|isn't|aren't|wasn't|weren't|don't|doesn't
    |didn't|can't|couldn't|won't|wouldn't|shouldn't|mustn't|hasn't|haven't|needn't|lacks?|avoid(?:s|ing)?)\b
    | 不(?!仅|但|同|断|过|久|止|论|管|妨|如|足|错|时|然|得不)|没有|没(?=[能法])|无(?:法|需|须|效|权|关)
    | [未勿毋莫]|禁止|避免|并非""",
    re.VERBOSE | re.IGNORECASE,
)
"""Words that turn a statement into its opposite. 不 inside words that deny nothing (不仅, 不同, 不断 …) is none."""

_QUALIFIER = re.compile(
    r"""\b(?:only|unless|except(?:ing)?|excluding|until|solely|merely|at\ (?:least|most)|up\ to|no\ more\ than|must
    |required?|mandatory|deprecated|experimental|default|by\ default|provided\ that|as\ long\ as|otherwise|however
    |warning|caution|important)\b
    | 仅(?!仅)|只(?:有|能|支持|读|在|允许|对|可)|除非|除了|以外|之外|否则|直到|至少|至多|最多|不超过|必须|务必|默认|缺省
    |前提|当且|已废弃|已弃用|实验|注意|警告|须|慎""",
    re.VERBOSE | re.IGNORECASE,
)
"""Words that bound what a statement says: when, for what, how much at most."""

_QUALIFIES_BEFORE = re.compile(
    r"""\W*(?:(?:however|but|except|unless|otherwise|only\ (?:if|when)|this\ (?:is\ not|does\ not|only|requires?)
    |note\ that|nevertheless|instead|if\ not)\b
    | 但|不过|然而|除非|否则|仅(?!仅)|只有|除此|此外不|反之|注意|前提)""",
    re.VERBOSE | re.IGNORECASE,
)
"""The opening of a sentence that bounds the one before it."""

OPPOSITES = (
    ("enable enabled enables", "disable disabled disables"),
    ("start starts started", "stop stops stopped"),
    ("add adds added", "remove removes removed delete deletes deleted"),
    ("increase increases increased", "decrease decreases decreased reduce reduces reduced"),
    ("before", "after"),
    ("above", "below"),
    ("minimum", "maximum"),
    ("synchronous synchronously", "asynchronous asynchronously"),
    ("primary master leader", "standby replica slave follower"),
    ("true", "false"),
    ("allow allows allowed", "forbid forbids forbidden deny denies denied"),
    ("open opens", "close closes"),
    ("read-write", "read-only"),
    ("lower", "higher"),
    ("succeed succeeds success", "fail fails failure"),
    ("开启 启用 打开", "关闭 禁用 停用"),
    ("启动", "停止"),
    ("增加 增大 添加 提高", "减少 减小 删除 降低"),
    ("之前", "之后"),
    ("高于 大于 超过", "低于 小于"),
    ("最大", "最小"),
    ("最多", "最少 至少"),
    ("同步", "异步"),
    ("主节点 主库", "备节点 备库 从库"),
    ("只读", "读写"),
    ("允许", "禁止"),
    ("成功", "失败"),
    ("支持", "不支持"),
)
"""Words that cannot stand for one another; each side lists the forms of one word."""

_LIST_MARK = re.compile(  # behind a colon a list begins, and "port: 443." is none
    r"(?:^[ \t>]*\d{1,3}|(?<=[;.；。]) ?\d{1,3}|(?<=[:：]) ?1)[.)、](?!\d)[ \t]*", re.MULTILINE
)
_NAME = re.compile(r"(?<![A-Za-z0-9_.])[A-Z][\w'’-]*[A-Za-z0-9]")
_START = re.compile(r"(?:\A|[.!?:;\n。！？：；]|[-*•])[\s\"'“(\[*_]*\Z")
_ABBREVIATIONS = frozenset({"e.g", "i.e", "and/or"})
_ANSWERS = re.compile(r"^\W*(?:yes|no|nope|不|是的|不是的?|没有)\s*[,，.。!！;；:：]", re.IGNORECASE)
_OPPOSITE_OF: dict[str, tuple[str, ...]] = {}
for _one, _other in OPPOSITES:
    for _mine, _theirs in ((_one, _other), (_other, _one)):
        for _word in _mine.split():
            _OPPOSITE_OF[_word] = (*_OPPOSITE_OF.get(_word, ()), *_theirs.split())
_LATIN_OPPOSITE = re.compile(
    r"(?<![\w-])(?:"
    + "|".join(sorted((w for w in _OPPOSITE_OF if w.isascii()), key=len, reverse=True))
    + r")(?![\w-])",
    re.I,
)
_WIDE_OPPOSITE = re.compile("|".join(sorted((w for w in _OPPOSITE_OF if not w.isascii()), key=len, reverse=True)))


def quantities(text: str) -> frozenset[Quantity]:
    """Every number with its unit, numbers of lists apart; numbers in words too ("thirty days", 二十四小时)."""
    return frozenset(_quantities(_unlisted(text)))


def figures(text: str) -> frozenset[str]:
    """`quantities` as they are said ("7 d"), and the words that a number is part of, like JDK1.8, in lower case."""
    said = _unlisted(text)
    counted = {f"{value} {unit}".strip() for value, unit in _quantities(said)}
    return frozenset(counted | {word.lower().rstrip(".-") for word in _CODED.findall(said)})


def _unlisted(text: str) -> str:
    return _LIST_MARK.sub("", simplified(unicodedata.normalize("NFKC", text)))


def _quantities(text: str) -> Iterator[Quantity]:
    for found in _NUMBER.finditer(text):
        unit = "%" if found[0].startswith("百分之") else _FOLDED.get((found["unit"] or "").lower(), "")
        yield Quantity(found["value"].replace(",", ""), unit)
    for pattern, value in ((_SPELLED, _value), (_SPELLED_WIDE, _value_wide)):
        for found in pattern.finditer(text):
            yield Quantity(value(found["value"]), _FOLDED.get((found["unit"] or "").lower(), ""))


def _value(numeral: str) -> str:
    """Twenty-four: 24."""
    return str(sum(_VALUES[word] for word in re.split("[ -]", numeral.lower())))


def _value_wide(numeral: str) -> str:
    """二十四: 24; 一百零五: 105; 二〇二四: 2024. However long it is: Python reads no integer of 5,000 digits."""
    if not any(char in _TENS_WIDE for char in numeral):
        return "".join(str(_DIGITS_WIDE[char]) for char in numeral).lstrip("0") or "0"
    whole = digit = 0
    for char in numeral:
        if char in _DIGITS_WIDE:
            digit = _DIGITS_WIDE[char]
        else:
            whole += (digit or 1) * _TENS_WIDE[char]
            digit = 0
    return str(whole + digit)


def spaced(text: str) -> str:
    """With a space between a number and its unit: "512MB" and "512 MB" are the same words."""
    return _GLUED.sub(r"\1 ", text)


def missing_quantities(wanted: Collection[Quantity], known: Collection[Quantity]) -> list[Quantity]:
    """Those of `wanted` that `known` does not hold. A number without a unit on either side agrees with any unit: the
    unit may stand in a table's header."""
    units: dict[str, set[str]] = {}
    for value, unit in known:
        units.setdefault(_plain_value(value), set()).add(unit)
    return [one for one in wanted if not _agrees(one.unit, units.get(_plain_value(one.value), set()))]


def _agrees(unit: str, known: set[str]) -> bool:
    return bool(known) and (not unit or unit in known or "" in known)


def _plain_value(value: str) -> str:
    """ "3.0" and "3" are one number; "3.0.0" is a version."""
    return value.rstrip("0").rstrip(".") if value.count(".") == 1 else value.lstrip("0") or "0"


def missing_identifiers(text: str, passage: str) -> list[str]:
    """Names, flags and versions of `text` that do not stand in `passage`, case and spaces apart; quantities apart."""
    folded = "".join(passage.split()).lower()
    named = (name for name in support.identifiers(text) if not name[:1].isdigit() and name not in _ABBREVIATIONS)
    return [name for name in named if _bare(name) not in folded and _bare(name).removesuffix("s") not in folded]


def _bare(name: str) -> str:
    return "".join(name.split()).removesuffix("()").strip(".:/")


def names(text: str) -> frozenset[str]:
    """Latin words that begin with a capital where no sentence begins, lower case: names of people, products, places."""
    return frozenset(
        found[0].lower().removesuffix("'s").removesuffix("’s")
        for found in _NAME.finditer(text)
        if not _START.search(text, max(0, found.start() - 8), found.start())
    )


def denies(text: str) -> bool:
    """Whether the statement is negative: an odd number of negations; the "no" that answers a question is none."""
    return len(_NEGATION.findall(_ANSWERS.sub("", _plainly(text)))) % 2 == 1


def negates(text: str) -> bool:
    """Whether there is a word that denies."""
    return bool(_NEGATION.search(_plainly(text)))


def qualifies(text: str) -> bool:
    """Whether it says when, for what, or how far it holds."""
    return bool(_QUALIFIER.search(_plainly(text)))


def without_negations(text: str) -> str:
    """Without the words that deny, in simplified characters."""
    return _NEGATION.sub(" ", _plainly(text))


def _plainly(text: str) -> str:
    return simplified(text.replace("’", "'"))


def opposed(text: str, other: str) -> list[str]:
    """Words of `text` whose opposite stands in `other` while they do not."""
    mine, theirs = _poles(text), _poles(other)
    return [
        word
        for word in mine
        if word not in theirs
        and any(one in theirs for one in _OPPOSITE_OF[word])
        and not any(one in mine for one in _OPPOSITE_OF[word])
    ]


def _poles(text: str) -> frozenset[str]:
    found = [*_LATIN_OPPOSITE.findall(text), *_WIDE_OPPOSITE.findall(simplified(text))]
    return frozenset(word.lower() for word in found)


def bounds_before(sentence: str) -> bool:
    """Whether it begins as one does that bounds the sentence before it."""
    return bool(_QUALIFIES_BEFORE.match(_plainly(sentence)))
