"""Which unit answers, where an embedder says how near each is to the question."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.analysis import analyse, analyse_question
from router.kinds import kinds_of
from router.types import Draft, Hit, Passage, SearchResult
from services.generation.choosing import SHARES, Choice, Meaning, by_meaning, rank
from services.generation.extractive import quote
from tests.generation.test_extractive import passage

QUESTION = "What happens to stale backups?"
TEXT = "Stale backups lie in the vault. Stale archives are removed by the sweeper. The vault is on the second disk."


def near(word: str, cosine: float = 0.9) -> Meaning:
    """As an embedder that finds texts with this word near to any question, and no others."""
    (token,) = analyse(word)

    def cosines(_question: Collection[str], texts: Sequence[Collection[str]]) -> Iterable[float]:
        return [cosine if token in text else 0.1 for text in texts]

    return cosines


def found(one: Passage, cosines: tuple[float, ...] = ()) -> SearchResult:
    terms = dict.fromkeys(analyse_question(QUESTION), 2.0)
    return SearchResult((Hit(one, {"bm25": 9.0}, 1.0, None, cosines),), terms, "en", "v1")


def ask(meaning: Meaning | None, cosines: tuple[float, ...] = ()) -> Draft:
    return quote(QUESTION, found(passage(TEXT), cosines), lambda _paths: {}, meaning=meaning)


def first(draft: Draft) -> str:
    """The sentence that is quoted first."""
    sentences = TEXT.replace(". ", ".|").split("|")
    return min((draft.text.index(one), one) for one in sentences if one in draft.text)[1]


def ranked(text: str = TEXT) -> list[Choice]:
    result = found(passage(text))
    return rank(result.hits, result.terms, kinds_of(QUESTION))


def test_what_means_the_same_goes_before_what_has_the_same_words() -> None:
    assert first(ask(None)) == "Stale backups lie in the vault."
    assert first(ask(near("removed"))) == "Stale archives are removed by the sweeper."
    assert first(ask(near("backups"))) == "Stale backups lie in the vault."


def test_it_cannot_make_up_for_all_the_words() -> None:
    units = ranked("Stale backups lie in the vault. The sun is hot.")
    assert by_meaning(units, ["stale"], near("sun", 0.3))[0].piece.text.startswith("Stale backups")


def test_how_near_the_quoted_unit_is_becomes_a_feature() -> None:
    draft = ask(near("removed"), (0.3, 0.25, -0.1))
    assert draft.support["unit_corpus"] == pytest.approx(0.9)
    assert draft.support["unit_meaning"] == 0.25  # of the second unit, which is the one that is quoted
    assert {"unit_corpus", "unit_meaning"}.isdisjoint(ask(None).support)


def test_without_an_embedder_nothing_changes() -> None:
    assert by_meaning(ranked(), ["stale"], None) == ranked()
    assert by_meaning([], ["stale"], near("removed")) == []


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-1, 1)), min_size=1, max_size=12))
def test_nothing_is_lost_and_what_is_not_looked_at_stays_behind(rows: list[tuple[float, float]]) -> None:
    piece = ranked()[0].piece
    units = sorted((Choice(0, at, piece, odds, 0.5) for at, (odds, _) in enumerate(rows)), key=lambda one: -one.score)
    asked: list[int] = []

    def meaning(_question: Collection[str], texts: Sequence[Collection[str]]) -> Iterable[float]:
        asked.append(len(texts))
        return [rows[one.number][1] for one in units[: len(texts)]]

    meant = by_meaning(units, ["stale"], meaning)
    assert sorted(one.number for one in meant) == sorted(one.number for one in units)
    assert [one.score for one in meant] == sorted((one.score for one in meant), reverse=True)
    looked_at = {one.number for one in units[: asked[0]]}
    for one in meant:
        assert (one.meaning is not None) == (one.number in looked_at)
        if one.meaning is not None:
            words = next(unit.score for unit in units if unit.number == one.number)
            assert one.score == pytest.approx(SHARES.both * (words + SHARES.meaning * one.meaning))
    behind = [one.number for one in meant if one.number not in looked_at]
    assert behind == [one.number for one in units if one.number not in looked_at]
    assert min(one.score for one in meant if one.number in looked_at) >= max(
        (one.score for one in meant if one.number not in looked_at), default=-99.0
    )


def test_the_order_of_equals_is_the_order_by_words() -> None:
    units = [replace(ranked()[0], number=at, score=1.0) for at in range(4)]
    assert [one.number for one in by_meaning(units, ["stale"], lambda _, texts: [0.5] * len(texts))] == [0, 1, 2, 3]
