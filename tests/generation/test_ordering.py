"""The order of pages by search and reading together."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.analysis import analyse, analyse_question
from router.kinds import kinds_of
from router.types import Hit, SearchResult
from services.generation.choosing import Choice, rank
from services.generation.extractive import quote
from services.generation.ordering import READ, WEIGHT, best_page_first, by_reading, search, shares
from tests.generation.test_extractive import passage

ABOUT = "The cache is a part of the server. The cache was written in 2019. Its authors know the cache well."
ANSWERS = "Entries stay for 30 minutes. A longer time can be set in the cache section."
QUESTION = "How long are cache entries kept?"


def found(question: str, *pages: tuple[str, str, float]) -> SearchResult:
    """pages: path, text, fused score."""
    hits = tuple(Hit(passage(text, path), {"bm25": 1.0}, fused, 0) for path, text, fused in pages)
    held = set(analyse("\n".join(text for _, text, _ in pages)))
    terms = {token: 2.0 if token in held else 4.0 for token in analyse_question(question)}
    return SearchResult(hits, terms, "en", "v1")


def documents(result: SearchResult) -> list[str]:
    return [hit.passage.document for hit in result.hits]


def ranked(result: SearchResult, question: str) -> list[Choice]:
    return rank(result.hits, result.terms, kinds_of(question))


@pytest.mark.parametrize(
    ("question", "about", "answers"),
    [
        (QUESTION, ABOUT, ANSWERS),
        (
            "缓存条目保留多长时间？",
            "缓存是服务器的一部分。缓存条目由作者编写。",
            "缓存条目保留 30 分钟。可以调整。",
        ),
    ],
)
def test_the_page_that_answers_comes_before_one_that_speaks_of_it(question: str, about: str, answers: str) -> None:
    searched = found(question, ("about.md", about, 0.95), ("answers.md", answers, 0.94))
    assert documents(by_reading(question, searched)) == ["answers.md", "about.md"]


def test_what_the_search_finds_much_better_stays_first() -> None:
    searched = found(QUESTION, ("about.md", ABOUT, 0.95), ("answers.md", ANSWERS, 0.95 - WEIGHT - 0.01))
    assert documents(by_reading(QUESTION, searched))[0] == "about.md"


def test_scores_tell_what_was_read_and_stay_within_one() -> None:
    ordered = by_reading(QUESTION, found(QUESTION, ("about.md", ABOUT, 1.0), ("answers.md", ANSWERS, 0.9)))
    assert sum(hit.scores["reading"] for hit in ordered.hits) == pytest.approx(1.0, abs=1e-4)
    assert all(0 <= hit.fused <= 1 and hit.scores["bm25"] == 1.0 for hit in ordered.hits)


def test_where_an_embedder_knows_chinese_the_search_has_the_say() -> None:
    searched = replace(found(QUESTION, ("about.md", ABOUT, 0.95), ("answers.md", ANSWERS, 0.94)), language="zh")
    assert documents(by_reading(QUESTION, searched))[0] == "answers.md"
    knows = replace(searched, hits=tuple(replace(hit, scores={"dense": 0.8}) for hit in searched.hits))
    assert by_reading(QUESTION, knows) == knows
    assert documents(by_reading(QUESTION, replace(knows, language="en")))[0] == "answers.md"


def test_passages_that_are_not_read_keep_their_order_behind() -> None:
    pages = [(f"p{number}.md", f"Page {number} of the cache.", 0.9 - number / 100) for number in range(READ + 4)]
    ordered = by_reading(QUESTION, found(QUESTION, *pages))
    assert documents(ordered)[-4:] == [path for path, _, _ in pages[-4:]]
    assert all(hit.scores["reading"] == 0.0 for hit in ordered.hits[-4:])


@pytest.mark.parametrize("pages", [[], [("empty.md", "# Cache", 0.9)]])
def test_nothing_to_read_changes_nothing(pages: Sequence[tuple[str, str, float]]) -> None:
    searched = found(QUESTION, *pages)
    assert documents(by_reading(QUESTION, searched)) == documents(searched)
    assert best_page_first(searched.hits, ranked(searched, QUESTION), {}, WEIGHT) == []


def test_the_best_page_gives_the_first_unit_and_the_others_keep_theirs() -> None:
    searched = found(QUESTION, ("answers.md", ANSWERS, 0.9), ("about.md", ABOUT, 0.9))
    units = ranked(searched, QUESTION)
    turned = [replace(choice, score=-choice.score) for choice in reversed(units)]  # as if reading had it backwards
    hits = (replace(searched.hits[0], fused=9.0), searched.hits[1])
    lifted = best_page_first(hits, turned, shares(hits, turned), WEIGHT)
    assert lifted[0].hit == 0 and {(one.hit, one.number) for one in lifted} == {(u.hit, u.number) for u in units}
    assert [choice for choice in lifted if choice.hit == 1] == [choice for choice in turned if choice.hit == 1]
    assert lifted[0].score == pytest.approx(turned[0].score + 1e-3)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1), st.floats(-9, 9)), min_size=1, max_size=8))
def test_shares_add_up_and_lifting_loses_nothing(rows: list[tuple[str, float, float]]) -> None:
    hits = found(QUESTION, *[(f"{name}{at}.md", ANSWERS, fused) for at, (name, fused, _) in enumerate(rows)]).hits
    piece = ranked(found(QUESTION, ("p.md", ANSWERS, 1.0)), QUESTION)[0].piece
    units = sorted((Choice(at, 0, piece, odds, 0.5) for at, (_, _, odds) in enumerate(rows)), key=lambda c: -c.score)
    told = shares(hits, units)
    assert sum(told.values()) == pytest.approx(1.0)
    lifted = best_page_first(hits, units, told, WEIGHT)
    assert sorted(choice.hit for choice in lifted) == sorted(choice.hit for choice in units)
    assert all(first.score >= second.score for first, second in itertools.pairwise(lifted))


@pytest.mark.parametrize(("fused", "page"), [(0.94, "answers.md"), (0.2, "about.md")])
def test_a_quoted_answer_begins_on_the_best_page(fused: float, page: str) -> None:
    searched = found(QUESTION, ("about.md", ABOUT, 0.95), ("answers.md", ANSWERS, fused))
    draft = quote(QUESTION, searched, lambda _paths: {})
    assert draft.citations[0].source == page
    told = shares(searched.hits, ranked(searched, QUESTION))
    assert draft.support["read_there"] == pytest.approx(told[page])


def test_a_small_limit_is_cut_after_reading() -> None:
    class Searched:
        async def search(self, question: str, limit: int, filters: Mapping[str, str], **_: object) -> SearchResult:
            assert limit == READ and filters == {"source": "a"}
            return found(question, ("about.md", ABOUT, 0.95), ("answers.md", ANSWERS, 0.94))

    replied = asyncio.run(search(Searched(), QUESTION, 1, {"source": "a"}))
    assert documents(replied) == ["answers.md"]
