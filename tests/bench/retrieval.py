"""Retrieval quality on question files whose paragraphs are the documents, and on the handmade page questions.

    python -m tests.bench.retrieval [NAME …] [--seconds 180]

Prints one JSON object a line: R@1, R@5 and MRR@10 of the fused search and of BM25 alone in the same run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexer.backends import sentence_transformer
from indexer.backends.qdrant_edge import EdgeIndex
from indexer.build import BuildOptions, BuildReport, build, version_folder
from indexer.search import Request, Searcher
from indexer.sources import Source
from router.types import SearchResult

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PARAGRAPHS = {"squad": "squad_v2_dev_half", "cmrc": "cmrc2018_dev", "drcd": "drcd_dev"}
PAGES = {
    "polardb": ("polardb_zh_handmade_dev", ("polardb_pg_docs", "polardb_stack_docs")),
    "redis": ("redis_en_handmade_dev", ("redis_doc_en",)),
}
MODEL = "all-MiniLM-L6-v2"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / "qa" / f"{name}.jsonl").read_text("utf-8").splitlines()]


def paragraph_task(name: str, folder: Path) -> tuple[list[Source], list[tuple[str, set[str]]]]:
    """Each paragraph a document; every answerable question with the path of its paragraph."""
    paths: dict[str, str] = {}
    for row in rows(PARAGRAPHS[name]):
        path = paths.setdefault(row["context"], f"p{len(paths):05}.txt")
        (folder / path).write_text(row["context"], "utf-8")
    asked = [row for row in rows(PARAGRAPHS[name]) if row.get("answerable", True)]
    return [Source(name, str(folder))], [(row["question"], {f"{name}/{paths[row['context']]}"}) for row in asked]


def page_task(name: str) -> tuple[list[Source], list[tuple[str, set[str]]]]:
    questions, corpora = PAGES[name]
    asked = [row for row in rows(questions) if row["answerable"] and not row["history"]]
    wanted = [(row["question"], {row["doc_id"], *row["also_in"]}) for row in asked]
    return [Source(corpus, str(DATA / "corpora" / corpus)) for corpus in corpora], wanted


def index(home: Path, sources: Sequence[Source], seconds: float) -> tuple[BuildReport, Searcher]:
    embedder = sentence_transformer.load(MODEL, home / "models")
    report = build(
        home, sources, lambda: embedder, EdgeIndex, None, BuildOptions(corpus_seconds=seconds), lambda *_: None
    )
    folder = version_folder(home, report.version)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    return report, Searcher(folder, EdgeIndex.open(folder / "engine", manifest["dimensions"]), lambda: embedder)


def ranks(searcher: Searcher, wanted: Sequence[tuple[str, set[str]]]) -> list[int]:
    """The rank of the first right document of each question, 0 when it is not among the first ten documents."""
    out = []
    for at in range(0, len(wanted), 32):
        batch = wanted[at : at + 32]
        found = searcher.search([Request(question, 40, {}) for question, _ in batch])
        out += [_rank(result, gold) for result, (_, gold) in zip(found, batch, strict=True)]
    return out


def _rank(result: SearchResult, gold: set[str]) -> int:
    for number, paths in enumerate(_documents(result), 1):
        if paths & gold:
            return number if number <= 10 else 0
    return 0


def _documents(result: SearchResult) -> Iterator[set[str]]:
    """Each document once, in the order of its best passage, with the other places of that passage."""
    seen: set[str] = set()
    for hit in result.hits:
        if hit.passage.document not in seen:
            seen.add(hit.passage.document)
            yield {hit.passage.document, *(place.path for place in hit.passage.also_at)}


def summary(found: Sequence[int]) -> dict[str, float]:
    count = len(found)
    return {
        "questions": count,
        "r_at_1": round(sum(rank == 1 for rank in found) / count, 4),
        "r_at_5": round(sum(0 < rank <= 5 for rank in found) / count, 4),
        "mrr_at_10": round(sum(1 / rank for rank in found if rank) / count, 4),
    }


def ranks_by_bm25(searcher: Searcher, wanted: Sequence[tuple[str, set[str]]]) -> list[int]:
    """The same, with every channel but BM25 silent."""
    manifest, models = searcher.manifest, searcher.reranker.models
    searcher.manifest = replace(manifest, weights={language: {"bm25": 1.0} for language in manifest.weights})
    searcher.reranker.models = {}
    try:
        return ranks(searcher, wanted)
    finally:
        searcher.manifest, searcher.reranker.models = manifest, models


def run(name: str, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts"
        texts.mkdir()
        sources, wanted = paragraph_task(name, texts) if name in PARAGRAPHS else page_task(name)
        report, searcher = index(Path(folder) / "home", sources, seconds)
        return {
            "task": name,
            "passages": report.passages,
            "fused": summary(ranks(searcher, wanted)),
            "bm25_alone": summary(ranks_by_bm25(searcher, wanted)),
            "weights": report.weights,
            "measured": searcher.manifest.measured,
            "trained": searcher.manifest.trained,
            "seconds": report.seconds,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", default=[*PARAGRAPHS, *PAGES])
    parser.add_argument("--seconds", type=float, default=180.0, help="most time for the corpus embedder")
    arguments = parser.parse_args()
    for name in arguments.names:
        print(json.dumps(run(name, arguments.seconds), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
