"""`answerloop calibrate`: fit the confidence model on question files, and find the line.

Every question is asked with the line at 0, so that each has an answer; whether it was right is the label. The model is
a logistic regression that begins with the packaged one. Its probabilities are judged, and the line is found, on
answers that it was not fitted on (cross-validation by question, five folds, ten times).

Where a language model wrote the answers, how sure it was of its words and how well passages support them are fitted
too. The packaged one knows nothing of them; they begin at no pull, and an answer that is quoted has none of them, so
they pull nowhere there. What is refused whatever its confidence (a model left nothing to say, the figure that is asked
for is missing) is not fitted: it is never sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from router import checking, likelihood
from router.confidence import EITHER_WAY, OF_THE_EMBEDDER, UNFITTED, WITNESS, Calibration
from router.errors import InvalidInput
from router.ports import Progress
from router.types import Route
from services.activation import serve
from services.calibration_lines import Answers, Lines, Matrix, find_lines
from services.calibrations import for_index, packaged_calibration, under
from services.compose import index_home
from services.evaluation import Asked, ask_rows, foreign, read_rows, served_calibration, writing
from services.indexing import release_with
from services.review.rehearsal import Tell, untold, written
from services.settings import Settings
from services.store.sql import SqlStore

_FEWEST = 30  # answers; fewer fit noise
_FOLDS = 5
_FOLDINGS = 10
_FOREIGN = 100  # questions of each paragraph file that are also asked of the served documents
_BINS = 10
_PENALTY = 40.0
"""Of a squared coefficient's distance from where it begins: the packaged model, so that few questions move it little.
Between 10 and 60 alike in ranking by cross-validation on the packaged data; the probabilities are nearest to the
shares at 40."""

WRITTEN = (*checking.MEANING, *likelihood.MEANING)
"""Features of an answer that a language model wrote; see `router.checking` and `router.likelihood`."""


def run_calibrate(
    settings: Settings, files: Sequence[Path], progress: Progress, tell: Tell = untold, force: bool = False
) -> dict[str, Any]:
    """Fit, store, and activate a release that uses it. Returns the calibration as JSON, and as `activation` what the
    release changes, if there is an index. force, tell: see `services.activation.serve`.

    What is shown are quotes. Where a model writes, the line was found for what it writes, so that quotes are no reason
    to wait."""
    fitted = fit_files(settings, files, progress)
    with SqlStore.open(settings.store_url) as store:
        kept = asyncio.run(store.put_calibration(fitted.to_json()))
        active = asyncio.run(store.active_release())
        if active is None:
            return fitted.to_json()
        made = asyncio.run(release_with(store, active, "calibrate", calibration=kept))
        done = serve(settings, store, active, made, "calibrate", progress, tell, force, written(settings, active))
    return {**fitted.to_json(), "activation": asdict(done)}


def show_calibration(settings: Settings) -> dict[str, Any]:
    """The one that is served now; before the first release, the packaged one, which the first will be served with."""
    return served_calibration(settings).to_json()


def fit_files(settings: Settings, files: Sequence[Path], progress: Progress) -> Calibration:
    """Raises InvalidInput when the files hold too few questions, or only right or only wrong answers.

    Questions about the paragraphs of one file are asked of the served documents too: those are the questions that
    documents do not answer, of which people write too few.
    """
    everything = replace(packaged_calibration().with_line(0.0), origin="fitted")
    rows = {path.name: read_rows(path) for path in files}
    outside = [foreign(row) for each in rows.values() if each[0].context is not None for row in each[:_FOREIGN]]
    if outside and any(each[0].context is None for each in rows.values()):
        rows["questions about other texts"] = outside
    with writing(settings, progress) as writer:
        asked = {name: ask_rows(settings, each, everything, progress, writer) for name, each in rows.items()}
    return fit(asked, _start(settings))


def _start(settings: Settings) -> Calibration:
    """The packaged one, as it holds for the documents that are served."""
    with SqlStore.open(settings.store_url) as store:
        active = asyncio.run(store.active_release())
    packaged = under(settings, packaged_calibration())
    return for_index(packaged, index_home(settings), active.index_version) if active else packaged


def fit(asked: Mapping[str, Sequence[Asked]], start: Calibration, penalty: float = _PENALTY) -> Calibration:
    """asked: by file; every file counts the same, however many questions it has. start: the model to begin with; where
    it names no features, nothing is known of any of them. penalty: see `_PENALTY`."""
    pairs = [(one, 1 / len(each)) for each in asked.values() for one in each if _has_answer(one)]
    near = {id(one) for each in asked.values() if any(o.row.answerable for o in each) for one in each}
    usable = [one for one, _ in pairs]
    labels = np.array([one.right for one in usable], float)
    if len(usable) < _FEWEST or not 0 < labels.sum() < len(labels):
        raise InvalidInput(
            f"{len(usable)} answers, {int(labels.sum())} of them right: "
            f"a fit needs at least {_FEWEST}, right ones and wrong ones"
        )
    weights = np.array([weight for _, weight in pairs]) * len(pairs) / len(asked)
    languages = np.array([one.trace.language for one in usable])
    outside = np.array([_outside(one, near) for one in usable])
    refused = Counter(
        one.trace.language
        for each in asked.values()
        for one in each
        if _refused(one) and _outside(one, near) and one.trace.features.get(WITNESS) != 0.0
    )
    space = _Space.of(usable, start)
    held_out = _held_out(space, labels, weights, penalty)
    by_words = np.array([one.trace.features.get(WITNESS) == 0.0 for one in usable])
    answers = Answers(held_out, labels, weights, languages, outside, by_words)
    lines = find_lines(answers, Lines(start.line, start.by_language, start.by_words), refused)
    coefficients, intercept = _logistic(space, np.ones(len(labels), bool), labels, weights, penalty)
    return identified(
        Calibration(
            id="",
            created=datetime.now(UTC).date().isoformat(),
            data={name: len(each) for name, each in asked.items()},
            names=space.names,
            centres=_rounded(space.centres),
            scales=_rounded(space.scales),
            coefficients=_rounded(coefficients),
            intercept=round(intercept, 5),
            line=lines.line,
            by_language=lines.by_language,
            by_words=dict(lines.by_words),
            quality={**quality(held_out, labels), "by_a_model": sum(map(_written, usable)), "refused": refused.total()},
            embedder=start.embedder,
        )
    )


def identified(fitted: Calibration) -> Calibration:
    """With the hash of its content as its id."""
    content = json.dumps({**fitted.to_json(), "created": ""}, sort_keys=True)
    return replace(fitted, id=hashlib.sha256(content.encode()).hexdigest()[:16])


def _outside(one: Asked, near: Collection[int]) -> bool:
    """near: ids of the questions of files that have answerable ones too."""
    return not one.row.answerable and id(one) in near


def _written(one: Asked) -> bool:
    """Whether a language model wrote it."""
    return any(name in one.trace.features for name in WRITTEN)


def _refused(one: Asked) -> bool:
    """Whether nothing could be sent, although the line is at 0: a model left nothing, or what is asked for is missing,
    or the passage is about something else."""
    return bool(one.trace.features) and one.trace.answer.route in (Route.ABSTAINED, Route.CLARIFY)


def _has_answer(one: Asked) -> bool:
    return bool(one.trace.features) and not _refused(one)


@dataclass(frozen=True)
class _Space:
    """Features as a matrix of distances from their centres, in their scales; a missing one is at its centre.
    before: the coefficients to begin with, the intercept last. known: log-odds of each row that are not fitted.
    holds_intercept: whether the penalty is on the intercept, too."""

    names: tuple[str, ...]
    centres: Matrix
    scales: Matrix
    rows: Matrix
    before: Matrix
    known: Matrix
    holds_intercept: bool = False

    @classmethod
    def of(cls, usable: Sequence[Asked], start: Calibration) -> _Space:
        """Centres and scales are those of the model to begin with, where it has them: else they mean nothing here."""
        more = _new_names([one.trace.features for one in usable], start)
        names = (*start.names, *more)
        raw = np.array([[one.trace.features.get(name, np.nan) for name in names] for one in usable])
        new = raw[:, len(start.names) :]
        centres = np.append(start.centres, np.nanmean(new, axis=0))
        scales = np.append(start.scales, np.maximum(np.nanstd(new, axis=0), 1e-3))
        before = np.array([*start.coefficients, *np.zeros(len(more)), start.intercept])
        return cls(names, centres, scales, np.nan_to_num((raw - centres) / scales), before, np.zeros(len(raw)))


def _new_names(rows: Sequence[Mapping[str, float]], start: Calibration) -> tuple[str, ...]:
    """Features to fit that the model to begin with does not know: those of written answers and of another embedder,
    where enough have them; all of them, where it knows none."""
    if not start.names:
        return tuple(sorted({name for row in rows for name in row} - UNFITTED))
    had = Counter(name for row in rows for name in row)
    more = (*WRITTEN, *OF_THE_EMBEDDER)
    return tuple(name for name in more if name not in start.names and had[name] >= _FEWEST)


def _logistic(
    space: _Space, chosen: npt.NDArray[np.bool_], labels: Matrix, weights: Matrix, penalty: float
) -> tuple[Matrix, float]:
    """Logistic regression on the chosen rows, pulled towards `space.before`; support never lowers the probability."""
    from scipy.optimize import minimize

    rows = np.column_stack((space.rows[chosen], np.ones(int(chosen.sum()))))
    signs, share = 2 * labels[chosen] - 1, weights[chosen]
    held = np.append(np.full(len(space.names), penalty), space.holds_intercept * penalty)
    known = space.known[chosen]

    def loss(at: Matrix) -> tuple[float, Matrix]:
        margins, moved = signs * (rows @ at + known), at - space.before
        slope = -signs * share / (1 + np.exp(np.clip(margins, -500, 500)))
        total = float((share * np.logaddexp(0, -margins)).sum() + (held * moved**2).sum())
        return total, rows.T @ slope + 2 * held * moved

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
            odds = space.rows[test] @ coefficients + intercept + space.known[test]
            out[test] += 1 / (1 + np.exp(-odds)) / _FOLDINGS
    return out


# --- what another model says of itself, under a calibration that is there ---------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """An answer that a language model wrote, before the line: its features, and whether it is right."""

    features: Mapping[str, float]
    right: bool


@dataclass(frozen=True, slots=True)
class Adapted:
    """calibration: the one to serve the model with. report: how well its probabilities and those of the one before fit
    the answers, and whether it is another one."""

    calibration: Calibration
    report: dict[str, Any]


def adapt(live: Calibration, said: Sequence[Said]) -> Adapted:
    """The calibration that is served, fitted to another model's answers: what the model says of itself, and by how much
    its answers are right more or less often than what is served now. All else, the line too, stays: the answers are of
    a dataset's rows, which bring their own passages, so they say nothing about the search.

    Kept only if it judges answers that it was not fitted on no worse than the one before (Brier score).
    """
    labels = np.array([one.right for one in said], float)
    before = quality(np.array([live.probability(one.features) for one in said]), labels) if said else {"answers": 0}
    report = {"answers": len(said), "right": int(labels.sum()), "needed": _FEWEST, "before": before, "after": None}
    names = _new_names([one.features for one in said], _without_written(live))
    if len(said) < _FEWEST or not 0 < labels.sum() < len(labels) or not names:
        why = f"too few to fit on: {_FEWEST} answers are needed, right ones and wrong ones"
        return Adapted(live, {**report, "fitted": False, "says": why})
    space, even = _written_space(live, said, names), np.ones(len(said))
    after = quality(_held_out(space, labels, even, _PENALTY), labels)
    if after["brier"] > before["brier"]:
        why = "the calibration that is served judges its answers better than one fitted on them"
        return Adapted(live, {**report, "after": after, "fitted": False, "says": why})
    coefficients, intercept = _logistic(space, even > 0, labels, even, _PENALTY)
    fitted = _joined(live, space, coefficients, intercept, after)
    return Adapted(fitted, {**report, "after": after, "fitted": True, "says": "fitted to the model's answers"})


def _without_written(live: Calibration) -> Calibration:
    """What an earlier model said of itself says nothing about this one."""
    kept = [at for at, name in enumerate(live.names) if name not in WRITTEN]
    return replace(
        live,
        names=tuple(live.names[at] for at in kept),
        centres=tuple(live.centres[at] for at in kept),
        scales=tuple(live.scales[at] for at in kept),
        coefficients=tuple(live.coefficients[at] for at in kept),
    )


def _written_space(live: Calibration, said: Sequence[Said], names: tuple[str, ...]) -> _Space:
    raw = np.array([[one.features.get(name, np.nan) for name in names] for one in said])
    centres, scales = np.nanmean(raw, axis=0), np.maximum(np.nanstd(raw, axis=0), 1e-3)
    rows = np.nan_to_num((raw - centres) / scales)
    base = _without_written(live)
    known = np.array([base.intercept + sum(base.pulls(one.features).values()) for one in said])
    return _Space(names, centres, scales, rows, np.zeros(len(names) + 1), known, holds_intercept=True)


def _joined(
    live: Calibration, space: _Space, coefficients: Matrix, intercept: float, found: Mapping[str, Any]
) -> Calibration:
    base = _without_written(live)
    joined = replace(
        base,
        id="",
        created=datetime.now(UTC).date().isoformat(),
        data={**base.data, "calibration slice": found["answers"]},
        names=(*base.names, *space.names),
        centres=(*base.centres, *_rounded(space.centres)),
        scales=(*base.scales, *_rounded(space.scales)),
        coefficients=(*base.coefficients, *_rounded(coefficients)),
        intercept=round(base.intercept + intercept, 5),
        quality=found,
        origin="fitted",
    )
    return identified(joined)


def quality(probabilities: Matrix, labels: Matrix) -> dict[str, Any]:
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
