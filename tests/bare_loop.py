"""The least that a team would write: the same embedder and the same engine behind one FastAPI route, nothing more.

    python -m tests.bare_loop --home FOLDER --port PORT     serves POST /ask until it is stopped

What waits is embedded and searched in one batch on one thread; scores are scaled by the least and the largest of their
channel and added with the index's own weights; the five best passages are the reply. Nothing is looked at again,
matched, quoted, weighed or kept. `Bare` is the loop alone; `tests.bench.ask` measures itself against both.
"""

from __future__ import annotations

import argparse
import asyncio
import queue
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from indexer.analysis import analyse_question, question_language, term_id
from indexer.backends import sentence_transformer
from indexer.backends.qdrant_edge import EdgeIndex
from indexer.build import version_folder, versions
from indexer.content import Content
from indexer.corpus_embedder import CorpusEmbedder
from indexer.version import Arrays
from router.ports import EngineQuery, Found

PER_CHANNEL = 60  # as `indexer.search` asks the engine
MOST = 32  # questions in one batch
_SENT = 5  # passages


class Bare:
    """Tokens and vectors of questions, one call of the engine."""

    def __init__(self, home: Path) -> None:
        self.manifest = versions(home / "index")[-1]
        self.folder = version_folder(home / "index", self.manifest.id)
        self.embedder = sentence_transformer.load("all-MiniLM-L6-v2", home / "models")
        self.engine = EdgeIndex.open(self.folder / "engine", self.manifest.dimensions)
        self.corpus = CorpusEmbedder.load(self.folder / "corpus")

    def search(self, texts: Sequence[str]) -> Sequence[Found]:
        weights = self.manifest.weights_for(question_language(texts[0]))
        tokens = [analyse_question(text) for text in texts]
        dense = self.embedder.embed_questions(texts) if weights.get("dense") else None
        corpus = self.corpus.embed_questions(tokens) if weights.get("corpus") else None
        queries = []
        for row, own in enumerate(tokens):
            ids = np.unique(np.fromiter(map(term_id, own), np.uint32)).tolist()
            named = (("dense", dense), ("corpus", corpus))
            vectors = {name: vectors[row] for name, vectors in named if vectors is not None}
            queries.append(EngineQuery((ids, [1.0] * len(ids)), vectors, {}))
        return self.engine.candidates(queries, PER_CHANNEL)


class _Asked(BaseModel):
    question: str


class _Service:
    """One thread that searches, and takes all that waits in one batch."""

    def __init__(self, home: Path) -> None:
        self.bare = Bare(home)
        content = Content(self.bare.folder / "content.db")
        keys = Arrays.load(self.bare.folder / "arrays").keys.tolist()
        self.texts = {key: (one.document, one.text) for key, one in zip(keys, content.all_passages(), strict=True)}
        content.close()
        self.waiting: queue.SimpleQueue[tuple[str, asyncio.AbstractEventLoop, asyncio.Future[Any]]]
        self.waiting = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    async def ask(self, question: str) -> list[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[list[dict[str, Any]]] = loop.create_future()
        self.waiting.put((question, loop, reply))
        return await reply

    def _run(self) -> None:
        while True:
            batch = [self.waiting.get()]
            while len(batch) < MOST and not self.waiting.empty():
                batch.append(self.waiting.get())
            for found, (question, loop, reply) in zip(self.bare.search([one[0] for one in batch]), batch, strict=True):
                weights = self.bare.manifest.weights_for(question_language(question))
                loop.call_soon_threadsafe(reply.set_result, self._best(found, weights))

    def _best(self, found: Found, weights: dict[str, float]) -> list[dict[str, Any]]:
        fused: dict[int, float] = {}
        for channel, (keys, scores) in found.items():
            least, spread = min(scores, default=0.0), max(scores, default=0.0) - min(scores, default=0.0)
            for key, score in zip(keys, scores, strict=True):
                own = (score - least) / spread if spread else 1.0
                fused[key] = fused.get(key, 0.0) + weights.get(channel, 0.0) * own
        best = sorted(fused, key=lambda key: -fused[key])[:_SENT]
        return [{"document": self.texts[key][0], "text": self.texts[key][1], "score": fused[key]} for key in best]


def application(home: Path) -> FastAPI:
    service = _Service(home)
    app = FastAPI()

    @app.post("/ask")
    async def ask(asked: _Asked) -> dict[str, Any]:
        return {"passages": await service.ask(asked.question)}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", options.port))
    server = uvicorn.Server(uvicorn.Config(application(options.home), log_level="error", access_log=False))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
