"""A system as it is wired: without an index, with approved answers that a model may confirm, with a calibration."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from router.errors import IndexUnavailable
from router.types import Answer, CuratedEntry, Question, Route
from services import compose
from services.calibrations import packaged_calibration
from services.compose import open_system
from services.indexing import release_with, run_index
from services.settings import Settings
from tests.serving.speaker import Speaker, speaking


def test_without_an_index_approved_answers_are_given_and_all_else_says_why(tmp_path: Path) -> None:
    system = open_system(Settings(home=tmp_path))

    async def story() -> None:
        with pytest.raises(IndexUnavailable, match="no index yet"):
            await system.ask(Question("How do I restart a node?"))
        await system.store.curated.create(CuratedEntry("e1", "How do I restart a node?", "Run it again."), "test")
        await system.refresh()
        given = await system.ask(Question("how do i restart a node"))
        assert (given.trace.answer.route, given.trace.answer.text) == (Route.CURATED, "Run it again.")
        other = await system.ask(Question("What is a tablespace?"))
        assert other.trace.answer.route is Route.ABSTAINED
        assert "no index yet" in other.trace.answer.reason
        await system.close()

    asyncio.run(story())


def _broken(home: Path) -> tuple[Settings, Callable[[], object]]:
    """The settings of an index that no server may open, and what mends it."""
    (home / "docs").mkdir()
    (home / "docs" / "a.md").write_text("# The backup\n\nA backup is kept for seven days.\n")
    settings = Settings(home=home / "home", corpus_seconds=1.0)
    run_index(settings, [f"m={home / 'docs'}"], "test", lambda *_: None)
    (manifest,) = (settings.home / "index" / "versions").glob("*/manifest.json")
    whole = manifest.read_text("utf-8")
    manifest.write_text(json.dumps({**json.loads(whole), "corpus_embedder": "of before"}), "utf-8")
    return settings, lambda: manifest.write_text(whole, "utf-8")


HANDBOOK = (
    "Every employee of Harbour Freight gets twenty-five days of paid vacation a year. Vacation must be requested two "
    "weeks ahead. The office manager approves it.\n\nTravel above 500 euros is approved by the head of finance. Hotels "
    "are booked through the travel desk. The travel desk is open from 8 to 16.\n"
)
OPEN = "When is the travel desk open?"


@pytest.mark.parametrize(
    ("name", "text", "line", "sent"),
    [
        ("handbook.txt", HANDBOOK, "strict", False),
        ("handbook.txt", HANDBOOK, "usual", True),
        ("handbook.md", f"# Handbook\n\n## Vacation and travel\n\n{HANDBOOK}", "strict", True),
    ],
)
def test_a_fact_from_running_text_has_the_line_that_the_settings_say(
    tmp_path: Path, name: str, text: str, line: str, sent: bool
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / name).write_text(text)
    settings = Settings(home=tmp_path / "home", corpus_seconds=1.0, running_text=line)
    run_index(settings, [f"m={tmp_path / 'docs'}"], "test", lambda *_: None)
    system = open_system(settings)

    async def asked() -> Answer:
        try:
            return (await system.ask(Question(OPEN))).trace.answer
        finally:
            await system.close()

    answer = asyncio.run(asked())
    if sent:
        assert answer.route is Route.GROUNDED and "8 to 16" in answer.text
    else:
        assert answer.route is Route.ABSTAINED and answer.reason.startswith(
            "The passage found has the question's words"
        )
        assert "8 to 16" in answer.maybe_useful[0].quote


def test_an_index_that_cannot_be_served_is_told_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings, _ = _broken(tmp_path)
    caplog.set_level(logging.ERROR, "answerloop")
    system = open_system(settings)
    try:
        assert not system.readiness().ready
        asyncio.run(system.refresh())
    finally:
        asyncio.run(system.close())
    (told,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert "corpus embedder 'of before'" in told and "run `answerloop index --full`" in told


def test_an_index_that_could_not_be_served_is_tried_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(compose, "time", SimpleNamespace(monotonic=lambda: clock.now))
    settings, mend = _broken(tmp_path)
    system = open_system(settings)
    mend()

    async def story() -> list[bool]:
        found = []
        for clock.now in (109.9, 110.1):
            await system.refresh()
            found.append(system.readiness().ready)
        await system.close()
        return found

    assert asyncio.run(story()) == [False, True]


@pytest.mark.parametrize(("fitted_on", "believed"), [("another-model-late", False), ("", True), (None, True)])
def test_cosines_are_believed_of_the_embedder_that_was_fitted_on_only(
    tmp_path: Path, fitted_on: str | None, believed: bool
) -> None:
    """None: the packaged calibration, and the packaged embedder, as they are."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# The backup\n\nA backup is kept for seven days.\n")
    settings = Settings(home=tmp_path / "home", corpus_seconds=1.0)
    run_index(settings, [f"m={tmp_path / 'docs'}"], "test", lambda *_: None)
    system = open_system(settings)

    async def names() -> tuple[str, ...]:
        packaged = packaged_calibration()
        fitted = packaged if fitted_on is None else replace(packaged, embedder=fitted_on)
        kept = await system.store.put_calibration(fitted.to_json())
        active = await system.store.active_release()
        assert active
        made = await release_with(system.store, active, "test", calibration=kept)
        async with system.trying(made.id) as parts:
            found = parts.calibration.names
        await system.close()
        return found

    assert ("meaning" in asyncio.run(names())) is believed


@pytest.mark.parametrize(("no", "route"), [(-0.01, Route.ABSTAINED), (-9.0, Route.CURATED)])
def test_a_near_match_is_sent_when_the_model_confirms_it(tmp_path: Path, no: float, route: Route) -> None:
    assert _near(tmp_path, True, no) == (route, 2)


def test_the_model_is_not_asked_where_its_advice_is_not_wanted(tmp_path: Path) -> None:
    assert _near(tmp_path, False, -0.01) == (Route.CURATED, 0)


def _near(home: Path, advice: bool, no: float) -> tuple[Route, int]:
    """The route of a question that is nearly an approved one, and how often the model was asked whether it is."""

    async def story() -> Route:
        await system.store.curated.create(CuratedEntry("e1", "How do I restart the cluster?", "Run it again."), "test")
        await system.refresh()
        given = await system.ask(Question("how to restart my cluster"))
        await system.close()
        return given.trace.answer.route

    with speaking(Speaker(no=no)) as speaker:
        settings = Settings(home=home, generator_url=speaker.endpoint.url, model_advice=advice)
        system = open_system(settings)
        route = asyncio.run(story())
    return route, sum("restart my cluster" in body["messages"][-1]["content"] for body in speaker.bodies)
