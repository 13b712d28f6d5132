"""What is sent of questions that the documents do not answer, by the packaged confidence and by one of the file's own.

    python -m tests.bench.unanswerable [--homes FOLDER]

FOLDER keeps the indexes for the next run (`tests.bench.homes`). Prints one JSON object for each of the four files that
have such questions, and for each of three files of paragraphs, of which one question a page is asked twice: of the
page, and of what is left without the sentences that answer it (`tests.bench.answers_removed`). Each says how many
answerable and unanswerable ones were asked and sent, by the packaged confidence, and by halves: each half by what
`answerloop calibrate` finds on the other one. Questions about one paragraph, or of one conversation, are in one half.
Of files with paragraphs only that half is asked which the packaged lines were not found on: all of its own questions,
and at most 500 pages.
Where a file has no answer that could count as right (conversations with free answers), one counts as right if the file
says that there is one.

The packaged confidence has seen MTRAG dev (`tests.bench.confidence`), so only its halves are held out; the features
were thought of with that file in view all the same.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from router.confidence import Calibration
from router.errors import InvalidInput
from router.types import Route
from services.calibration import fit
from services.calibrations import packaged_calibration
from services.evaluation import Asked, Row, read_rows
from tests.bench import homes
from tests.bench.answers_removed import pairs
from tests.bench.confidence import ask
from tests.bench.homes import File
from tests.bench.reading import held_out

_PAGES = 500
_AT_ONCE = 500  # questions asked of one index of their paragraphs
_FEWEST_RIGHT = 0.05  # share of the answerable questions with a right answer; below that the file cannot tell


def group_of(row: Row) -> str:
    first = row.question.history[0].content if row.question.history else row.question.text
    return row.context or first


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    with homes.folder(parser) as (_, folder):
        for file in files(folder):
            printed(file.name, asked_in_parts(file, unseen(read_rows(file.path))))
        for file in paragraphs(folder):
            asked = [one for rows in zip(*with_and_without(file), strict=True) for one in ask(file, rows)]
            printed(f"{file.name}, with and without the answers", asked, lambda row: row.question.text)


def asked_in_parts(file: File, rows: Sequence[Row]) -> list[Asked]:
    """A few hundred at once, each time from all over the file, so that the paragraphs are of all articles."""
    parts = -(-len(rows) // _AT_ONCE)
    return [one for part in range(parts) for one in ask(file, rows[part::parts])]


def printed(name: str, asked: Sequence[Asked], group: Callable[[Row], str] = group_of) -> None:
    print(json.dumps({"file": name, **figures(name, judged(asked), group)}), flush=True)


def files(folder: Path) -> Iterator[File]:
    yield homes.public("polardb_zh_handmade_dev", "polardb", folder)
    yield homes.public("redis_en_handmade_dev", "redis", folder)
    yield homes.public("mtrag_un_dev_en", "mtrag", folder)
    yield homes.paragraphs("squad_v2_dev_half", folder)


def paragraphs(folder: Path) -> Iterator[File]:
    for name in ("cmrc2018_dev", "drcd_dev", "squad_v2_dev_half"):
        yield homes.paragraphs(name, folder)


def unseen(rows: Sequence[Row]) -> list[Row]:
    """Those that the packaged lines were not found on."""
    return [row for row in rows if row.context is None or held_out(row.context)]


def with_and_without(file: File) -> list[tuple[Row, Row]]:
    """Questions of pages that the lines were not found on: of the page, and of what is left without the answer."""
    rows = [row for row in read_rows(file.path) if row.answerable and held_out(row.context or "")]
    return pairs(rows)[:_PAGES]


def judged(asked: Sequence[Asked]) -> list[Asked]:
    answerable = sum(one.row.answerable for one in asked)
    if sum(one.right for one in asked) >= _FEWEST_RIGHT * answerable:
        return list(asked)
    return [replace(one, right=one.row.answerable) for one in asked]


def figures(name: str, asked: Sequence[Asked], group: Callable[[Row], str]) -> dict[str, Any]:
    packaged = packaged_calibration()
    out = {
        "answerable": sum(one.row.answerable for one in asked),
        "unanswerable": sum(not one.row.answerable for one in asked),
        "packaged": counted(asked, lambda one: sent(one, packaged)),
    }
    try:
        return out | {"by_halves": counted(asked, by_halves(name, asked, group))}
    except InvalidInput as error:
        return out | {"by_halves": str(error)}


def counted(asked: Sequence[Asked], is_sent: Callable[[Asked], bool]) -> dict[str, int]:
    some = [one for one in asked if is_sent(one)]
    return {
        "answerable_sent": sum(one.row.answerable for one in some),
        "unanswerable_sent": sum(not one.row.answerable for one in some),
        "right": sum(one.right for one in some),
    }


def by_halves(name: str, asked: Sequence[Asked], group: Callable[[Row], str]) -> Callable[[Asked], bool]:
    """Raises InvalidInput where a half is too small to fit anything."""
    number_of = {name: number % 2 for number, name in enumerate(sorted({group(one.row) for one in asked}))}
    halves = [[one for one in asked if number_of[group(one.row)] == half] for half in (0, 1)]
    fitted = [fit({name: halves[1 - half]}, packaged_calibration()) for half in (0, 1)]
    return lambda one: sent(one, fitted[number_of[group(one.row)]])


def sent(one: Asked, calibration: Calibration) -> bool:
    """Asked with a line of 0: what was not answered even so was refused for another reason."""
    answered = one.trace.answer.route in (Route.GROUNDED, Route.CURATED)
    line = calibration.line_of(one.trace.features, one.trace.language)
    return answered and calibration.probability(one.trace.features) >= line


if __name__ == "__main__":
    main()
