"""Which unit of which passage answers: every unit of the hits scored for one question, best first.

A word of the question counts by its rarity in the whole index and, once more, by its rarity among the units of the
page: what a page is about stands in most of its sentences and tells none of them apart, and a sentence that leaves it
out ("it", "该参数") is none the worse for it. That second weight lifted "a gold answer in the first quote" from 0.65 to
0.72 on CMRC and from 0.86 to 0.88 on SQuAD.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from heapq import nlargest
from itertools import chain, zip_longest
from pathlib import PurePosixPath

from indexer.analysis import analyse
from router.kinds import Kind, fit
from router.support import coverage
from router.types import Hit, UnitKind
from services.generation.reading import Piece, Reading, read

_LOOKED_AT = 12  # units, by their words alone, whose fitness for the kind of question is looked at
MEANT = 6  # units, by words and kind, whose meaning is looked at: one further down is best for 1 of 100 questions
_READ = 400  # characters of a unit that are read for its kind: what it says about that stands early
_SUBJECT = 80  # characters in which a definition comes to its verb
_BESIDES = 1  # further Latin words beside what is defined ("Redis Sentinel is"); more make another subject
_BESIDES_WIDE = 4  # further Chinese tokens: two characters, each also in a pair
_CLAUSE = re.compile(
    r"\W*(?:(?:when|if|once|after|before|while|since|as|where|although|because)\b|当|如果|若|由于|因为)", re.I
)
_COPULA = re.compile(r"\b(?:is|are|means|refers to|stands for)\b|(?<![但还也就都不])是(?!否)|指|即|意为|称为|[:：]")
_CELL = re.compile(r"\s\|\s")
_TYPICAL = 18.0  # tokens of a typical unit
_LOG_LENGTHS = [min(math.log(max(tokens / _TYPICAL, 0.05)), 0.5) for tokens in range(31)]
"""By number of tokens, the last for all that are longer: a unit that is longer still holds more words by chance."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How much each sign counts in a unit's score. Fitted as log-odds (softmax over the units of one question) on 600
    questions each of SQuAD and CMRC and rounded; headings count like the sentence before. `code`, `link`,
    `section`, `named` and `defines`, which those paragraphs do not have or do not ask for, were set by hand; `meaning`
    and `both` are fitted on questions about manuals, see `tests.bench.choosing`."""

    own: float = 4.0  # share of the question's idf in the unit
    local: float = 5.0  # the same, each word weighted once more by its rarity on the page
    near: float = 4.5  # further words that stand in the sentence before, the introducing sentence or the headings
    passage: float = 1.4  # further words anywhere in the passage
    fused: float = 5.5  # the passage's fused score, as a share of the best one's
    best_unit: float = 0.8  # the search names it as the unit nearest to the question
    kind: float = 2.5  # fitness for the kind of question, from -0.5 to 0.5
    length: float = 0.35  # logarithm of the length, in typical units: short ones say little
    code: float = -1.5  # code, where no code is wanted: it holds many words and explains nothing
    link: float = -3.0  # nothing but a link, where no list is wanted: it names the page that answers, and says nothing
    section: float = 2.0  # for how-to: question's idf in the headings over it once more; that section is about doing it
    named: float = 4.0  # share of the question's idf in the page's name, where the question says that whole
    defines: float = 2.5  # begins with what "what is" asks for, and goes on with "is": as much as the kind can weigh
    meaning: float = 6.0  # cosine of the question and the unit with the headings over it; 4 to 8 are as good
    both: float = 0.8  # of all of it, where meaning has a say: words and meaning tell half the same


SHARES = Shares()

Meaning = Callable[[Collection[str], Sequence[Collection[str]]], Iterable[float]]
"""Cosine, -1..1, of a question and each of some texts, all of them as search tokens."""


@dataclass(frozen=True, slots=True)
class Choice:
    """hit: its place among the hits, from 0; number: of the piece in the reading; score: log-odds, comparable within
    one question only; fit: 0..1, see `router.kinds`; meaning: cosine, -1..1, None where nothing tells it."""

    hit: int
    number: int
    piece: Piece
    score: float
    fit: float
    meaning: float | None = None


def rank(
    hits: Sequence[Hit], weights: Mapping[str, float], kinds: Sequence[Kind], shares: Shares = SHARES
) -> list[Choice]:
    """The units that can be quoted, best first; at most `_LOOKED_AT`. weights: the question's tokens with their idf."""
    defined = frozenset(weights if Kind.WHAT_IS in kinds else ())
    by_words = (
        (score + shares.defines * defines(piece, defined), at, number, piece)
        for score, at, number, piece in _by_words(hits, weights, shares)
    )
    scored = nlargest(_LOOKED_AT, by_words, key=lambda one: one[0])
    choices = []
    for score, at, number, piece in scored:
        suits = fit(kinds, piece.kind, piece.text[:_READ])
        score += shares.kind * (suits - 0.5)
        if piece.kind is UnitKind.CODE and not wants_code(kinds):
            score += shares.code
        if piece.link and Kind.LIST not in kinds:
            score += shares.link
        if Kind.HOW_TO in kinds:
            score += shares.section * coverage(weights, piece.above)
        choices.append(Choice(at, number, piece, score, suits))
    return sorted(choices, key=lambda choice: -choice.score)


