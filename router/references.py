"""What a message points at without any turn naming it: "this clinic", "the prime minister", 该参数. Pure; only words
are looked at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from router.phrases import STOP, VERBS, is_chinese
from router.script import simplified
from router.support import identifiers, proper_names
from router.types import Turn

_EN = re.compile(
    r"\b(?:this|these|(?:(?<=\bof )|(?<=\bin )|(?<=\bfor )|(?<=\babout )|(?<=\bby )|(?<=\bto ))(?:that|those))"
    r"(?P<noun>(?: [A-Za-z][\w'’-]*){1,4})",
    re.IGNORECASE,
)
_ZH = re.compile(r"(?:[这那][个些种类款条项张台位部座家首场本篇间名]|该|此)(?P<noun>[A-Za-z0-9_]+|[\u3400-\u9fff]{2,})")
_ENDS_ZH = re.compile(
    "怎|如何|为|什么|多少|哪|是|有|的|吗|呢|能否|能不|能够|可以|可不|支持|需要|应该|应当|在|和|与|或|被|把|将|不|没|无|[里中上下](?!.)"
)
_BEGINS_ZH = re.compile("时|外|处|前|后|次|刻|间|致|用户")  # 此时, 此外: they point at nothing
_LONGEST_ZH = 6  # characters; a longer "noun" is half a sentence
_DEICTIC = frozenset(
    "way ways time times week weekend month year day days morning evening night point moment page guide manual docs "
    "documentation document project product software tool system service site website app kind sort type case problem "
    "question issue one ones".split()
)
_DEICTIC_ZH = re.compile("产品|系统|软件|项目|平台|网站|文档|手册|页面|工具|服务|应用|问题|情况|方面|时候|时间|数据库")
_POLITE_ZH = re.compile("请问|你好|您好|麻烦|想问|我想|问一?下|一下|请教|[\\s，,。！!]")
_ACRONYM = re.compile(r"[A-Z]{2,}")
_CALLED = frozenset(
    "command function method parameter setting option statement keyword variable type clause flag field error code api "
    "protocol format view table class module extension file package".split()
)
"""What an acronym before it is the name of: "this GET command", but not "that NASA mission"."""
_ONE_OF_MANY = re.compile(
    r"\b(?P<pointed>the (?:[\w-]+ )?(?:"
    r"prime minister|president|senator|mayor|governor|emperor|king|queen|actor|actress|singer|athlete|player|novelist"
    r"|poet|painter|country|city|town|village|island|river|war|battle|hurricane|earthquake|pandemic|election"
    r"|tournament|stadium|museum|university|hospital|clinic|airline|restaurant|hotel|movie|film|song|album|novel|poem"
    r"|(?!(?:whole|entire|full|new|main|same|final|current|latest|actual) )[\w-]+ product))"
    r"(?:['’]s\b|(?=[?.,;!]|$| (?:and|or|but|is|are|was|were|has|have|had|do|does|did|can|could|will|would|\w+ed)\b))",
    re.IGNORECASE,
)
"""People, places, events and works of which the world has many, with "the" and nothing that says which."""
_PART = re.compile(r"\b(?P<pointed>[Tt]he (?:season|episode)) of (?:the )?[A-Z]")
"""Of which a whole that is named has many."""
_WHICH_PART = re.compile(r"\d|\b(?:first|last|final|(?:second|third|\w+th)(?= season| episode)|which)\b", re.IGNORECASE)
_MOST_OF = re.compile(r"\b(?:best|worst|most|least|only|first|[a-z]+est)\b.* (?:in|of|across) $", re.IGNORECASE)
""" "The best river in the country" is about the river."""
_OWN = re.compile(r"\b(?:[Ii]|[Ww]e|[Mm]y|[Oo]ur|me|[Hh]ow to)\b")
"""Who says this means his own: "how do I share the album" needs no name."""
_THIS = re.compile(r"(?P<pointed>this|that|these|those) (?:is|was|are|were)\b[^?]*$", re.IGNORECASE)
"""A statement, no question, about what a finger would have to point at."""
_ENDINGS = re.compile(r"(?:['’]s|es|s)$")


def pointed_at(text: str, history: Sequence[Turn]) -> str:
    """The first thing that a message points at and that neither it nor a turn before names, in its own words; "" where
    there is none. The product and its manual need no name, and what a message spells out (an error code, a flag, a
    quotation) is named."""
    if re.search('["`“”「」：:]', text):
        return ""
    said = " ".join(turn.content for turn in history)
    if is_chinese(text):
        return "" if identifiers(text) else _pointed_zh(simplified(text), simplified(said))
    return _pointed_en(text, said) or ("" if identifiers(text) else _part_en(text) or _unnamed_en(text, history))


def _pointed_en(text: str, said: str) -> str:
    named = frozenset(map(_stem, re.findall(r"[\w'’-]+", said)))
    for found in _EN.finditer(text):
        noun = _up_to_stop(found["noun"].split())
        if not noun or any(word.lower() in _DEICTIC or _stem(word) in named for word in noun):
            continue
        if identifiers(text.replace(found["noun"], " ".join(_without_acronyms(noun)))):
            return ""
        pointer = found.group().split()[0]
        return " ".join([pointer, *noun])
    return ""


def _without_acronyms(noun: Sequence[str]) -> Sequence[str]:
    """Where they say what kind of thing it is, and not which one."""
    if len(noun) < 2 or _stem(noun[-1]) in _CALLED:
        return noun
    return [word for word in noun if not _ACRONYM.fullmatch(word)]


def _part_en(text: str) -> str:
    found = _PART.search(text)
    return found["pointed"] if found and not _WHICH_PART.search(text) else ""


def _unnamed_en(text: str, history: Sequence[Turn]) -> str:
    """In a conversation: what no turn calls so, where the asker has named nothing that it could be."""
    found = (not history and _THIS.match(text)) or _ONE_OF_MANY.search(text)
    if not found or _OWN.search(text) or proper_names(f"{text[: found.start()]}{text[found.end() :]}"):
        return ""
    if _MOST_OF.search(text[: found.start()]):
        return ""
    said = {_stem(word) for turn in history for word in re.findall(r"[\w'’-]+", turn.content)}
    named = any(proper_names(turn.content) for turn in history if turn.role == "user")
    return "" if named or _stem(found["pointed"].split()[-1]) in said else found["pointed"]


def _up_to_stop(words: Iterable[str]) -> list[str]:
    out: list[str] = []
    for word in words:
        if word.lower() in STOP or word.lower() in VERBS:
            break
        out.append(word)
    return out


def _stem(word: str) -> str:
    return _ENDINGS.sub("", word.lower())


def _pointed_zh(text: str, said: str) -> str:
    """Only where the message begins with it: after a name, 该 and 这个 stand for that name."""
    found = _ZH.search(text)
    if found is None or _POLITE_ZH.sub("", text[: found.start()]):
        return ""
    noun = _ENDS_ZH.split(found["noun"], maxsplit=1)[0]
    plain = _BEGINS_ZH.match(noun) or _DEICTIC_ZH.match(noun) or len(noun) > _LONGEST_ZH
    return "" if not noun or plain or noun in said else text[found.start() : found.start("noun")] + noun
