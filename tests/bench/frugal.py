"""How often words alone are sure of the right page, and what that costs: `indexer.search.SURE` is chosen by it.

    python -m tests.bench.frugal [--homes FOLDER] [--lines 0.03 0.05 0.08 0.12]

FOLDER keeps the indexes for the next run (`tests.bench.homes`). Questions that have a history or name no page are left
out. Prints one JSON object for each file and line: the share of questions that would
not be embedded, the right page first with every question embedded and with these left out, and of these, how often the
first page is the same.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import indexer.search
from indexer.build import versions
from indexer.search import Request, Searcher
from router.types import SearchResult
from services.compose import open_retriever
from services.evaluation import Row, read_rows
from services.settings import Settings
from tests.bench import homes
from tests.bench.homes import File

_LIMIT = 12  # passages
_BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--homes", type=Path, help="keep the indexes here")
    parser.add_argument("--lines", nargs="+", type=float, default=[0.03, 0.05, 0.08, 0.12])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for file in files((options.homes or Path(scratch)).resolve()):
            for found in compared(file, options.lines):
                print(json.dumps({"file": file.name, **found}), flush=True)


def files(folder: Path) -> Iterator[File]:
    yield homes.own("redis", "redis", folder)
    yield homes.own("redis_hard", "redis", folder)
    yield homes.own("redis_more", "redis", folder)
    yield homes.own("postgresql", "pg", folder)


def compared(file: File, lines: Sequence[float]) -> Iterator[dict[str, Any]]:
    rows = [row for row in read_rows(file.path) if row.answerable and row.pages and not row.question.history]
    with contextlib.closing(open_retriever(Settings(home=file.home), versions(file.home / "index")[-1].id)) as opened:
        full = searched(opened.searcher, rows)
        for line in lines:
            yield {"line": line, **figures(opened.searcher, rows, full, line)}


def searched(searcher: Searcher, rows: Sequence[Row]) -> list[SearchResult]:
    requests = [Request(row.question.text, _LIMIT, {}) for row in rows]
    return [one for at in range(0, len(rows), _BATCH) for one in searcher.search(requests[at : at + _BATCH])]


def figures(searcher: Searcher, rows: Sequence[Row], full: Sequence[SearchResult], line: float) -> dict[str, Any]:
    indexer.search.SURE = line
    words = searcher.by_words([Request(row.question.text, _LIMIT, {}, frugal=True) for row in rows])
    sure = [(one, every) for one, every in zip(words, full, strict=True) if one is not None]
    right = [bool(_first(one) & row.pages) for one, row in zip(full, rows, strict=True)]
    frugal = [bool(_first(own or one) & row.pages) for own, one, row in zip(words, full, rows, strict=True)]
    return {
        "questions": len(rows),
        "not_embedded": round(len(sure) / len(rows), 4),
        "right_page_first": sum(right),
        "right_page_first_frugal": sum(frugal),
        "same_page": round(sum(bool(_first(one) & _first(every)) for one, every in sure) / max(len(sure), 1), 4),
    }


def _first(found: SearchResult) -> frozenset[str]:
    """The paths of the first page."""
    top = found.hits[:1]
    return frozenset(
        path for hit in top for path in (hit.passage.document, *(place.path for place in hit.passage.also_at))
    )


if __name__ == "__main__":
    main()
