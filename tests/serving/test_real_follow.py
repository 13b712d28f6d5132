"""A running server with a vLLM of its own follows a promoted release, and a rollback in seconds."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path

import pytest

from router.types import Question
from services.compose import System, open_system
from services.indexing import release_with, run_index
from services.settings import Settings
from services.store.sql import SqlStore
from tests.serving import talks

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("vllm")]

LOADING_S, BACK_S = 300.0, 5.0
QUESTION = Question("How many connections does the pool hold?")


@pytest.fixture
def settings(models: tuple[Path, Path], tmp_path: Path) -> Settings:
    """A home with an index and two registered models."""
    pages = tmp_path / "pages"
    pages.mkdir()
    for one in talks.passages():
        (pages / Path(one.document).name).write_text(f"# {one.heading[-1]}\n\n{one.text}\n", "utf-8")
    found = Settings(
        home=tmp_path / "home", model_window=talks.WINDOW.tokens, model_answer_tokens=talks.WINDOW.answer,
        model_advice=False, ask_timeout_s=60.0, generator_timeout_s=50.0,
    )  # fmt: skip
    run_index(found, [f"manual={pages}"], "test", lambda *_: None)
    registry = found.home / "models" / "registry"
    registry.mkdir(parents=True)
    for model in models:
        shutil.copytree(model, registry / model.name)
    return found


def test_a_promoted_release_is_followed_and_a_rollback_takes_seconds(
    settings: Settings, models: tuple[Path, Path]
) -> None:
    first, second = (model.name for model in models)
    asyncio.run(_promoted(settings, first))
    system = open_system(settings, own_model=True)

    async def story() -> None:
        try:
            await _answered_by(system, first, LOADING_S)
            await _promoted(settings, second)
            waited, quoted = await _answered_by(system, second, LOADING_S)
            assert not quoted, "while the second one came up the first one answered"
            active = await system.store.active_release()
            older = [one for one in await system.store.list_releases(9) if active and one.created < active.created]
            await system.store.activate_release(older[0].id, "test")
            back, quoted = await _answered_by(system, first, BACK_S)
            assert not quoted
            print(json.dumps({"followed_s": round(waited, 2), "back_s": round(back, 2)}))
        finally:
            await system.close()

    asyncio.run(story())


async def _promoted(settings: Settings, model: str) -> None:
    """As `promote` does it at its end, in another process."""
    with SqlStore.open(settings.store_url) as store:
        active = await store.active_release()
        assert active
        await store.activate_release((await release_with(store, active, "test", model=model)).id, "test")


async def _answered_by(system: System, model: str, most_s: float) -> tuple[float, int]:
    """Asked again and again, while the system looks for releases as a server does: seconds until this model answers,
    and how many answers were quoted because no model was there. The first model is not there at the beginning."""
    begun, quoted = time.monotonic(), 0
    while True:
        await system.refresh()
        trace = (await system.ask(QUESTION)).trace
        if trace.answer.model == model:
            return time.monotonic() - begun, quoted
        quoted += "not available" in trace.answer.reason
        assert time.monotonic() - begun < most_s, system.readiness().parts
        await asyncio.sleep(0.2)
