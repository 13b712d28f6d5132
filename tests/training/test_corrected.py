"""A question that people corrected stays right: asked again of each candidate, and no promotion makes it wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router.packing import Window
from router.types import Draft, Question, SearchResult
from services.calibrations import packaged_calibration
from services.compose import entailment_of, open_system
from services.indexing import run_index
from services.review.decisions import Regression
from services.settings import Settings
from services.store.review_records import Judgement, VerdictKind
from services.store.sql import SqlStore
from services.training import corrected, promotion
from services.training.corrected import ANSWERS, DIFFERS, SAYS_AGAIN, wrong_again
from services.training.gates import CORRECTED
from tests.backends.entailment_models import tiny_nli
from tests.training.test_promotion import judged
from tests.training.test_promotion import made as _made

made = _made  # a model with random weights, and a dataset
QUESTION, OTHER_WORDS = "How long are backups kept?", "For how long are the backups kept?"
WRONG, RIGHT = "Backups are kept for seven days on the server.", "Backups are kept for thirty days on the server."
ONE = Regression(QUESTION, "en", (WRONG,), RIGHT)
RECALLED = replace(ONE, right="")
FOREIGN = replace(ONE, right="", out_of_scope=True)


@pytest.mark.parametrize(
    ("sent", "live", "one", "why"),
    [
        ("", RIGHT, ONE, ""),  # nothing is sent: people answer
        (RIGHT, RIGHT, ONE, ""),
        (f"{RIGHT} [1]", "", ONE, ""),
        (WRONG, RIGHT, ONE, SAYS_AGAIN),
        (WRONG, WRONG, ONE, SAYS_AGAIN),  # that the live model does so too excuses nothing
        (f"{WRONG} Then they go. [2]", RIGHT, ONE, SAYS_AGAIN),
        ("Ask the moon.", RIGHT, ONE, DIFFERS),
        ("Ask the moon.", "", ONE, DIFFERS),
        ("Ask the moon.", "Ask the sun.", ONE, ""),  # it was not right before
        (WRONG, None, RECALLED, SAYS_AGAIN),
        ("Ask the moon.", "", RECALLED, ""),  # nobody knows
        ("Ask the moon.", "", FOREIGN, ANSWERS),
        ("Ask the moon.", "Ask the sun.", FOREIGN, ""),
        (f"{WRONG} Then thirty days.", RIGHT, Regression(QUESTION, "en", (WRONG,), f"{WRONG} Then thirty days."), ""),
    ],
)
def test_what_counts_as_wrong_again(sent: str, live: str | None, one: Regression, why: str) -> None:
    assert wrong_again(sent, live, one) == why


class Says:
    """A model that says one thing; what it may rest on is there, so that the line lets it through."""

    name = "first"

    def __init__(self, text: str, quoting: Any) -> None:
        self._text, self._quoting = text, quoting

    async def generate(self, question: Question, found: SearchResult) -> Draft:
        quoted = await self._quoting.generate(question, found)
        return Draft(self._text, quoted.citations, self.name, (), quoted.support)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An index whose page is wrong, and a question of two wordings that a person corrected."""
    folder = tmp_path_factory.mktemp("corrected")
    (folder / "docs").mkdir()
    (folder / "docs" / "backup.md").write_text(f"# Backup\n\n## Keeping backups\n\n{WRONG}\n", "utf-8")
    settings = Settings(home=folder / "home", corpus_seconds=1.0, audit_share=1.0)
    settings.make_home()
    with SqlStore.open(settings.store_url) as store:
        asyncio.run(store.put_calibration(replace(packaged_calibration().with_line(0.05), origin="fitted").to_json()))
    run_index(settings, [f"m={folder / 'docs'}"], "test", lambda *_: None)
    asyncio.run(correct(settings))
    yield settings


