"""Run one benchmark of tests/bench and print each JSON object it prints on a line of its own, with its name.

    python deploy/bench.py tests/bench/store.py

One that stops because the question sets beside the project are absent counts as skipped, and says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

QUESTION_SETS = Path(__file__).resolve().parents[2] / "shared" / "data"


def main() -> int:
    name = Path(sys.argv[1]).stem
    print(f"bench {name} …", file=sys.stderr)
    command = [sys.executable, "-m", f"tests.bench.{name}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for figures in objects(done.stdout):
        print_line(name, figures)
    if done.returncode and not QUESTION_SETS.exists() and str(QUESTION_SETS) in done.stderr:
        print_line(name, {"skipped": f"needs the question sets in {QUESTION_SETS}"})
        return 0
    if done.returncode:
        print(done.stderr, f"bench {name} ended with exit code {done.returncode}.", sep="\n", file=sys.stderr)
    return done.returncode


def print_line(name: str, figures: dict[str, Any]) -> None:
    print(json.dumps({"bench": name, **figures}, ensure_ascii=False), flush=True)


def objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a text that holds nothing else, however they are laid out."""
    decoder, text = json.JSONDecoder(), text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].lstrip()


if __name__ == "__main__":
    sys.exit(main())
