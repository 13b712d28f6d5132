"""Grounded answers by a model: packed, written, checked statement by statement, cited word for word."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence

from indexer.analysis import analyse
from router import checking, likelihood, packing, prompt
from router.checking import Entailment, Result, Statement
from router.claims import tokens_of, weight_of
from router.confidence import VALUE, WITNESS
from router.errors import GeneratorUnavailable
from router.packing import DoesNotFit, Included, Packed, Wanted, pack
from router.ports import Generator
from router.types import Citation, Draft, Passage, Question, SearchResult
from services.generation.blocks import MOST, Block, Facts, cite
from services.generation.checking import packaged_model
from services.generation.endpoints import Fleet, Served
from services.generation.reading import Piece, read
from services.generation.vllm import Vllm, Written

FactsOf = Callable[[Sequence[str]], Facts]
MODEL = "model"  # what the generator is called before it is known which model answers


class ModelGenerator:
    """`router.ports.Generator` that lets the current model of a fleet write. quoting: what it would quote says how well
    the passages answer, which is what the features of the calibration are about. facts: see `extractive.quote`.
    entails: see `router.checking`."""

    name = MODEL

    def __init__(
        self, client: Vllm, fleet: Fleet, quoting: Generator, facts: FactsOf, entails: Entailment | None = None
    ) -> None:
        self._client, self._fleet, self._quoting, self._facts = client, fleet, quoting, facts
        self._entails = entails

    async def generate(self, question: Question, found: SearchResult) -> Draft:
        entails = _until(time.monotonic() + self._client.timeout_s, self._entails)
        with self._fleet.borrow(question.session_id or question.text) as served:
            packed = await asyncio.to_thread(packed_for, question, found, served)
            written = await self._client.write(served, packed.prompt.messages)
        quoted = await self._quoting.generate(question, found)
        known = self._facts(list(dict.fromkeys(one.passage.document for one in packed.included)))
        shown = packed.included
        draft = await asyncio.to_thread(drafted, question.text, written, shown, served.name, known, entails)
        return _with(draft, quoted)


def _with(draft: Draft, quoted: Draft) -> Draft:
    """The features of both. What a model read before it wrote is not spoken for by words alone, and what it wrote may
    have the value that the quote has not."""
    support = {**quoted.support, WITNESS: 1.0, VALUE: 1.0, **draft.support}
    return Draft(draft.text, draft.citations, draft.model, draft.logprobs, support)


def _until(deadline: float, entails: Entailment | None) -> Entailment | None:
    """The same, until then: an answer that is not checked in time is quoted, like one that is not written in time."""
    if entails is None:
        return None

    def asked(premise: str, hypothesis: str) -> float | None:
        if time.monotonic() > deadline:
            raise GeneratorUnavailable("its answer was not checked in time")
        return entails(premise, hypothesis)

    return asked


def packed_for(question: Question, found: SearchResult, served: Served) -> Packed:
    """Raises `GeneratorUnavailable` when the model's window is too small for the question and one passage."""
    wanted = Wanted(question.text, found.language, found.terms)
    try:
        packed = pack(wanted, found.hits, served.window, served.tokenizer, analyse)
    except DoesNotFit as error:
        raise GeneratorUnavailable(f"the question is too long for it: {error}") from error
    if not packed.included:
        raise GeneratorUnavailable("no passage fits into its window beside the question")
    return packed


def drafted(
    question: str,
    written: Written,
    included: Sequence[Included],
    model: str,
    facts: Facts,
    entails: Entailment | None = None,
) -> Draft:
    """What of the model's text may be sent, its citations in the order of their numbers; no text and no citations
    where nothing may be, or where the model refused."""
    seen = [f"{_title(one.passage)}\n{one.text}" for one in included]
    checked = checking.check(whole(written), seen, analyse, packaged_model(), entails, question=question)
    counted = {**checking.counts(checked), **packing.counts(included)}
    support = {**checked.support, **likelihood.features(written.logprobs), **counted}
    if not checked.text or not checked.passages:
        return Draft("", (), model, written.logprobs, support)
    cited = [included[number - 1].passage for number in checked.passages]
    citations = tuple(
        _citation(passage, _statements(checked, number), facts)
        for passage, number in zip(cited, checked.passages, strict=True)
    )
    return Draft(checked.text, citations, model, written.logprobs, support)


def _title(passage: Passage) -> str:
    return " > ".join(passage.heading) or passage.document


def whole(written: Written) -> str:
    """The text as the passages have it, without the statement in which it was cut off."""
    text = prompt.unescape(written.text)
    if written.finish != "length":
        return text
    said = checking.statements(text)
    return text[: said[-1].start] if said else ""


def _statements(checked: Result, number: int) -> list[Statement]:
    return [one.statement for one in checked.statements if one.kept and number in one.cited]


# --- what is quoted for a citation ------------------------------------------------------------------------------------


def _citation(passage: Passage, statements: Iterable[Statement], facts: Facts) -> Citation:
    """One stretch of the passage, word for word: from the first to the last unit that its statements come from, or
    the best of them alone where that is too long."""
    pieces = read(passage).pieces
    if not pieces:  # nothing that could be cut: all of it
        return _all_of(passage, facts)
    nearest = [_nearest(statement.text, pieces) for statement in statements]
    numbers = {number for number, _ in nearest}
    first, last = min(numbers), max(numbers)
    if pieces[last].end - pieces[first].start > MOST:
        first = last = max(nearest, key=lambda one: one[1])[0]
    return cite(Block(passage, tuple(range(first, last + 1))), facts)[0]


def _all_of(passage: Passage, facts: Facts) -> Citation:
    revision, _, aliases = facts.get(passage.document, ("", None, ()))
    where = (passage.id, passage.document, " > ".join(passage.heading))
    return Citation(*where, passage.text, passage.start, passage.end, revision, aliases)


def _nearest(text: str, pieces: Sequence[Piece]) -> tuple[int, float]:
    """The unit that shares most with a statement: its number, and how much of the statement it has, weighted."""
    tokens = frozenset(tokens_of(text, analyse))
    weights = {token: weight_of(token) for token in tokens}

    def shared(piece: Piece) -> float:
        both = sum(weights[token] for token in tokens & piece.terms)
        return both / math.sqrt(1 + len(piece.terms))  # of two that hold all of it, the shorter

    scored = [(shared(piece) if piece.quotable else -1.0, -at) for at, piece in enumerate(pieces)]
    best, place = max(scored)
    return -place, best
