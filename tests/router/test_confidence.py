"""What retrieval says about an answer, as features of the confidence."""

from __future__ import annotations

import pytest

from router.confidence import MEANING, Calibration, features
from router.types import CuratedCandidate, CuratedMatch, Draft, Hit, How, Passage, SearchResult

NOTHING = CuratedMatch(How.NONE)


def hit(document: str, fused: float, meaning: float | None = None) -> Hit:
    passage = Passage(f"{document}{fused}", document, ("Title",), 0, 4, "text", "en")
    scores = {"bm25": 10 * fused} | ({} if meaning is None else {"dense_unit": meaning})
    return Hit(passage, scores, fused)


def of(*hits: Hit, **support: float) -> dict[str, float]:
    draft = Draft("text", (), "extractive", support=support)
    return features(SearchResult(hits, {"word": 3.0}, "en", "v1"), draft, NOTHING)


def test_lead_is_over_the_mean_of_the_next_seven() -> None:
    found = of(hit("a", 0.9), hit("a", 0.5), hit("b", 0.3))
    assert found["lead"] == pytest.approx(0.5)
    assert found["gap"] == pytest.approx(0.6)
    many = of(hit("a", 1.0), *(hit("b", 0.4) for _ in range(7)), *(hit("c", 0.0) for _ in range(20)))
    assert many["lead"] == pytest.approx(0.6)


def test_one_passage_alone_leads_with_all_it_has() -> None:
    assert of(hit("a", 0.8, 0.7))["lead"] == pytest.approx(0.8)


def test_among_strangers_being_ahead_means_little() -> None:
    hits = hit("a", 0.9), hit("a", 0.5), hit("b", 0.3)
    assert of(*hits, words_found=0.5)["lead"] == pytest.approx(0.25)
    assert of(*hits, words_found=0.0)["lead"] == 0.0


def test_meaning_leads_over_other_documents_only() -> None:
    found = of(hit("a", 0.9, 0.6), hit("a", 0.8, 0.9), hit("b", 0.7, 0.5), hit("c", 0.6, 0.2))
    assert found["meaning_lead"] == pytest.approx(0.1)
    assert of(hit("a", 0.9, 0.4), hit("b", 0.8, 0.7))["meaning_lead"] == pytest.approx(-0.3)


@pytest.mark.parametrize("hits", [(hit("a", 0.9), hit("b", 0.5)), (hit("a", 0.9, 0.6), hit("a", 0.5, 0.5))])
def test_what_was_not_measured_pulls_nowhere(hits: tuple[Hit, ...]) -> None:
    """Without the text embedder, and with nothing of another document beside it."""
    assert "meaning_lead" not in of(*hits)


def test_every_feature_is_explained() -> None:
    assert of(hit("a", 0.9, 0.6), hit("b", 0.5, 0.4)).keys() <= MEANING.keys()


def test_cosines_of_another_embedder_pull_nowhere() -> None:
    names = ("evidence", "meaning", "meaning_lead")
    fitted = Calibration(
        "c", "2026-11-29", {}, names, (0.5,) * 3, (0.1,) * 3, (1.0, 2.0, 3.0), 0.0, 0.6, embedder="one"
    )
    other = fitted.for_embedder("another")
    assert (other.names, other.coefficients, other.embedder, other.line) == (("evidence",), (1.0,), "another", 0.6)
    sure = {"evidence": 0.5, "meaning": 0.9, "meaning_lead": 0.9}
    assert other.probability(sure) == pytest.approx(0.5) and fitted.probability(sure) > 0.9
    assert other.for_embedder("another") == other


@pytest.mark.parametrize(("fitted", "asked"), [("", "one"), ("one", "one"), ("one", "")])
def test_the_same_embedder_or_an_unknown_one_keeps_them(fitted: str, asked: str) -> None:
    calibration = Calibration("c", "d", {}, ("meaning",), (0.5,), (0.1,), (1.0,), 0.0, 0.6, embedder=fitted)
    assert calibration.for_embedder(asked) is calibration


def test_nothing_found_has_no_features() -> None:
    assert of() == {}


def test_an_approved_answer_that_a_guard_keeps_back_makes_less_sure() -> None:
    """The likest one that is kept back counts; those that no guard minds do not."""
    kept = CuratedCandidate("e1", "Remove a node?", 0.8, 0.0, guards=("action: add / remove",))
    minded = CuratedCandidate("e2", "Remove a pool?", 0.5, 0.0, guards=("object: node / pool",))
    fine = CuratedCandidate("e3", "Add nodes?", 0.9, 0.6)
    found = SearchResult((hit("a", 0.9),), {"word": 3.0}, "en", "v1")
    draft = Draft("text", (), "extractive")
    beside = CuratedMatch(How.UNSURE, candidates=(fine, minded, kept))
    assert features(found, draft, beside)["unguarded"] == pytest.approx(0.2)
    assert features(found, draft, CuratedMatch(How.NONE, candidates=(fine,)))["unguarded"] == 1.0
