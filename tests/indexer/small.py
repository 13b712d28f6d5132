"""A small corpus and a small real embedder for tests of the build and of search."""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from indexer import build as building
from indexer.analysis import analyse
from indexer.backends.qdrant_edge import EdgeIndex
from indexer.build import BuildOptions, BuildReport, build, version_folder
from indexer.corpus_embedder import DIMENSION, CorpusEmbedder
from indexer.learning import Learned
from indexer.search import Request, Searcher
from indexer.sources import Source
from indexer.version import Arrays, read_manifest
from router.ports import Engines
from router.types import SearchResult

WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "en": {"bm25": 0.4, "unit": 0.2, "dense": 0.3, "corpus": 0.1},
    "zh": {"bm25": 0.5, "unit": 0.3, "dense": 0.0, "corpus": 0.2},
}


class HashingEmbedder:
    """A text's vector is the sum of its tokens' vectors, each drawn from the token's hash. Knows words, no synonyms.
    embedded: every passage text ever embedded, in order."""

    max_tokens = 256

    def __init__(self, fingerprint: str = "hashing-1", dimension: int = 48) -> None:
        self.fingerprint = fingerprint
        self.dimension = dimension
        self.embedded: list[str] = []
        self._known: dict[str, np.ndarray] = {}

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(analyse(text)) for text in texts]

    def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        self.embedded.extend(texts)
        units = [self._vectors([text[start:end] for start, end in own]) for text, own in zip(texts, spans, strict=True)]
        return self._vectors(texts), units

    def embed_questions(self, texts: Sequence[str]) -> np.ndarray:
        return self._vectors(texts)

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        rows = [sum((self._of(token) for token in analyse(text)), np.zeros(self.dimension)) for text in texts]
        out = np.array(rows, np.float32).reshape(-1, self.dimension)
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)

    def _of(self, token: str) -> np.ndarray:
        if token not in self._known:
            self._known[token] = np.random.default_rng(zlib.crc32(token.encode())).standard_normal(self.dimension)
        return self._known[token]


def fixed_learning(weights: Mapping[str, Mapping[str, float]] = WEIGHTS):  # type: ignore[no-untyped-def]
    """In the place of `indexer.learning.learn`: a table that is always the same, and these weights. No torch."""
    table = np.random.default_rng(0).standard_normal((4096, DIMENSION)).astype(np.float16)
    corpus = CorpusEmbedder(table, np.ones(4096, np.float32))

    def learn(material, parent, *_):  # type: ignore[no-untyped-def]
        trained = {"passages": len(material.passages), "since": 0}
        return Learned(corpus, weights, {}, trained, anew=parent is None)

    return learn


ENGLISH = (
    "node cluster backup restore replica leader disk memory index table query planner cache network packet router "
    "firewall certificate password token session user role grant revoke schema column row page buffer log checkpoint "
    "snapshot timeout retry limit quota metric alert trace span queue topic consumer producer offset partition shard"
).split()
CHINESE = "节点 集群 备份 恢复 副本 磁盘 内存 索引 查询 缓存 网络 证书 密码 会话 用户 角色 日志 快照 超时 分区".split()


def page(number: int, sections: int = 3) -> str:
    """A Markdown page, the same for the same number; every fourth one is Chinese."""
    rng = random.Random(number)
    chinese = number % 4 == 3
    words, full_stop, space = (CHINESE, "。", "") if chinese else (ENGLISH, ". ", " ")
    out = [f"# {'手册' if chinese else 'Manual'} {number}\n"]
    for section in range(sections):
        title = space.join(rng.sample(words, 3))
        sentences = [space.join(rng.choices(words, k=9)) + full_stop for _ in range(3)]
        out.append(f"## {title}{'' if chinese else ' '}{section}\n\n{''.join(sentences).strip()}\n")
    return "\n".join(out)


class Place:
    """A home and a folder of pages; builds go on from the last version."""

    def __init__(self, root: Path, engines: Engines = EdgeIndex) -> None:
        self.home = root / "home"
        self.pages = root / "pages"
        self.pages.mkdir(parents=True, exist_ok=True)
        self.embedder = HashingEmbedder()
        self.engines = engines
        self.version: str | None = None

    @property
    def folder(self) -> Path:
        assert self.version
        return version_folder(self.home, self.version)

    def write(self, name: str, text: str) -> None:
        path = self.pages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def build(self, full: bool = False, parent: str | None = None) -> BuildReport:
        options = BuildOptions(corpus_seconds=0.0, full=full)
        wanted = [Source("docs", str(self.pages))]
        report = build(
            self.home, wanted, lambda: self.embedder, self.engines, parent or self.version, options, lambda *_: None
        )
        self.version = report.version
        return report

    def searcher(self) -> Searcher:
        engine = self.engines.open(self.folder / "engine", read_manifest(self.folder).dimensions)
        return Searcher(self.folder, engine, lambda: self.embedder)

    def search(self, *questions: str, limit: int = 10, **filters: str) -> list[SearchResult]:
        searcher = self.searcher()
        try:
            return searcher.search([Request(question, limit, filters) for question in questions])
        finally:
            searcher.close()

    def arrays(self) -> Arrays:
        return Arrays.load(self.folder / "arrays")


def documents(result: SearchResult) -> list[str]:
    return [hit.passage.document for hit in result.hits]


__all__ = ["WEIGHTS", "HashingEmbedder", "Place", "building", "documents", "fixed_learning", "page"]
