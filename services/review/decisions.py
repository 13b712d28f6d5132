"""What people decided, as training and promotion need it: right answers, wrong ones, refusals, and what must not become
wrong again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.store.review_records import Verdict, VerdictKind
from services.store.sql import SqlStore
from services.store.traces import answer_key

_ALL = 1_000


@dataclass(frozen=True, slots=True)
class Decided:
    """One verdict in force. cluster: the id of its item. question: the item's; variants: its other wordings. answer: ""
    where the question is out of scope. evidence: passage ids. wrong: answers that were sent and are wrong. entry_id: of
    the curated entry that it wrote, "" for none."""

    cluster: str
    question: str
    answer: str
    language: str
    verdict: str
    reviewer: str
    evidence: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    entry_id: str = ""


@dataclass(frozen=True, slots=True)
class Regression:
    """A question that was answered wrongly once. right: what people said instead, "" where they only called it back.
    wordings: the other ways in which it was asked. out_of_scope: people said that it is not to be answered at all."""

    question: str
    language: str
    wrong: tuple[str, ...]
    right: str
    evidence: tuple[str, ...] = ()
    wordings: tuple[str, ...] = ()
    out_of_scope: bool = False


async def decisions(store: SqlStore) -> list[Decided]:
    """The oldest first. What teaches nothing (called wrong or stale, with no right answer) is left out: it is in
    `regressions`."""
    found = (_decided(verdict) for verdict in await store.reviews.final_verdicts())
    return [one for one in found if one.answer or one.verdict == VerdictKind.OUT_OF_SCOPE]


async def regressions(store: SqlStore) -> list[Regression]:
    """For the gates of a promotion: each question with what must not be said again."""
    verdicts = await store.reviews.final_verdicts()
    found = {one.question: one for one in _corrected(verdicts)}
    offset = 0
    while page := await store.reviews.retractions(_ALL, offset):
        for one in page:
            if one.lifted is None and one.question not in found:
                found[one.question] = Regression(one.question, one.language, (one.answer,), "")
        offset += len(page)
    return list(found.values())


def _decided(verdict: Verdict) -> Decided:
    judgement = verdict.judgement
    refused = judgement.kind is VerdictKind.OUT_OF_SCOPE
    return Decided(
        verdict.item_id,
        verdict.question,
        "" if refused else verdict.answer,
        verdict.language,
        judgement.kind.value,
        verdict.who,
        _evidence(verdict),
        _wrong(verdict),
        _wordings(verdict),
        verdict.entry_id,
    )


def _wordings(verdict: Verdict) -> tuple[str, ...]:
    return tuple(text for text in verdict.questions if text != verdict.question)


def _wrong(verdict: Verdict) -> tuple[str, ...]:
    """What had been sent, unless it is what people say too."""
    return tuple(text for text in verdict.judged if answer_key(text) != answer_key(verdict.answer))


def _evidence(verdict: Verdict) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.passage_id for one in verdict.citations if one.passage_id))


def _corrected(verdicts: Iterable[Verdict]) -> Iterable[Regression]:
    for verdict in verdicts:
        if wrong := _wrong(verdict):
            foreign = verdict.judgement.kind is VerdictKind.OUT_OF_SCOPE
            right = "" if foreign else verdict.answer
            where = verdict.question, verdict.language
            yield Regression(*where, wrong, right, _evidence(verdict), _wordings(verdict), foreign)
