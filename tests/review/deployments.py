"""Simulated deployments whose true error is known, for the test and the benchmark of the error budget.

One deployment: questions in clusters (some asked once, some many times; whether the answer is wrong is shared), two
languages with error functions of their own, an audit whose share differs by confidence and by month, reviewers who
also get what abstained, what was thumbed down and what looks easy, and, in some, traffic that gets worse or better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from services.review import bounds
from services.review.audit import Audited, Budget, split
from services.review.budget import Certificate, State, certify

Array = Any
IN_FORCE = 0.5  # the line while the answers were drawn
BUDGET = Budget()
LANGUAGES = ("zh", "en")

RISKS: dict[str, Callable[[Array, float], Array]] = {
    "calibrated": lambda c, _: 1 - c,
    "better than it says": lambda c, k: k * (1 - c),
    "surer than it is": lambda c, k: (1 - c) * (1.5 + k),
    "confidently wrong": lambda c, k: np.maximum(1 - c, 0.03 + 0.06 * k),
    "wrong at the top": lambda c, k: np.where(c > 0.95, 0.04 + 0.1 * k, 0.3 * (1 - c)),
    "just too much everywhere": lambda c, k: np.full_like(c, 0.0501 + 0.01 * k),
}
"""Confidence and a knob of 0..1 to the probability of being wrong."""


@dataclass(frozen=True)
class Deployment:
    """Columns over answers, one row each. risk: what each one's probability of being wrong truly was."""

    kind: str
    cluster: Array
    language: Array
    confidence: Array
    time: Array
    risk: Array
    wrong: Array
    probability: Array  # of the audit
    audited: Array
    queued: Array  # came to people for another reason, and was decided

    def verdicts(self) -> list[Audited]:
        """Those of the audit, and those of the queue, which carry no probability."""
        rows = np.flatnonzero(self.audited | self.queued)
        drawn_with = np.where(self.audited, self.probability, 0.0)
        columns = (self.cluster, self.language, self.confidence, self.wrong, drawn_with, self.time)
        return [
            Audited(f"{self.kind}-{cluster}", LANGUAGES[language], "grounded", confidence, wrong, p, f"{time:.9f}")
            for cluster, language, confidence, wrong, p, time in zip(
                *(each[rows].tolist() for each in columns), strict=True
            )
        ]


def deploy(rng: np.random.Generator, kind: str, drift: float, audits: int) -> Deployment:
    """audits: about how many answers at or above the line in force are audited. drift: how much the error grows over
    the period, as a part of itself; negative when it gets better."""
    sizes = np.minimum(rng.geometric(0.6, 4 * audits), 12)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    a, b = rng.uniform(4, 16), rng.uniform(0.4, 1.5)
    language = (rng.random(len(sizes)) < rng.uniform(0.1, 0.9)).astype(int)[cluster]
    confidence = np.clip(rng.beta(a, b, len(sizes))[cluster], 0, 0.9999)
    time = np.sort(rng.random(len(sizes)))[cluster] + rng.random(len(cluster)) * 1e-6
    knobs = rng.random(2)
    base = np.where(language == 0, RISKS[kind](confidence, knobs[0]), RISKS[kind](confidence, knobs[1]))
    risk = np.clip(base * (1 + drift * (time - 0.5)), 0, 1)
    wrong = rng.random(len(sizes))[cluster] < risk
    # more of the unsure ones, and fewer before a change of the setting
    share = np.where(confidence < 0.8, 1.0, 0.7) * np.where(time < 0.3, 0.7, 1.0)
    share = share * min(audits / max(share[confidence >= IN_FORCE].sum(), 1e-9), 1.0)
    sent = confidence >= IN_FORCE
    audited = sent & (rng.random(len(cluster)) < share)
    return Deployment(kind, cluster, language, confidence, time, risk, wrong, share, audited, _queue(rng, sent, wrong))


def _queue(rng: np.random.Generator, sent: Array, wrong: Array) -> Array:
    """Abstentions that somebody decided, the clear ones (where the draft was right after all) first; thumbs-down of
    wrong answers; and right ones that people were thanked for."""
    chance = np.where(sent, np.where(wrong, 0.02, 0.06), np.where(wrong, 0.08, 0.32))
    return rng.random(len(sent)) < chance


