"""Reindexing as a command: everything new, nothing changed, one page in a hundred changed.

    python -m tests.bench.reindex [--corpus FOLDER] [--home FOLDER] [--corpus-seconds 30] [--rounds 3]

Prints one JSON object. Times are those of the whole command `answerloop index`, in seconds: starting Python, opening
the store, building, and removing old versions. The corpus is copied first; a FOLDER given for the home keeps the copy
and its first index for the next run. `cpu` is the processor time of the command, which says more on a machine that
others use too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from indexer.build import versions
from tests.processes import environment, report

TIDB = Path(__file__).resolve().parents[3] / "shared" / "data" / "corpora" / "tidb_docs_cn"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=TIDB, help="a folder of Markdown pages")
    parser.add_argument("--home", type=Path, help="keep the copy and the index here")
    parser.add_argument("--corpus-seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = (options.home or Path(folder)).resolve()
        print(json.dumps(measure(place, options.corpus, options.corpus_seconds, options.rounds), indent=1))


def measure(place: Path, corpus: Path, seconds: float, rounds: int) -> dict[str, Any]:
    pages, home = place / "pages", place / "home"
    first = None
    if not versions(home / "index"):
        shutil.copytree(corpus, pages)
        first = timed(home, "-s", f"pages={pages}", corpus_seconds=seconds)
    same = [timed(home) for _ in range(rounds)]
    rng = random.Random(time.time_ns())
    changed = []
    for _ in range(rounds):
        edited = edit(pages, rng)
        changed.append({"edited": edited, **timed(home)})
    edit(pages, rng)
    return {"first": first, "unchanged": same, "changed": changed, "torch_imported": loads_torch(home)}


def timed(home: Path, *arguments: str, **settings: object) -> dict[str, Any]:
    """The command's time, and what it said of itself."""
    load, cpu, began = os.getloadavg()[0], _cpu(), time.perf_counter()
    said = report(home, "index", *arguments, **settings)
    took = time.perf_counter() - began
    figures = {name: said[name] for name in ("changed", "documents", "passages", "parsed", "embedded", "seconds")}
    return {"seconds_in_all": round(took, 2), "cpu": round(_cpu() - cpu, 2), "load_average": round(load, 1), **figures}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def edit(pages: Path, rng: random.Random) -> int:
    """One sentence more in one page of a hundred; the number of pages."""
    every = sorted(pages.rglob("*.md"))
    chosen = [page for page in rng.sample(every, len(every)) if _paragraphs(page.read_text("utf-8").split("\n"))]
    chosen = chosen[: max(len(every) // 100, 1)]
    for page in chosen:
        lines = page.read_text("utf-8").split("\n")
        lines[rng.choice(_paragraphs(lines))] += f" 这一句是第 {rng.randrange(10**9)} 次修订时加上的。"
        page.write_text("\n".join(lines), "utf-8")
    return len(chosen)


def _paragraphs(lines: Sequence[str]) -> list[int]:
    return [at for at, line in enumerate(lines) if len(line) > 40 and line[0].isalnum()]


def loads_torch(home: Path) -> bool:
    """Whether a reindex that embeds nothing, or a few passages, imports it: that alone would take seconds."""
    command = [sys.executable, "-X", "importtime", "-m", "services.cli", "index"]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, check=True)
    return any(line.split("|")[-1].strip() == "torch" for line in done.stderr.splitlines())


if __name__ == "__main__":
    main()
