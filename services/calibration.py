"""`answerloop calibrate`: fit the confidence model on question files, and find the line.

Every question is asked with the line at 0, so that each has an answer; whether it was right is the label. The model is
a logistic regression; its probabilities are judged, and the line is found, on answers that it was not fitted on
(cross-validation by question, five folds).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from router.confidence import Calibration
from router.errors import InvalidInput, NotFound
from router.ports import Progress
from services.compose import packaged_calibration
from services.evaluation import Asked, ask_rows, foreign, read_rows
from services.indexing import release_with
from services.settings import Settings
from services.store.sql import SqlStore

MOST_WRONG = 0.2
"""Share of answers sent that may lack something that was asked for, by the out-of-fold probabilities. A promise, not a
fit: at 0.2, 4 % of the unanswerable questions on product documents get an answer; at 0.1 none, at half the coverage."""
_FEWEST = 30  # answers; fewer fit noise
_FOLDS = 5
_FOREIGN = 100  # questions of each paragraph file that are also asked of the served documents
_BINS = 10

Matrix = npt.NDArray[np.float64]


def run_calibrate(settings: Settings, files: Sequence[Path], progress: Progress) -> dict[str, Any]:
    """Fit, store, and activate a release that uses it. Returns the calibration as JSON."""
    fitted = fit_files(settings, files, progress)
    asyncio.run(_activate(settings, fitted))
    return fitted.to_json()


def show_calibration(settings: Settings) -> dict[str, Any]:
    """The one that is served now. Raises NotFound when there is no release."""
    from services.compose import calibration_of

    async def read() -> Calibration:
        with SqlStore.open(settings.store_url) as store:
            active = await store.active_release()
            if active is None:
                raise NotFound("no release yet; make one with `answerloop index`")
            return await calibration_of(store, active.calibration)

    return asyncio.run(read()).to_json()


def fit_files(settings: Settings, files: Sequence[Path], progress: Progress) -> Calibration:
    """Raises InvalidInput when the files hold too few questions, or only right or only wrong answers.

    Questions about the paragraphs of one file are asked of the served documents too: those are the questions that
    documents do not answer, of which people write too few.
    """
    everything = replace(packaged_calibration(), line=0.0)
    rows = {path.name: read_rows(path) for path in files}
    outside = [foreign(row) for each in rows.values() if each[0].context is not None for row in each[:_FOREIGN]]
    asked = {name: ask_rows(settings, each, everything, progress) for name, each in rows.items()}
    if outside and any(each[0].context is None for each in rows.values()):
        asked["questions about other texts"] = ask_rows(settings, outside, everything, progress)
    return fit(asked)


def fit(asked: Mapping[str, Sequence[Asked]]) -> Calibration:
    """asked: by file. Every file counts the same, however many questions it has."""
    pairs = [(one, 1 / len(each)) for each in asked.values() for one in each if one.trace.features]
    usable = [one for one, _ in pairs]
    weights = np.array([weight for _, weight in pairs]) * len(pairs) / len(asked)
    labels = np.array([one.right for one in usable], float)
    if len(usable) < _FEWEST or not 0 < labels.sum() < len(labels):
        raise InvalidInput(
            f"{len(usable)} answers, {int(labels.sum())} of them right: "
            f"a fit needs at least {_FEWEST}, right ones and wrong ones"
        )
    names = sorted({name for one in usable for name in one.trace.features})
    rows = np.array([[one.trace.features.get(name, np.nan) for name in names] for one in usable])
    centres = np.nanmean(rows, axis=0)
    rows = np.where(np.isnan(rows), centres, rows)
    scales = np.maximum(rows.std(axis=0), 1e-3)
    scaled = (rows - centres) / scales
    held_out = _held_out(scaled, labels, weights)
    coefficients, intercept = _logistic(scaled, labels, weights)
    fitted = Calibration(
        id="",
        created=datetime.now(UTC).date().isoformat(),
        data={name: len(each) for name, each in asked.items()},
        names=tuple(names),
        centres=_rounded(centres),
        scales=_rounded(scales),
        coefficients=_rounded(coefficients),
        intercept=round(float(intercept), 5),
        line=_line(held_out, labels, weights),
        quality=_quality(held_out, labels),
    )
    content = json.dumps({**fitted.to_json(), "created": ""}, sort_keys=True)
    return replace(fitted, id=hashlib.sha256(content.encode()).hexdigest()[:16])


def _logistic(rows: Matrix, labels: Matrix, weights: Matrix) -> tuple[Matrix, float]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.3, max_iter=1000).fit(rows, labels, weights)  # C: flat between 0.1 and 1
    return model.coef_[0], float(model.intercept_[0])


def _held_out(rows: Matrix, labels: Matrix, weights: Matrix) -> Matrix:
    """The probability of each row by a model that did not see it."""
    fold = np.random.default_rng(0).permutation(len(labels)) % _FOLDS
    out = np.zeros(len(labels))
    for number in range(_FOLDS):
        test = fold == number
        if 0 < labels[~test].sum() < (~test).sum():
            coefficients, intercept = _logistic(rows[~test], labels[~test], weights[~test])
            out[test] = 1 / (1 + np.exp(-(rows[test] @ coefficients + intercept)))
        else:
            out[test] = labels[~test].mean()
    return out


def _line(probabilities: Matrix, labels: Matrix, weights: Matrix) -> float:
    """The lowest line above which at most MOST_WRONG of the answers are wrong; 0.99 when there is none."""
    order = np.argsort(-probabilities)
    wrong = np.cumsum((1 - labels[order]) * weights[order]) / np.cumsum(weights[order])
    good = np.flatnonzero(wrong <= MOST_WRONG)
    return round(float(probabilities[order][good[-1]]), 4) if len(good) else 0.99


def _quality(probabilities: Matrix, labels: Matrix) -> dict[str, Any]:
    """Expected calibration error (ten bins of equal width), Brier score, and the reliability table."""
    bins = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
    table = [
        {
            "from": number / _BINS,
            "answers": int((bins == number).sum()),
            "said": round(float(probabilities[bins == number].mean()), 4),
            "right": round(float(labels[bins == number].mean()), 4),
        }
        for number in range(_BINS)
        if (bins == number).any()
    ]
    error = sum(row["answers"] * abs(row["said"] - row["right"]) for row in table) / len(labels)
    return {
        "expected_calibration_error": round(float(error), 4),
        "brier": round(float(((probabilities - labels) ** 2).mean()), 4),
        "answers": len(labels),
        "right": int(labels.sum()),
        "reliability": table,
    }


def _rounded(values: Matrix) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in values)


async def _activate(settings: Settings, fitted: Calibration) -> None:
    with SqlStore.open(settings.store_url) as store:
        kept = await store.put_calibration(fitted.to_json())
        active = await store.active_release()
        if active is not None:
            await release_with(store, active, "calibrate", calibration=kept)
