"""The audit and what is promised on it, as the Quality page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router.errors import IndexUnavailable, NotFound
from services.api.state import Shared
from services.review.audit import Audited
from services.review.budget import Certificate, GroupLine, State
from services.review.budgeting import BudgetState
from services.review.quality import (
    CurvePoint,
    ReliabilityBin,
    coverage_risk_curve,
    expected_calibration_error,
    reliability,
)

_HISTORY = 20  # certificates that are shown


@dataclass(frozen=True, slots=True)
class Look:
    """A certificate as it was written; what holds now is said above it."""

    created: str
    who: str
    release: str
    found: Certificate


@dataclass(frozen=True, slots=True)
class Audit:
    """stated: the promise in one sentence, "" while nothing is served. verdicts: on answers that the audit drew.
    undecided: drawn answers that wait for a verdict. rate, assurance: what is promised, 0..1. lines: of languages and
    routes, while they hold. history: the newest first."""

    stated: str
    verdicts: int
    undecided: int
    rate: float
    assurance: float
    curve: tuple[CurvePoint, ...]
    reliability: tuple[ReliabilityBin, ...]
    calibration_error: float
    lines: tuple[GroupLine, ...]
    history: tuple[Look, ...]


async def audit_of(here: Shared, language: str) -> Audit:
    budget = here.system.budget
    try:
        audited = await budget.audited()
    except (NotFound, IndexUnavailable):  # the release names what is not here any more
        audited = []
    kept = await here.system.store.reviews.certificates(_HISTORY)
    looks = tuple(Look(one.created, one.who, one.release_id, Certificate.from_json(one.payload)) for one in kept)
    return drawn(here, audited, budget.last, looks, language)


def drawn(
    here: Shared, audited: Sequence[Audited], state: BudgetState | None, looks: tuple[Look, ...], language: str
) -> Audit:
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
        _lines(state),
        looks,
    )


def _lines(state: BudgetState | None) -> tuple[GroupLine, ...]:
    """Those of an ended certificate are in force nowhere."""
    found = state.certificate if state else None
    return () if found is None or found.state is State.INVALIDATED else found.lines
