"""The demo of the whole loop, run as people run it, and the GPU benchmark on a processor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import loop_documents
from deploy.loop_demo import UNSEEN, Demo, Sizes, has_vllm, run

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(2400)  # six minutes alone; beside other work it may take several times as long


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Minutes: everything is real."""
    return run(Demo(tmp_path_factory.mktemp("loop"), Sizes()))


@pytest.mark.slow
def test_one_decision_answers_everybody_who_asks_the_same(found: dict[str, object]) -> None:
    assert found["review"] == {"first": "abstained", "again": "curated", "paraphrase": "curated"}


@pytest.mark.slow
def test_the_dataset_is_honest_and_merging_changes_nothing(found: dict[str, object]) -> None:
    assert found["leaks"] == []
    assert found["made"]["verdict"] >= 1, "what the reviewer decided is in the dataset"  # type: ignore[index]
    assert found["logit_difference"] < 1e-3  # type: ignore[operator]


@pytest.mark.slow
def test_tuning_helps_beyond_chance_and_the_curve_rises(found: dict[str, object]) -> None:
    gain = found["differences"]["tuned against base"]  # type: ignore[index]
    assert gain["low"] > 0
    points = found["curve"]
    assert [one["clusters"] for one in points] == list(Sizes().curve)  # type: ignore[attr-defined]
    assert points[-1]["f1"] > points[0]["f1"]  # type: ignore[index]


@pytest.mark.slow
def test_the_gates_say_what_they_found(found: dict[str, object]) -> None:
    gates = found["gates"]
    assert [one["name"] for one in gates] == [
        "answers",
        "missed refusals",
        "over-refusals",
        "no relapse",
        "corrected questions",
    ]  # type: ignore[attr-defined]
    assert found["promoted"] and all(one["held"] for one in gates)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_an_edited_page_takes_its_answer_back(found: dict[str, object]) -> None:
    assert found["stale_items"] and found["after_edit"] != "curated"


@pytest.mark.slow
def test_the_model_answers_over_http_streamed_and_cited(found: dict[str, object]) -> None:
    if not has_vllm(Demo(Path(), Sizes())):
        pytest.skip("vLLM is not installed in this environment")
    replies = found["served"]
    written = [one for one in replies if one["route"] == "grounded" and one["model"] != "extractive"]  # type: ignore[attr-defined]
    assert len(written) >= UNSEEN / 2, "questions that it was not tuned on are answered by the model"
    assert all(one["citations"] and one["pieces"] for one in written)
    assert sum(one["right"] for one in written) > len(written) / 2
    assert found["served_curated"] == "curated"


def test_the_documents_are_the_same_on_every_machine(tmp_path: Path) -> None:
    assert loop_documents.write(tmp_path / "a") == loop_documents.write(tmp_path / "b") == 2 * len(loop_documents.PARTS)
    for path in (tmp_path / "a").rglob("*.md"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_the_gpu_benchmark_runs_and_resumes_to_the_same(tmp_path: Path) -> None:
    """In a folder of its own: it may need nothing of this project."""
    script = tmp_path / "bench_gpu.py"
    script.write_text((ROOT / "deploy" / "bench_gpu.py").read_text("utf-8"), "utf-8")
    done = subprocess.run([sys.executable, script, "--tiny"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["tokens_per_s"] > 0 and report["model_flop_utilisation"] > 0
    assert report["resume"]["largest_difference"] < 1e-6 < report["resume"]["largest_weight_of_b"]