async def correct(settings: Settings) -> None:
    system = await asyncio.to_thread(open_system, settings)
    items = [(await system.ask(Question(text))).review_item for text in (QUESTION, OTHER_WORDS)]
    ids = [one.id for one in items if one is not None]
    assert len(ids) == 2
    await system.review.work()
    merged = ids[0] if len(set(ids)) == 1 else await system.review.desk.merge(ids[0], ids[1:], "anna")
    await system.review.desk.decide(merged, Judgement(VerdictKind.CORRECTED, RIGHT), "anna")
    await system.close()


def promoted(home: Settings, data: Path, monkeypatch: pytest.MonkeyPatch, says: Mapping[str, str]) -> Any:
    """Every other gate holds; the candidate says these words."""
    monkeypatch.setattr(promotion, "judged_replies", lambda *_: judged(True))
    monkeypatch.setattr(promotion, "judged_quotes", lambda *_: judged(False))
    monkeypatch.setattr(promotion, "_test_rows", lambda _data, rows: {one.row for one in rows})
    monkeypatch.setattr(promotion, "InProcess", lambda folder, _window, quoting, _: Says(says[folder.name], quoting))
    return promotion.promote(home, "first", data, "test", lambda *_: None)


@pytest.fixture(scope="module")
def data(made: tuple[Path, Path], home: Settings) -> Path:
    promotion.register(home, "first", *made)
    return made[1]


def test_a_model_that_says_the_mistake_again_is_refused_and_named(
    home: Settings, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = promoted(home, data, monkeypatch, {"first": f"{WRONG} [1]"})
    assert found.release == "" and [one.split(":")[0] for one in found.refused_by] == [CORRECTED]
    assert {(one.question, one.again) for one in found.wrong_again} == {
        (QUESTION, SAYS_AGAIN),
        (OTHER_WORDS, SAYS_AGAIN),
    }
    assert QUESTION in found.refused_by[0] and all(WRONG in one.sent for one in found.wrong_again)


def test_the_approved_answer_hides_nothing(home: Settings) -> None:
    """Askers get the approved answer today; what is judged is what the model says without it."""

    async def look() -> str:
        system = await asyncio.to_thread(open_system, home)
        try:
            return (await system.ask(Question(QUESTION))).trace.answer.text
        finally:
            await system.close()

    assert asyncio.run(look()) == RIGHT


@pytest.mark.usefixtures("data")
def test_the_real_model_in_this_process_is_asked(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights say nothing that a passage supports, so nothing would be sent, and nothing is wrong again."""
    asked: list[str] = []

    class Watched(corrected.InProcess):
        async def generate(self, question: Question, found: SearchResult) -> Draft:
            asked.append(question.text)
            return await super().generate(question, found)

    monkeypatch.setattr(promotion, "InProcess", Watched)
    live = asyncio.run(live_of(home))
    folder = promotion.registry_of(home).path("first")
    reasked = asyncio.run(promotion._reasked(home, live, folder, Window(1600, 40), lambda *_: None))
    assert sorted(asked) == sorted([QUESTION, OTHER_WORDS])
    assert {one.again for one in reasked} == {""}


@pytest.mark.usefixtures("data")
def test_candidates_are_checked_with_the_entailment_model_of_serving(
    home: Settings, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(tiny_nli(tmp_path))
    given: list[Any] = []
    monkeypatch.setattr(promotion, "InProcess", lambda *of: given.append(of[-1]) or Says(WRONG, of[2]))
    monkeypatch.setattr(promotion, "judged_replies", lambda *of: given.append(of[-1]) or judged(True))
    promotion.promote(replace(home, entailment=model), "first", data, "test", lambda *_: None)
    assert given == [model, entailment_of(model)]


async def live_of(home: Settings) -> Any:
    with SqlStore.open(home.store_url) as store:
        release = await store.active_release()
        assert release
        return release


def test_a_model_that_says_it_right_is_served(home: Settings, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = promoted(home, data, monkeypatch, {"first": f"{RIGHT} [1]"})
    assert found.release and found.wrong_again == ()
    gate = next(one for one in found.gates if one.name == CORRECTED)
    assert gate.held and "none of 2 wordings" in gate.said
