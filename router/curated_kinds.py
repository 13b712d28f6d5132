"""What kind of question it is, for telling two questions apart: of several kinds only the one that decides.

`router.kinds` says which kinds of answer a question may want, generously; a paraphrase and a near miss are told apart
by the one that it does want.
"""

from __future__ import annotations

import re

from router.kinds import Kind, kinds_of

PLAIN = frozenset({Kind.HOW_TO})
""" "Restart the cluster" and "how do I restart the cluster" ask the same."""

_WHY_ZH = re.compile("怎么(?=[\u3400-\u9fff]{0,3}(?:不|没|还(?!原)|老是|总是|这么|那么))|什么导致|是什么造成")
_HOW_WHERE = re.compile(
    r"\bwhere (?:can|do|should|could|must) (?:i|we)\b(?! find)|\bis there (?:a|any) way\b"
    "|有没有(?:办法|方法)|(?:[在去到从]哪(?![个些种一位几里儿])|哪[里儿])(?:可以|能|才能|去)?(?=[\u3400-\u9fff])"
)
"""Where one does something is how one does it."""
_COUNTS = re.compile(
    r"\bhow (?:many|much|long|large|big|often|far|old|fast)\b|多少|几[^乎点]|多[久长高大重远快]|百分之几"
)
_EXTENT = re.compile(
    r"\b(?:limit|period|duration|largest|biggest|smallest|longest|shortest|highest|lowest)\b|期限|有效期|保修期|保质期"
)
_WHEN_ASKED = re.compile(r"^when\b|\bwhen (?:do|does|did|is|are|was|will|can|should|must)\b|[\u3400-\u9fff]")
_DO_A = re.compile(r"^do (?:a|an|the|my) ")
"""What is left of "how do I do a …"."""
_AUXILIARY = re.compile(
    r"^(?:is|are|was|were|do|does|did|can|could|will|would|should|must|may|has|have|am) (?!there (?:a|any) way)"
)
_WHAT_ALL = re.compile(r"\b(?:what|which) \w+s (?:can|may|do|does|are|will)\b")
_EMBEDDED = frozenset({Kind.LIST, Kind.WHO, Kind.WHERE})

_SPANS_ZH = "(?:天|个?小时|分钟|秒|个?月|年|周)"
_MEASURES = {
    "time": re.compile(
        r"\bhow (?:long|often|soon)\b|\bhow many (?:second|minute|hour|day|week|month|year)s?\b|\b(?:period|duration)\b"
        f"|多久|多长时间|几{_SPANS_ZH}|多少{_SPANS_ZH}|时长|期限|有效期"
    ),
    "size": re.compile(r"\bhow (?:big|large)\b|\b(?:size|largest|biggest)\b|多大|大小|最大.{0,4}多少"),
    "money": re.compile(r"\bhow much (?:does|do|is|will|would)\b|\b(?:cost|price|fee)s?\b|多少钱|费用|价格"),
    "number": re.compile(r"\bhow many\b|多少[个台条位种次人张核]|几[个台条位种次人张核]"),
}


def tells_when(key: str) -> bool:
    """Whether a "when" begins a clause and asks nothing: "the fee charged when I changed roubles"."""
    return not _WHEN_ASKED.search(key)


def asked_kinds(key: str, acts: bool, looks: bool) -> frozenset[Kind]:
    """key: a normal form, which does not begin with "how to" any more. acts: whether it names an action. looks: whether
    it begins with looking for something, so that "which" belongs to what is looked for ("see which sessions wait")."""
    kinds = frozenset(kinds_of(key))
    if _AUXILIARY.match(key):
        return kinds - {Kind.WHETHER} if _DO_A.match(key) else frozenset({Kind.WHETHER})
    if Kind.WHY in kinds or _WHY_ZH.search(key):
        return frozenset({Kind.WHY})
    if acts and _HOW_WHERE.search(key):
        kinds = kinds - {Kind.WHERE, Kind.WHETHER} | PLAIN
    if Kind.WHEN in kinds and len(kinds) > 1 and tells_when(key):
        kinds -= {Kind.WHEN}
    if _WHAT_ALL.search(key):
        kinds = kinds - {Kind.WHAT_IS} | {Kind.LIST}
    if Kind.COMMAND in kinds:
        kinds -= {Kind.WHAT_IS}  # what the command is, is how
    if looks:
        kinds -= _EMBEDDED
    kinds = _counting(key, kinds, acts)
    return kinds - PLAIN if kinds <= PLAIN else kinds


def _counting(key: str, kinds: frozenset[Kind], acts: bool) -> frozenset[Kind]:
    """ "How many" asks for a number; a "maximum" alone does only where nothing else is asked."""
    if _COUNTS.search(key):
        return kinds - {Kind.WHAT_IS} | {Kind.COUNT}
    extent = Kind.COUNT in kinds or (Kind.WHAT_IS in kinds and _EXTENT.search(key) is not None)
    if extent and kinds <= {Kind.COUNT, Kind.WHAT_IS, Kind.DEFAULT} and (Kind.WHAT_IS in kinds or not acts):
        return kinds - {Kind.WHAT_IS} | {Kind.COUNT}
    return kinds - {Kind.COUNT}


def measure_of(key: str) -> str:
    """What a question for a number wants it of: time, size, money, number; "" where that is not said."""
    return next((name for name, pattern in _MEASURES.items() if pattern.search(key)), "")
