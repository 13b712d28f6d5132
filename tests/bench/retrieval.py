"""Retrieval quality on question files whose paragraphs are the documents, and on the handmade page questions.

    python -m tests.bench.retrieval [NAME …] [--seconds 180] [--model NAME]

Prints one JSON object a line: R@1, R@5 and MRR@10 of what `/search` replies ("served"), of the search before its
passages are read ("fused"), of the search that `/ask` makes, which embeds no question that words are sure of ("frugal",
with the share that is embedded), of BM25 alone, and of BM25 with the corpus embedder, in the same run. faq: paraphrases
of PolarDB's frequent questions, the page of the answer being right.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexer.backends import sentence_transformer
from indexer.backends.qdrant_edge import EdgeIndex
from indexer.build import BuildOptions, BuildReport, build, version_folder
from indexer.search import Request, Searcher
from indexer.sources import Source
from router.types import SearchResult
from services.generation.ordering import by_reading

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PARAGRAPHS = {"squad": "squad_v2_dev_half", "cmrc": "cmrc2018_dev", "drcd": "drcd_dev"}
PAGES = {
    "polardb": ("polardb_zh_handmade_dev", ("polardb_pg_docs", "polardb_stack_docs")),
    "redis": ("redis_en_handmade_dev", ("redis_doc_en",)),
}
FAQ = ("polardb_faq_queries_dev", "polardb_faq")
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


def faq_task() -> tuple[list[Source], list[tuple[str, set[str]]]]:
    pages = {row["faq_id"]: row["source"] for row in rows(FAQ[1])}
    wanted = [(row["query"], {pages[row["gold_faq"]]}) for row in rows(FAQ[0]) if row["gold_faq"]]
    return page_task("polardb")[0], wanted


def page_task(name: str) -> tuple[list[Source], list[tuple[str, set[str]]]]:
    if name == "faq":
        return faq_task()
    questions, corpora = PAGES[name]
    asked = [row for row in rows(questions) if row["answerable"] and not row["history"]]
    wanted = [(row["question"], {row["doc_id"], *row["also_in"]}) for row in asked]
    return [Source(corpus, str(DATA / "corpora" / corpus)) for corpus in corpora], wanted


def index(home: Path, sources: Sequence[Source], seconds: float, model: str = MODEL) -> tuple[BuildReport, Searcher]:
    embedder = sentence_transformer.load(model, home / "models")
    report = build(
        home, sources, lambda: embedder, EdgeIndex, None, BuildOptions(corpus_seconds=seconds), lambda *_: None
    )
    folder = version_folder(home, report.version)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    return report, Searcher(folder, EdgeIndex.open(folder / "engine", manifest["dimensions"]), lambda: embedder)


def ranks(searcher: Searcher, wanted: Sequence[tuple[str, set[str]]], read: bool = False) -> list[int]:
    """The rank of the first right document of each question, 0 when it is not among the first ten documents. read:
    with the passages in the order in which they are served, after reading them."""
    out = []
    for at in range(0, len(wanted), 32):
        batch = wanted[at : at + 32]
        found = searcher.search([Request(question, 40, {}) for question, _ in batch])
        for result, (question, gold) in zip(found, batch, strict=True):
            out.append(_rank(by_reading(question, result) if read else result, gold))
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


def frugal(searcher: Searcher, wanted: Sequence[tuple[str, set[str]]]) -> dict[str, float]:
    found: list[SearchResult] = []
    embedded = 0
    for at in range(0, len(wanted), 32):
        requests = [Request(question, 40, {}, frugal=True) for question, _ in wanted[at : at + 32]]
        sure = searcher.by_words(requests)
        rest = iter(searcher.search([one for one, known in zip(requests, sure, strict=True) if known is None]))
        found += [known or next(rest) for known in sure]
        embedded += sure.count(None)
    ranked = [_rank(result, gold) for result, (_, gold) in zip(found, wanted, strict=True)]
    return {**summary(ranked), "embedded": round(embedded / len(wanted), 4)}


def summary(found: Sequence[int]) -> dict[str, float]:
    count = len(found)
    return {
        "questions": count,
        "r_at_1": round(sum(rank == 1 for rank in found) / count, 4),
        "r_at_5": round(sum(0 < rank <= 5 for rank in found) / count, 4),
        "mrr_at_10": round(sum(1 / rank for rank in found if rank) / count, 4),
    }


def ranks_by(searcher: Searcher, wanted: Sequence[tuple[str, set[str]]], channels: Sequence[str]) -> list[int]:
    """The same without the re-ranker, with every channel silent but these, which keep their weights beside BM25's."""
    manifest, models = searcher.manifest, searcher.reranker.models
    searcher.manifest = replace(
        manifest, weights={name: _only(one, channels) for name, one in manifest.weights.items()}
    )
    searcher.reranker.models = {}
    try:
        return ranks(searcher, wanted)
    finally:
        searcher.manifest, searcher.reranker.models = manifest, models


def _only(weights: Mapping[str, float], channels: Sequence[str]) -> dict[str, float]:
    kept = {name: weights.get(name, 0.0) for name in channels}
    return {"bm25": 1.0 - sum(kept.values()), **kept}


def run(name: str, seconds: float, model: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts"
        texts.mkdir()
        sources, wanted = paragraph_task(name, texts) if name in PARAGRAPHS else page_task(name)
        report, searcher = index(Path(folder) / "home", sources, seconds, model)
        return {
            "task": name,
            "passages": report.passages,
            "served": summary(ranks(searcher, wanted, read=True)),
            "fused": summary(ranks(searcher, wanted)),
            "frugal": frugal(searcher, wanted),
            "bm25_alone": summary(ranks_by(searcher, wanted, ())),
            "bm25_and_corpus": summary(ranks_by(searcher, wanted, ("corpus",))),
            "weights": report.weights,
            "measured": searcher.manifest.measured,
            "trained": searcher.manifest.trained,
            "seconds": report.seconds,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", default=[*PARAGRAPHS, *PAGES, "faq"])
    parser.add_argument("--seconds", type=float, default=180.0, help="most time for the corpus embedder")
    parser.add_argument("--model", default=MODEL, help="the text embedder")
    arguments = parser.parse_args()
    for name in arguments.names:
        print(json.dumps(run(name, arguments.seconds, arguments.model), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
