"""The few words that go in front of the quoted unit, where something is sure enough which ones they are.

Rules first, for what the rows, parameters and commands of technical pages say in set forms; then the fitted reading of
`services.generation.spans`. Steps, lists, yes-or-no questions and definitions are answered by the unit itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from indexer.analysis import analyse
from router.kinds import Kind, asks
from router.script import simplified
from router.types import Hit, UnitKind
from services.generation import spans
from services.generation.blocks import announces, wants_whole
from services.generation.choosing import Choice, defines
from services.generation.cutting import FUNCTION_WORDS, is_number, tokens
from services.generation.reading import cells
from services.generation.structure import structured

MOST_OF_IT = 0.8  # share of a unit's characters from which the unit itself is as short
_UNIT_ITSELF = frozenset({Kind.HOW_TO, Kind.WHETHER, Kind.WHY})  # kinds that no part of a unit answers
_READ_KINDS = (UnitKind.SENTENCE, UnitKind.ITEM)
_ROOM = 600  # characters of a unit that is read for a span
_IN_MANUALS = 0.65
"""`Span.sure` from which a span goes in front where the text is not running, which the reading was not fitted on: of 67
such spans for answerable questions of tests/bench/questions 48 were part of a key, or the other way round; of 78 less
sure ones 27."""
_VALUE = r"(?P<value>[\"'“]?[\w./%+-]*\w%?[\"'”]?(?:\s?(?:[kmgt]i?b|ms|seconds?|minutes?|hours?|days?|bytes?)\b)?)"
_DEFAULTS = (
    re.compile(rf"\bdefaults? (?:value )?(?:is|to|of|:|=) ?(?:the value )?{_VALUE}", re.IGNORECASE),
    re.compile(rf"\bdefault[:=] ?{_VALUE}", re.IGNORECASE),
    re.compile(rf"(?<![\w-]){_VALUE},? by default\b", re.IGNORECASE),
    re.compile(
        r"(?:默认|缺省|预设)(?:值|配置|大小|端口|密码)?(?:均|都)?(?:为|是|[:：=])\s*(?P<value>[^，。；、,;（）()]+)"
    ),
)
_NAMES = re.compile(
    r"(?<![\w/.-])(?:--?[A-Za-z][\w-]+|[A-Za-z]\w*_\w+|[A-Za-z]\w*\(\)|[A-Z]{3,}(?: [A-Z]{2,})?)(?![\w/])"
)
_CAPITALS = re.compile("[A-Z ]+")
_SAID_VALUES = frozenset({"on", "off", "yes", "no", "true", "false", "none", "null", "never", "always", "unlimited"})
_UNIT = re.compile(
    r"\s?(?:[KMGT]i?B|bytes?|ms|[%％]|(?:milli|micro)?seconds?|minutes?|hours?|days?|weeks?|months?|years?|percent"
    r"|毫秒|秒|分钟|个?小时|天|周|个?月|年|倍)(?![A-Za-z])"
)
_PAIRS = {"“": "”", '"': '"', "《": "》", "「": "」", "『": "』", "(": ")", "（": "）", "[": "]", "【": "】"}


@dataclass(frozen=True, slots=True)
class Short:
    """text: the words to put in front of `choice`, or "". choice: the unit to answer with. sure: what the best span is
    expected to share with the right one, 0..1. here: probability that the answer stands in `choice`."""

    text: str
    choice: Choice | None
    sure: float
    here: float


def short(
    question: str,
    ranked: Sequence[Choice],
    hits: Sequence[Hit],
    weights: Mapping[str, float],
    kinds: Sequence[Kind],
    language: str,
) -> Short:
    """ranked: the units that may answer, best first."""
    read = _distinct(choice for choice in ranked if choice.piece.kind in _READ_KINDS)
    span, sure = spans.read(
        question, [one.piece.text[:_ROOM] for one in read], [one.score for one in read], weights, kinds, language
    )
    best = ranked[0]
    here = _belief(span, read, best)
    said = by_rule(best, hits, weights, kinds)
    if said:
        return Short(said, best, 1.0, here)
    defined = Kind.WHAT_IS in kinds and defines(best.piece, frozenset(weights))
    if span is None or said is not None or defined or not asks(question):
        return Short("", None, span.sure if span else 0.0, here)
    chosen = read[span.text]
    text = tidy(with_unit(chosen.piece.text, span.start, span.end))
    shorter = len(text) < MOST_OF_IT * len(chosen.piece.text)
    sure = sure and (span.sure >= _IN_MANUALS or not structured(hits[chosen.hit].passage))
    shown = sure and shorter and says_more(text, weights) and counts(text, kinds) and by_itself(chosen, weights, kinds)
    return Short(text, chosen, span.sure, _belief(span, read, chosen)) if shown else Short("", None, span.sure, here)


def _distinct(choices: Iterable[Choice]) -> list[Choice]:
    """The first ones, copies of the same sentence left out: they would share its probability."""
    return list({choice.piece.text: choice for choice in reversed(list(choices))}.values())[::-1][: spans.READ]


def _belief(span: spans.Span | None, read: Sequence[Choice], best: Choice) -> float:
    """What the reading believes of the best unit; of a copy of it, if that was read."""
    same = (
        share for one, share in zip(read, span.here if span else (), strict=False) if one.piece.text == best.piece.text
    )
    return min(next(same, 0.0), 1.0)


def by_itself(choice: Choice, weights: Mapping[str, float], kinds: Sequence[Kind]) -> bool:
    """Whether a part of the unit can be the answer: not where steps, a list, yes or no or a definition is wanted."""
    if _UNIT_ITSELF.intersection(kinds) or announces(choice.piece):
        return False
    if wants_whole(kinds) and choice.piece.run >= 0:
        return False
    return not (Kind.WHAT_IS in kinds and defines(choice.piece, frozenset(weights)))


def by_rule(choice: Choice, hits: Sequence[Hit], weights: Mapping[str, float], kinds: Sequence[Kind]) -> str | None:
    """The value, name or cell that stands in a set form; "" when several do, or when the unit is no sentence; None
    when none does."""
    piece = choice.piece
    if piece.kind is UnitKind.ROW:
        return "" if _UNIT_ITSELF.intersection(kinds) else _cell(choice, hits[choice.hit], weights)
    if piece.kind not in _READ_KINDS:
        return ""
    if _UNIT_ITSELF.intersection(kinds):
        return None
    if Kind.DEFAULT in kinds:
        said = simplified(piece.text)
        places = (found.span("value") for pattern in _DEFAULTS for found in pattern.finditer(said))
        return _only(value for place in places if is_value(value := piece.text[slice(*place)]))
    if Kind.COMMAND in kinds and Kind.LIST not in kinds:
        names = _names(piece.text, hits[choice.hit].passage.text[piece.start : piece.end])
        return _only(name for name in names if weights.keys().isdisjoint(analyse(name)))
    return None


def is_value(text: str) -> bool:
    """Whether a word may be a default: a figure, a name as programs have them, in quotation marks, "on", "never", or a
    Chinese one. "Ports are open by default" gives none."""
    return not re.fullmatch("[A-Za-z]?[a-z]*", text) or text.lower() in _SAID_VALUES


def _names(text: str, source: str) -> list[str]:
    """Names of commands and parameters. One of capitals alone, which may be an abbreviation, has to be code in the
    source: `WAIT`, but not SQL."""
    return [name for name in _NAMES.findall(text) if not _CAPITALS.fullmatch(name) or f"`{name}`" in source]


def _only(values: Iterable[str]) -> str | None:
    """The value, if there is one and no other; "" if there are several, None if there is none."""
    known = {value.strip() for value in values if value.strip()}
    return (known.pop() if len(known) == 1 else "") if known else None


def _cell(choice: Choice, hit: Hit, weights: Mapping[str, float]) -> str:
    """The cell of the one column that the question names, if the question names the row by another cell."""
    piece = choice.piece
    values = cells(hit.passage.text[piece.start : piece.end])
    if len(piece.columns) != len(values):
        return ""
    held = [_held(weights, name) for name in piece.columns]
    most = max(held, default=0.0)
    if most == 0.0 or held.count(most) > 1:
        return ""
    at = held.index(most)
    named = any(_held(weights, value) for number, value in enumerate(values) if number != at)
    return values[at] if named and says_more(values[at], weights) else ""


def _held(weights: Mapping[str, float], text: str) -> float:
    return sum(weights.get(token, 0.0) for token in frozenset(analyse(text)))


def says_more(text: str, weights: Mapping[str, float]) -> bool:
    """Whether it has a word that the question does not have and that is not only grammar."""
    said = (word for word, _, _ in tokens(text) if word[-1].isalnum() and word not in FUNCTION_WORDS)
    return any(weights.keys().isdisjoint(analyse(word)) for word in said)


def counts(text: str, kinds: Sequence[Kind]) -> bool:
    """Whether it has a number, where one is wanted."""
    return Kind.COUNT not in kinds or any(is_number(token[0]) for token in tokens(text))


def with_unit(text: str, start: int, end: int) -> str:
    """The span, and the unit right after a number."""
    unit = _UNIT.match(simplified(text), end) if text[end - 1 : end].isdigit() else None
    return text[start : unit.end() if unit else end]


def tidy(text: str) -> str:
    """Without a bracket or quotation mark whose partner was left outside."""
    for opening, closing in _PAIRS.items():
        if text.startswith(opening) and closing not in text[1:]:
            text = text[1:]
        if text.endswith(closing) and opening not in text[:-1]:
            text = text[:-1]
    return text.strip()
