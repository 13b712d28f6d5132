"""A text cut into the tokens that a short answer can begin and end with, and what each of them looks like.

Latin words, numbers and names stay whole; Chinese characters and marks stand alone. Nothing here knows the question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import rjieba

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


@dataclass(frozen=True, slots=True)
class Cut:
    """spans: (start, end) character offsets of each token. words: folded. stems: the search tokens of each; a Chinese
    character's are the pairs it stands in. looks: [tokens, len(LOOKS)]. opens, closes: whether a span may begin or end
    here. before, after: rows of the vocabulary for beginning and for ending here, [tokens, 4], 0 for unknown ones.
    pairs: the number of the bracket that opens (positive) or closes (negative) here, else 0."""

    spans: tuple[tuple[int, int], ...]
    words: tuple[str, ...]
    stems: tuple[tuple[str, ...], ...]
    looks: Floats
    opens: Flags
    closes: Flags
    before: Ints
    after: Ints
    pairs: Ints


def tokens(text: str) -> list[tuple[str, int, int]]:
    """(folded word, start, end) of every token of `text`, as far as it is looked at."""
    found = (one for one, _ in zip(_TOKEN.finditer(text), range(MOST), strict=False))
    return [(_folded(one[0]), one.start(), one.end()) for one in found]


def cut(text: str, vocabulary: Mapping[str, int]) -> Cut:
    """vocabulary: the names of `names` that have a weight, with their rows, from 1."""
    found = tokens(text)
    raw = [text[start:end] for _, start, end in found]
    words = tuple(word for word, _, _ in found)
    rows = np.array([[vocabulary.get(name, 0) for name in names(*pair)] for pair in zip(words, raw, strict=True)], int)
    before, after = _placed(rows.reshape(-1, 2 * len(_ROLES)), [vocabulary.get(name, 0) for name in names("^", "^")])
    kinds = [(bool(_WORD.match(token)), token, word) for token, word in zip(raw, words, strict=True)]
    at_start, at_end = _word_edges(text, found)
    return Cut(
        tuple((start, end) for _, start, end in found),
        words,
        _stems(words),
        np.array([_looks(token, at) for at, token in enumerate(raw)], np.float32).reshape(-1, len(LOOKS)),
        np.array([_may_be(one, token, word, _OPENS, _NEVER_FIRST) for one, token, word in kinds], bool) & at_start,
        np.array([_may_be(one, token, word, _CLOSES, FUNCTION_WORDS) for one, token, word in kinds], bool) & at_end,
        before,
        after,
        np.array([_BRACKETS.get(token, 0) for token in raw], int),
    )


def _word_edges(text: str, found: Sequence[tuple[str, int, int]]) -> tuple[Flags, Flags]:
    """Whether each token begins a word, and whether it ends one: Chinese words are several characters."""
    if not any(is_wide(word) for word, _, _ in found):
        return np.ones(len(found), bool), np.ones(len(found), bool)
    simple = fold_script(text)
    sizes = map(len, rjieba.cut(simple if len(simple) == len(text) else text, False))
    edges = set(accumulate(sizes, initial=0))
    begins = [not is_wide(word) or start in edges for word, start, _ in found]
    ends = [not is_wide(word) or end in edges for word, _, end in found]
    return np.array(begins, bool), np.array(ends, bool)


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


def _placed(rows: Ints, edge: Sequence[int]) -> tuple[Ints, Ints]:
    """From what each token is in each role to the features of the places: those of the word outside and the one in."""
    outer = np.array([edge], int)
    left, right = np.concatenate([outer, rows[:-1]])[: len(rows)], np.concatenate([rows[1:], outer])[: len(rows)]
    before = np.stack([left[:, 0], rows[:, 1], left[:, 4], rows[:, 5]], axis=1)
    after = np.stack([rows[:, 2], right[:, 3], rows[:, 6], right[:, 7]], axis=1)
    return before, after


@lru_cache(maxsize=50_000)
def _folded(token: str) -> str:
    return fold(token)


def _stems(words: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    around = ["", *words, ""]
    out = []
    for at, word in enumerate(words, 1):
        if is_wide(word):
            out.append(tuple(pair for pair in (around[at - 1] + word, word + around[at + 1]) if len(pair) == 2))
        else:
            out.append(_searched(word))
    return tuple(out)


@lru_cache(maxsize=50_000)
def _searched(word: str) -> tuple[str, ...]:
    return tuple(analyse(word))


def is_wide(word: str) -> bool:
    """Whether it is one character of a script that is written without spaces."""
    return len(word) == 1 and word > "\u2e7f"


def is_number(word: str) -> bool:
    """Whether a folded token says a number, in digits or in words."""
    return word[0].isdigit() or word in _COUNTED or word in _NUMERALS


def _looks(token: str, at: int) -> tuple[bool, ...]:
    low = token.lower()
    return (
        is_number(low),
        token[0].isupper() and at > 0,
        token in _CLAUSE,
        token in _COMMAS,
        token in _OPENS or token in _CLOSES,
        low in _JOINTS,
        bool(_WORD.match(token)),
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