def by_meaning(
    ranked: Sequence[Choice], question: Collection[str], meaning: Meaning | None, shares: Shares = SHARES
) -> list[Choice]:
    """The same units by their words and by what they mean, best first; those that are not looked at keep their places
    behind. question: its search tokens. meaning: None leaves them as they are."""
    if meaning is None or not ranked:
        return list(ranked)
    near = ranked[:MEANT]
    cosines = [float(cosine) for cosine in meaning(question, [one.piece.terms | one.piece.above for one in near])]
    known = zip_longest(ranked, cosines)
    meant = (
        replace(one, score=_both(one.score, cosine, min(cosines), shares), meaning=cosine) for one, cosine in known
    )
    return sorted(meant, key=lambda choice: -choice.score)


def _both(score: float, cosine: float | None, least: float, shares: Shares) -> float:
    return shares.both * (score + shares.meaning * (least if cosine is None else cosine))


def wants_code(kinds: Sequence[Kind]) -> bool:
    return Kind.HOW_TO in kinds or Kind.COMMAND in kinds


def defines(piece: Piece, asked: frozenset[str]) -> bool:
    """Whether it begins with the words asked for, hardly any others, and "is", "means", "是", "指" or a colon; in a
    table, whether its first cell is what is asked for."""
    if not asked or not asked <= piece.terms or piece.kind is UnitKind.CODE or _CLAUSE.match(piece.text):
        return False
    glossary = piece.kind is UnitKind.ROW  # its first cell is the word, the others say what it means
    subject = (_CELL if glossary else _COPULA).split(piece.text[:_SUBJECT], maxsplit=1)
    named = frozenset(analyse(subject[0])) if len(subject) > 1 else frozenset()
    besides = named - asked
    latin = sum(token.isascii() for token in besides)
    return asked <= named and latin <= _BESIDES and len(besides) - latin <= _BESIDES_WIDE


def probabilities(ranked: Sequence[Choice]) -> list[float]:
    """The scores as a softmax: how sure the choice among these units is, if one of them answers. Sums to 1."""
    odds = [math.exp(choice.score - ranked[0].score) for choice in ranked]
    total = sum(odds)
    return [one / total for one in odds]


def _by_words(hits: Sequence[Hit], weights: Mapping[str, float], shares: Shares) -> list[tuple[float, int, int, Piece]]:
    """(score, hit, number, piece) of every unit that can be quoted; how it suits the question is not yet in it."""
    asked = frozenset(weights)
    readings = [read(hit.passage) for hit in hits]
    held = [[piece.terms & asked for piece in reading.pieces] for reading in readings]
    total = sum(weights.values()) or 1.0
    locals_by_document = _local_weights(hits, held, weights)
    top = max(hits[0].fused, 1e-6) if hits else 1.0
    out = []
    for at, (hit, reading) in enumerate(zip(hits, readings, strict=True)):
        local = locals_by_document[hit.passage.document]
        local_total = sum(local.values()) or 1.0
        in_passage = reading.words & asked
        name = _page_name(hit.passage.document)
        base = shares.fused * hit.fused / top
        base += shares.named * _sum(weights, name) / total if name <= asked else 0.0
        for number, piece in enumerate(reading.pieces):
            if not piece.quotable:
                continue
            own = held[at][number]
            near = _near(reading, held[at], number, asked) - own
            score = base + shares.length * _log_length(piece)
            score += shares.best_unit if hit.best_unit == number else 0.0
            score += (shares.own * _sum(weights, own) + shares.near * _sum(weights, near)) / total
            score += shares.passage * _sum(weights, in_passage - own - near) / total
            score += shares.local * _sum(local, own) / local_total
            out.append((score, at, number, piece))
    return out


@lru_cache(maxsize=20_000)
def _page_name(document: str) -> frozenset[str]:
    """Tokens of the file's name, which on pages of a reference is the command or function that they are about."""
    return frozenset(analyse(PurePosixPath(document).stem))


def _near(reading: Reading, held: Sequence[frozenset[str]], number: int, asked: frozenset[str]) -> frozenset[str]:
    """Words of the question above a unit. Items and rows stand beside each other, not in each other's context."""
    piece = reading.pieces[number]
    above = piece.above & asked
    before = number > 0 and piece.kind in (UnitKind.SENTENCE, UnitKind.CODE)
    return above | held[number - 1] if before else above


def _local_weights(
    hits: Sequence[Hit], held: Sequence[Sequence[frozenset[str]]], weights: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Document → word → idf in the index times idf among the document's units that were found."""
    units: dict[str, list[frozenset[str]]] = defaultdict(list)
    for hit, words in zip(hits, held, strict=True):
        units[hit.passage.document] += words
    return {document: _local(words, weights) for document, words in units.items()}


def _local(units: Sequence[frozenset[str]], weights: Mapping[str, float]) -> dict[str, float]:
    counts = Counter(chain.from_iterable(units))
    rarities = [
        math.log(1 + (len(units) - count + 0.5) / (count + 0.5)) for count in range(max(counts.values(), default=0) + 1)
    ]
    return {token: idf * rarities[counts[token]] for token, idf in weights.items()}


def _log_length(piece: Piece) -> float:
    return _LOG_LENGTHS[min(len(piece.terms), len(_LOG_LENGTHS) - 1)]


def _sum(weights: Mapping[str, float], tokens: frozenset[str]) -> float:
    return sum(map(weights.__getitem__, tokens)) if tokens else 0.0
