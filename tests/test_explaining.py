"""Features with their pull: the strongest first, and they add up to the confidence."""

from __future__ import annotations

import math
from dataclasses import replace

from router.confidence import Calibration
from router.types import Answer, Question, Route, Trace
from services.calibrations import packaged_calibration
from services.explaining import MEANING, explanation

CALIBRATION = Calibration("c", "2026-11-01", {}, ("coverage", "terms"), (0.5, 0.5), (0.5, 0.25), (1.0, 2.0), 0.3, 0.5)
FEATURES = {"coverage": 0.75, "terms": 0.25}


def traced(probability: float) -> Trace:
    answer = Answer("Yes.", Route.GROUNDED, probability, (), "It fits.", "extractive")
    candidate = {"passage_id": "p", "document": "docs/a.md", "scores": {"bm25": 2.0}, "fused": 0.9}
    return Trace("t", "now", Question("Is it?"), "is it", "en", answer, (candidate,), FEATURES, (), "r", {"total": 1.0})


def test_the_pulls_add_up_to_the_confidence() -> None:
    shown = explanation(traced(CALIBRATION.probability(FEATURES)), CALIBRATION)
    odds = CALIBRATION.intercept + sum(row["pull"] for row in shown["features"])
    assert math.isclose(1 / (1 + math.exp(-odds)), shown["confidence"], abs_tol=1e-3)
    assert [row["feature"] for row in shown["features"]] == ["terms", "coverage"]


def test_without_its_calibration_nothing_pulls() -> None:
    shown = explanation(traced(0.7), None)
    assert {row["pull"] for row in shown["features"]} == {None}
    assert shown["line"] is None


def test_the_line_is_the_one_that_decided() -> None:
    budgeted = replace(CALIBRATION, lines={"en/grounded": 0.8, "en/curated": 0.9})
    sent = traced(0.7)
    held = replace(sent, answer=replace(sent.answer, route=Route.ABSTAINED))
    hello = replace(sent, answer=replace(sent.answer, route=Route.SMALLTALK))
    approved = replace(sent, answer=replace(sent.answer, route=Route.CURATED))
    lines = [explanation(trace, budgeted)["line"] for trace in (sent, held, approved, hello)]
    assert lines == [0.8, 0.8, 0.9, None]
    assert [explanation(trace, CALIBRATION)["line"] for trace in (sent, approved)] == [0.5, None]


def test_the_line_of_what_words_alone_speak_for_is_shown() -> None:
    trace = replace(traced(0.7), features={**FEATURES, "beyond_words": 0.0})
    shown = explanation(trace, replace(CALIBRATION, by_words={"en": 0.95}))
    assert shown["line"] == 0.95
    row = next(row for row in shown["features"] if row["feature"] == "beyond_words")
    assert row["pull"] is None and row["meaning"]


def test_every_feature_of_the_packaged_model_has_a_meaning() -> None:
    assert set(packaged_calibration().names) <= set(MEANING)
