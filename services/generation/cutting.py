"""A text cut into the tokens that a short answer can begin and end with, and what each of them looks like.

Latin words, numbers and names stay whole; Chinese characters and marks stand alone. Nothing here knows the question.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import add
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.analysis import analyse, fold, fold_script

MOST = 300  # tokens of a text that are looked at
LOOKS = ("digit", "capital", "clause", "comma", "bracket", "joint", "word")
"""What is counted inside a span: one column of `Cut.looks` each."""
PAIRS = {"《": "》", "“": "”", "「": "」", "『": "』", "(": ")", "[": "]", "（": "）", "【": "】", "‘": "’"}

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

_CJK = "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_W = rf"[^\W{_CJK}]"
_TOKEN = re.compile(rf"--?{_W}+(?:[-.:/@'’_,]{_W}+)*|{_W}+(?:[-.:/@'’_,]{_W}+|\(\))*|[{_CJK}]|\S")
_WORD = re.compile(rf"-*{_W}|[{_CJK}]")
_NUMERALS = frozenset("一二三四五六七八九十百千万亿两")
_COUNTED = frozenset(
    "one two three four five six seven eight nine ten eleven twelve twenty thirty hundred thousand million billion half"
    " once twice".split()
)
_OPENS = frozenset(PAIRS) | frozenset('"$€£¥<#~')
_CLOSES = frozenset(PAIRS.values()) | frozenset('"%％>℃°')
_CLAUSE = frozenset("，,；;：:。.！!？?、()（）—–|")
_COMMAS = frozenset(",，、")
_JOINTS = frozenset("and or 和 与 及 或 以 并 且 但 but which who that".split())
_NEVER_FIRST = _JOINTS - {"who", "which", "that"} | frozenset("of is are was were 的 了 是 之".split())
FUNCTION_WORDS = _JOINTS | frozenset(
    "the a an of to in on at by for from with as is are was were be its their his her this 的 在 是 为 于 被 把 由 从"
    " 将".split()
)
_ROLES = "<[]>"  # the word before a span, its first word, its last word, the word after it
_ROWS = 2 * len(_ROLES)  # lexical features of a token: what it is and what it looks like, in each role
_COLUMNS = _ROWS + len(LOOKS) + 3  # of `_Token.row`
_CAPITAL = LOOKS.index("capital")
_HOT = 20_000  # tokens that are kept: about 500 bytes each


@dataclass(frozen=True, slots=True)
class Cut:
    """raw: each token as it stands in `text`. words: folded. stems: the search tokens of each; a Chinese
    character's are the pairs it stands in. looks: [tokens, len(LOOKS)]. opens, closes: whether a span may begin or end
    here. before, after: rows of the vocabulary for beginning and for ending here, [tokens, 4], 0 for unknown ones.
    pairs: the number of the bracket that opens (positive) or closes (negative) here, else 0."""

    text: str
    raw: tuple[str, ...]
    words: tuple[str, ...]
    stems: tuple[tuple[str, ...], ...]
    looks: Floats
    opens: Flags
    closes: Flags
    before: Ints
    after: Ints
    pairs: Ints

    @property
    def spans(self) -> list[tuple[int, int]]:
        """(start, end) character offsets of each token. Found again when they are wanted: of most texts they are not,
        and to keep them costs more than to find them, because Python's collector visits what is kept."""
        return _spans(self.text, self.raw)


def _spans(text: str, raw: Sequence[str]) -> list[tuple[int, int]]:
    """Between two tokens there is nothing but white space."""
    out, end = [], 0
    for token in raw:
        start = text.index(token, end)
        end = start + len(token)
        out.append((start, end))
    return out


def tokens(text: str) -> list[tuple[str, int, int]]:
    """(folded word, start, end) of every token of `text`, as far as it is looked at."""
    found = (one for one, _ in zip(_TOKEN.finditer(text), range(MOST), strict=False))
    return [(_folded(one[0]), one.start(), one.end()) for one in found]


class Cutter:
    """Cuts texts for one vocabulary: the names of `names` that have a weight, with their rows, from 1.

    What depends on a token alone is kept for the next text that has it.
    """

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._token = lru_cache(maxsize=_HOT)(lambda raw: _token(raw, vocabulary))
        self._edge = np.array([vocabulary.get(name, 0) for name in names("^", "^")], int)

    def __call__(self, text: str) -> Cut:
        raw = tuple(_TOKEN.findall(text)[:MOST])
        known = list(map(self._token, raw))
        table = np.frombuffer(b"".join([one.row for one in known]), np.int64).reshape(-1, _COLUMNS)
        before, after = _placed(table[:, :_ROWS], self._edge)
        looks = table[:, _ROWS:-3].astype(np.float32)
        looks[:1, _CAPITAL] = 0  # every sentence begins with one
        opens, closes = table[:, -3].astype(bool), table[:, -2].astype(bool)
        if any(one.wide for one in known):
            at_start, at_end = _word_edges(text, _spans(text, raw), np.array([one.wide for one in known], bool))
            opens, closes = opens & at_start, closes & at_end
        words = tuple([one.word for one in known])
        return Cut(text, raw, words, _stems(known), looks, opens, closes, before, after, table[:, -1].copy())


