"""`calibrate` and `evaluate` ask through the model, and what it says of itself joins the confidence."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router import wording
from router.confidence import VALUE
from router.errors import GeneratorUnavailable
from router.types import CuratedEntry, Question, Route
from services import calibration, evaluation
from services.calibration import WRITTEN, run_calibrate
from services.calibrations import packaged_calibration
from services.compose import open_system
from services.evaluation import run_evaluate
from services.generation import service
from services.indexing import run_index
from services.settings import Settings
from services.store.sql import SqlStore
from tests.serving.speaker import Speaker, speaking

NAMES = """alder birch cedar dogwood elm fir ginkgo hazel ironwood juniper katsura larch maple nutmeg oak pine quince
rowan spruce teak umbrella viburnum willow xylosma yew zelkova acacia bamboo cypress durian ebony fig guava holly
ivy jasmine kapok lime mango neem""".split()
EVERYTHING = packaged_calibration().with_line(0.0)
WRONG_EVERY, REFUSED = 3, "mango"


def _limit(name: str) -> int:
    return 11 + 7 * NAMES.index(name)


def _answer(prompt: str) -> tuple[str, float]:
    """Right and sure, or of every third pump another true sentence of its page, less sure; one it refuses."""
    name = re.findall(r"most pressure of the (\w+) pump\?", prompt)[-1]
    if name == REFUSED:
        return wording.REFUSAL["en"], -0.01
    number = next(n for n in re.findall(r"\[(\d)\]", prompt))
    if NAMES.index(name) % WRONG_EVERY == 0:
        return f"The {name} pump is cleaned with warm water every week [{number}].", -1.2
    return f"The most pressure of the {name} pump is {_limit(name)} bar [{number}].", -0.02


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pumps")
    (folder / "pages").mkdir()
    for name in NAMES:
        text = (
            f"# The {name} pump\n\nThe most pressure of the {name} pump is {_limit(name)} bar. "
            f"The {name} pump is cleaned with warm water every week.\n"
        )
        (folder / "pages" / f"{name}.md").write_text(text, "utf-8")
    rows = [
        {
            "question": f"What is the most pressure of the {name} pump?",
            "answer_keys": [f"{_limit(name)} bar"],
            "answerable": name != REFUSED,
        }
        for name in NAMES
    ]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    run_index(Settings(home=folder / "home"), [f"manual={folder / 'pages'}"], "test", lambda *_: None)
    return folder


@pytest.fixture
def speaker() -> Iterator[Speaker]:
    with speaking(Speaker(answers=_answer, window=8000)) as here:
        yield here


def _settings(home: Path, speaker: Speaker) -> Settings:
    return Settings(home=home / "home", generator_url=speaker.endpoint.url, model_advice=False)


def test_what_the_model_says_of_itself_joins_the_confidence_and_is_explained(
    home: Path, tmp_path: Path, speaker: Speaker
) -> None:
    shutil.copytree(home / "home", tmp_path / "home")  # the calibration that is served there is another one afterwards
    settings = _settings(tmp_path, speaker)
    fitted = run_calibrate(settings, [home / "questions.jsonl"], lambda *_: None)
    assert {"model_sure", "model_least"} <= set(fitted["names"]) - set(packaged_calibration().names)
    weights = dict(zip(fitted["names"], fitted["coefficients"], strict=True))
    assert weights["model_sure"] > 0.05 and all(weights[name] >= 0 for name in WRITTEN if name in weights)
    assert (fitted["quality"]["by_a_model"], fitted["quality"]["refused"]) == (len(NAMES) - 1, 1)

    rows = asyncio.run(_explained(settings, "cedar"))
    (sure,) = [one for one in rows["features"] if one["feature"] == "model_sure"]
    assert sure["pull"] > 0 and sure["meaning"] and rows["model"] == "tiny"
    unsure = asyncio.run(_explained(settings, "alder"))
    assert next(one["pull"] for one in unsure["features"] if one["feature"] == "model_sure") < 0
    assert unsure["confidence"] < rows["confidence"]


async def _explained(settings: Settings, name: str) -> dict[str, Any]:
    system = await asyncio.to_thread(open_system, settings)
    try:
        return await system.explain(Question(f"What is the most pressure of the {name} pump?"))
    finally:
        await system.close()


def test_a_quoted_answer_is_not_moved_by_what_it_lacks(home: Path, speaker: Speaker) -> None:
    settings = _settings(home, speaker)
    rows = evaluation.read_rows(home / "questions.jsonl")
    with evaluation.writing(settings, lambda *_: None) as writer:
        asked = evaluation.ask_rows(settings, rows, EVERYTHING, lambda *_: None, writer)
    with_model = calibration.fit({"f": asked}, packaged_calibration())
    bare = {name: value for name, value in asked[1].trace.features.items() if name not in WRITTEN}
    pulls = with_model.pulls(bare)
    assert all(pulls[name] == 0 for name in WRITTEN if name in pulls)
    few = calibration.fit({"f": _quoted(asked)}, packaged_calibration())
    assert few.names == packaged_calibration().names


def test_what_lacks_the_price_that_is_asked_for_is_refused_and_not_fitted(home: Path) -> None:
    """It is one of the unanswerable questions all the same, of which few may be sent."""
    path = home / "weights.jsonl"
    rows = [
        {"question": f"How much does the {name} pump cost?", "answer_keys": [], "answerable": False} for name in NAMES
    ]
    rows.append({"question": "How much does this cedar pump cost?", "answer_keys": [], "answerable": False})
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    asked = [
        one
        for file in (home / "questions.jsonl", path)
        for one in evaluation.ask_rows(
            Settings(home=home / "home"), evaluation.read_rows(file), EVERYTHING, lambda *_: None
        )
    ]
    refused = [one for one in asked if one.trace.features.get(VALUE) == 0.0]
    assert {one.trace.answer.route for one in refused} == {Route.ABSTAINED, Route.CLARIFY}
    fitted = calibration.fit({"f": asked}, packaged_calibration())
    assert (fitted.quality["answers"], fitted.quality["refused"]) == (len(asked) - len(refused), len(refused))
    assert VALUE not in fitted.names


def _quoted(asked: list[evaluation.Asked]) -> list[evaluation.Asked]:
    """The same answers, as if they were quoted: none has what a model says of itself."""
    return [
        replace(
            one, trace=replace(one.trace, features={k: v for k, v in one.trace.features.items() if k not in WRITTEN})
        )
        for one in asked
    ]


def test_evaluate_asks_the_model_and_says_so(home: Path, speaker: Speaker) -> None:
    found = run_evaluate(_settings(home, speaker), [home / "questions.jsonl"], lambda *_: None)["questions.jsonl"]
    assert (found["answered_by"], found["quoted"]) == (["tiny"], 0.0) and found["answered"] > 0
    quoted = run_evaluate(Settings(home=home / "home"), [home / "questions.jsonl"], lambda *_: None)["questions.jsonl"]
    assert (quoted["answered_by"], quoted["quoted"]) == (["extractive"], 1.0)


def test_approved_answers_are_asked_along_and_the_served_store_stays_as_it_is(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "home", tmp_path / "home")
    settings = Settings(home=tmp_path / "home")
    wrong = CuratedEntry("e1", "What is the most pressure of the cedar pump?", "Nobody knows.")
    with SqlStore.open(settings.store_url) as store:
        asyncio.run(store.curated.create(wrong, "test"))
        before = asyncio.run(store.curated.head()), asyncio.run(store.list_audit())
        found = run_evaluate(settings, [home / "questions.jsonl"], lambda *_: None)["questions.jsonl"]
        assert (asyncio.run(store.curated.head()), asyncio.run(store.list_audit())) == before
    assert found["answered_by"] == ["curated", "extractive"]
    assert [one["answer"] for one in found["confidently_wrong"] if one["confidence"] == 1.0] == ["Nobody knows."]


def test_files_with_paragraphs_are_asked_through_the_model_too(home: Path, speaker: Speaker) -> None:
    """Their index is made for the occasion, and its release names the model that the served one names."""
    lines = [
        {
            "question": f"What is the most pressure of the {name} pump?",
            "answers": [f"{_limit(name)} bar"],
            "context": (home / "pages" / f"{name}.md").read_text("utf-8"),
        }
        for name in NAMES[:4]
    ]
    file = home / "paragraphs.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    rows = evaluation.read_rows(file)
    with evaluation.writing(_settings(home, speaker), lambda *_: None) as writer:
        asked = evaluation.ask_rows(Settings(home=home / "home"), rows, EVERYTHING, lambda *_: None, writer)
    assert {one.trace.answer.model for one in asked} == {"tiny"} and any(one.right for one in asked)


def test_a_model_that_cannot_be_had_is_said_and_nothing_is_measured(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_ELSEWHERE_S", 0.5)
    settings = Settings(home=home / "home", generator_url="http://127.0.0.1:9/v1")
    with pytest.raises(GeneratorUnavailable, match="no model server answers"):
        run_evaluate(settings, [home / "questions.jsonl"], lambda *_: None)
