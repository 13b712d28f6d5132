"""The audit and what is promised on it, as the Quality page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router.errors import IndexUnavailable, NotFound
from services.api.state import Shared
from services.review.audit import Audited
from services.review.budgeting import BudgetState
from services.review.quality import (
    CurvePoint,
    ReliabilityBin,
    coverage_risk_curve,
    expected_calibration_error,
    reliability,
)


@dataclass(frozen=True, slots=True)
class Audit:
    """stated: the promise in one sentence, "" while nothing is served. verdicts: on answers that the audit drew.
    undecided: drawn answers that wait for a verdict. rate, assurance: what is promised, 0..1."""

    stated: str
    verdicts: int
    undecided: int
    rate: float
    assurance: float
    curve: tuple[CurvePoint, ...]
    reliability: tuple[ReliabilityBin, ...]
    calibration_error: float


async def audit_of(here: Shared, language: str) -> Audit:
    budget = here.system.budget
    try:
        audited = await budget.audited()
    except (NotFound, IndexUnavailable):  # the release names what is not here any more
        audited = []
    return drawn(here, audited, budget.last, language)


def drawn(here: Shared, audited: Sequence[Audited], state: BudgetState | None, language: str) -> Audit:
    table = reliability(audited)
    return Audit(
        state.stated(language) if state else "",
        len(audited),
        state.undecided if state else 0,
        here.settings.max_wrong_rate,
        here.settings.assurance,
        coverage_risk_curve(audited),
        table,
        expected_calibration_error(table),
    )
