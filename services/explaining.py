"""Why an answer is what it is: its trace as rows that a support lead can read, with what each feature did."""

from __future__ import annotations

from typing import Any

from router import checking, confidence, likelihood, packing, support
from router.confidence import Calibration
from router.types import Route, Trace

MEANING = {
    **confidence.MEANING,
    **support.MEANING,
    **checking.MEANING,
    **likelihood.MEANING,
    **checking.COUNTED,
    **packing.COUNTED,
}


def explanation(trace: Trace, calibration: Calibration | None) -> dict[str, Any]:
    """calibration: the one of the trace's release; None when it is gone, then no feature has a pull."""
    answer = trace.answer
    return {
        "id": trace.id,
        "created": trace.created,
        "question": trace.question.text,
        "standalone": trace.standalone or trace.question.text,
        "language": trace.language,
        "route": answer.route.value,
        "answer": answer.text,
        "confidence": round(answer.confidence, 4),
        "line": _line(trace, calibration) if calibration else None,
        "reason": answer.reason,
        "model": answer.model,
        "release": trace.release,
        "curated": dict(trace.curated),
        "features": feature_rows(trace, calibration),
        "passages": [_passage_row(dict(one)) for one in trace.candidates],
        "timings_ms": dict(trace.timings_ms),
    }


def _line(trace: Trace, calibration: Calibration) -> float | None:
    """The line that decided; None where none did: small talk has no doubt, and matching has a line of its own unless
    the error budget has set one."""
    route = trace.answer.route
    if route in (Route.GROUNDED, Route.ABSTAINED):
        return calibration.line_of(trace.features, trace.language)
    return calibration.line_for(trace.language, route.value) if route is Route.CURATED and calibration.lines else None


def feature_rows(trace: Trace, calibration: Calibration | None) -> list[dict[str, Any]]:
    """Strongest pull first. pull: log-odds that the feature adds to, or takes from, the average answer's."""
    pulls = calibration.pulls(trace.features) if calibration else {}
    rows = [
        {
            "feature": name,
            "value": round(value, 4),
            "pull": round(pulls[name], 3) if name in pulls else None,
            "meaning": MEANING.get(name, ""),
        }
        for name, value in trace.features.items()
    ]
    return sorted(rows, key=lambda row: -abs(row["pull"] or 0.0))


def _passage_row(candidate: dict[str, Any]) -> dict[str, Any]:
    scores = "  ".join(f"{name} {score:.3f}" for name, score in candidate["scores"].items())
    return {
        "document": candidate["document"],
        "fused": candidate["fused"],
        "scores": scores,
        "id": candidate["passage_id"],
    }