def cut(text: str, vocabulary: Mapping[str, int]) -> Cut:
    """One text; for many, make a `Cutter`."""
    return Cutter(vocabulary)(text)


class _Token(NamedTuple):
    """What a token is wherever it stands. stems: none for a wide one. row: its rows of the vocabulary in each role, its
    looks, whether a span may open and close with it, and its bracket, as int64."""

    word: str
    wide: bool
    stems: tuple[str, ...]
    row: bytes


def _token(raw: str, vocabulary: Mapping[str, int]) -> _Token:
    word = raw.lower() if raw.isascii() else fold(raw)
    wide, is_word = is_wide(word), bool(_WORD.match(raw))
    opens = _may_be(is_word, raw, word, _OPENS, _NEVER_FIRST)
    closes = _may_be(is_word, raw, word, _CLOSES, FUNCTION_WORDS)
    rows = [vocabulary.get(name, 0) for name in names(word, raw)]
    row = array("q", (*rows, *_looks(raw, is_word), opens, closes, _BRACKETS.get(raw, 0)))
    return _Token(word, wide, () if wide else tuple(analyse(word)), row.tobytes())


def _word_edges(text: str, places: Sequence[tuple[int, int]], wide: Flags) -> tuple[Flags, Flags]:
    """Whether each token begins a word, and whether it ends one: Chinese words are several characters."""
    import rjieba  # reads its dictionary: a tenth of a second that only Chinese needs

    simple = fold_script(text)
    sizes = [len(word) for word in rjieba.cut(simple if len(simple) == len(text) else text, False)]
    edges = np.zeros(len(text) + 1, bool)
    edges[[0, *accumulate(sizes)]] = True
    at = np.array(places)
    return ~wide | edges[at[:, 0]], ~wide | edges[at[:, 1]]


def _may_be(is_word: bool, token: str, word: str, marks: frozenset[str], never: frozenset[str]) -> bool:
    """Whether a span may have it at its edge."""
    return word not in never if is_word else token in marks


_BRACKETS = {
    mark: number * sign
    for number, pair in enumerate(PAIRS.items(), 1)
    for mark, sign in zip(pair, (1, -1), strict=True)
}


def names(word: str, raw: str) -> tuple[str, ...]:
    """The lexical features of a token in each of its four roles: the word, then what it looks like."""
    form = _form(raw)
    return (*(role + word for role in _ROLES), *(f"{role}~{form}" for role in _ROLES))


def _placed(rows: Ints, edge: Ints) -> tuple[Ints, Ints]:
    """From what each token is in each role to the features of the places: those of the word outside and the one in."""
    before, after = np.empty((2, len(rows), _ROWS // 2), int)
    before[:1, ::2], before[1:, ::2], before[:, 1::2] = edge[::4], rows[:-1, ::4], rows[:, 1::4]
    after[:, ::2], after[:-1, 1::2], after[-1:, 1::2] = rows[:, 2::4], rows[1:, 3::4], edge[3::4]
    return before, after


@lru_cache(maxsize=50_000)
def _folded(token: str) -> str:
    return fold(token)


def _stems(known: Sequence[_Token]) -> tuple[tuple[str, ...], ...]:
    """A wide token's are the pairs that it makes with its neighbours."""
    words = ["", *(one.word for one in known), ""]
    pairs = [(pair,) if len(pair) == 2 else () for pair in map(add, words, words[1:])]
    return tuple([pairs[at] + pairs[at + 1] if one.wide else one.stems for at, one in enumerate(known)])


def is_wide(word: str) -> bool:
    """Whether it is one character of a script that is written without spaces."""
    return len(word) == 1 and word > "\u2e7f"


def is_number(word: str) -> bool:
    """Whether a folded token says a number, in digits or in words."""
    return word[0].isdigit() or word in _COUNTED or word in _NUMERALS


def _looks(token: str, is_word: bool) -> tuple[bool, ...]:
    low = token.lower()
    return (
        is_number(low),
        token[0].isupper(),
        token in _CLAUSE,
        token in _COMMAS,
        token in _OPENS or token in _CLOSES,
        low in _JOINTS,
        is_word,
    )


@lru_cache(maxsize=50_000)
def _form(token: str) -> str:
    """Case and last letters: they stand in for the part of speech."""
    if token[0].isdigit():
        return "year" if len(token) == 4 and token.isdecimal() else "number"
    if is_wide(token):
        return "numeral" if token in _NUMERALS else "wide"
    if not token[0].isalpha():
        return "mark"
    if any(char in "_./:@-(" for char in token):
        return "name"
    if len(token) > 1 and token.isupper():
        return "A"
    return ("Aa" if token[0].isupper() else "a") + token[-3:].lower()
