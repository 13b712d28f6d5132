"""Verdicts as a sample: which answers people look at by chance, and which of their verdicts may test a line."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from router.errors import InvalidInput
from services.review import bounds

SPARE = 3
"""Wrong verdicts that a group of its own must be able to bear. With fewer verdicts the split costs more than it gives:
at 5 %, 95 % and two groups, 173 verdicts pass in 90 of 100 cases where the true rate is 1 %; 72, with none to spare,
in 48."""


@dataclass(frozen=True, slots=True)
class Budget:
    """max_wrong_rate: of the answers sent automatically, 0..1. assurance: that the line keeps it, 0..1.

    looks: how many times the audit of one release is tested at most. A refit every night that stops at the first
    success is many tests: each look gets an equal part of what may go wrong.
    audit_share: the smallest probability with which any answer at or above the line was drawn; None: the smallest that
    is seen, which is right unless so few were drawn with less that none of them is here.
    """

    max_wrong_rate: float = 0.05
    assurance: float = 0.95
    looks: int = 1
    audit_share: float | None = None

    def __post_init__(self) -> None:
        if not (0 < self.max_wrong_rate < 1 and 0 < self.assurance < 1 and self.looks >= 1):
            raise InvalidInput("an error budget needs a wrong rate and an assurance between 0 and 1, and looks from 1")

    def risk(self, groups: int = 1) -> float:
        """What each of the tests of one look may go wrong with."""
        return (1 - self.assurance) / (self.looks * groups)


@dataclass(frozen=True, slots=True)
class Audited:
    """A verdict on one answer. cluster: the id of the question it asks. confidence: what was said when it was sent,
    0..1. probability: with which the audit drew it; 0 for one that came to people in any other way."""

    cluster: str
    language: str
    route: str
    confidence: float
    wrong: bool
    probability: float
    created: str


def _chance(purpose: str, name: str) -> float:
    """A number in [0, 1) that nothing but the name decides, so that a refit draws no second lot; independent between
    purposes."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, person=purpose.encode()).digest()
    return int.from_bytes(digest, "big") / 2**64


def drawn(trace_id: str, share: float) -> bool:
    """Whether the audit draws this answer: with probability `share`, whatever it says. Keep `share` with the item."""
    return _chance("audit", trace_id) < share


def certifying(cluster: str, share: float = 0.8) -> bool:
    """Whether verdicts on this question test the line. The others may fit the confidence and choose where testing
    begins; no verdict may do both. share: of the clusters. Fitting can use what thumbs-down and abstentions bring
    too, so it needs the smaller part of the audit."""
    return _chance("certify", cluster) < share


def split(audited: Sequence[Audited], share: float = 0.8) -> tuple[list[Audited], list[Audited]]:
    """For learning, and for certifying: by cluster, the same way every time."""
    parts: tuple[list[Audited], list[Audited]] = ([], [])
    for one in audited:
        parts[certifying(one.cluster, share)].append(one)
    return parts


Key = tuple[str, str]  # language and route, "" for any


@dataclass(frozen=True)
class Sample:
    """One verdict a question, each drawn with the same probability. kept: the share that thinning left, (0, 1]."""

    ones: tuple[Audited, ...]
    kept: float = 1.0

    @classmethod
    def first_of(cls, audited: Sequence[Audited]) -> Sample:
        """The first verdict of each cluster; of several at the same moment a wrong one."""
        first: dict[str, Audited] = {}
        for one in sorted(audited, key=lambda one: (one.created, not one.wrong)):
            first.setdefault(one.cluster, one)
        return cls(tuple(first.values()))

    @classmethod
    def of(cls, audited: Sequence[Audited], budget: Budget, prior_line: float) -> Sample:
        """Drawn by the audit, at or above the line, one a cluster, thinned to the smallest probability."""
        usable = [one for one in audited if one.probability != 0 and one.confidence >= prior_line]
        ones = cls.first_of(usable).ones
        least = min((one.probability for one in ones), default=1.0)
        share = least if budget.audit_share is None else budget.audit_share
        if not 0 < share <= least or any(one.probability > 1 for one in ones):
            raise InvalidInput(f"a sampling probability is not between the audit's smallest, {share}, and 1")
        kept = tuple(one for one in ones if _chance("thin", one.cluster) < share / one.probability)
        return cls(kept, max(len(kept), 1) / max(len(ones), 1))

    def groups(self, budget: Budget) -> tuple[Key, ...]:
        """The finest groups that have verdicts enough; what has too few is pooled as ("", ""). Only counts decide:
        a partition that looked at the verdicts would bend the tests."""
        for key in (lambda one: (one.language, one.route)), (lambda one: (one.language, "")):
            counts = Counter(key(one) for one in self.ones)
            enough = bounds.required(SPARE, budget.max_wrong_rate, budget.risk(max(len(counts), 1)))
            named = [group for group, count in counts.most_common() if count >= enough]
            rest = len(self.ones) - sum(counts[group] for group in named)
            while named and 0 < rest < enough:
                rest += counts[named.pop()]
            if named and len(counts) > 1:
                return (*named, *([("", "")] if rest else []))
        return (("", ""),)

    def only(self, key: Key, groups: Sequence[Key]) -> Sample:
        """The verdicts that belong to one group."""
        return Sample(tuple(one for one in self.ones if group_of(one, groups) == key), self.kept)


def group_of(one: Audited, groups: Sequence[Key]) -> Key:
    keys = ((one.language, one.route), (one.language, ""))
    return next((key for key in keys if key in groups), ("", ""))
