"""BM25 against its oracle: rank-bm25 defines the formula with its own idf, Lucene's idf is what is served."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as edge
from hypothesis import given
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from indexer.analysis import analyse, analyse_question, term_id
from indexer.backends.qdrant_edge import EdgeIndex
from indexer.lexical import UNIT_B, UNIT_K1, Bm25, TermStatistics, unit_scores
from router.ports import EnginePoint, EngineQuery

TEXTS = (
    "Add a read-only node with the command add-node. The node is ready after two minutes.",
    "Backups of a node are kept for seven days. Restore a backup with the command restore-backup.",
    "The cluster needs three nodes. Every node needs the same version of the software.",
    "初始化集群需要三个节点。完成后可以添加只读节点。",
    "备份保留七天。恢复备份时集群必须停止。",
    "参数 max_connections 的默认值是 100，修改后需要重启节点。",
    "Set max_connections to 200 and restart the node; the default is 100.",
    "集群的节点都要使用同一个版本的软件，node 的版本不同时无法启动。",
)
QUESTIONS = (
    "How do I add a node?",
    "how long are backups kept",
    "max_connections 的默认值是多少？",
    "集群需要几个节点",
    "the the the node node",
    "weather on Mars",
)


def ids(tokens: Sequence[str]) -> np.ndarray:
    return np.array([term_id(token) for token in tokens], np.uint32)


def test_rank_bm25s_scores_come_out_of_the_engine_when_its_idf_is_sent_with_the_question(tmp_path: Path) -> None:
    """Its floor for frequent words included. A shard without the idf modifier, with rank-bm25's k1 and b."""
    tokens = [analyse(text) for text in TEXTS]
    oracle = BM25Okapi(tokens)
    ours = Bm25(oracle.avgdl, k1=1.5, b=0.75)
    config = edge.EdgeConfig(sparse_vectors={"bm25": edge.EdgeSparseVectorParams()})
    shard = edge.EdgeShard.create(str(tmp_path), config)
    points = [
        edge.Point(id=row, vector={"bm25": edge.SparseVector(*ours.weights(ids(own)))}, payload={})
        for row, own in enumerate(tokens)
    ]
    shard.update(edge.UpdateOperation.upsert_points(points))
    lifted = 0
    for question in QUESTIONS:
        asked = [token for token in analyse(question) if token in oracle.idf]
        if not asked:
            continue
        lifted += sum(2 * sum(token in own for own in tokens) > len(tokens) for token in asked)
        weights = {term_id(token): asked.count(token) * oracle.idf[token] for token in asked}
        vector = edge.SparseVector(list(weights), list(weights.values()))
        request = edge.QueryRequest(limit=100, query=edge.Query.Nearest(vector, using="bm25"))
        got = {found.id: found.score for found in shard.query(request)}
        wanted = {row: score for row, score in enumerate(oracle.get_scores(asked)) if score}
        assert got == pytest.approx(wanted, rel=1e-6)
    assert lifted  # a word that more than half of the texts hold was among the questions
    shard.close()


def test_what_is_served_is_lucenes_bm25(tmp_path: Path) -> None:
    tokens = [ids(analyse(text)) for text in TEXTS]
    bm25 = Bm25(float(np.mean([len(own) for own in tokens])))
    statistics = TermStatistics.of(map(np.unique, tokens), len(tokens))
    index = EdgeIndex.create(tmp_path / "e", {})
    index.upsert([EnginePoint(row, bm25.weights(own), {}, {}) for row, own in enumerate(tokens)])
    index.finish()
    for question in QUESTIONS:
        asked = np.unique(ids(analyse_question(question)))
        (found,) = index.candidates([EngineQuery((asked.tolist(), [1.0] * len(asked)), {}, {})], 100)
        got = dict(zip(*found["bm25"], strict=True))
        scores = [lucene(asked.tolist(), own.tolist(), [one.tolist() for one in tokens], bm25) for own in tokens]
        assert got == pytest.approx({row: score for row, score in enumerate(scores) if score}, rel=1e-5)
        formula = dict(zip(asked.tolist(), statistics.idf(asked).tolist(), strict=True))
        for row, own in enumerate(tokens):
            pairs = zip(*bm25.weights(own), strict=True)
            assert sum(value * formula.get(term, 0.0) for term, value in pairs) == pytest.approx(scores[row], rel=1e-5)
    index.close()


def lucene(question: Sequence[int], text: Sequence[int], texts: Sequence[Sequence[int]], bm25: Bm25) -> float:
    """The formula as it stands in the textbook, one term after the other."""
    total = 0.0
    for term in question:
        count, holders = text.count(term), sum(term in other for other in texts)
        idf = math.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
        norm = bm25.k1 * (1 - bm25.b + bm25.b * len(text) / bm25.average)
        total += idf * count * (bm25.k1 + 1) / (count + norm)
    return total


def test_nothing_divides_by_zero() -> None:
    none = np.empty(0, np.uint32)
    empty = TermStatistics.of([], 0)
    assert empty.idf(ids(["a"])).tolist() == [1.0]
    assert empty.idf(none).tolist() == []
    assert TermStatistics.of([none], 1).idf(ids(["a"])).tolist() == [1.0]
    assert Bm25(0.0).weights(none) == ([], [])
    assert np.isfinite(Bm25(0.0).weights(ids(["a", "a"]))[1]).all()
    assert unit_scores(none, np.zeros(1, np.int64), 0.0, none, np.empty(0, np.float32)).tolist() == []
    assert unit_scores(none, np.zeros(3, np.int64), 0.0, ids(["a"]), np.ones(1, np.float32)).tolist() == [0.0, 0.0]


def test_a_word_that_every_passage_holds_still_counts_a_little() -> None:
    statistics = TermStatistics.of([ids(["a", "b"]), ids(["a"])], 2)
    everywhere, somewhere, nowhere = statistics.idf(ids(["a", "b", "never seen"])).tolist()
    assert 0 < everywhere < somewhere < nowhere


UNITS = st.lists(st.sets(st.integers(0, 12), max_size=6), max_size=8)


@given(units=UNITS, question=st.dictionaries(st.integers(0, 14), st.floats(0.125, 8, width=32), max_size=6))
def test_unit_scores_equal_the_formula_written_out(units: list[set[int]], question: dict[int, float]) -> None:
    lengths = [len(unit) for unit in units]
    terms = np.array([term for unit in units for term in sorted(unit)], np.uint32)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    average = float(np.mean(lengths)) if units else 1.0
    asked = np.array(sorted(question), np.uint32)
    idf = np.array([question[int(term)] for term in asked], np.float32)
    got = unit_scores(terms, offsets, average, asked, idf)
    norms = [UNIT_K1 * (1 - UNIT_B + UNIT_B * length / max(average, 1e-9)) for length in lengths]
    wanted = [
        sum(question.get(term, 0.0) for term in unit) * (UNIT_K1 + 1) / (1 + norm)
        for unit, norm in zip(units, norms, strict=True)
    ]
    assert got.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-5)
