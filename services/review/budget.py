"""The error budget: how sure an answer must be to be sent without a person.

What is promised. The line is set so that, among answers that are sent automatically, the share of wrong ones is at
most `max_wrong_rate`; the rule that sets it gets this wrong with probability at most 1 - `assurance`. "Learn, then
test" (Angelopoulos, Bates, Candès, Jordan and Lei 2021, arXiv:2110.01052): candidate lines are learnt on one part of
the verdicts, and tested on the other, from the strictest down, by fixed-sequence testing; the first failure ends it.
Each test is the exact binomial one (`bounds`), so it holds for few verdicts as for many. Groups of answers (a language,
a route) share what may go wrong equally, so all of their lines hold together with the assurance.

What it counts. Questions, not answers: traces that ask the same are not independent, so a cluster counts once, by its
first answer that was drawn. The promise is about such questions: one that is asked often is as likely to be drawn as
it is asked, but never counts twice.

Why thinning, and not weights. Only answers that the audit drew at random may test a line: thumbs-down and abstentions
come to people because something was wrong. An answer drawn with probability p stands for 1/p answers. Weighted sums
have no exact bound; so an answer is kept with probability c/p, where c is the smallest p of the audit, and what is
kept is a plain random sample of what was sent. A betting bound on the weighted sum (Waudby-Smith and Ramdas 2024) was
the alternative: its stakes shrink by the same c/p, so it needs as many verdicts, and it has no figure such as "59".

What is not promised. Nothing below the line in force while the answers were drawn: those were not sent, so none was
drawn. Nothing about traffic unlike the audited one: the rate is the average over the audited period. A change of the
release, or of the model that writes, ends a certificate at once (`holds_for`), and verdicts that come later end it when
they contradict it (`watched`). Nothing about what is quoted because the model is away for a moment: that is no part of
the model's audit. Nothing about looking again and again at a growing audit: `Budget.looks` pays for that in advance.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from router.confidence import Calibration
from router.types import Release
from services.review import bounds
from services.review.audit import Audited, Budget, Key, Sample, group_of

LINES = tuple(number / 100 for number in range(99, 0, -1))
"""The candidate lines, the strictest first. Fixed, so that no verdict has a say in which are tested."""

QUOTING = "extractive"
"""What an answer that was quoted names as its model."""

Fingerprint = tuple[tuple[str, str], ...]


class State(StrEnum):
    CERTIFIED = "certified"
    NOT_CERTIFIABLE = "not_certifiable"
    INVALIDATED = "invalidated"


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes the answers from the documents now. models: as the answers name them, each with its share, 0..1, of
    the questions. prompt: the hash of what they are asked with; "none" where answers are quoted."""

    models: tuple[tuple[str, float], ...] = ((QUOTING, 1.0),)
    prompt: str = "none"

    @property
    def name(self) -> str:
        if len(self.models) == 1:
            return self.models[0][0]
        return ", ".join(f"{model} {share:.2%}" for model, share in self.models)

    def wrote(self, model: str, prompt: str) -> bool:
        return any(model == name for name, _ in self.models) and (self.prompt == "none" or self.prompt == prompt)


