"""The parts below the build: content file, vector cache, lock, statistics, material, corpus embedder, measuring."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import content
from indexer.analysis import analyse
from indexer.content import Content, Stored
from indexer.corpus_embedder import DIMENSION, CorpusEmbedder, features
from indexer.corpus_training import Section, train
from indexer.lexical import TermStatistics
from indexer.material import Material
from indexer.measure import measure, probe
from indexer.vector_cache import VectorCache
from indexer.vectors import _statistics
from indexer.version import Arrays, Lock, key_of
from router.errors import Conflict, Mismatch
from router.types import Document, Location, Passage, Skipped
from tests.indexer.small import HashingEmbedder, page

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
PASSAGES = st.lists(
    st.builds(
        Passage,
        id=st.integers(0, 2**128 - 1).map(lambda n: f"{n:032x}"),
        document=TEXT,
        heading=st.lists(TEXT, max_size=3).map(tuple),
        start=st.integers(0, 10**9),
        end=st.integers(0, 10**9),
        text=TEXT,
        language=st.sampled_from(["zh", "en", "und"]),
        preamble=TEXT,
        also_at=st.lists(st.builds(Location, TEXT, st.integers(0, 99), st.integers(0, 99)), max_size=2).map(tuple),
    ),
    max_size=6,
    unique_by=lambda passage: passage.id,
)
DOCUMENTS = st.lists(
    st.builds(
        Stored,
        st.builds(
            Document,
            **dict.fromkeys(("path", "source", "title", "language", "text", "revision", "content_hash"), TEXT),
            modified=st.none() | TEXT,
            aliases=st.lists(TEXT, max_size=2).map(tuple),
        ),
        st.binary(max_size=20),
        st.none() | TEXT,
    ),
    max_size=4,
    unique_by=lambda item: item.document.path,
)


@settings(max_examples=30, deadline=None)
@given(documents=DOCUMENTS, passages=PASSAGES, skipped=st.lists(st.tuples(TEXT, TEXT, st.none() | TEXT), max_size=3))
def test_a_content_file_gives_back_what_was_written(tmp_path_factory, documents, passages, skipped) -> None:
    path = tmp_path_factory.mktemp("content") / "content.db"
    content.write(path, documents, passages, [(Skipped(name, why), known) for name, why, known in skipped])
    read = Content(path)
    assert list(read.all_passages()) == passages
    assert sorted(read.stored(), key=lambda item: item.document.path) == sorted(
        documents, key=lambda item: item.document.path
    )
    backwards = list(range(len(passages)))[::-1]
    assert read.passages(backwards) == passages[::-1]
    assert read.passages([]) == []
    for item in documents:
        assert read.document(item.document.path) == item.document
        assert read.facts()[item.document.path] == (
            item.document.revision,
            item.document.modified,
            item.document.aliases,
        )
    assert read.unreadable() == {name: known for name, _, known in skipped if known is not None}
    with pytest.raises(KeyError):
        read.passages([len(passages)])
    read.close()


def test_the_passages_beside_one(tmp_path: Path) -> None:
    def passage(document: str, start: int) -> Passage:
        return Passage(f"{document}-{start}", document, (), start, start + 5, "text\n", "en")

    one, two, three, other = passage("a.md", 0), passage("a.md", 5), passage("a.md", 10), passage("b.md", 0)
    content.write(tmp_path / "content.db", [], [one, two, three, other], [])
    read = Content(tmp_path / "content.db")
    assert read.beside(two) == (one, three)
    assert (read.beside(one), read.beside(three), read.beside(other)) == ((None, two), (two, None), (None, None))
    assert read.beside(passage("c.md", 0)) == (None, None)
    read.close()


def test_the_vector_cache_keeps_what_was_put(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cache.db"
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((3, 8)).astype(np.float16)
    units = [rng.standard_normal((count, 8)).astype(np.float16) for count in (2, 0, 5)]
    first = VectorCache(path, 8)
    first.put(["a", "b", "c"], vectors, units)
    second = VectorCache(path, 8)  # the first was never closed, as after a kill
    found = second.get(["c", "a", "b", "never"])
    assert set(found) == {"a", "b", "c"}
    for at, name in enumerate("abc"):
        np.testing.assert_array_equal(found[name][0], vectors[at])
        np.testing.assert_array_equal(found[name][1].reshape(-1, 8), units[at])
    assert second.get([]) == {}
    first.close()
    second.close()


HOLD = """
import sys, time
from pathlib import Path
from indexer.version import Lock
Lock(Path(sys.argv[1]), "index build").acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_the_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "home" / "build.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(Conflict, match=f"index build: process {holder.pid} is at it"):
            Lock(path, "index build").acquire()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with Lock(path, "index build"), pytest.raises(Conflict, match=f"process {os.getpid()}"):
        Lock(path, "index build").acquire()
    Lock(path, "index build").acquire()


