"""What a question says about each place where a short answer could begin or end, and about what lies between."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from router.kinds import Kind
from router.script import simplified
from services.generation.cutting import LOOKS, Cut, Flags, Floats, Ints, is_wide, tokens

SORTS = ("other", "count", "when", "who", "where", "why", "how", "whether", "list", "what", "which", "name")
"""What a question asks for, as far as short answers differ by it; "which": an asking word that is of no kind."""
_SORT_OF = {
    Kind.COUNT: "count",
    Kind.WHEN: "when",
    Kind.WHO: "who",
    Kind.WHERE: "where",
    Kind.WHY: "why",
    Kind.COMMAND: "name",
    Kind.HOW_TO: "how",
    Kind.WHETHER: "whether",
    Kind.LIST: "list",
    Kind.WHAT_IS: "what",
    Kind.DEFAULT: "count",
}
_ASKS = re.compile(
    r"\b(?:what(?:'s)?|which|whom?|whose|where|when|why|how(?: (?:many|much|long|large|big|often|far|old|fast|high))?)"
    r"\b|哪(?:[一几两]?[个年月日位种些里儿家座名条次部天所项支只款])?|(?:是)?什么|[多]少|几(?=[^乎])|谁|为[何什]么?"
    r"|何[时年处人地]|怎[么样]+|如何|多[久长高大重远深]",
    re.IGNORECASE,
)
_NO_FOCUS = frozenset(
    "is are was were do does did has have had can could will would should may might must 's the a an of to in on"
    " 是 的 了 在 有".split()
)
_MEASURES = frozenset("年月日天时人处地")  # asking characters that say what is asked for: 哪一年
_FOCUS = 2  # words after the asking word that may say it: "which football team"
_AROUND = 6  # words of the question on either side of its asking word that are compared
_MATCHED = 4  # of them, as many as may stand right beside the answer
_NEAR, _WIDE = 0.75, 0.9  # what a word of the question counts for one token further away
_LONE = 0.3  # a Chinese character that the text has outside the question's pairs says little

BEGIN = (
    "near", "near_wide", "asked", "after_asked", "continues", "continued", "first", "after_mark", "after_focus",
    "near_share",
)  # fmt: skip
END = (
    "near", "near_wide", "asked", "before_asked", "continues", "continued", "last", "before_mark", "focus",
    "before_focus", "near_share",
)  # fmt: skip
_LENGTHS = np.array([1, 2, 3, 5, 8, 12, 20], np.float32)
INSIDE = (
    "score", "best", "length", *(f"length_{most:.0f}" for most in _LENGTHS), "longer", "held", "held_share",
    "holds_any", *(f"some_{look}" for look in LOOKS), "digit_share", "capital_share", "any_digit", "odd_brackets",
    "clause", "whole", "near_both", "continued_both", "bracketed", "holds_focus", "clause_lack", "rival",
)  # fmt: skip
"""The features of beginning at a place, of ending there, and of the span between: one row of weights each."""


@dataclass(frozen=True, slots=True)
class Asked:
    """weights: the question's search tokens with their share of its idf. sort: column of SORTS. left, right: the words
    around its asking word, in order. focus: the words that say what is asked for ("year" in which year)."""

    weights: Mapping[str, float]
    sort: int
    left: tuple[str, ...]
    right: tuple[str, ...]
    focus: frozenset[str]


def asked(question: str, weights: Mapping[str, float], kinds: Sequence[Kind]) -> Asked:
    """weights: search token → idf."""
    found = _ASKS.search(simplified(question))
    start, end = found.span() if found else (len(question), len(question))
    words = [(word, at) for word, at, _ in tokens(question) if word[-1].isalnum()]
    left = tuple(word for word, at in words if at < start)
    right = tuple(word for word, at in words if at >= end)
    total = sum(weights.values()) or 1.0
    sort = next((name for kind, name in _SORT_OF.items() if kind in kinds), "which" if found else "other")
    shares = {token: idf / total for token, idf in weights.items()}
    return Asked(shares, SORTS.index(sort), left[-_AROUND:], right[:_AROUND], _focus(found[0] if found else "", right))


def _focus(asking: str, right: Sequence[str]) -> frozenset[str]:
    out = {asking[-1:]} & _MEASURES
    for word in right[:_FOCUS]:
        if word in _NO_FOCUS:
            break
        out.add(word)
    return frozenset(out)


@dataclass(frozen=True, slots=True)
class Places:
    """Every token of several cut texts, one text after the other.

    begin, end: [tokens, len(BEGIN)] and [tokens, len(END)]. before, after, looks, opens, closes, pairs: see `Cut`.
    held: share of the question's idf at each token. focus: 1 where it is what is asked for. clause: number of its
    clause. text: number of its text.
    edges: first token of each text, and the number of tokens at the end.
    """

    begin: Floats
    end: Floats
    before: Ints
    after: Ints
    looks: Floats
    opens: Flags
    closes: Flags
    pairs: Ints
    held: Floats
    focus: Floats
    clause: Ints
    text: Ints
    edges: Ints


def places(cuts: Sequence[Cut], question: Asked) -> Places:
    read = [_read(cut, question) for cut in cuts]
    held, left, right, focus = (np.concatenate([one[at] for one in read]) for at in range(4))
    looks = np.concatenate([cut.looks for cut in cuts])
    edges = np.cumsum([0, *(len(cut.words) for cut in cuts)])
    breaks = looks[:, _CLAUSE] + looks[:, _JOINT] > 0
    breaks[edges[1:-1]] = True
    return Places(
        begin=_begin(left, held, looks, focus, edges[:-1]),
        end=_end(right, held, looks, focus, edges[1:] - 1),
        before=np.concatenate([cut.before for cut in cuts]),
        after=np.concatenate([cut.after for cut in cuts]),
        looks=looks,
        opens=np.concatenate([cut.opens for cut in cuts]),
        closes=np.concatenate([cut.closes for cut in cuts]),
        pairs=np.concatenate([cut.pairs for cut in cuts]),
        held=held,
        focus=focus,
        clause=np.cumsum(breaks),
        text=np.repeat(np.arange(len(cuts)), np.diff(edges)),
        edges=edges,
    )


_CLAUSE, _JOINT, _DIGIT = (LOOKS.index(look) for look in ("clause", "joint", "digit"))


def _begin(left: Floats, held: Floats, looks: Floats, focus: Floats, firsts: Ints) -> Floats:
    """[tokens, len(BEGIN)]. What is said of the token before is 0 for the `firsts` of the texts, save that a text
    begins as if after a mark."""
    out = np.zeros((len(held), len(BEGIN)), np.float32)
    out[:, :2], out[:, 2], out[:, 4:6], out[:, 9] = left[:, :2], held > 0, left[:, 2:4], left[:, 4]
    out[1:, 3], out[1:, 7], out[1:, 8] = out[:-1, 2], looks[:-1, _CLAUSE], focus[:-1]
    out[firsts, 3], out[firsts, 8], out[firsts, 6:8] = 0.0, 0.0, 1.0
    return out


def _end(right: Floats, held: Floats, looks: Floats, focus: Floats, lasts: Ints) -> Floats:
    """[tokens, len(END)], as `_begin`, with the token after instead of the one before."""
    out = np.zeros((len(held), len(END)), np.float32)
    out[:, :2], out[:, 2], out[:, 4:6], out[:, 8], out[:, 10] = (
        right[:, :2],
        held > 0,
        right[:, 2:4],
        focus,
        right[:, 4],
    )
    out[:-1, 3], out[:-1, 7], out[:-1, 9] = out[1:, 2], looks[1:, _CLAUSE], focus[1:]
    out[lasts, 3], out[lasts, 9], out[lasts, 6:8] = 0.0, 0.0, 1.0
    return out


def _read(cut: Cut, question: Asked) -> tuple[Floats, Floats, Floats, Floats]:
    """held [tokens], what the question says left of each token and right of it [tokens, 5], focus [tokens]."""
    shares, focus = question.weights, question.focus
    known = shares.keys()
    held = [0.0 if known.isdisjoint(stems) else max(map(shares.get, stems, _ZEROS)) for stems in cut.stems]
    if not known.isdisjoint(cut.words):  # as wide characters may be
        alone = [_LONE * shares.get(word, 0.0) if is_wide(word) else 0.0 for word in cut.words]
        held = [share or single for share, single in zip(held, alone, strict=True)]
    left = _side(held, cut.words, question.left[::-1])
    right = _side(held[::-1], cut.words[::-1], question.right)[::-1]
    wanted = np.zeros(len(held), np.float32)
    if focus:
        pairs = zip(cut.words, cut.stems, strict=True)
        wanted[:] = [word in focus or not focus.isdisjoint(stems) for word, stems in pairs]
    return np.array(held, np.float32), left, right, wanted


_ZEROS = (0.0,) * 64


def _side(held: Sequence[float], words: Sequence[str], wanted: Sequence[str]) -> Floats:
    """For each token: the question's words before it, each less by its distance, fast and slowly; whether the words
    right before it are `wanted`, the nearest first, and how many of them are; and the first as a share of its peak."""
    out = np.zeros((len(held), 5), np.float32)
    if not held:
        return out
    near, wide, nears, wides = 0.0, 0.0, [], []
    for value in held:
        nears.append(near)
        wides.append(wide)
        near, wide = (near + value) * _NEAR, (wide + value) * _WIDE
    out[:, 0], out[:, 1] = nears, wides
    if wanted and wanted[0] in words:
        for at, word in enumerate(words[:-1], 1):
            if word == wanted[0]:
                out[at, 2:4] = 1.0, _continued(words, at, wanted) / _MATCHED
    out[:, 4] = out[:, 0] / (out[:, 0].max() + 1e-6)
    return out


def _continued(words: Sequence[str], at: int, wanted: Sequence[str]) -> int:
    """How many of the words right before `at`, the nearest first, are the wanted ones; at most `_MATCHED`."""
    most = min(_MATCHED, len(wanted), at)
    return next((number for number in range(most) if wanted[number] != words[at - 1 - number]), most)


def inside(found: Places, first: Ints, last: Ints, prior: Floats) -> Floats:
    """[spans, len(INSIDE)] of the spans from token `first` to token `last`, both in them. prior: [texts, 2], the score
    of each text behind the best one's, and whether it is the best."""
    counted = np.concatenate(
        [found.held[:, None], (found.held > 0)[:, None], found.focus[:, None], found.looks], axis=1, dtype=np.float32
    )
    sums = np.concatenate([np.zeros((1, counted.shape[1]), np.float32), counted.cumsum(axis=0)])
    within = sums[last + 1] - sums[first]
    length = (last - first + 1).astype(np.float32)
    text, looks = found.text[first], within[:, 3:]
    after_mark, before_mark = found.begin[first, _AT_MARK[0]], found.end[last, _AT_MARK[1]]
    whole = (first == found.edges[text]) & (last >= found.edges[text + 1] - 2)
    out = np.empty((len(first), len(INSIDE)), np.float32)
    out[:, :2], out[:, 2], out[:, 3:_HELD] = prior[text], np.log(length) / 3, _FLAGS[_LENGTHS.searchsorted(length)]
    out[:, _HELD], out[:, _HELD + 1], out[:, _HELD + 2] = within[:, 0], within[:, 1] / length, within[:, 1] > 0
    out[:, _SOME:_SHARES] = np.minimum(looks, 4) / 4
    columns = (
        looks[:, 0] / length, looks[:, 1] / length, looks[:, 0] > 0, looks[:, LOOKS.index("bracket")] % 2,
        after_mark * before_mark, whole, np.minimum(found.begin[first, 0], found.end[last, 0]),
        (found.begin[first, 4] > 0) & (found.end[last, 4] > 0), _bracketed(found.pairs, first, last), within[:, 2] > 0,
        *_rivals(found, first, looks[:, 0] > 0),
    )  # fmt: skip
    for at, column in enumerate(columns, _SHARES):
        out[:, at] = column
    return out


