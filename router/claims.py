"""What a draft's statement has in common with the passages it claims to come from: features, and what contradicts.

Pure functions. `router.checking` turns them into a verdict.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from router import facts, support, units
from router.ports import Analyser
from router.types import UnitKind

Weight = Callable[[str], float]
"""A token to how much it says, > 0; an inverse document frequency for example."""

MEANING = {
    "overlap": "share of the statement's words, weighted, that the passage has, 0..1",
    "local": "the same for the two neighbouring units of the passage that have most of them",
    "pairs": "share of the statement's neighbouring words that stand near each other, in this order, in the passage; "
    "of a single word, whether it stands there",
    "names": "share of its names that the passage lacks",
    "numbers": "share of its numbers that the passage lacks",
}
"""What each feature says; all are in 0..1."""

FUNCTION = frozenset(
    "a an and are as at be been but by can could did do does for from had has have he her his how if in into is it its "
    "may more no not of on or our she so such than that the their them then there these they this those to was we were "
    "what when where which while who will with would you your also any all each other some use used using via "
    "的 了 是 在 和 与 或 及 也 都 而 并 且 这 那 其 之 于 以 为 被 把 将 会 可 可以 能 等 对 该 个 一 "
    "上 下 中 就 时 有 如 如果".split()
)
_FUNCTION_WEIGHT = 0.1
_CHARACTER_WEIGHT = 0.3  # a single Chinese character; its pairs carry the words
_REACH = 4  # tokens between which two words stand near each other
_CLAUSE = re.compile(r"[,;，；、。]|\b(?:but|while|whereas|and)\b|但|而(?!且)|并且|以及")
_SAME = 0.6  # share of common words (F1) from which two clauses are about the same thing
_VERBATIM = 0.9  # coverage from which a statement says a unit's words in another order, not other words
_NEARLY = 0.7  # similarity from which a statement is a unit's words with something changed
_LOOKED_AT = 3  # units of the evidence that a statement is held against, those with most of its words
_BOUND = frozenset({UnitKind.ROW, UnitKind.ITEM})
_PASSIVE = re.compile(r"\bby\b|被|由", re.IGNORECASE)


def weight_of(token: str) -> float:
    """How much a token says where no idf is known."""
    if token in FUNCTION:
        return _FUNCTION_WEIGHT
    return _CHARACTER_WEIGHT if len(token) == 1 and token >= "\u2e80" else 1.0


def tokens_of(text: str, analyse: Analyser) -> Sequence[str]:
    """A statement's tokens, for `features` and `contradictions`."""
    return analyse(facts.spaced(text))


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage (or several together) made ready to be compared. units: each unit's words and tokens. bound: whether
    it is a row of a table or an item of a list, whose words belong together."""

    text: str
    units: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]
    bound: tuple[bool, ...]
    words: frozenset[str]
    near: frozenset[tuple[str, str]]
    quantities: frozenset[facts.Quantity]
    folded: str

    @classmethod
    def of(cls, text: str, analyse: Analyser) -> Evidence:
        parts = units.parts(text)
        plain = tuple(units.plain(text[start:end]) for _, start, end in parts)
        tokens = tuple(tuple(tokens_of(one, analyse)) for one in plain)
        return cls(
            text,
            plain,
            tokens,
            tuple(kind in _BOUND for kind, _, _ in parts),
            frozenset(token for one in tokens for token in one),
            frozenset(pair for one in tokens for pair in _near(one)),
            facts.quantities(text),
            "".join(text.split()).lower(),
        )

    @classmethod
    def together(cls, parts: Sequence[Evidence]) -> Evidence:
        if len(parts) == 1:
            return parts[0]
        return cls(
            "\n".join(part.text for part in parts),
            tuple(one for part in parts for one in part.units),
            tuple(one for part in parts for one in part.tokens),
            tuple(one for part in parts for one in part.bound),
            frozenset().union(*(part.words for part in parts)),
            frozenset().union(*(part.near for part in parts)),
            frozenset().union(*(part.quantities for part in parts)),
            "".join(part.folded for part in parts),
        )


def features(statement: str, tokens: Sequence[str], evidence: Evidence, weight: Weight = weight_of) -> dict[str, float]:
    """All features of one statement beside its evidence, by name (see `MEANING`)."""
    weights = {token: weight(token) for token in tokens}
    content = [token for token in tokens if token not in FUNCTION]
    pairs = list(dict.fromkeys(pairwise(content)))
    named = facts.names(statement)
    counted = facts.quantities(statement)
    overlap = support.coverage(weights, evidence.words)
    return {
        "overlap": overlap,
        "local": local(weights, evidence)[0],
        "pairs": share(pair in evidence.near for pair in pairs) if pairs else overlap,
        "names": 1 - share(name in evidence.folded for name in named),
        "numbers": len(facts.missing_quantities(counted, evidence.quantities)) / max(len(counted), 1),
    }


def share(flags: Iterable[bool]) -> float:
    known = list(flags)
    return sum(known) / len(known) if known else 1.0


def local(weights: Mapping[str, float], evidence: Evidence) -> tuple[float, int]:
    """The best coverage by two neighbouring units, and the place of the better one of them; -1 for no unit."""
    best, place = 0.0, -1
    sets = [frozenset(one) for one in evidence.tokens]
    for at, here in enumerate(sets):
        both = here | sets[at + 1] if at + 1 < len(sets) else here
        value = support.coverage(weights, both)
        if value > best or place < 0:
            second = at + 1 < len(sets) and support.coverage(weights, sets[at + 1]) > support.coverage(weights, here)
            best, place = value, at + int(second)
    return best, place


def _near(tokens: Sequence[str]) -> Iterable[tuple[str, str]]:
    content = [token for token in tokens if token not in FUNCTION]
    return ((one, other) for at, one in enumerate(content) for other in content[at + 1 : at + 1 + _REACH])


# --- what contradicts -------------------------------------------------------------------------------------------------


def contradictions(
    statement: str, tokens: Sequence[str], evidence: Evidence, analyse: Analyser, weight: Weight = weight_of
) -> tuple[str, ...]:
    """Why the statement cannot stand on this evidence however alike they look: of "number", "identifier", "negation",
    "opposite", "swap" and "substitution", those that are so."""
    weights = {token: weight(token) for token in tokens}
    named = frozenset(token for name in facts.names(statement) for token in analyse(name))
    single = {token: value for token, value in weights.items() if not support.is_pair(token)}
    places = nearest(weights, evidence)
    around = [evidence.units[place] for place in places]
    checks = {
        "number": bool(facts.missing_quantities(facts.quantities(statement), evidence.quantities)),
        "identifier": bool(facts.missing_identifiers(statement, evidence.folded)),
        "negation": _denies_otherwise(statement, around, analyse, weight),
        "opposite": bool(around) and bool(facts.opposed(statement, "\n".join(around))),
        "swap": any(
            support.coverage(single, frozenset(evidence.tokens[place])) >= _VERBATIM
            and bool(_PASSIVE.search(statement)) == bool(_PASSIVE.search(evidence.units[place]))
            and swapped(tokens, evidence.tokens[place])
            for place in places[:1]
        ),
        "substitution": any(substituted(named, tokens, evidence.tokens[place]) for place in places[:1]),
    }
    return tuple(name for name, found in checks.items() if found)


def nearest(weights: Mapping[str, float], evidence: Evidence) -> list[int]:
    """Places of the units that have most of the weighted words, the best first, at most three."""
    covered = [support.coverage(weights, frozenset(one)) for one in evidence.tokens]
    return sorted(range(len(covered)), key=lambda place: -covered[place])[:_LOOKED_AT]


def swapped(tokens: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two words (or runs of words) of `others` have changed places around what stands between them: "from B to
    A" for "from A to B", but not "B if A" for "if A, B". Looks at words that stand once in each."""
    mine, theirs = _once(tokens), _once(others)
    common = [token for token in mine if token in theirs]
    rank = {place: at for at, place in enumerate(sorted(theirs[token] for token in common))}
    runs = _runs([rank[theirs[token]] for token in common])
    return _exchanged(runs, len(common))


