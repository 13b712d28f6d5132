"""Grounded answers without a model: the units that answer, quoted, each with its citation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress

from indexer.analysis import analyse, analyse_question, is_cut
from indexer.words import CONTENT, THINGS, Word, words_of
from router import support, wording
from router.confidence import VALUE, WITNESS
from router.demands import Demands
from router.kinds import Kind, kinds_of
from router.types import Citation, Draft, Hit, Passage, Question, SearchResult, UnitKind
from services.generation.blocks import (
    MOST,
    Beside,
    Block,
    Facts,
    Grown,
    announces,
    cite,
    grow,
    nothing_beside,
    render,
)
from services.generation.choosing import Choice, Meaning, by_meaning, probabilities, rank, wants_code
from services.generation.conflict import find
from services.generation.context import antecedent, in_context, in_section
from services.generation.ordering import best_page_first, shares, weight_of
from services.generation.reading import read, step_number
from services.generation.short import Short, short
from services.generation.structure import beyond_words

_HITS = 8  # passages that are read
_TRIED = 3  # units that are tried when the best one only announces what was not found
_CONTEXT = 4  # further units after the answer; the fourth held what was missing in 1 of 60 questions on product pages
_WORTH = 3.0  # log-odds behind the answer, from which a unit is no longer worth saying after it
_WIDE_MARGIN = 5.0  # log-odds between the best unit and the next that says something else: surely the best
_NEARLY = 2.0  # log-odds behind the best unit, up to which one that has what is asked for goes before it
_RARE = 0.5  # share of the idf of the question's rarest word, from which a name tells pages apart; set by hand
_SAME = 0.75  # share of common words from which two units say the same

FactsOf = Callable[[Sequence[str]], Facts]


class ExtractiveGenerator:
    """`router.ports.Generator` that quotes. facts, beside: see `quote`."""

    name = "extractive"

    def __init__(self, facts: FactsOf, beside: Beside = nothing_beside) -> None:
        self._facts, self._beside = facts, beside

    async def generate(self, question: Question, found: SearchResult) -> Draft:
        """Under a millisecond for passages that were read before, so it does not leave the event loop."""
        return quote(question.text, found, self._facts, self._beside)


def quote(
    question: str,
    found: SearchResult,
    facts: FactsOf,
    beside: Beside = nothing_beside,
    meaning: Meaning | None = None,
) -> Draft:
    """An answer of quoted units only. facts: revision, date and aliases of documents by path. beside: the passages
    around one; what they say is cited with the answer where they are of the same section. meaning: how near units are
    to the question, where the index has learned that.

    The text is empty, with no citations, when the hits hold nothing that can be quoted.
    """
    hits, beside = found.hits[:_HITS], _once_each(beside)
    weights = found.terms or dict.fromkeys(analyse_question(question), 1.0)
    kinds = kinds_of(question)
    as_read = rank(hits, weights, kinds)
    if not as_read:
        return Draft("", (), ExtractiveGenerator.name)
    demands = Demands.of(question)
    values = demands.values
    told = shares(hits, as_read)
    meant = by_meaning(as_read, weights, meaning)
    ranked = _value_first(values, best_page_first(hits, meant, told, weight_of(found)), hits)
    known = facts(list(dict.fromkeys(hit.passage.document for hit in found.hits)))
    asked = _Asked(question, words_of(question), demands, weights, known, beside)
    conflict = find(ranked, hits, weights, known)
    likely = [conflict.first] if conflict else ranked[:_TRIED]
    few = short(question, likely, hits, weights, kinds, found.language)
    if few.choice and few.choice not in _with_value(values, [few.choice, likely[0]], hits):
        few = replace(few, text="", choice=None)
    best, grown = _whole_answer([few.choice] if few.choice else likely, found, kinds, weights, beside)
    answer = list(grown.blocks)
    spans = {"short_sure": few.sure, "short_here": few.here}
    there = values.touched(*_said(grown.blocks, few.text))
    undisputed = {"undisputed": float(conflict is None or conflict.settled)}
    read_there = {"read_there": told.get(hits[best.hit].passage.document, 0.0)}
    witness = {WITNESS: float(beyond_words(question, best, hits[best.hit].passage, weights, kinds, beside))}
    features = _support(hits, asked.words, weights, ranked, best, answer) | _cosines(hits, best)
    features |= spans | {VALUE: float(there)} | undisputed | read_there | witness
    if conflict and not conflict.settled:
        both = (answer[0], Block(hits[conflict.other.hit].passage, (conflict.other.number,)))
        text = "\n".join(f"{render(block)} ({block.passage.document})" for block in both)
        return _draft(asked, text, both, features)
    stale = conflict.other if conflict else None
    others = [choice for choice in ranked if choice is not stale]
    referred = antecedent(answer[0], beside)
    answer += _second(best, answer, others, found, kinds, weights, beside)
    more = [*answer[len(grown.blocks) :], *_context([*referred, *answer], others, hits, kinds)]
    lines = [*map(render, [*referred, *grown.blocks]), *_goes_on(grown, found.language), *map(render, more)]
    text, said = _with(few, "\n".join(lines)), [*grown.blocks, *more]
    return _draft(asked, text, [*said, *referred], features)


def _value_first(values: Demands, ranked: list[Choice], hits: Sequence[Hit]) -> list[Choice]:
    """With the first unit in front that has the figure, time, price or default that is asked for, where it is nearly as
    good as the best, which has none."""
    near = [choice for choice in ranked if choice.score >= ranked[0].score - _NEARLY]
    first = _with_value(values, near, hits)[0]
    return [replace(first, score=ranked[0].score), *(choice for choice in ranked if choice is not first)]


def _with_value(values: Demands, choices: Sequence[Choice], hits: Sequence[Hit]) -> list[Choice]:
    """Those that have it; all of them where none does, or where nothing of the kind is asked for."""
    if not values.wanted:
        return list(choices)
    blocks = (Block(hits[choice.hit].passage, (choice.number,)) for choice in choices)
    having = [choice for choice, block in zip(choices, blocks, strict=True) if values.met(*_said([block]))]
    return having or list(choices)


def _said(blocks: Sequence[Block], front: str = "") -> tuple[str, str]:
    """The words in front, the sentences that introduce the blocks, and these; and the headings over them."""
    above: list[str] = []
    leads: list[str] = []
    for block in blocks:
        pieces = read(block.passage).pieces
        above += [*block.passage.heading, *(pieces[one.section].text for one in block.pieces if one.section >= 0)]
        leads += [pieces[one.lead].text for one in block.pieces if one.lead >= 0]
    return "\n".join([front, *leads, *map(render, blocks)]), "\n".join(above)


def _once_each(beside: Beside) -> Beside:
    """Looked up once for each passage, however many steps of one answer ask."""
    known: dict[str, tuple[Passage | None, Passage | None]] = {}

    def kept(passage: Passage) -> tuple[Passage | None, Passage | None]:
        if passage.id not in known:
            known[passage.id] = beside(passage)
        return known[passage.id]

    return kept


def _with(few: Short, text: str) -> str:
    """The few words that answer as a paragraph of their own, then what they were taken from."""
    return f"{few.text}\n\n{text}" if few.text else text


def _goes_on(grown: Grown, language: str) -> list[str]:
    """Half of the steps that look like all of them would be worse than none."""
    where = grown.blocks[-1].passage
    return [wording.in_language(wording.GOES_ON, language).format(document=where.document)] if grown.cut else []


def _whole_answer(
    likely: Sequence[Choice], found: SearchResult, kinds: Sequence[Kind], weights: Mapping[str, float], beside: Beside
) -> tuple[Choice, Grown]:
    """The first that does not break off where it announces something; if all do, the best."""
    for choice in likely:
        grown = grow(choice, found.hits, kinds, weights, beside)
        if not announces(grown.blocks[-1].pieces[-1]):
            return choice, grown
    return likely[0], grow(likely[0], found.hits, kinds, weights, beside)


@dataclass(frozen=True, slots=True)
class _Asked:
    """words: the question's, whole. demands: what it asks for by name. weights: its tokens with their idf. facts: of
    the documents found. beside: see `quote`."""

    question: str
    words: Sequence[Word]
    demands: Demands
    weights: Mapping[str, float]
    facts: Facts
    beside: Beside


def _draft(asked: _Asked, text: str, said: Sequence[Block], features: Mapping[str, float]) -> Draft:
    """said: what the answer rests on most comes first, and is cited first."""
    cited = [*in_section(said[0], asked.beside), *map(in_context, said[1:])]
    citations = _once(citation for block in cited for citation in cite(block, asked.facts))
    shown, first = _shown(citations), citations[0].source
    rare = _rare_names(asked)
    names = support.identifiers_covered(asked.question, shown, rare)
    here = f"{first}\n{_shown(one for one in citations if one.source == first)}"
    held = {
        "identifiers_covered": names,
        "identifiers_all": float(names == 1.0),
        "identifiers_here": float(support.identifiers_covered(asked.question, here, rare) == 1.0),
        "demand_met": float(asked.demands.met(f"{shown}\n{text}")),
        VALUE: features[VALUE] * asked.demands.beside_names(citation.quote for citation in citations),
    }
    return Draft(text, citations, ExtractiveGenerator.name, support={**features, **held, **_things(asked.words, said)})


def _things(words: Sequence[Word], said: Sequence[Block]) -> dict[str, float]:
    """Nothing where the question has none, or the kinds of its words are not told: without Han words every word is a
    name."""
    things = _of(words, THINGS)
    if not things or not any(is_cut(term) for word in words for term in word.terms):
        return {}
    held = frozenset().union(*(piece.terms | piece.above for block in said for piece in block.pieces))
    return {"things_quoted": support.words_covered(things, held)}


def _shown(citations: Iterable[Citation]) -> str:
    return "\n".join(f"{one.heading}\n{one.quote}" for one in citations)


def _rare_names(asked: _Asked) -> list[str]:
    """Without the name that all the documents are about, which few of their sentences say."""
    rare = _RARE * max(asked.weights.values(), default=0.0)
    names = support.proper_names(asked.question)
    return [
        name for name in names if max((asked.weights.get(token, 0.0) for token in analyse(name)), default=0.0) >= rare
    ]


def _once(citations: Iterable[Citation]) -> tuple[Citation, ...]:
    """Without those that stand in an earlier one."""
    out: list[Citation] = []
    for one in citations:
        if not any(one.source == other.source and other.start <= one.start <= one.end <= other.end for other in out):
            out.append(one)
    return tuple(out)


def _second(
    best: Choice,
    answer: Sequence[Block],
    ranked: Sequence[Choice],
    found: SearchResult,
    kinds: Sequence[Kind],
    weights: Mapping[str, float],
    beside: Beside,
) -> list[Block]:
    """What the first passage says, where the answer is from another one: the search and the reading differ, and either
    may be right."""
    top = next((choice for choice in ranked if choice.hit == 0), None)
    first = found.hits[0].passage.id
    if top is None or any(block.passage.id == first for block in answer) or _repeats(top.piece.terms, best.piece.terms):
        return []
    blocks = grow(top, found.hits, kinds, weights, beside).blocks
    said = {block.passage.id for block in answer}
    whole = not announces(blocks[-1].pieces[-1]) and said.isdisjoint(block.passage.id for block in blocks)
    return blocks if whole else []


def _context(
    answer: Sequence[Block], ranked: Sequence[Choice], hits: Sequence[Hit], kinds: Sequence[Kind]
) -> list[Block]:
    """A few further units that are nearly as good and say something else. Where code is wanted one block of it is
    enough; where a task is asked for its steps are said together or not at all, and those of another page are another
    task's."""
    terms = [block.terms for block in answer]
    room = MOST - sum(block.length for block in answer)
    pages = {block.passage.document for block in answer}
    stepped = Kind.HOW_TO in kinds and any(step_number(piece.text) for block in answer for piece in block.pieces)
    out: list[Block] = []
    for choice in ranked:
        if len(out) == _CONTEXT or choice.score < ranked[0].score - _WORTH:
            break
        block = Block(hits[choice.hit].passage, _together(choice, hits) if Kind.HOW_TO in kinds else (choice.number,))
        said = {number for one in (*answer, *out) if one.passage.id == block.passage.id for number in one.numbers}
        enough = any(piece.kind is UnitKind.CODE for one in (*answer, *out) for piece in one.pieces)
        alone = (choice.piece.kind is not UnitKind.CODE or (wants_code(kinds) and not enough)) and not announces(
            choice.piece
        )
        new = said.isdisjoint(block.numbers) and not any(_repeats(choice.piece.terms, one) for one in terms)
        task_elsewhere = stepped and block.passage.document not in pages and step_number(choice.piece.text) > 0
        if alone and new and not task_elsewhere and block.length <= room:
            out.append(block)
            terms.append(choice.piece.terms)
            room -= block.length
    return out