def _rivals(found: Places, first: Ints, digits: Flags) -> tuple[Floats, Floats]:
    """How much more of the question's idf another clause of the text has than the one that the span begins in: any
    clause; for a span with a digit, one that has a digit, too. "Full backups 14 days, incremental ones 3 days"."""
    held = np.bincount(found.clause, found.held)
    numbered = np.bincount(found.clause, found.looks[:, _DIGIT]) > 0
    of_text = np.zeros(len(held), np.int64)
    of_text[found.clause] = found.text
    most, most_numbered = np.zeros((2, len(found.edges) - 1))
    np.maximum.at(most, of_text, held)
    np.maximum.at(most_numbered, of_text, held * numbered)
    own, text = held[found.clause[first]], found.text[first]
    lacks, rivals = most[text] - own, np.where(digits, np.maximum(most_numbered[text] - own, 0.0), 0.0)
    return lacks.astype(np.float32), rivals.astype(np.float32)


_HELD, _SOME, _SHARES = INSIDE.index("held"), INSIDE.index(f"some_{LOOKS[0]}"), INSIDE.index("digit_share")
_FLAGS = np.eye(len(_LENGTHS) + 1, dtype=np.float32)
_AT_MARK = BEGIN.index("after_mark"), END.index("before_mark")


def _bracketed(pairs: Ints, first: Ints, last: Ints) -> Flags:
    """Whether a span is exactly what stands in brackets or quotation marks, with them or without."""
    before, after = np.maximum(first - 1, 0), np.minimum(last + 1, len(pairs) - 1)
    around = (pairs[before] > 0) & (pairs[before] + pairs[after] == 0)
    return np.asarray(around | ((pairs[first] > 0) & (pairs[first] + pairs[last] == 0)))
