"""Fits the packaged confidence: questions with known answers, each file asked of the index that answers it.

    python -m tests.bench.confidence FILE=HOME … --conflicts FILE … --pointing FILE=HOME … [--foreign FILE=HOME …]
        [--out FILE]

A HOME is a folder made by `answerloop index` (ANSWERLOOP_HOME); its approved answers are asked along. A foreign file's
questions are about other texts than the index it is asked of; a file whose rows carry paragraphs needs none. Prints
the calibration that `services.calibration.fit` finds, with the figures of the answers that each fold was not fitted on;
with --out it is written there. It begins with a model that knows nothing, so what was fitted before does not show. The
files in `tests/bench/questions` were written for this and for nothing that is reported.

Three features hardly ever speak: that another page contradicts the quoted one (`undisputed`), that a message points
at what nothing names (`named`), and that a message of a conversation is answered from what is about something else
(`on_topic`). Each is fitted after the others, with these held: the first on the questions of `tests.bench.conflicts`
over the files of --conflicts, the other two on the files of --pointing, which hold conversations, and where an answer
counts as right if the file says that there is one. Such files say nothing about how often that happens, so the line is
found without them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from router.confidence import Calibration
from services.calibration import Matrix, fit, identified
from services.calibrations import packaged_calibration
from services.evaluation import Asked, Row, ask_rows, foreign, read_rows
from services.settings import Settings
from tests.bench.conflicts import disputed, with_twins

_MOST = 500  # questions of one file that are asked
_ASIDES = frozenset({"undisputed", "named", "on_topic"})
_PAIRS = 200  # questions of one file that two pages answer differently
_PENALTY = 20.0
"""The strongest of 5, 10, 20 and 40 whose Brier score, out of fold, is within 0.001 of the best. The rule was written
with the figures of PolarDB and Redis dev in view, see docs/decisions/2026-11-29-sure-by-words.md."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE=HOME")
    parser.add_argument("--foreign", nargs="*", default=[], metavar="FILE=HOME")
    parser.add_argument("--conflicts", nargs="+", required=True, metavar="FILE")
    parser.add_argument("--pointing", nargs="+", required=True, metavar="FILE=HOME")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    asked = {name: ask(name, home, rows) for name, home, rows in map(opened, arguments.files)}
    for name, home, rows in map(opened, arguments.foreign):
        asked[f"{name}, asked of other texts"] = ask(name, home, [foreign(row) for row in rows[:100]])
    pairs = {name: ask(name, home, with_twins(rows, _PAIRS)) for name, home, rows in map(opened, arguments.conflicts)}
    asides = {name: ask(name, home, rows) for name, home, rows in map(opened, arguments.pointing)}
    text = json.dumps(replace(fitted(asked, pairs, asides), origin="packaged").to_json(), indent=1)
    if arguments.out:
        arguments.out.write_text(text + "\n", "utf-8")
    print(text)


def fitted(
    asked: Mapping[str, Sequence[Asked]], pairs: Mapping[str, Sequence[Asked]], asides: Mapping[str, Sequence[Asked]]
) -> Calibration:
    """By file: what was asked for the fit; the questions and their twins for `undisputed`; those for `named`."""
    nothing = replace(packaged_calibration(), names=(), centres=(), scales=(), coefficients=(), intercept=0.0, line=0.0)
    found = fit({name: list(map(_without_asides, each)) for name, each in asked.items()}, nothing, _PENALTY)
    both = {f"{name}, with another answer elsewhere": disputed(each) for name, each in pairs.items()}
    spoken = {
        name: [replace(one, right=one.row.answerable) for one in each if one.trace.features]
        for name, each in asides.items()
    }
    pointing = {
        f"{name}, pointing at what nothing names": [one for one in each if one.trace.features["named"] == 0.0]
        for name, each in spoken.items()
    }
    talks = {
        f"{name}, after other turns": [
            one for one in each if one.row.question.history and one.trace.features["named"] == 1.0
        ]
        for name, each in spoken.items()
    }
    for name, files in (("undisputed", both), ("named", pointing), ("on_topic", talks)):
        found = weighed(found, name, files)
    return identified(found)


def _without_asides(one: Asked) -> Asked:
    features = {name: value for name, value in one.trace.features.items() if name not in _ASIDES}
    return replace(one, trace=replace(one.trace, features=features))


def weighed(start: Calibration, name: str, files: Mapping[str, Sequence[Asked]]) -> Calibration:
    """With the coefficient of one feature that fits these answers best. It is centred on 1, what it is everywhere else,
    so that nothing else moves. Where some of these answers have a 1, too, they may be right more or less often than
    answers elsewhere (a file has its own idea of what is right): that difference is fitted along, and not kept."""
    rows = [one for each in files.values() for one in each]
    odds = np.array([start.intercept + sum(start.pulls(one.trace.features).values()) for one in rows])
    lacks = np.array([1.0 - one.trace.features[name] for one in rows])
    signs = np.array([1.0 if one.right else -1.0 for one in rows])
    free = None if (lacks == 0.0).any() else 0.0

    def loss(at: Matrix) -> float:
        return float(np.logaddexp(0, -signs * (odds - at[0] * lacks + at[1])).mean())

    worth = minimize(loss, (1.0, 0.0), bounds=((0.0, 10.0), (free, free))).x[0]
    return replace(
        start,
        id="",
        data={**start.data, **{file: len(each) for file, each in files.items()}},
        names=(*start.names, name),
        centres=(*start.centres, 1.0),
        scales=(*start.scales, 1.0),
        coefficients=(*start.coefficients, round(float(worth), 5)),
    )


def opened(argument: str) -> tuple[str, Path, list[Row]]:
    path, _, home = argument.partition("=")
    rows = read_rows(Path(path))
    return Path(path).name, Path(home), rows[:: -(-len(rows) // _MOST)]


def ask(name: str, home: Path, rows: Sequence[Row]) -> list[Asked]:
    print(f"{name}: {len(rows)} questions", file=sys.stderr, flush=True)
    everything = replace(packaged_calibration(), line=0.0, origin="fitted")  # an index replaces a packaged one
    return ask_rows(Settings(home=home), rows, everything, lambda *_: None)


if __name__ == "__main__":
    main()
