"""`answerloop calibrate --show`: the calibration in use from the first day, as JSON, or as tables and a diagram."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from router.types import Release
from services.calibrations import packaged_calibration
from services.cli_answers import _marked
from services.settings import Settings
from services.store.sql import SqlStore
from tests.cli.test_review import answerloop, on_store


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ANSWERLOOP_HOME", str(tmp_path / "not" / "there" / "yet"))
    return Settings.from_env()


@pytest.mark.usefixtures("settings")
def test_before_the_first_index_the_packaged_one_is_in_use() -> None:
    shown = json.loads(answerloop("calibrate", "--show", "--json"))
    assert shown == json.loads(json.dumps(packaged_calibration().to_json()))
    assert shown["created"] and shown["origin"] == "packaged"


def test_then_the_one_of_the_release_that_is_served(settings: Settings) -> None:
    async def release(store: SqlStore) -> None:
        fitted = replace(packaged_calibration().with_line(0.123), origin="fitted")
        kept = await store.put_calibration(fitted.to_json())
        await store.add_release(Release("r1", "2026-11-29T00:00:00Z", "v1", "0", "extractive", "none", kept))
        await store.activate_release("r1", "test")

    settings.make_home()
    on_store(settings, release)
    shown = json.loads(answerloop("calibrate", "--show", "--json"))
    assert (shown["line"], shown["origin"]) == (0.123, "fitted")


@pytest.mark.usefixtures("settings")
def test_the_table_of_reliability_is_drawn_as_well() -> None:
    shown = answerloop("calibrate", "--show")
    drawn = shown.partition("reliability: o said, x right")[2].splitlines()
    bins = packaged_calibration().quality["reliability"]
    for row in bins:
        (line,) = (line for line in drawn if line.startswith(f"│ {row['from']:.1f} "))
        assert line.split("│")[3].strip() == _marked(row["said"], row["right"]).strip()


@pytest.mark.parametrize(
    ("said", "right", "marks"),
    [(0.0, 1.0, {0: "o", 50: "x"}), (0.5, 0.1, {5: "x", 25: "o"}), (0.8, 0.801, {40: "*"})],
)
def test_marks_stand_where_the_shares_are(said: float, right: float, marks: dict[int, str]) -> None:
    assert {at: mark for at, mark in enumerate(_marked(said, right)) if mark != " "} == marks
