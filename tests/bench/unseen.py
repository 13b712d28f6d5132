"""How right, and how silent, answers are on questions that nothing was ever fitted on and no rule was made with.

    python -m tests.bench.unseen [--homes FOLDER]

The files in `tests/bench/questions/unseen` are a second sample of what the dev files are one of: written by who saw
the documents and the dev files, and neither this code nor its answers; the same kinds of questions in the same shares.
They are worth something for as long as nobody reads them to find out what to mend: so this prints figures, one JSON
object for each file, and no question. (Those before them, a third of which misleads on purpose, have been read since:
`polardb_traps` and `redis_traps`.)
Those named `outside` are a second sample of the files named `outside` and `casual` that the confidence is fitted on:
two of three questions ask for what no page is about, the others have an answer and a word that no page has.
FOLDER keeps the indexes for the next run (`tests.bench.homes`).
"""

from __future__ import annotations

import argparse
import json

from services.calibrations import packaged_calibration
from services.evaluation import ask_rows, figures, read_rows
from services.settings import Settings
from tests.bench import homes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    with homes.folder(parser) as (_, folder):
        for name in ("polardb", "redis", "polardb_outside", "redis_outside"):
            file = homes.own(f"unseen/{name}", name.partition("_")[0], folder)
            asked = ask_rows(Settings(home=file.home), read_rows(file.path), packaged_calibration(), lambda *_: None)
            found = {key: value for key, value in figures(asked).items() if key != "confidently_wrong"}
            print(json.dumps({"file": f"unseen/{file.name}", **found}), flush=True)


if __name__ == "__main__":
    main()
