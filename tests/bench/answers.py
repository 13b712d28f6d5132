"""Whether quoted answers hold what was asked for: handmade page questions, and questions on paragraphs.

    python -m tests.bench.answers [NAME …] [--home FOLDER] [--seconds 30] [--half even|odd|all] [--show]

Prints one JSON object a line. A FOLDER given keeps the indexes for the next run. Rows with an even number were looked
at while the rules were written; report the odd ones.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from indexer.backends import sentence_transformer
from indexer.backends.qdrant_edge import EdgeIndex
from indexer.search import Request, Searcher
from router import units
from router.types import Draft, SearchResult
from services.generation.extractive import quote
from services.generation.reading import read
from tests.bench.retrieval import MODEL, PAGES, PARAGRAPHS, index, page_task, paragraph_task, rows

SAMPLE = 600  # questions of a paragraph task
_MARKUP = re.compile(r"[\s*_`|\\]+")

Row = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=[*PAGES, "squad", "cmrc"])
    parser.add_argument("--home", type=Path, help="keep the indexes here")
    parser.add_argument("--seconds", type=float, default=30.0, help="most time for the corpus embedder")
    parser.add_argument("--half", choices=("even", "odd", "all"), default="odd")
    parser.add_argument("--show", action="store_true", help="print question, answer and verdict of the even rows")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.names:
            searcher = opened(name, (arguments.home or Path(folder)) / name, arguments.seconds)
            show = arguments.show and arguments.half == "even"
            print(json.dumps({"task": name, **measure(name, searcher, arguments.half, show)}), flush=True)
            searcher.close()


def opened(name: str, home: Path, seconds: float) -> Searcher:
    """The newest index in `home`, built first if there is none."""
    finished = sorted(
        (path.parent for path in home.glob("versions/*/manifest.json")), key=lambda one: one.stat().st_mtime
    )
    if not finished:
        texts = home / "texts"
        texts.mkdir(parents=True, exist_ok=True)
        sources, _ = paragraph_task(name, texts) if name in PARAGRAPHS else page_task(name)
        return index(home, sources, seconds)[1]
    manifest = json.loads((finished[-1] / "manifest.json").read_text("utf-8"))
    engine = EdgeIndex.open(finished[-1] / "engine", manifest["dimensions"])
    return Searcher(finished[-1], engine, lambda: sentence_transformer.load(MODEL, home / "models"))


def measure(name: str, searcher: Searcher, half: str, show: bool) -> dict[str, Any]:
    asked = questions(name)
    kept = [row for number, row in enumerate(asked) if half == "all" or number % 2 == (half == "odd")]
    found = search(searcher, [row["question"] for row in kept])
    begun = time.perf_counter()
    facts = searcher.content.facts()
    drafts = [quote(row["question"], result, lambda _paths: facts) for row, result in zip(kept, found, strict=True)]
    first = time.perf_counter()
    for row, result in zip(kept, found, strict=True):
        quote(row["question"], result, lambda _paths: facts)
    again = time.perf_counter()
    judge = paragraph_figures if name in PARAGRAPHS else page_figures
    figures = judge(kept, found, drafts, show)
    return {
        "half": half,
        "questions": len(kept),
        **figures,
        "mean_characters": round(statistics.fmean(len(draft.text) for draft in drafts)),
        "mean_citations": round(statistics.fmean(len(draft.citations) for draft in drafts), 2),
        "cold_ms": round((first - begun) / len(kept) * 1e3, 3),
        "hot_ms": round((again - first) / len(kept) * 1e3, 3),
    }


def questions(name: str) -> Sequence[Row]:
    if name in PAGES:
        return [row for row in rows(PAGES[name][0]) if row["answerable"] and not row["history"]]
    asked = [row for row in rows(PARAGRAPHS[name]) if row.get("answerable", True)]
    return asked[:: max(1, len(asked) // SAMPLE)][:SAMPLE]


def search(searcher: Searcher, asked: Sequence[str]) -> list[SearchResult]:
    batches = [asked[at : at + 32] for at in range(0, len(asked), 32)]
    return [result for batch in batches for result in searcher.search([Request(one, 10, {}) for one in batch])]


def page_figures(
    asked: Sequence[Row], found: Sequence[SearchResult], drafts: Sequence[Draft], show: bool
) -> dict[str, float]:
    """in_text, in_quotes: every key in the answer's text, or in it and its quotes; in_first: in the first citation;
    reachable: in one of the passages that were read (what quoting could reach)."""
    flags = []
    for row, result, draft in zip(asked, found, drafts, strict=True):
        quotes = "\n".join(citation.quote for citation in draft.citations)
        read_text = "\n".join(hit.passage.text for hit in result.hits[:8])
        texts = (draft.text, draft.text + quotes, first_quote(draft), read_text)
        flags.append([holds_all(text, row["answer_keys"]) for text in texts])
        if show:
            print(f"{row['id']} {flags[-1]} {row['question']}\n  wanted: {row['answer_keys']}\n{draft.text}\n----")
    names = ("in_text", "in_quotes", "in_first", "reachable")
    return {
        name: round(share, 3)
        for name, share in zip(names, map(statistics.fmean, zip(*flags, strict=True)), strict=True)
    }


def paragraph_figures(
    asked: Sequence[Row], found: Sequence[SearchResult], drafts: Sequence[Draft], show: bool
) -> dict[str, float]:
    """Of the questions whose paragraph is on top: a gold answer in the first citation, in the whole text, and in the
    best unit by BM25 over the same passages."""
    flags = []
    for row, result, draft in zip(asked, found, drafts, strict=True):
        top = result.hits[0].passage if result.hits else None
        if top is None or top.text not in row["context"]:
            continue
        baseline = best_by_bm25(result)
        flags.append([holds_any(text, row["answers"]) for text in (first_quote(draft), draft.text, baseline)])
        if show and not flags[-1][0]:
            print(f"{row['id']} {flags[-1]} {row['question']}\n  wanted: {row['answers']}\n{draft.text}\n----")
    names = ("in_first", "in_text", "in_first_by_bm25")
    shares = {
        name: round(share, 3)
        for name, share in zip(names, map(statistics.fmean, zip(*flags, strict=True)), strict=True)
    }
    return {"right_on_top": len(flags), **shares}


def first_quote(draft: Draft) -> str:
    return draft.citations[0].quote if draft.citations else ""


def best_by_bm25(result: SearchResult, k1: float = 1.2, b: float = 0.75) -> str:
    """The unit with the highest BM25, each term counted once, over the passages that quoting reads."""
    pieces = [piece for hit in result.hits[:8] for piece in read(hit.passage).pieces if piece.quotable]
    if not pieces:
        return ""
    typical = statistics.fmean(len(piece.terms) for piece in pieces) or 1.0

    def score(terms: frozenset[str]) -> float:
        weight = (k1 + 1) / (1 + k1 * (1 - b + b * len(terms) / typical))
        return sum(idf * weight for token, idf in result.terms.items() if token in terms)

    return max(pieces, key=lambda piece: score(piece.terms)).text


def folded(text: str) -> str:
    return _MARKUP.sub("", text).lower()


def holds_all(text: str, keys: Sequence[str]) -> bool:
    return _holds(text, keys, all)


def holds_any(text: str, keys: Sequence[str]) -> bool:
    return _holds(text, keys, any)


def _holds(text: str, keys: Sequence[str], how: Callable[[list[bool]], bool]) -> bool:
    either = (folded(text), folded(units.plain(text)))
    return how([any(folded(key) in one for one in either) for key in keys])


if __name__ == "__main__":
    main()
