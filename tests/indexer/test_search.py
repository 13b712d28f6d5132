"""Search on a version that a build made: what an asker sees."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.analysis import analyse
from indexer.batching import BatchingRetriever
from indexer.runs import best_of_runs, ranges
from indexer.search import Request
from router.errors import IndexUnavailable
from router.types import SearchResult
from router.units import split
from tests.indexer.small import Place, documents, page

RUNS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=20)


@given(RUNS)
def test_ranges_are_those_of_a_plain_loop(runs: list[tuple[int, int]]) -> None:
    begin = np.array([start for start, _ in runs], np.int64)
    end = begin + np.array([length for _, length in runs], np.int64)
    assert ranges(begin, end).tolist() == [at for start, length in runs for at in range(start, start + length)]


@given(st.lists(st.lists(st.floats(-1, 1, width=32), max_size=4), max_size=12))
def test_best_of_runs_is_the_maximum_of_each(runs: list[list[float]]) -> None:
    values = np.array([value for run in runs for value in run], np.float32)
    starts = np.concatenate(([0], np.cumsum([len(run) for run in runs]))).astype(np.int64)
    assert best_of_runs(values, starts).tolist() == [max(run) if run else 0.0 for run in runs]


def sentence_of(number: int, section: int = 1) -> str:
    """The first sentence of a section."""
    body = page(number).split("\n## ")[section + 1].split("\n\n")[1]
    return body.replace("。", ". ").split(". ")[0]


@pytest.mark.parametrize("number", range(8))
def test_a_sentence_finds_its_page_and_itself(place: Place, number: int) -> None:
    sentence = sentence_of(number)
    (result,) = place.search(sentence)
    best = result.hits[0]
    assert best.passage.document == f"docs/page{number}.md"
    assert best.best_unit is not None
    unit = split(best.passage.text)[best.best_unit]
    assert sentence in best.passage.text[unit.start : unit.end]
    assert result.language == ("zh" if number % 4 == 3 else "en")
    assert result.index_version == place.version


def test_scores_are_kept_apart_and_ranked(place: Place) -> None:
    english, chinese = place.search(sentence_of(1), sentence_of(3), limit=5)
    assert len(english.hits) == 5
    assert set(english.hits[0].scores) == {"bm25", "unit", "dense", "dense_unit", "corpus"}
    assert set(chinese.hits[0].scores) == {"bm25", "unit", "corpus"}  # the dense channel has no weight in Chinese
    for hit in english.hits:
        assert len(hit.unit_cosines) == len(split(hit.passage.text))
        assert max(hit.unit_cosines) == pytest.approx(hit.scores["dense_unit"], abs=1e-4)
    assert all(hit.unit_cosines == () for hit in chinese.hits)
    for result in (english, chinese):
        assert [hit.fused for hit in result.hits] == sorted((hit.fused for hit in result.hits), reverse=True)
        assert 0 < result.hits[0].fused <= 1 + 1e-6
        assert len({hit.passage.id for hit in result.hits}) == len(result.hits)
        for hit in result.hits:
            assert hit.scores["bm25"] >= 0 and -1.01 <= hit.scores["corpus"] <= 1.01
    assert set(english.terms) == set(analyse(sentence_of(1)))
    assert all(idf > 0 for idf in english.terms.values())


def test_a_term_that_no_passage_holds_has_the_largest_idf(place: Place) -> None:
    (result,) = place.search("backup zanzibar")
    assert result.terms["zanzibar"] == max(result.terms.values()) > result.terms[analyse("backup")[0]]


def test_many_questions_at_once_get_the_answers_of_each_alone(place: Place) -> None:
    questions = [sentence_of(number, section) for number in range(8) for section in range(2)]
    together = place.search(*questions)
    for question, batched in zip(questions, together, strict=True):
        (alone,) = place.search(question)
        assert [hit.passage for hit in alone.hits] == [hit.passage for hit in batched.hits]
        assert [hit.fused for hit in alone.hits] == pytest.approx([hit.fused for hit in batched.hits], abs=1e-5)


def test_filters(place: Place) -> None:
    everything = " ".join(sentence_of(number) for number in (0, 1, 2))
    only = place.search(everything, document="docs/page1.md")[0]
    assert only.hits and set(documents(only)) == {"docs/page1.md"}
    chinese = place.search("集群 backup", language="zh")[0]
    assert chinese.hits and {hit.passage.language for hit in chinese.hits} == {"zh"}
    assert place.search(everything, source="docs", language="en")[0].hits
    assert place.search(everything, source="other")[0].hits == ()
    assert place.search(everything, document="docs/page1.md", language="zh")[0].hits == ()


@pytest.mark.parametrize(
    "question", ["クラスターのバックアップ", "클러스터 백업", "Как сделать backup", "كيف", "🦆", "", "?", "的", "the"]
)
def test_a_question_in_a_language_without_figures_or_without_words(place: Place, question: str) -> None:
    (result,) = place.search(question)
    assert isinstance(result, SearchResult)
    assert all(np.isfinite(hit.fused) for hit in result.hits)


def test_a_limit_beyond_what_there_is(place: Place) -> None:
    assert len(place.search("node", limit=1)[0].hits) == 1
    assert place.search("node", limit=10_000)[0].hits
    assert place.search() == []


def test_the_embedder_is_not_loaded_when_no_question_needs_it(place: Place) -> None:
    searcher = place.searcher()
    searcher._embedder = lambda: pytest.fail("the embedder was loaded")
    assert searcher.search([Request("节点 集群", 3, {})])[0].hits
    searcher.close()


def test_askers_who_come_together_are_answered_each(place: Place) -> None:
    retriever = BatchingRetriever(place.searcher())

    async def all_at_once() -> list[SearchResult]:
        return await asyncio.gather(*(retriever.search(sentence_of(n % 8), 3, {}) for n in range(100)))

    results = asyncio.run(all_at_once())
    retriever.close()
    assert [documents(result)[0] for result in results] == [f"docs/page{n % 8}.md" for n in range(100)]


def test_one_askers_failure_reaches_them_and_not_the_next(place: Place) -> None:
    searcher = place.searcher()
    retriever = BatchingRetriever(searcher)
    engine = searcher._engine

    class Broken:
        def candidates(self, *_: object) -> None:
            raise IndexUnavailable("the disk is gone")

    async def twice() -> SearchResult:
        searcher._engine = Broken()  # type: ignore[assignment]
        with pytest.raises(IndexUnavailable, match="the disk is gone"):
            await retriever.search("node", 3, {})
        searcher._engine = engine
        return await retriever.search("node", 3, {})

    assert asyncio.run(twice()).hits
    retriever.close()
