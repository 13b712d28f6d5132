"""The audit and its certificate, as the console shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.api.state import Shared
from services.review.audit import Audited, Budget
from services.review.budget import Certificate, stated
from services.review.quality import (
    CurvePoint,
    ReliabilityBin,
    coverage_risk_curve,
    expected_calibration_error,
    reliability,
)


@dataclass(frozen=True, slots=True)
class Audit:
    """stated: the certificate in one sentence, "" where none was made yet. verdicts: of the audit."""

    stated: str
    verdicts: int
    budget: Budget
    curve: tuple[CurvePoint, ...]
    reliability: tuple[ReliabilityBin, ...]
    calibration_error: float


async def audit_of(here: Shared, language: str) -> Audit:
    """For now there is no source of audited answers: filled in by the recertifying service."""
    del here
    return drawn((), None, language)


def drawn(audited: Sequence[Audited], certificate: Certificate | None, language: str) -> Audit:
    table = reliability(audited)
    return Audit(
        stated(certificate, language) if certificate else "",
        len(audited),
        certificate.budget if certificate else Budget(),
        coverage_risk_curve(audited),
        table,
        expected_calibration_error(table),
    )