@dataclass(frozen=True, slots=True)
class GroupLine:
    """The line of one group. language, route: "" stands for every one that has no line of its own.

    n, errors: questions that tested the line, and the wrong ones among them. upper_bound: of the wrong share, at this
    group's part of the risk. needed: audited answers that are missing, if no further one is wrong; 0 when certified.
    refuted: the verdicts show that the tested line breaks the promise, by the same bound from below.
    """

    language: str
    route: str
    state: State
    line: float
    n: int
    errors: int
    upper_bound: float
    needed: int = 0
    refuted: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """state: certified only when every group is. line: for what no group names. conservative_line: used where nothing
    is certified: each answer's own probability of being wrong is then at most the budget, if confidence is calibrated.
    period: the first and last verdict's time. left_out: verdicts that could not test a line. fitted_on: the release's
    fingerprint. invalidated_by: what changed since, or "audit" when later verdicts contradict it."""

    state: State
    line: float
    lines: tuple[GroupLine, ...]
    n: int
    errors: int
    upper_bound: float
    needed: int
    conservative_line: float
    budget: Budget
    period: tuple[str, str]
    left_out: int
    fitted_on: Fingerprint = ()
    invalidated_by: tuple[str, ...] = ()

    def line_for(self, language: str, route: str) -> float:
        """Answers below it are not sent, 0..1."""
        if self.state is State.INVALIDATED:
            return self.conservative_line
        named = {(group.language, group.route): group.line for group in self.lines}
        keys = ((language, route), (language, ""), ("", ""))
        return next((named[key] for key in keys if key in named), self.conservative_line)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Certificate:
        """Raises KeyError, TypeError or ValueError when `raw` is not one."""
        lines = tuple(GroupLine(**{**line, "state": State(line["state"])}) for line in raw["lines"])
        pairs = tuple((str(name), str(value)) for name, value in raw["fitted_on"])
        first, last = raw["period"]
        changed = {"state": State(raw["state"]), "lines": lines, "fitted_on": pairs, "period": (first, last)}
        by = tuple(raw["invalidated_by"])
        return cls(**{**raw, **changed, "budget": Budget(**raw["budget"]), "invalidated_by": by})


def certify(
    audited: Sequence[Audited],
    budget: Budget,
    prior_line: float,
    learning: Sequence[Audited] = (),
    fingerprint: Fingerprint = (),
) -> Certificate:
    """The lines that keep the promise, by the verdicts in `audited`, all of one release.

    prior_line: the lowest confidence that the audit drew from, which is the line in force unless unsent drafts are
    audited too. learning: verdicts on other questions (see `audit.split`); without any, `prior_line` alone is tested.
    Every answer drawn in the period must be there: cut the period before the oldest that nobody has judged yet, or
    pass it as wrong; people decide easy ones first.
    Raises InvalidInput when a verdict has an impossible sampling probability.
    """
    sample = Sample.of(audited, budget, prior_line)
    learnt = Sample.of(learning, budget, prior_line)
    groups = sample.groups(budget)
    sensible = max(prior_line, 1 - budget.max_wrong_rate)
    tests = [
        _Test(sample.only(key, groups), learnt.only(key, groups), budget.risk(len(groups)), budget) for key in groups
    ]
    lines = tuple(test.line(key, prior_line, sensible) for test, key in zip(tests, groups, strict=True))
    sure = all(line.state is State.CERTIFIED for line in lines)
    rest = next((line.line for line in lines if (line.language, line.route) == ("", "")), None)
    careful = max((test.careful(sensible) for test in tests), default=sensible)
    times = sorted(one.created for one in sample.ones)
    return Certificate(
        state=State.CERTIFIED if sure else State.NOT_CERTIFIABLE,
        line=careful if rest is None else rest,
        lines=lines,
        n=sum(line.n for line in lines),
        errors=sum(line.errors for line in lines),
        upper_bound=max(line.upper_bound for line in lines),
        needed=sum(math.ceil(line.needed / sample.kept) for line in lines),
        conservative_line=careful,
        budget=budget,
        period=(times[0], times[-1]) if times else ("", ""),
        left_out=len(audited) - len(sample.ones),
        fitted_on=fingerprint,
    )


