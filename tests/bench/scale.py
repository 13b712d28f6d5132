"""100,000 passages: time of one search, memory of the server and its child, time until it is ready.

    python -m tests.bench.scale [--passages 100000] [--home FOLDER] [--questions 400]

Prints one JSON object. The passages are sentences of the corpora, shuffled into new sections with new numbers, half
English and half Chinese. Embedding them would take an hour and change nothing here, so their dense vectors are random
ones around 300 centres, and the weights are set so that every channel is asked for every question. The index is made
in FOLDER if one is given and found there by the next run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import numpy as np
import numpy.typing as npt

from indexer.backends import sentence_transformer
from indexer.backends.qdrant_edge import EdgeIndex
from indexer.build import version_folder, versions
from indexer.measure import Measured
from indexer.search import Request, Searcher
from router.ports import Embedder
from services import indexing
from services.settings import Settings
from tests.bench.ask import CORPORA
from tests.processes import resident, serve

MODEL = "all-MiniLM-L6-v2"
Vectors = npt.NDArray[np.float32]
TEXTS = {"en": ("postgresql_sgml_en", "redis_doc_en"), "zh": ("tidb_docs_cn", "polardb_pg_docs")}
WEIGHTS = {"bm25": 0.35, "unit": 0.2, "dense": 0.3, "corpus": 0.15}
ASKERS = 16
SECTIONS = 12  # in one page; ten of them make about 13 passages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--home", type=Path, help="keep the pages and the index here")
    parser.add_argument("--questions", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = (options.home or Path(folder)).resolve()
        print(json.dumps(measure(place, options.passages, options.questions), indent=1))


def measure(place: Path, passages: int, questions: int) -> dict[str, Any]:
    home, built = place / "home", None
    sentences = {language: sorted(_sentences(folders)) for language, folders in TEXTS.items()}
    if not versions(home / "index"):
        write_pages(place / "pages", sentences, passages)
        built = build(home, place / "pages")
    asked = {language: _questions(pool, questions) for language, pool in sentences.items()}
    load = round(os.getloadavg()[0], 1)
    return {
        "passages": versions(home / "index")[-1].passages,
        "load_average": load,
        "built": built,
        "served": served(home, asked),
        "search": searched(home, asked),
    }


# --- the passages -----------------------------------------------------------------------------------------------------


def _sentences(folders: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for folder in folders:
        for path in (CORPORA / folder).rglob("*.*"):
            if path.suffix in {".md", ".sgml"}:
                text = re.sub(r"<[^>]*>|[#*`|>\[\]]", " ", path.read_text("utf-8", errors="replace"))
                found.update(part.strip() for part in re.split(r"(?<=[。.])\s|\n\n", text) if 30 < len(part) < 300)
    return found


def write_pages(folder: Path, sentences: dict[str, list[str]], passages: int) -> None:
    rng = random.Random(1)
    folder.mkdir(parents=True)
    for number in range(passages * 10 // 13 // SECTIONS):
        pool = sentences["en" if number % 2 else "zh"]
        sections = (_section(pool, rng) for _ in range(SECTIONS))
        (folder / f"page{number:06}.md").write_text(f"# {_title(pool, rng)}\n\n" + "\n\n".join(sections), "utf-8")


def _section(pool: Sequence[str], rng: random.Random) -> str:
    lines = (" ".join(line.split()) + f" ({rng.randrange(10**6)})." for line in rng.sample(pool, rng.randint(2, 4)))
    return f"## {_title(pool, rng)}\n\n" + "\n".join(lines)


def _title(pool: Sequence[str], rng: random.Random) -> str:
    line = rng.choice(pool)
    return " ".join(line.split()[:5])[:24] + f" {rng.randrange(10**5)}"


class Centres:
    """`router.ports.Embedder` that gives every text a vector near one of 300 centres, the same for the same text."""

    def __init__(self, like: Embedder) -> None:
        self.fingerprint, self.dimension, self.max_tokens = like.fingerprint, like.dimension, like.max_tokens
        self._centres = np.random.default_rng(0).standard_normal((300, self.dimension)).astype(np.float32)
        self._noise = np.random.default_rng(1).standard_normal((4099, self.dimension)).astype(np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) if text[:1] > "\u2fff" else len(text) // 4 for text in texts]

    def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]
    ) -> tuple[Vectors, list[Vectors]]:
        return self.embed_questions(texts), [
            self.embed_questions([text[start:end] for start, end in own])
            for text, own in zip(texts, spans, strict=True)
        ]

    def embed_questions(self, texts: Sequence[str]) -> Vectors:
        hashes = np.array([zlib.crc32(text.encode()) for text in texts], np.int64)
        vectors = self._centres[hashes % 300] + 0.7 * self._noise[hashes % 4099]
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)


def build(home: Path, pages: Path) -> dict[str, Any]:
    settings = Settings(home=home, corpus_seconds=5)
    fake = Centres(sentence_transformer.load(MODEL, home / "models"))
    weights = mock.patch("indexer.learning.measure", lambda probes, *_: Measured(WEIGHTS, {}, 0, len(probes)))
    with weights, mock.patch.object(indexing, "embedder_of", lambda _: lambda: fake):
        report = indexing.run_index(settings, [f"pages={pages}"], "bench", lambda *_: None)
    return dict(report.build.seconds)


# --- what is measured -------------------------------------------------------------------------------------------------


def _questions(pool: Sequence[str], count: int) -> list[str]:
    rng = random.Random(2)
    return [" ".join(line.split()[:10])[:40] for line in rng.sample(pool, count)]


def served(home: Path, asked: dict[str, list[str]]) -> dict[str, Any]:
    """A server process: seconds from its start until it is ready, MiB then and after the questions."""
    began = time.perf_counter()
    server = serve(home, log_level="warning")
    try:
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            while (state := client.get("/ready")).status_code != 200:
                if time.perf_counter() - began > 60:
                    raise RuntimeError(f"the server is not ready: {state.text}")
                time.sleep(0.01)
            ready = time.perf_counter() - began
            first = resident(server.process.pid)
            questions = [question for pair in zip(*asked.values(), strict=True) for question in pair]
            times = [_ask(client, question) for question in questions]
            memory = resident(server.process.pid)
            with ThreadPoolExecutor(ASKERS) as askers:
                list(askers.map(partial(_ask, client), questions))
        crowded = resident(server.process.pid)
    finally:
        server.process.terminate()
        server.process.wait(30)
    return {
        "ready_s": round(ready, 2),
        "ready_mib": first,
        "mib": memory,
        "mib_after_a_crowd": crowded,
        "ask_ms": _spread(times),
    }


def _ask(client: httpx.Client, question: str) -> float:
    began = time.perf_counter()
    client.post("/ask", json={"question": question}).raise_for_status()
    return (time.perf_counter() - began) * 1e3


def searched(home: Path, asked: dict[str, list[str]]) -> dict[str, Any]:
    """One question at a time in this process, with random question vectors, and with the real embedder's."""
    manifest = versions(home / "index")[-1]
    folder = version_folder(home / "index", manifest.id)
    real = sentence_transformer.load(MODEL, home / "models")
    out: dict[str, Any] = {}
    for name, embedder in (("engine_and_rank_ms", Centres(real)), ("with_embedding_ms", real)):
        searcher = Searcher(folder, EdgeIndex.open(folder / "engine", manifest.dimensions), lambda own=embedder: own)  # type: ignore[misc]
        out[name] = {language: _spread(list(_timed(searcher, questions))) for language, questions in asked.items()}
        searcher.close()
    return out


def _timed(searcher: Searcher, questions: Sequence[str]) -> Iterator[float]:
    for question in questions:
        began = time.perf_counter()
        searcher.search([Request(question, 8, {})])
        yield (time.perf_counter() - began) * 1e3


def _spread(times: Sequence[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {"p50": round(statistics.median(ordered), 2), "p95": round(ordered[int(len(ordered) * 0.95)], 2)}


if __name__ == "__main__":
    main()
