"""Run one benchmark of tests/bench and print each JSON object it prints on a line of its own, with its name.

python deploy/bench.py tests/bench/store.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> int:
    name = Path(sys.argv[1]).stem
    print(f"bench {name} …", file=sys.stderr)
    done = subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], stdout=subprocess.PIPE, text=True, check=False)
    for figures in objects(done.stdout):
        print(json.dumps({"bench": name, **figures}, ensure_ascii=False), flush=True)
    if done.returncode:
        print(f"bench {name} ended with exit code {done.returncode}.", file=sys.stderr)
    return done.returncode


def objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a text that holds nothing else, however they are laid out."""
    decoder, text = json.JSONDecoder(), text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].lstrip()


if __name__ == "__main__":
    sys.exit(main())
