"""`answerloop serve` with a model, as one starts it: quoting while it loads, the model from then on, nothing left."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests import processes
from tests.serving import talks

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("vllm")]


def test_quoting_while_it_loads_then_the_model_and_nothing_is_left_after_kill_9(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    home, pages = tmp_path / "home", tmp_path / "pages"
    pages.mkdir()
    for one in talks.passages():
        (pages / Path(one.document).name).write_text(f"# {one.heading[-1]}\n\n{one.text}\n", "utf-8")
    processes.report(home, "index", "-s", f"manual={pages}", corpus_seconds=1)
    served = processes.serve(home, model=models[0], model_window=1024, model_answer_tokens=48)
    question = {"question": talks.questions()[0]}
    try:
        with httpx.Client(base_url=served.url, timeout=60, trust_env=False) as client:
            early = client.post("/ask", json=question).json()
            assert early["model"] == "extractive" and "first-1 is loading" in early["reason"]
            assert "40 connections" in early["answer"]
            ready = client.get("/ready").json()
            assert ready["ready"] and ready["parts"]["generator"].startswith("quoting; first-1 is loading")
            _until(lambda: client.get("/ready").json()["parts"]["generator"] == "ok, first-1 on 1 of 1 servers", 400)
            done = _streamed(client, question)
            assert done["model"] == "first-1" and "not available" not in done["reason"]
            assert done["route"] in {"grounded", "abstained"}  # it was taught other passages beside the right one
    finally:
        served.process.kill()
        served.process.wait()
    _until(lambda: not _with(str(models[0])), 15)


def _streamed(client: httpx.Client, question: dict[str, str]) -> dict[str, str]:
    """The last event's data."""
    with client.stream("POST", "/ask", json={**question, "stream": True}) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[-2] == "event: done"
    done: dict[str, str] = json.loads(lines[-1].removeprefix("data: "))
    return done


def _with(words: str) -> list[str]:
    """Processes that have these words on their command line."""
    listed = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if words in line]


def _until(so: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < until
        time.sleep(0.2)