def statistics_of(passages: list[Passage]) -> TermStatistics:
    return _statistics(Material.of(passages, None), None, [])


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_statistics_brought_up_to_date_are_those_from_scratch(before: set[int], after: set[int]) -> None:
    every = [Passage(f"{n << 8:016x}{n:016x}", "d/a.md", ("Manual",), 0, 1, page(n, 1), "en") for n in range(10)]
    old = [every[n] for n in sorted(before)]
    new = [every[n] for n in sorted(after)]
    then = statistics_of(old)
    empty = np.empty(0, np.float16)
    parent = Arrays(
        keys=np.array([key_of(passage.id) for passage in old], np.uint64),
        lengths=np.empty(0, np.int32), unit_offsets=np.empty(0, np.int64), unit_terms=np.empty(0, np.uint32),
        unit_term_offsets=np.empty(0, np.int64), term_ids=then.ids, term_counts=then.counts,
        corpus=empty, has_dense=np.empty(0, np.bool_), dense=empty, dense_units=empty,
    )  # fmt: skip
    gone = Material.of([every[n] for n in sorted(before - after)], None)
    removed = [gone.words(row).terms for row in range(len(gone.passages))]
    got = _statistics(Material.of(new, parent.keys), parent, removed)
    wanted = statistics_of(new)
    assert got.ids.tolist() == wanted.ids.tolist()
    assert got.counts.tolist() == wanted.counts.tolist()
    assert got.passages == wanted.passages


def table() -> CorpusEmbedder:
    rng = np.random.default_rng(0)
    return CorpusEmbedder(rng.standard_normal((64, DIMENSION)).astype(np.float16), np.ones(64, np.float32))


def test_a_corpus_embedder_is_kept_on_disk(tmp_path: Path) -> None:
    embedder = table()
    embedder.save(tmp_path / "corpus")
    again = CorpusEmbedder.load(tmp_path / "corpus")
    asked = [analyse("add a node"), analyse("添加节点"), []]
    np.testing.assert_array_equal(embedder.embed_questions(asked), again.embed_questions(asked))
    norms = np.linalg.norm(again.embed_questions(asked), axis=1)
    assert norms.tolist() == pytest.approx([1, 1, 0], abs=1e-5)
    np.save(tmp_path / "corpus" / "table.npy", np.zeros((64, 3), np.float16))
    with pytest.raises(Mismatch, match="--full"):
        CorpusEmbedder.load(tmp_path / "corpus")


def test_features_are_tokens_and_pairs_of_latin_words() -> None:
    one, other = features(["add", "node"]), features(["node", "add"])
    assert len(one) == 3 and set(one[:2].tolist()) == set(other[:2].tolist()) and one[2] != other[2]
    assert len(features(["节", "点", "节点"])) == 3
    assert len(features([])) == 0


def test_training_learns_what_stands_together() -> None:
    """Two words of the same meaning never stand in one sentence, but with the same neighbours."""
    rng = np.random.default_rng(3)
    topics = [[f"t{topic}w{word}" for word in range(12)] for topic in range(40)]
    sections = [
        Section(features([]), tuple(features(rng.choice(words, 6, replace=False).tolist()) for _ in range(4)))
        for words in topics
        for _ in range(4)
    ]
    trained = train(sections, 2.0, lambda *_: None)
    same = trained.embedder.embed([features([words[0]]) for words in topics])
    near = trained.embedder.embed([features([words[1]]) for words in topics])
    scores = same @ near.T
    assert (scores.argmax(axis=1) == np.arange(len(topics))).mean() > 0.3  # 0.025 by chance
    assert 0 < trained.quality <= 1 and trained.steps > 0


@pytest.mark.parametrize(
    "sections", [[], [Section(features([]), ())], [Section(features(["a", "b"]), (features(["c"]),))]]
)
def test_training_on_next_to_nothing(sections: list[Section]) -> None:
    embedder = train(sections, 1.0, lambda *_: None).embedder
    assert np.isfinite(embedder.embed_questions([["a"]])).all()


def probes(count: int):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    out = []
    for number in range(count):
        body = [line for line in page(number * 4).split("\n") if line and not line.startswith("#")]
        units = [part.strip() for line in body for part in line.split(". ")]
        heading = (f"Manual {number}", page(number * 4).split("\n## ")[1].split("\n")[0])
        out.append(probe(heading, units, rng))
    return out


class Blind(HashingEmbedder):
    """Sees nothing: every text has the same vector."""

    def _vectors(self, texts):  # type: ignore[no-untyped-def]
        return np.full((len(texts), self.dimension), self.dimension**-0.5, np.float32)


def test_measuring_tells_a_channel_that_works_from_a_blind_one() -> None:
    seeing = measure(probes(60), HashingEmbedder(dimension=128), None)
    assert seeing.questions >= 20 and seeing.passages == 60
    assert seeing.weights.get("dense", 0) > 0.1 and seeing.quality["dense"] > 0.15
    blind = measure(probes(60), Blind(), None)
    assert "dense" not in blind.weights and blind.quality["dense"] < 0.1
    assert sum(blind.weights.values()) == pytest.approx(1, abs=0.01)


def test_too_few_questions_measure_nothing() -> None:
    few = measure(probes(6), HashingEmbedder(), table())
    assert set(few.weights) == {"bm25", "unit"}
    assert measure([], None, None).questions == 0


def test_a_probe_asks_for_its_own_passage_in_its_own_words() -> None:
    heading = ("Manual", "Colours of nodes and disks")
    units = ["The first sentence is about a red node here.", "The second sentence is about a blue disk there."]
    made = [probe(heading, units, np.random.default_rng(seed)) for seed in range(60)]
    assert {item.is_heading for item in made} == {True, False}
    for item in made:
        assert set(item.question.split()) <= set(" ".join((heading[-1], *units)).split())
        assert item.question and set(item.units) <= set(units)
        assert item.is_heading == (item.question == heading[-1])
    for seed in range(20):
        assert probe((), [], np.random.default_rng(seed)).question == ""
