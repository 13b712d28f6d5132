"""Fits the packaged confidence: questions with known answers, each file asked of the index that answers it.

    python -m tests.bench.confidence [--homes FOLDER] [--out FILE]

The files and what each is asked of are in `data`; FOLDER keeps the indexes for the next run (`tests.bench.homes`). A
home's approved answers are asked along; a file whose rows carry paragraphs is asked of these, one that is foreign of an
index about other things. Prints the calibration that `services.calibration.fit` finds, with
the figures of the answers that each fold was not fitted on; with --out it is written there, too (the packaged one is
services/calibration_default.json). It begins with a model that knows nothing, so what was fitted before does not show.
The files in `tests/bench/questions` were written for this and for nothing that is reported; rules were made with
`polardb_seen`, `redis_seen`, `polardb_more`, `polardb_traps` and `redis_traps` in view, which are not fitted on, and
those in `unseen` are for `tests.bench.unseen` alone.

Those named `outside` ask for what no page is about: everyday things with a deed that the pages do speak of, and the
products of others. Nothing in them can be answered, so they count for no line (`services.calibration`). Those named
`casual` have a word in every question that no page has, and yet an answer.

Three features hardly ever speak: that another page contradicts the quoted one (`undisputed`), that a message points
at what nothing names (`named`), and that a message of a conversation is answered from what is about something else
(`on_topic`). Each is fitted after the others, with these held: the first on the questions of `tests.bench.conflicts`
over files with paragraphs, the other two on conversations, where an answer counts as right if the file says that there
is one. Such files say nothing about how often that happens, so the line is found without them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from router.confidence import WITNESS, Calibration
from services.calibration import fit, identified
from services.calibration_lines import NOTHING, Matrix, sure_floor
from services.calibrations import packaged_calibration
from services.evaluation import Asked, Row, ask_rows, foreign, read_rows
from services.settings import Settings
from tests.bench import homes
from tests.bench.answers_removed import without_answers
from tests.bench.conflicts import disputed, with_twins
from tests.bench.homes import File
from tests.bench.reading import held_out

_MOST = 500  # questions of one file that are asked
_MANUALS = {"polardb": "polardb", "redis": "redis", "tidb": "tidb", "postgresql": "pg"}
"""Name of question files → home."""
_ASIDES = frozenset({"undisputed", "named", "on_topic"})
_PAIRS = 200  # questions of one file that two pages answer differently
_AT_ONCE = 800  # questions that `ask_rows` asks of one index
_PENALTY = 20.0
"""The strongest of 5, 10, 20 and 40 whose Brier score, out of fold, is within 0.001 of the best. The rule was written
with the figures of PolarDB and Redis dev in view, see docs/decisions/2026-11-29-sure-by-words.md."""


@dataclass(frozen=True, slots=True)
class Data:
    """fitted: what is asked for the fit. foreign: asked of other texts. conflicts: whose rows get twins (see
    `tests.bench.conflicts`). pointing: conversations. misleading, removed: by language, files with paragraphs that the
    lines of `beyond_words` are found on: their unanswerable questions, or the others with the answers taken out."""

    fitted: Sequence[File]
    foreign: Sequence[File]
    conflicts: Sequence[File]
    pointing: Sequence[File]
    misleading: Mapping[str, Sequence[File]]
    removed: Mapping[str, Sequence[File]]


def data(folder: Path) -> Data:
    return Data(
        fitted=(
            homes.own("redis", "redis", folder),
            homes.own("redis_hard", "redis", folder),
            homes.own("polardb", "polardb", folder),
            homes.manual(folder),
            homes.faq(folder),
            homes.own("redis_more", "redis", folder),
            homes.own("tidb", "tidb", folder),
            homes.own("postgresql", "pg", folder),
            homes.paragraphs("cmrc2018_dev", folder),
            *(homes.own(f"{name}_outside", home, folder) for name, home in _MANUALS.items()),
            *(homes.own(f"{name}_casual", home, folder) for name, home in _MANUALS.items()),
        ),
        foreign=(
            homes.public("cmrc2018_dev", "polardb", folder),
            homes.public("squad_v2_dev_half", "redis", folder),
        ),
        conflicts=(
            homes.paragraphs("cmrc2018_dev", folder),
            homes.paragraphs("squad_v2_dev_half", folder),
        ),
        pointing=(homes.public("mtrag_un_dev_en", "mtrag", folder),),
        misleading={"en": [homes.paragraphs("squad_v2_dev_half", folder)]},
        removed={"zh": [homes.paragraphs("cmrc2018_dev", folder), homes.paragraphs("drcd_dev", folder)]},
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    with homes.folder(parser) as (options, folder):
        found = from_data(data(folder))
    text = json.dumps(replace(found, origin="packaged").to_json(), indent=1)
    if options.out:
        options.out.write_text(text + "\n", "utf-8")
    print(text)


def from_data(used: Data) -> Calibration:
    asked = {file.name: ask(file, some(file)) for file in used.fitted}
    for file in used.foreign:
        asked[f"{file.name}, asked of other texts"] = ask(file, [foreign(row) for row in some(file)[:100]])
    pairs = {file.name: ask(file, with_twins(some(file), _PAIRS)) for file in used.conflicts}
    asides = {file.name: ask(file, some(file)) for file in used.pointing}
    return with_words_lines(fitted(asked, pairs, asides), used)


def fitted(
    asked: Mapping[str, Sequence[Asked]], pairs: Mapping[str, Sequence[Asked]], asides: Mapping[str, Sequence[Asked]]
) -> Calibration:
    """By file: what was asked for the fit; the questions and their twins for `undisputed`; those for `named`."""
    nothing = replace(
        packaged_calibration(),
        names=(),
        centres=(),
        scales=(),
        coefficients=(),
        intercept=0.0,
    ).with_line(0.0)
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


def with_words_lines(start: Calibration, used: Data) -> Calibration:
    """With the lines of what words alone speak for: of each language the highest that one of its files asks for. Only
    questions without an answer are asked."""
    lines, counted = {}, dict(start.data)
    for by_language, made, name in (
        (used.misleading, unanswerable, "unanswerable"),
        (used.removed, without_answers, "without the answers"),
    ):
        for language, files in by_language.items():
            asked = {file.name: all_of(file, made(fitted_on(file))) for file in files}
            counted |= {f"{file}, {name}": len(each) for file, each in asked.items()}
            lines[language] = max(words_line(start, each) for each in asked.values())
    return identified(replace(start, by_words=lines, data=counted))


def words_line(start: Calibration, asked: Sequence[Asked]) -> float:
    alone = [one for one in asked if one.trace.features.get(WITNESS) == 0.0]
    floor = sure_floor(np.array([start.probability(one.trace.features) for one in alone]))
    return NOTHING if floor is None else round(floor, 4)


def fitted_on(file: File) -> list[Row]:
    """Those of the half of the paragraphs that is not reported on."""
    return [row for row in read_rows(file.path) if not held_out(row.context or "")]


def unanswerable(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if not row.answerable]


def all_of(file: File, rows: Sequence[Row]) -> list[Asked]:
    return [one for at in range(0, len(rows), _AT_ONCE) for one in ask(file, rows[at : at + _AT_ONCE])]


def some(file: File) -> list[Row]:
    """At most `_MOST`, from all over the file."""
    rows = read_rows(file.path)
    return rows[:: -(-len(rows) // _MOST)]


def ask(file: File, rows: Sequence[Row]) -> list[Asked]:
    """With a line of 0, so that everything with an answer is sent."""
    print(f"{file.name}: {len(rows)} questions", file=sys.stderr, flush=True)
    everything = replace(packaged_calibration().with_line(0.0), origin="fitted")  # an index replaces a packaged one
    return ask_rows(Settings(home=file.home), rows, everything, lambda *_: None)


if __name__ == "__main__":
    main()