def broken(made: Deployment, certificate: Certificate, since: float = 0.0) -> bool:
    """Whether any group that is certified is wrong more often, in truth, than was promised of it. since: of the period
    that counts, 0..1; the promise is about all of it."""
    return any(
        group.state is State.CERTIFIED and _risk_of(made, certificate, group.language, since) > BUDGET.max_wrong_rate
        for group in certificate.lines
    )


def _risk_of(made: Deployment, certificate: Certificate, language: str, since: float) -> float:
    """Of a group that is one language, or what is left of them."""
    own = {group.language for group in certificate.lines if group.language}
    members = [number for number, name in enumerate(LANGUAGES) if (name == language if language else name not in own)]
    lines = np.array([certificate.line_for(name, "grounded") for name in LANGUAGES])
    sent = np.isin(made.language, members) & (made.confidence >= lines[made.language]) & (made.time >= since)
    return float(made.risk[sent].mean()) if sent.any() else 0.0


def by_budget(made: Deployment) -> Certificate:
    learning, testing = split(made.verdicts())
    return certify(testing, BUDGET, IN_FORCE, learning)


def queue_as_audit(made: Deployment) -> Certificate:
    """Naive: the same tests, on the queue's verdicts as if they had been drawn."""
    queue = replace(made, audited=made.queued & (made.confidence >= IN_FORCE), probability=np.ones(len(made.queued)))
    learning, testing = split(queue.verdicts())
    return certify(testing, BUDGET, IN_FORCE, learning)


def queue_rate(made: Deployment) -> float:
    """Naive: the lowest line with at most 5 % wrong among the queue's verdicts."""
    return _empirical(made.confidence[made.queued], made.wrong[made.queued])


def audit_rate(made: Deployment) -> float:
    """Naive: the lowest line with at most 5 % wrong among the audit's verdicts, no assurance."""
    return _empirical(made.confidence[made.audited], made.wrong[made.audited])


def _empirical(confidence: Array, wrong: Array) -> float:
    order = np.argsort(-confidence)
    rates = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(rates <= BUDGET.max_wrong_rate)
    return max(float(confidence[order][good[-1]]), IN_FORCE) if len(good) else 1.0


def overall(made: Deployment, line: float) -> bool:
    """Whether this one line breaks the promise."""
    sent = made.confidence >= line
    return bool(sent.any() and made.risk[sent].mean() > BUDGET.max_wrong_rate)


def simulate(count: int, seed: int, most_audits: int = 1000) -> dict[str, dict[str, int]]:
    """How many of `count` deployments were certified, and broke the promise by each way to set the line; by kind of
    error, and "all"."""
    kinds, drifts = list(RISKS), (0.0, 1.0, -1.0)
    tally = {kind: Counter[str]() for kind in [*kinds, "all"]}
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        kind, drift = kinds[number % len(kinds)], drifts[number // len(kinds) % len(drifts)]
        made = deploy(rng, kind, drift, int(rng.integers(60, most_audits)))
        seen = _outcomes(made)
        tally[kind].update(seen)
        tally["all"].update(seen)
    return {kind: dict(counts) for kind, counts in tally.items()}


def _outcomes(made: Deployment) -> dict[str, int]:
    certificate, naive = by_budget(made), queue_as_audit(made)
    return {
        "deployments": 1,
        "certified": any(group.state is State.CERTIFIED for group in certificate.lines),
        "broken": broken(made, certificate),
        "above it in the last tenth": broken(made, certificate, since=0.9),
        "broken by the queue taken for an audit": broken(made, naive),
        "broken by the queue's share of wrong ones": overall(made, queue_rate(made)),
        "broken by the audit's share of wrong ones": overall(made, audit_rate(made)),
    }


def nightly(streams: int, nights: int, looks: int, seed: int) -> float:
    """The share of audits with a true rate just above the budget that a test every ten verdicts certifies some night.
    looks: how many the budget was told of."""
    rng = np.random.default_rng(seed)
    wrong = rng.random((streams, 50 + 10 * nights)) < BUDGET.max_wrong_rate + 1e-4
    sizes = 50 + 10 * np.arange(1, nights + 1)
    errors = wrong.cumsum(axis=1)[:, sizes - 1]
    risk = replace(BUDGET, looks=looks).risk()
    return float((bounds.p_values(errors, sizes[None, :], BUDGET.max_wrong_rate) <= risk).any(axis=1).mean())
