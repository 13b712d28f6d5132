"""Fits the packaged confidence: questions with known answers, each file asked of the index that answers it.

    python -m tests.bench.confidence FILE=HOME … [--foreign FILE=HOME …] [--conflicts FILE …] [--out FILE]

A HOME is a folder made by `answerloop index` (ANSWERLOOP_HOME). A foreign file's questions are about other texts than
the index it is asked of; a file whose rows carry paragraphs needs none. Of --conflicts, such files, see
`tests.bench.conflicts`. Approved answers in a HOME are asked along. Prints the calibration that
`services.calibration.fit` finds, with the figures of the answers that each fold was not fitted on; with --out it is
written there. It begins with a model that knows nothing, so what was fitted before does not show. The files in
`tests/bench/questions` were written for this and for nothing that is reported.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from services.calibration import fit
from services.compose import packaged_calibration
from services.evaluation import Asked, Row, ask_rows, foreign, read_rows
from services.settings import Settings
from tests.bench.conflicts import disputed, with_twins

_MOST = 500  # questions of one file that are asked
_PAIRS = 200  # questions of one file that two pages answer differently
_PENALTY = 20.0  # the strongest of 5, 10, 20 and 40 whose expected calibration error, out of fold, is below 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE=HOME")
    parser.add_argument("--foreign", nargs="*", default=[], metavar="FILE=HOME")
    parser.add_argument("--conflicts", nargs="*", default=[], metavar="FILE")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    asked = {name: ask(name, home, rows) for name, home, rows in map(opened, arguments.files)}
    for name, home, rows in map(opened, arguments.foreign):
        asked[f"{name}, asked of other texts"] = ask(name, home, [foreign(row) for row in rows[:100]])
    for name, home, rows in map(opened, arguments.conflicts):
        asked[f"{name}, of two minds"] = disputed(ask(name, home, with_twins(rows, _PAIRS)))
    nothing = replace(packaged_calibration(), names=(), centres=(), scales=(), coefficients=(), intercept=0.0, line=0.0)
    fitted = fit(asked, nothing, _PENALTY)
    text = json.dumps(replace(fitted, origin="packaged").to_json(), indent=1)
    if arguments.out:
        arguments.out.write_text(text + "\n", "utf-8")
    print(text)


def opened(argument: str) -> tuple[str, Path, list[Row]]:
    path, _, home = argument.partition("=")
    rows = read_rows(Path(path))
    return Path(path).name, Path(home), rows[:: -(-len(rows) // _MOST)]


def ask(name: str, home: Path, rows: Sequence[Row]) -> list[Asked]:
    print(f"{name}: {len(rows)} questions", file=sys.stderr, flush=True)
    return ask_rows(Settings(home=home), rows, replace(packaged_calibration(), line=0.0), lambda *_: None)


if __name__ == "__main__":
    main()
