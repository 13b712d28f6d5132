"""What kind of message this is, and the question that is meant: follow-ups made whole from the turns before.

Only words are looked at, no model is asked, and what the turns say is never obeyed.
"""

from __future__ import annotations

import re

from router import smalltalk, wording
from router.followups import context_of, make_whole
from router.phrases import GENERIC_ZH, STOP, is_chinese, without_little
from router.script import simplified
from router.types import MessageKind, Question, Turn, Understood


def understand(question: Question) -> Understood:
    """The message beside its history. Never raises. Small talk and messages that are whole keep their text."""
    text, history = question.text, question.history
    language = _language(text, history)
    if kind := smalltalk.kind_of(text):
        return Understood(kind, text, language)
    context = context_of(history) if history else None
    if context is None:
        kind = MessageKind.QUESTION if has_content(text) else MessageKind.UNCLEAR
        return Understood(kind, text, language)
    whole, carried = make_whole(text, context)
    kind = MessageKind.QUESTION if has_content(whole) else MessageKind.UNCLEAR
    return Understood(kind, whole, language, carried, context.asked | context.told)


def last_question(history: tuple[Turn, ...]) -> str:
    """What was asked last, made whole by the turns before it; "" where nothing was asked. Small talk asks nothing."""
    context = context_of(history) if history else None
    return context.question if context else ""


def _language(text: str, history: tuple[Turn, ...]) -> str:
    """Of the message; of the user's last turn where a word or two ("Windows?", "ok") say nothing about it."""
    own = wording.language_of(text)
    if own == "zh" or len(text.split()) > 2:
        return own
    last = next((turn.content for turn in reversed(history) if turn.role == "user"), text)
    return wording.language_of(last)


_WORD = re.compile(r"[^\W_](?:[\w'’.-]*\w)?")
_PIECE = re.compile(r"[\u3400-\u9fff]|[A-Za-z0-9](?:[A-Za-z0-9'’._-]*[A-Za-z0-9])?")
_VAGUE = frozenset(
    "work works working worked use uses mean means fix fixed help want need know tell explain show happen happens "
    "happened say said go start try make get give think see look done doing using thing things stuff way ways good bad "
    "better best worse worst great fine possible true right wrong sure able cost costs price expensive cheap problem "
    "issue broken fails fail failed example examples detail details more long fast slow hard easy meaning different "
    "difference differences reason correct idea please error errors crash crashed crashes".split()
)
_POINTS = re.compile(r"\b(?:it|its|this|that|these|those|they|them|their|he|she|one|there|which)\b", re.IGNORECASE)
_VAGUE_ZH = re.compile(
    "搞定|处理|解决|操作|起来|出来|上来|成功|告诉|知道|觉得|认为|帮|教|弄|看|来|出|上|下|点|再|还|么"
)
_FAILS_ZH = re.compile("报错|崩溃?了?|异常")
_FEW_WORDS, _FEW_CHARACTERS = 3, 10


def has_content(text: str) -> bool:
    """Whether any word says what is asked about; "it doesn't work", "怎么弄" and "42" have none. In doubt there is."""
    if all(word.isdecimal() for word in _WORD.findall(text)):
        return False
    if is_chinese(text):
        return len(text) > _FEW_CHARACTERS or any(map(_says_something, _WORD.findall(_without_vague(text))))
    words = _WORD.findall(text)
    if any(map(_says_something, words)):
        return True
    return len(words) > _FEW_WORDS and not _POINTS.search(text)


def said_words(text: str) -> frozenset[str]:
    """The words that say something: Latin ones in lower case without a plural's s, and single Han characters."""
    found = _PIECE.findall(_without_vague(text) if is_chinese(text) else text)
    return frozenset(one.lower().removesuffix("s") for one in found if not one[0].isascii() or _says_something(one))


def _without_vague(text: str) -> str:
    return _VAGUE_ZH.sub(" ", GENERIC_ZH.sub(" ", _FAILS_ZH.sub(" ", without_little(simplified(text), " "))))


def _says_something(word: str) -> bool:
    low = word.lower().replace("’", "'")
    return (low not in STOP and low not in _VAGUE) or (word.isupper() and len(word) > 2)