def _once(tokens: Sequence[str]) -> dict[str, int]:
    """Words that stand once, with their places. Pairs of characters would say the same a second time."""
    counts = Counter(tokens)
    return {token: at for at, token in enumerate(tokens) if counts[token] == 1 and not support.is_pair(token)}


def _runs(order: Sequence[int]) -> list[tuple[int, int]]:
    """Stretches of `order` that count up by one, each as its first and last number."""
    runs: list[tuple[int, int]] = []
    for number in order:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _exchanged(runs: Sequence[tuple[int, int]], total: int) -> bool:
    """Whether the runs are a beginning, C, B, A, an end of what was a beginning, A, B, C, an end."""
    inner = list(runs)
    if inner and inner[0][0] == 0:
        inner = inner[1:]
    if inner and inner[-1][1] == total - 1:
        inner = inner[:-1]
    return len(inner) == 3 and inner[0] > inner[1] > inner[2]


def substituted(named: Collection[str], tokens: Sequence[str], others: Sequence[str]) -> bool:
    """Whether the statement is a unit's nearly word for word, but has a name where the unit has something else. A name
    is one of the tokens `named`, a number or, in Chinese, two characters and more that the unit does not have."""
    mine, theirs = _singles(tokens), _singles(others)
    matcher = SequenceMatcher(None, mine, theirs, autojunk=False)
    if matcher.ratio() < _NEARLY:
        return False
    for kind, a, b, c, d in matcher.get_opcodes():
        said, there = mine[a:b], theirs[c:d]
        if kind == "replace" and _is_name(said, named) and not set(said) <= set(theirs) and any(there):
            return True
    return False


