"""Questions that words alone are sure of are not embedded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from indexer.batching import BatchingRetriever
from indexer.search import Request, Searcher
from indexer.sureness import SIGNS, packaged, signs
from tests.bench.frugal import line_for
from tests.indexer.small import HashingEmbedder, Place, page

SURE = page(1).split("\n\n")[2].split(". ")[0]  # a sentence of one page, word for word
UNSURE = "node"  # on most pages
CHINESE = "节点 集群"


class Counting(HashingEmbedder):
    """Keeps the questions. turns: one for each batch of them, where it is set; asked: whether a batch is there."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[str] = []
        self.turns: threading.Semaphore | None = None
        self.asked = threading.Event()

    def embed_questions(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.set()
        assert self.turns is None or self.turns.acquire(timeout=20)
        self.questions += texts
        return super().embed_questions(texts)


@pytest.fixture
def embedder() -> Counting:
    return Counting()


@pytest.fixture
def searcher(place: Place, embedder: Counting) -> Iterator[Searcher]:
    found = place.searcher()
    found._embedder = lambda: embedder
    yield found
    found.close()


def frugal(question: str, limit: int = 5) -> Request:
    return Request(question, limit, {}, frugal=True)


def test_a_sure_question_is_not_embedded(searcher: Searcher, embedder: Counting) -> None:
    (found,) = searcher.by_words([frugal(SURE)])
    assert found is not None and embedder.questions == []
    assert found.hits[0].passage.document == "docs/page1.md"
    assert set(found.hits[0].scores) == {"bm25", "unit", "corpus"}
    assert found.hits[0].passage == searcher.search([Request(SURE, 5, {})])[0].hits[0].passage
    assert embedder.questions == [SURE]


@pytest.mark.parametrize(
    "request_", [frugal(UNSURE), Request(SURE, 5, {}), frugal(CHINESE), frugal("zebra"), frugal("")], ids=repr
)
def test_all_others_are_still_to_be_searched(searcher: Searcher, request_: Request) -> None:
    """One that many pages answer; one that wants every channel; one whose language gives the embedder no weight, so
    that nothing would be saved; and those without a known word."""
    assert searcher.by_words([request_]) == [None]


def test_in_a_batch_each_has_its_own_place(searcher: Searcher) -> None:
    requests = [frugal(UNSURE), frugal(SURE), Request(SURE, 5, {}), frugal(SURE, limit=1)]
    found = searcher.by_words(requests)
    assert [one is not None for one in found] == [False, True, False, True]
    assert [len(one.hits) for one in found if one] == [5, 1]
    assert searcher.by_words([]) == []


def test_the_line_decides(searcher: Searcher) -> None:
    searcher.sureness = replace(packaged(), line=1e3)
    assert searcher.by_words([frugal(SURE)]) == [None]
    searcher.sureness = replace(packaged(), line=-1e3)
    assert searcher.by_words([frugal(UNSURE)]) != [None]


def test_signs_are_shares_and_a_lead_makes_words_surer() -> None:
    far = signs({"bm25": 6.0, "unit": 4.0}, 1.0, 2.0, 0.36, 10.0)
    assert far == pytest.approx({"lead": 0.8, "bm25_lead": 0.4, "unit": 0.4, "held": 0.6})
    near = signs({"bm25": 6.0, "unit": 4.0}, 1.0, 5.9, 0.99, 10.0)
    assert packaged().log_odds(far) > packaged().log_odds(near)
    assert set(packaged().coefficients) == set(SIGNS) and packaged().data
    nothing = signs({"bm25": 0.0, "unit": 0.0}, 0.0, 0.0, 0.0, 0.0)
    assert set(nothing.values()) == {0.0} and not packaged().is_sure(nothing)


def test_a_passage_with_little_of_the_question_is_not_enough_however_far_ahead() -> None:
    whale = signs({"bm25": 4.9, "unit": 4.0}, 1.0, 0.0, 0.0, 10.0)
    assert packaged().log_odds(whale) > packaged().line and not packaged().is_sure(whale)
    assert packaged().is_sure(signs({"bm25": 5.1, "unit": 4.0}, 1.0, 0.0, 0.0, 10.0))


def test_the_line_is_the_lowest_that_keeps_its_promise() -> None:
    """Of 200 questions, the surest first, the 120th and every second one after the 150th have another first page."""
    same = np.array([at != 120 and (at < 150 or at % 2 == 0) for at in range(200)])
    log_odds = np.linspace(5.0, -5.0, 200)
    line = line_for(log_odds, same)
    sent = log_odds >= line
    assert (~same[sent]).mean() <= 0.01 and 148 <= sent.sum() <= 151


def test_filters_hold(searcher: Searcher) -> None:
    (found,) = searcher.by_words([Request(SURE, 5, {"document": "docs/page2.md"}, frugal=True)])
    assert found is None or {hit.passage.document for hit in found.hits} == {"docs/page2.md"}


def test_who_is_sure_does_not_wait_for_who_is_not(searcher: Searcher, embedder: Counting) -> None:
    """Both wait in one batch; the first has its reply while the second is being embedded."""
    turns = embedder.turns = threading.Semaphore(0)
    retriever = BatchingRetriever(searcher)

    async def two() -> bool:
        assert await asyncio.to_thread(embedder.asked.wait, 20)  # the thread warms up, and waits until both are there
        unsure = asyncio.create_task(retriever.search(UNSURE, 5, {}, frugal=True))
        sure = asyncio.create_task(retriever.search(SURE, 5, {}, frugal=True))
        await asyncio.sleep(0)
        turns.release()
        found = await asyncio.wait_for(sure, 20)
        waited = not unsure.done()
        turns.release()
        assert (await unsure).hits and found.hits[0].passage.document == "docs/page1.md"
        return waited

    try:
        assert asyncio.run(two())
    finally:
        turns.release(10)
