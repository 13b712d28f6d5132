"""`answerloop calibrate`: fit the confidence model on question files, and find the line.

Every question is asked with the line at 0, so that each has an answer; whether it was right is the label. The model is
a logistic regression that begins with the packaged one. Its probabilities are judged, and the line is found, on
answers that it was not fitted on (cross-validation by question, five folds, ten times).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from router.confidence import EITHER_WAY, Calibration
from router.errors import InvalidInput, NotFound
from router.ports import Progress
from services.compose import packaged_calibration
from services.evaluation import Asked, ask_rows, foreign, read_rows
from services.indexing import release_with
from services.review.bounds import upper
from services.settings import Settings
from services.store.sql import SqlStore

MOST_WRONG = 0.15
"""Share of answers sent that may lack something that was asked for, on questions like the labelled ones. With the next
figure the promise that the line keeps; both are the product's to choose, not fitted. What must stay below it is not the
share that was seen, but the most that it may truly be: the fewer the questions, the higher the line."""
_ASSURANCE = 0.95
MOST_UNANSWERABLE = 0.05
"""Share of the unanswerable questions that may get an answer all the same. Counted in files that have answerable ones
too: questions about other texts are too easy to refuse to promise anything by."""
_FEW = 20  # unanswerable questions; with fewer, the packaged line holds if it is higher
_FEWEST = 30  # answers; fewer fit noise
_FOLDS = 5
_FOLDINGS = 10
_FOREIGN = 100  # questions of each paragraph file that are also asked of the served documents
_BINS = 10
_PENALTY = 40.0
"""Of a squared coefficient's distance from where it begins: the packaged model, so that few questions move it little.
Between 10 and 60 alike in ranking by cross-validation on the packaged data; the probabilities are nearest to the
shares at 40."""

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
    everything = replace(packaged_calibration(), line=0.0, origin="fitted")
    rows = {path.name: read_rows(path) for path in files}
    outside = [foreign(row) for each in rows.values() if each[0].context is not None for row in each[:_FOREIGN]]
    asked = {name: ask_rows(settings, each, everything, progress) for name, each in rows.items()}
    if outside and any(each[0].context is None for each in rows.values()):
        asked["questions about other texts"] = ask_rows(settings, outside, everything, progress)
    return fit(asked, packaged_calibration())


def fit(asked: Mapping[str, Sequence[Asked]], start: Calibration, penalty: float = _PENALTY) -> Calibration:
    """asked: by file; every file counts the same, however many questions it has. start: the model to begin with; where
    it names no features, nothing is known of any of them. penalty: see `_PENALTY`."""
    pairs = [(one, 1 / len(each)) for each in asked.values() for one in each if one.trace.features]
    near = {id(one) for each in asked.values() if any(o.row.answerable for o in each) for one in each}
    usable = [one for one, _ in pairs]
    labels = np.array([one.right for one in usable], float)
    if len(usable) < _FEWEST or not 0 < labels.sum() < len(labels):
        raise InvalidInput(
            f"{len(usable)} answers, {int(labels.sum())} of them right: "
            f"a fit needs at least {_FEWEST}, right ones and wrong ones"
        )
    weights = np.array([weight for _, weight in pairs]) * len(pairs) / len(asked)
    outside = np.array([not one.row.answerable and id(one) in near for one in usable])
    space = _Space.of(usable, start)
    held_out = _held_out(space, labels, weights, penalty)
    coefficients, intercept = _logistic(space, np.ones(len(labels), bool), labels, weights, penalty)
    fitted = Calibration(
        id="",
        created=datetime.now(UTC).date().isoformat(),
        data={name: len(each) for name, each in asked.items()},
        names=space.names,
        centres=_rounded(space.centres),
        scales=_rounded(space.scales),
        coefficients=_rounded(coefficients),
        intercept=round(intercept, 5),
        line=find_line(held_out, labels, weights, outside, start.line),
        quality=_quality(held_out, labels),
    )
    content = json.dumps({**fitted.to_json(), "created": ""}, sort_keys=True)
    return replace(fitted, id=hashlib.sha256(content.encode()).hexdigest()[:16])


@dataclass(frozen=True)
class _Space:
    """Features as a matrix of distances from their centres, in their scales; a missing one is at its centre.
    before: the coefficients to begin with, the intercept last."""

    names: tuple[str, ...]
    centres: Matrix
    scales: Matrix
    rows: Matrix
    before: Matrix

    @classmethod
    def of(cls, usable: Sequence[Asked], start: Calibration) -> _Space:
        """Centres and scales are those of the model to begin with, where it has them: else they mean nothing here."""
        names = start.names or tuple(sorted({name for one in usable for name in one.trace.features}))
        raw = np.array([[one.trace.features.get(name, np.nan) for name in names] for one in usable])
        centres = np.array(start.centres) if start.names else np.nanmean(raw, axis=0)
        scales = np.array(start.scales) if start.names else np.maximum(np.nanstd(raw, axis=0), 1e-3)
        before = np.array([*(start.coefficients or np.zeros(len(names))), start.intercept])
        return cls(names, centres, scales, np.nan_to_num((raw - centres) / scales), before)


def _logistic(
    space: _Space, chosen: npt.NDArray[np.bool_], labels: Matrix, weights: Matrix, penalty: float
) -> tuple[Matrix, float]:
    """Logistic regression on the chosen rows, pulled towards `space.before`; support never lowers the probability."""
    from scipy.optimize import minimize

    rows = np.column_stack((space.rows[chosen], np.ones(int(chosen.sum()))))
    signs, share = 2 * labels[chosen] - 1, weights[chosen]

    def loss(at: Matrix) -> tuple[float, Matrix]:
        margins, moved = signs * (rows @ at), at - space.before
        slope = -signs * share / (1 + np.exp(np.clip(margins, -500, 500)))
        total = float((share * np.logaddexp(0, -margins)).sum() + penalty * (moved[:-1] ** 2).sum())
        return total, rows.T @ slope + 2 * penalty * np.append(moved[:-1], 0.0)

    bounds = [(None if name in EITHER_WAY else 0.0, None) for name in space.names]
    found = minimize(loss, np.maximum(space.before, 0), jac=True, method="L-BFGS-B", bounds=[*bounds, (None, None)]).x
    return found[:-1], float(found[-1])


def _held_out(space: _Space, labels: Matrix, weights: Matrix, penalty: float) -> Matrix:
    """The probability of each row by models that did not see it: the mean of several foldings, because a line that was
    found on a lucky one promises too much."""
    out = np.zeros(len(labels))
    for folding in range(_FOLDINGS):
        fold = np.random.default_rng(folding).permutation(len(labels)) % _FOLDS
        for number in range(_FOLDS):
            test = fold == number
            coefficients, intercept = _logistic(space, ~test, labels, weights, penalty)
            out[test] += 1 / (1 + np.exp(-(space.rows[test] @ coefficients + intercept))) / _FOLDINGS
    return out


def find_line(
    probabilities: Matrix, labels: Matrix, weights: Matrix, outside: npt.NDArray[np.bool_], packaged: float
) -> float:
    """The lowest line that keeps both promises; 0.99 when none does. With few unanswerable questions to judge by,
    never below the packaged one. outside: which questions are unanswerable, and near enough to count."""
    order = np.argsort(-probabilities, kind="stable")
    sent = np.cumsum(outside[order]) / max(int(outside.sum()), 1)
    wrong = _most_wrong(labels[order], weights[order])
    good = np.flatnonzero((wrong <= MOST_WRONG) & (sent <= MOST_UNANSWERABLE))
    line = round(float(probabilities[order][good[-1]]), 4) if len(good) else 0.99
    return max(line, packaged) if outside.sum() < _FEW else line


def _most_wrong(labels: Matrix, weights: Matrix) -> Matrix:
    """Of the answers up to each one: the share that the truly wrong one is above in at most 5 % of such samples
    (Clopper and Pearson). Weighted answers say as much as Kish's effective number of plain ones, (Σw)² / Σw²."""
    total = np.cumsum(weights)
    drawn = total**2 / np.cumsum(weights**2)
    wrong = np.cumsum((1 - labels) * weights) / total * drawn
    return np.array([upper(*pair, 1 - _ASSURANCE) for pair in zip(wrong.tolist(), drawn.tolist(), strict=True)])


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