def _singles(tokens: Sequence[str]) -> list[str]:
    return [token for token in tokens if not support.is_pair(token)]


def _is_name(words: Sequence[str], named: Collection[str]) -> bool:
    wide = [word for word in words if word >= "\u2e80" and word not in FUNCTION]
    return len(wide) > 1 or any(word in named or word.replace(".", "").isdecimal() for word in words)


def _denies_otherwise(statement: str, nearest: Sequence[str], analyse: Analyser, weight: Weight) -> bool:
    """Whether a clause denies what the clause nearest to it says, or says what that one denies. Not where the whole
    statement denies as often as the whole unit: then the clauses were only cut elsewhere."""
    if not nearest or facts.denies(statement) == facts.denies(nearest[0]):
        return False
    known = [(facts.denies(clause), _content(clause, analyse)) for unit in nearest for clause in _clauses(unit)]
    for clause in _clauses(statement):
        words = _content(clause, analyse)
        alike = [(_same(words, theirs, weight), denied) for denied, theirs in known]
        best = max((one for one, _ in alike), default=0.0)
        if best >= _SAME and not any(one >= best - 1e-9 and denied == facts.denies(clause) for one, denied in alike):
            return True
    return False


def _clauses(text: str) -> list[str]:
    return [clause for clause in _CLAUSE.split(text) if clause.strip()]


def _content(clause: str, analyse: Analyser) -> frozenset[str]:
    """Its words without those that deny: they are what is compared."""
    return frozenset(tokens_of(facts.without_negations(clause), analyse)) - FUNCTION


def _same(one: frozenset[str], other: frozenset[str], weight: Weight) -> float:
    """F1 of the weighted words of two clauses, 0..1."""
    both = sum(map(weight, one)) + sum(map(weight, other))
    return 2 * sum(map(weight, one & other)) / both if both else 0.0
