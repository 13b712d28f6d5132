"""The real command line with a tiny index build behind it: `python -m tests.tiny_worker index --job ID`.

The build takes as many tenths of a second as the file `<home>/steps` says, and fails where that is no number.
"""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Sequence
from dataclasses import dataclass

from router.errors import InvalidInput
from router.ports import JsonObject, Progress
from services.review.rehearsal import Tell, untold
from services.settings import Settings


@dataclass(frozen=True, slots=True)
class Report:
    steps: int

    def to_json(self) -> JsonObject:
        return {"steps": self.steps, "waits": ""}


def run_index(
    settings: Settings,
    sources: Sequence[str] | None,
    who: str,
    progress: Progress,
    full: bool = False,
    hold: bool = False,
    force: bool = False,
    tell: Tell = untold,  # noqa: ARG001
) -> Report:
    try:
        steps = int((settings.home / "steps").read_text())
    except ValueError as exc:
        raise InvalidInput(f"The source cannot be read ({sources}, {who}, {full}, {hold}, {force}).") from exc
    for step in range(steps):
        progress("embed", step + 1, steps)
        time.sleep(0.1)
    return Report(steps)


if __name__ == "__main__":
    module = types.ModuleType("services.indexing")
    module.run_index = run_index  # type: ignore[attr-defined]
    sys.modules["services.indexing"] = module
    from services.cli import main

    main()