class _Test:
    """Fixed-sequence testing of one group's lines. risk: what this group's test may go wrong with."""

    def __init__(self, sample: Sample, learning: Sample, risk: float, budget: Budget) -> None:
        self.confidences, self.wrong = _columns(sample.ones)
        self.learnt = learning
        self.rate, self.risk = budget.max_wrong_rate, risk

    def line(self, key: Key, prior_line: float, sensible: float) -> GroupLine:
        """Tests from where learning says down to `prior_line`, and stops at the first failure."""
        begin = self._begin(prior_line)
        sequence = np.array([begin, *(line for line in LINES if prior_line < line < begin), prior_line])
        n, errors = self._counts(sequence)
        failed = np.flatnonzero(bounds.p_values(errors, n, self.rate) > self.risk)
        passed = int(failed[0]) if len(failed) else len(sequence)
        at = max(passed - 1, 0)
        count, wrong = int(n[at]), int(errors[at])
        bound = bounds.upper(wrong, count, self.risk)
        if passed:
            return GroupLine(*key, State.CERTIFIED, float(sequence[at]), count, wrong, bound)
        missing = max(bounds.required(wrong, self.rate, self.risk) - count, 1)
        refuted = bounds.lower(wrong, count, self.risk) > self.rate
        careful = self.careful(sensible)
        return GroupLine(*key, State.NOT_CERTIFIABLE, careful, count, wrong, bound, missing, refuted)

    def careful(self, sensible: float) -> float:
        """The lowest line from `sensible` up that the verdicts do not speak against; 1 (nothing is sent) if none."""
        lines = np.array([sensible, *(line for line in reversed(LINES) if line > sensible)])
        n, errors = self._counts(lines)
        kept = (line for line, drawn_, bad in zip(lines, n, errors, strict=True) if not self._refuted(bad, drawn_))
        return float(next(kept, 1.0))

    def _refuted(self, wrong: int, count: int) -> bool:
        return bounds.lower(int(wrong), int(count), self.risk) > self.rate

    def _begin(self, prior_line: float) -> float:
        """Where the other part of the verdicts says that the test is most likely to pass; the lowest such line."""
        confidences, wrong = _columns(self.learnt.ones)
        if not len(confidences):
            return prior_line
        lines = np.array([*(line for line in LINES if line > prior_line), prior_line])
        above = confidences[None, :] >= lines[:, None]
        seen = above.sum(axis=1)
        # half an error more than was seen, so that few verdicts do not look like perfect ones
        rates = ((above & wrong[None, :]).sum(axis=1) + 0.5) / (seen + 1)
        expected = np.rint(seen / len(confidences) * len(self.confidences)).astype(int)
        power = [self._power(int(n), float(rate)) for n, rate in zip(expected, rates, strict=True)]
        best = max(power)
        return float(lines[max(at for at, chance in enumerate(power) if chance >= best)]) if best else prior_line

    def _power(self, n: int, rate: float) -> float:
        """How likely `n` verdicts pass when the true rate is `rate`."""
        spare = bounds.allowed(n, self.rate, self.risk)
        return 0.0 if spare < 0 else float(bounds.p_values(spare, n, rate))

    def _counts(self, lines: bounds.Numbers) -> tuple[Any, Any]:
        """Verdicts at or above each line, and the wrong ones among them."""
        above = self.confidences[None, :] >= lines[:, None]
        return above.sum(axis=1), (above & self.wrong[None, :]).sum(axis=1)


def _columns(ones: Sequence[Audited]) -> tuple[Any, Any]:
    return np.array([one.confidence for one in ones], float), np.array([one.wrong for one in ones], bool)


def fingerprint(release: Release, embedder: str, calibration: Calibration, writer: Writer) -> Fingerprint:
    """Everything that changes answers or their confidence; of who writes them what serves, which need not be what the
    release names. Not the curated revision: an approved answer is sent word for word. Not the line: moving it is what a
    certificate is for, save the one of what words alone speak for, which no certificate moves."""
    model = (calibration.names, calibration.centres, calibration.scales, calibration.coefficients)
    fitted = hashlib.sha256(repr((model, calibration.intercept)).encode()).hexdigest()[:16]
    alone = (("words alone", repr(sorted(calibration.by_words.items()))),) if calibration.by_words else ()
    return (
        ("index", release.index_version),
        ("embedder", embedder),
        ("model", writer.name),
        ("prompt", writer.prompt),
        ("confidence", fitted),
        *alone,
    )


