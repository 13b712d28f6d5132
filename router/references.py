"""What a message points at without any turn naming it: "this clinic", 该参数. Pure; only words are looked at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from router.phrases import STOP, VERBS, is_chinese, simplified
from router.support import identifiers
from router.types import Turn

_EN = re.compile(
    r"\b(?:this|these|(?:(?<=\bof )|(?<=\bin )|(?<=\bfor )|(?<=\babout )|(?<=\bby )|(?<=\bto ))(?:that|those))"
    r"(?P<noun>(?: [A-Za-z][\w'’-]*){1,4})",
    re.IGNORECASE,
)
_ZH = re.compile(r"(?:[这那][个些种类款条项张台]|该|此)(?P<noun>[A-Za-z0-9_]+|[\u3400-\u9fff]{2,})")
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
_ENDINGS = re.compile(r"(?:['’]s|es|s)$")


def pointed_at(text: str, history: Sequence[Turn]) -> str:
    """The first thing that a message points at and that neither it nor a turn before names, in its own words; "" where
    there is none. The product and its manual need no name, and what a message spells out (an error code, a flag, a
    quotation) is named."""
    if identifiers(text) or re.search('["`“”「」：:]', text):
        return ""
    said = " ".join(turn.content for turn in history)
    return _pointed_zh(simplified(text), simplified(said)) if is_chinese(text) else _pointed_en(text, said)


def _pointed_en(text: str, said: str) -> str:
    named = frozenset(map(_stem, re.findall(r"[\w'’-]+", said)))
    for found in _EN.finditer(text):
        noun = _up_to_stop(found["noun"].split())
        if noun and not any(word.lower() in _DEICTIC or _stem(word) in named for word in noun):
            pointer = found.group().split()[0]
            return " ".join([pointer, *noun])
    return ""


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