def _together(choice: Choice, hits: Sequence[Hit]) -> tuple[int, ...]:
    """The steps that a step is one of; a unit that is no step is alone."""
    pieces = read(hits[choice.hit].passage).pieces
    if choice.piece.run < 0 or not step_number(choice.piece.text):
        return (choice.number,)
    return tuple(at for at, other in enumerate(pieces) if other.run == choice.piece.run and other.quotable)


def _repeats(terms: frozenset[str], said: frozenset[str]) -> bool:
    return len(terms & said) >= _SAME * max(len(terms), 1)


def _cosines(hits: Sequence[Hit], best: Choice) -> dict[str, float]:
    """How near the quoted unit is to the question, by each embedder that was asked."""
    of_units = hits[best.hit].unit_cosines
    dense = {"unit_meaning": of_units[best.number]} if of_units else {}
    return dense | ({} if best.meaning is None else {"unit_corpus": best.meaning})


def _of(words: Iterable[Word], kinds: Collection[str]) -> list[tuple[str, ...]]:
    return [word.terms for word in words if word.kind in kinds]


def _support(
    hits: Sequence[Hit],
    words: Sequence[Word],
    weights: Mapping[str, float],
    ranked: Sequence[Choice],
    best: Choice,
    answer: Sequence[Block],
) -> dict[str, float]:
    reading = read(hits[best.hit].passage)
    quoted = best.piece.above.union(*(block.terms for block in answer))
    asked = frozenset(weights)
    everything = frozenset().union(*(asked & read(hit.passage).words for hit in hits))
    alike = [one is best or _repeats(one.piece.terms, best.piece.terms) for one in ranked]
    content = _of(words, CONTENT)
    words_found = support.words_covered(content, everything)
    rival = next((other for other, same in zip(ranked, alike, strict=True) if not same), None)
    return {
        "coverage": support.coverage(weights, quoted),
        "coverage_best": support.coverage(weights, best.piece.terms | best.piece.above),
        "coverage_passage": support.coverage(weights, reading.words),
        "terms_found": support.coverage(weights, everything),
        **({"words_found": words_found} if content else {}),
        "heading_match": support.coverage(weights, reading.title),
        "rarest_covered": support.rarest_covered(support.askable(weights, everything), quoted),
        "unit_probability": min(sum(compress(probabilities(ranked), alike)), 1.0),
        "unit_margin": min(max(best.score - rival.score, 0.0) / _WIDE_MARGIN, 1.0) if rival else 1.0,
        "kind_fit": best.fit,
        "top_gap": support.top_gap(hits) * words_found,
        "agreement": support.agreement(hits),
        "best_in_top": float(best.hit == 0),
    }