def changed(certificate: Certificate, now: Fingerprint) -> tuple[str, ...]:
    """The names of what is not what the certificate was fitted on."""
    before, after = dict(certificate.fitted_on), dict(now)
    return tuple(name for name in {**before, **after} if before.get(name) != after.get(name))


def holds_for(certificate: Certificate, now: Fingerprint) -> bool:
    return certificate.state is State.CERTIFIED and not changed(certificate, now)


def invalidated(certificate: Certificate, by: tuple[str, ...]) -> Certificate:
    """The same certificate, ended; its conservative line is in force from now on."""
    return replace(certificate, state=State.INVALIDATED, invalidated_by=by)


def watched(certificate: Certificate, later: Sequence[Audited]) -> Certificate:
    """Ended when verdicts drawn after it say that the promise is broken now, else as it was.

    False alarms, over any number of calls on a growing `later`: at most 1 - assurance for each group.
    """
    if certificate.state is not State.CERTIFIED:
        return certificate
    groups = [(line.language, line.route) for line in certificate.lines]
    budget = certificate.budget
    for line in certificate.lines:
        mine = [one for one in later if group_of(one, groups) == (line.language, line.route)]
        sample = Sample.of(mine, budget, line.line)
        if _alarm([one.wrong for one in sample.ones], budget.max_wrong_rate, 1 - budget.assurance):
            return invalidated(certificate, ("audit",))
    return certificate


def _alarm(wrong: Sequence[bool], rate: float, risk: float) -> bool:
    """A bet that from some verdict on more than `rate` are wrong, spread over when it begins and how many: while the
    promise holds it multiplies its stake by 1/`risk` with probability at most `risk` (Ville's inequality)."""
    worse = rate + (1 - rate) * np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
    capital = np.zeros(len(worse))
    for number, bad in enumerate(wrong, 1):
        capital = (capital + 1 / (number * (number + 1))) * (worse / rate if bad else (1 - worse) / (1 - rate))
        if capital.mean() + 1 / (number + 1) >= 1 / risk:
            return True
    return False


_STATED = {
    "en": {
        State.CERTIFIED: "Certified: at most {rate} of the answers sent automatically are wrong, with an assurance of "
        "{assurance} ({errors} of {n} audited questions were wrong).",
        State.NOT_CERTIFIABLE: "Not certifiable yet: {needed} more audited answers needed ({errors} of {n} audited "
        "questions were wrong).",
        State.INVALIDATED: "No longer certified, because of: {by}.",
    },
    "zh": {
        State.CERTIFIED: "已认证：自动发送的回答中错误不超过 {rate}，把握 {assurance}"
        "（抽查 {n} 个问题，{errors} 个有错）。",
        State.NOT_CERTIFIABLE: "暂时无法认证：还需抽查 {needed} 个回答（已抽查 {n} 个问题，{errors} 个有错）。",
        State.INVALIDATED: "认证已失效，原因：{by}。",
    },
}


def stated(certificate: Certificate, language: str = "en") -> str:
    """The state in one sentence; in English where the language is not known. Which line is in force meanwhile is the
    running system's to say: `budgeting.BudgetState.stated`."""
    budget = certificate.budget
    return _STATED.get(language, _STATED["en"])[certificate.state].format(
        rate=f"{budget.max_wrong_rate:.1%}",
        assurance=f"{budget.assurance:.1%}",
        errors=certificate.errors,
        n=certificate.n,
        needed=certificate.needed,
        by=_causes(certificate.invalidated_by, language),
    )


_CAUSES_ZH = {
    "index": "索引",
    "embedder": "向量模型",
    "model": "模型",
    "prompt": "提示词",
    "confidence": "置信度模型",
    "audit": "抽查结果",
}


def _causes(names: Sequence[str], language: str) -> str:
    return "、".join(_CAUSES_ZH.get(name, name) for name in names) if language == "zh" else ", ".join(names)
