"""`ANSWERLOOP_ENTAILMENT` on the whole way: from the setting, over a draft, to what is sent; and what `doctor` says."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from router import answering
from router.errors import GeneratorUnavailable, Misconfigured
from router.types import Question, Route, Trace
from services import doctor
from services.compose import entailment_of, model_of
from services.generation.extractive import ExtractiveGenerator
from services.generation.service import ModelService
from services.generation.vllm import Vllm
from services.settings import Settings
from services.store.sql import SqlStore
from tests.backends.entailment_models import tiny_nli
from tests.generation.test_vllm_drafting import POOL, fleet_of, parts_of
from tests.serving.speaker import Speaker, speaking

SAID = "The pool holds 40 connections [1]."
FREELY = "Sockets nobody uses get shut eventually [1]."  # meant by the passage, in none of its words


@pytest.fixture(scope="module")
def yes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_nli(tmp_path_factory.mktemp("yes"), always="entailment")


@pytest.fixture(scope="module")
def no(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_nli(tmp_path_factory.mktemp("no"), always="neutral")


def composed(entailment: Path | str) -> Callable[[Settings], ModelService | None]:
    return lambda settings: model_of(replace(settings, entailment=str(entailment)), own=False)


def asked(says: str, home: Path, made: Callable[[Settings], ModelService | None]) -> Trace:
    """made: the model service of these settings."""

    async def ask(settings: Settings) -> Trace:
        service = made(settings)
        assert service
        await service.look()
        generator = service.generator(ExtractiveGenerator(lambda _paths: {}), lambda _paths: {})
        try:
            with SqlStore.open(settings.store_url) as store:
                parts = replace(parts_of(Vllm(1.0), fleet_of(), store), generator=generator)
                return (await answering.answer(Question(POOL), parts))[0]
        finally:
            await service.close()

    with speaking(Speaker(says=says, window=8000)) as speaker:
        return asyncio.run(ask(Settings(home=home, generator_url=speaker.endpoint.url)))


def test_what_does_not_follow_is_not_sent_though_its_words_are_there(tmp_path: Path, yes: Path, no: Path) -> None:
    for entailment, text in (("", SAID), (yes, SAID), (no, "")):
        trace = asked(SAID, tmp_path, composed(entailment))
        assert (trace.answer.route, trace.answer.model) == (Route.GROUNDED if text else Route.ABSTAINED, "tiny")
        assert (trace.answer.text == SAID) is bool(text)


def test_what_follows_is_sent_though_it_is_in_other_words(tmp_path: Path, yes: Path) -> None:
    assert asked(FREELY, tmp_path, composed("")).answer.route is Route.ABSTAINED
    trace = asked(FREELY, tmp_path, composed(yes))
    assert (trace.answer.text, trace.answer.route) == (FREELY, Route.GROUNDED)
    assert trace.features["claims_mean"] > 0.9


def test_another_number_is_not_sent_whatever_the_model_says(tmp_path: Path, yes: Path) -> None:
    assert asked("The pool holds 50 connections [1].", tmp_path, composed(yes)).answer.route is Route.ABSTAINED


def test_it_is_asked_beside_the_event_loop(tmp_path: Path) -> None:
    threads: list[threading.Thread] = []

    def entails(_premise: str, _hypothesis: str) -> float:
        threads.append(threading.current_thread())
        return 1.0

    assert asked(SAID, tmp_path, lambda settings: ModelService(settings, entails=entails)).answer.text == SAID
    assert threads and threading.main_thread() not in threads


def test_one_that_fails_leaves_a_quoted_answer_that_says_so(tmp_path: Path) -> None:
    def entails(_premise: str, _hypothesis: str) -> float:
        raise GeneratorUnavailable("the entailment model failed: out of memory")

    answer = asked(SAID, tmp_path, lambda settings: ModelService(settings, entails=entails)).answer
    assert (answer.model, answer.route) == ("extractive", Route.GROUNDED)
    assert "the entailment model failed: out of memory" in answer.reason


def test_one_that_is_too_slow_leaves_a_quoted_answer_that_says_so(tmp_path: Path) -> None:
    asked_for: list[str] = []

    def entails(_premise: str, hypothesis: str) -> float:
        asked_for.append(hypothesis)
        time.sleep(0.6)
        return 1.0

    def made(settings: Settings) -> ModelService:
        return ModelService(replace(settings, generator_timeout_s=0.5), entails=entails)

    answer = asked(f"{SAID} An idle connection is closed after 90 seconds [1].", tmp_path, made).answer
    assert (answer.model, answer.route) == ("extractive", Route.GROUNDED)
    assert "not checked in time" in answer.reason and len(asked_for) == 1


def test_the_model_in_shadow_shares_it(yes: Path) -> None:
    assert entailment_of("") is None
    assert entailment_of(str(yes)) is entailment_of(str(yes))


def test_nothing_begins_with_one_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="ANSWERLOOP_ENTAILMENT"):
        model_of(Settings(home=tmp_path, generator_url="http://127.0.0.1:9/v1", entailment=str(tmp_path)), own=False)


def test_the_doctor_loads_and_tries_it(tmp_path: Path, yes: Path, no: Path) -> None:
    states = {"": "info", str(yes): "ok", str(no): "warning", str(tmp_path / "gone"): "missing"}
    found = {name: doctor.check_entailment(Settings(home=tmp_path, entailment=name)) for name in states}
    assert {name: check.state for name, check in found.items()} == states
    assert all(
        "ANSWERLOOP_ENTAILMENT" in check.fix for check in found.values() if check.state in ("warning", "missing")
    )
