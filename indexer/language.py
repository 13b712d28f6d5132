"""The language of a text, from its characters and its little words."""

from __future__ import annotations

import re
from collections import Counter

_SAMPLE = 20_000  # characters; a page's language does not change after that
_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.M | re.S)
_NOISE = re.compile(r"`[^`\n]*`|<[^<>\n]*>|\]\([^()\n]*\)|https?://\S+")
_WORD = re.compile(r"[^\W\d_]+")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_HANGUL = re.compile(r"[\uac00-\ud7a3\u1100-\u11ff]")
# Scripts that name their language, or the most spoken one of those that share it.
_SCRIPTS = {
    "ru": re.compile(r"[\u0400-\u04ff]"),
    "el": re.compile(r"[\u0370-\u03ff]"),
    "ar": re.compile(r"[\u0600-\u06ff]"),
    "he": re.compile(r"[\u0590-\u05ff]"),
    "th": re.compile(r"[\u0e00-\u0e7f]"),
    "hi": re.compile(r"[\u0900-\u097f]"),
}
# The most frequent short words of the languages that manuals are written in, those they share left in.
_LITTLE_WORDS = {
    "en": "the of and to a in is for that it with as on be this are by an or not you can from if when which will",
    "de": "der die und das ist nicht ein eine zu mit den von für auf sie im dem wird werden auch sich oder wenn als",
    "fr": "le la les de des et est un une pour dans que qui sur pas vous par avec ce il sont du au être ou cette plus",
    "es": "el la los las de que y en un una para con por es se del su al como más este esta no puede si",
    "pt": "o a os as de que e em um uma para com por não se do da no na mais como você ser ou é ao dos das",
    "it": "il la lo gli le di che e un una per con non si del della è sono come nel alla questo più i da o può",
    "nl": "de het een en van is niet te dat op voor met zijn in aan die worden deze als of wordt door kan u bij naar",
    "pl": "i w nie na się z do to jest że o jak dla przez po lub są od może być oraz tym które ten jego",
    "tr": "ve bir bu için ile da de olarak daha çok olan gibi değil kadar sonra ne veya her en ise",
    "vi": "và của là các có cho không được trong với một những này để khi từ người trên như đến",
    "id": "dan yang di untuk dengan dari ini pada adalah tidak dalam akan anda atau dapat ke oleh itu juga",
    "sv": "och att det som en på är av för med den till inte om har de ett kan från eller du när",
    "cs": "a se v na je že s z do o to jako pro by ale jsou nebo od může být které když",
}
_LANGUAGES_OF_WORD = {
    word: tuple(language for language, words in _LITTLE_WORDS.items() if word in words.split())
    for word in " ".join(_LITTLE_WORDS.values()).split()
}


def detect(text: str) -> str:
    """ISO 639-1 code of a Markdown text ("und" without any letters); code blocks and links do not count.

    Chinese, simplified or traditional, is "zh". Latin script is "en" unless another language's little words
    clearly outnumber the English ones: short technical text has few, and is English far more often than not.
    """
    prose = _prose(text)
    letters = len(_WORD.findall(prose))
    han, kana, hangul = (len(script.findall(prose)) for script in (_HAN, _KANA, _HANGUL))
    if asian := _east_asian(han, kana, hangul, letters):
        return asian
    counts = {code: len(script.findall(prose)) for code, script in _SCRIPTS.items()}
    code = max(counts, key=lambda code: counts[code])
    if counts[code] > len(prose) / 10:
        return code
    return _latin(prose) if letters else "und"


def _prose(text: str) -> str:
    sample = text[: 2 * _SAMPLE]
    prose = _NOISE.sub(" ", _FENCED.sub("\n", sample))[:_SAMPLE]
    # A page of nothing but code and names is judged by what it has.
    return prose if _WORD.search(prose) else sample[:_SAMPLE]


def _east_asian(han: int, kana: int, hangul: int, words: int) -> str | None:
    """One ideograph says about as much as half a Latin word, so Chinese full of English terms is Chinese."""
    if hangul > han and hangul > 0.3 * words:
        return "ko"
    if kana > 0.15 * (han + kana) and han + kana > 0.3 * words:
        return "ja"
    return "zh" if han > 0.3 * words else None


def _latin(prose: str) -> str:
    counts: Counter[str] = Counter()
    for word in _WORD.findall(prose.lower()):
        counts.update(_LANGUAGES_OF_WORD.get(word, ()))
    best = max(counts, key=lambda code: counts[code], default="en")
    return best if counts[best] >= 5 and counts[best] > 1.5 * counts["en"] else "en"
