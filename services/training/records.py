"""One training row with its lineage, and where it may be used."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Split(StrEnum):
    TRAIN = "train"
    VALID = "valid"
    TEST = "test"
    CALIBRATION = "calibration"  # judges how sure a model is; no model is fitted or chosen on it


class Made(StrEnum):
    """How a row came to be. The first two were read by a person; everything else is unreviewed, and says so."""

    CURATED = "curated"
    VERDICT = "verdict"
    RULE = "rule"  # a question made from a span of a document that answers it
    MODEL = "model"  # a question that a model proposed and that survived the round trip
    CONVERSATION = "conversation"
    VARIANT = "variant"  # another way to ask; the answer is its parent's, word for word
    FAR = "far"  # nothing to do with the documents
    NEAR_DOMAIN = "near_domain"  # sounds like the product, is not in the documents
    FALSE_PREMISE = "false_premise"
    RETRIEVAL_MISS = "retrieval_miss"  # the passage that answers was withheld


REFUSALS = frozenset({Made.FAR, Made.NEAR_DOMAIN, Made.FALSE_PREMISE, Made.RETRIEVAL_MISS})
"""Rows whose answer is the canonical refusal of `router.wording`."""


@dataclass(frozen=True, slots=True)
class Context:
    """A passage as the row shows it. evidence: it holds what answers. start, end: offsets of the evidence in `text`,
    0 and 0 for a distractor. section: the document and its headings, the unit that a split keeps together."""

    passage_id: str
    document: str
    heading: str
    text: str
    evidence: bool = False
    start: int = 0
    end: int = 0

    @property
    def section(self) -> str:
        return f"{self.document}#{self.heading}"


@dataclass(frozen=True, slots=True)
class Example:
    """id: 32 hex digits, from the content. cluster: everything that asks the same thing. context: in the order shown.
    parent, method, differences: of a variant, whose question it varies, how, and in which slots. rejected: wrong
    answers to this question, never a completion. reviewed: a person read question and answer. verdict, reviewer:
    whose decision it rests on. revision: of the documents it was made from."""

    id: str
    question: str
    answer: str
    language: str
    cluster: str
    made: Made
    context: tuple[Context, ...] = ()
    reviewed: bool = False
    parent: str = ""
    method: str = ""
    differences: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    verdict: str = ""
    reviewer: str = ""
    revision: str = ""

    @property
    def refuses(self) -> bool:
        return self.made in REFUSALS

    @property
    def evidence(self) -> tuple[Context, ...]:
        return tuple(one for one in self.context if one.evidence)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is not in the dataset, and why, in one sentence."""

    question: str
    cluster: str
    reason: str
