"""Which model answers: found out, swapped, tried on a share, taken back, on tiny servers; and what is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from router.errors import Conflict, GeneratorUnavailable, InvalidInput, Misconfigured, NotFound
from router.packing import Tokenizer, Window
from router.prompt import Message
from services.generation import tether
from services.generation.endpoints import Breaker, Canary, Endpoint, Fleet, Served, share_of
from services.generation.launching import Launch, Machine, environment, flags, machine, tuned_window
from services.generation.service import ModelService
from services.generation.supervisor import Supervisor
from services.generation.swapping import Swapper, adapter_name
from services.generation.vllm import Vllm
from services.settings import Settings
from services.store.processes import alive, started
from tests.serving.speaker import Speaker, speaking

ASKED = (Message("user", "How many?"),)
CPU = Machine("python", "0.32.0", False, (0, 1, 5), 24 * 2**30)
GPU = Machine("python", "0.32.0", True, (0, 1), 24 * 2**30)


def model(name: str, *endpoints: Endpoint, stop: Callable[[], None] = lambda: None) -> Served:
    return Served(name, endpoints, Window(1024, 64), Tokenizer(len), stop)


# --- swapping ---------------------------------------------------------------------------------------------------------


def test_a_swap_under_load_fails_nobody_and_mixes_nothing() -> None:
    speakers = (Speaker(name, f"all of the {name} words", token_s=0.01) for name in ("old", "new"))
    with speaking(next(speakers)) as old, speaking(next(speakers)) as new:
        fleet, stopped = Fleet("none"), []
        first = model("old", old.endpoint, stop=lambda: stopped.append("old"))
        fleet.move(first)
        swapper = Swapper(fleet, 5.0)
        said = asyncio.run(_under_load(fleet, lambda: swapper.swap(lambda: model("new", new.endpoint))))
        assert set(said) == {("old", old.says), ("new", new.says)}
        assert said[-1] == ("new", new.says) and not first.users
        back = asyncio.run(_under_load(fleet, swapper.rollback))
        assert back[-1] == ("old", old.says) and set(back) == set(said)
        assert not stopped
        swapper.swap(lambda: model("new", new.endpoint))
        swapper.let_go()
        assert stopped == ["old"]


async def _under_load(fleet: Fleet, change: Callable[[], object]) -> list[tuple[str, str]]:
    """What 16 askers got, who each asked again and again while `change` ran; an error of any of them is raised."""
    client, said, over = Vllm(5.0), list[tuple[str, str]](), asyncio.Event()

    async def asker(number: int) -> None:
        while not over.is_set():
            with fleet.borrow(f"question {number}") as served:
                said.append((served.name, (await client.write(served, ASKED)).text))

    askers = [asyncio.create_task(asker(number)) for number in range(16)]
    await asyncio.sleep(0.2)
    await asyncio.to_thread(change)
    await asyncio.sleep(0.2)
    over.set()
    await asyncio.gather(*askers)
    await client.close()
    return said


def test_a_model_that_does_not_come_up_changes_nothing() -> None:
    fleet = Fleet("none")
    fleet.move(kept := model("old"))

    def fails() -> Served:
        raise GeneratorUnavailable("out of memory")

    with pytest.raises(GeneratorUnavailable, match="out of memory"):
        Swapper(fleet, 1.0).swap(fails)
    assert fleet.current is kept
    with pytest.raises(NotFound, match="no model is kept"):
        Swapper(fleet, 1.0).rollback()


def test_two_swaps_at_once_are_refused() -> None:
    fleet, swapper, begun, end = Fleet("none"), None, threading.Event(), threading.Event()
    swapper = Swapper(fleet, 1.0)

    def slow() -> Served:
        begun.set()
        end.wait(5)
        return model("new")

    thread = threading.Thread(target=swapper.swap, args=(slow,))
    thread.start()
    begun.wait(5)
    with pytest.raises(Conflict):
        swapper.swap(lambda: model("other"))
    end.set()
    thread.join()
    assert fleet.current and fleet.current.name == "new"


def test_a_canary_gets_its_share_and_the_same_question_the_same_model() -> None:
    fleet = Fleet("none")
    assert fleet.writing() == {}
    endpoint = Endpoint("http://127.0.0.1:9/v1")
    fleet.move(model("main", endpoint))
    assert fleet.writing() == {"main": 1.0}
    fleet.try_out(Canary(model("trial", endpoint), 0.25))
    assert fleet.writing() == {"main": 0.75, "trial": 0.25}

    def answers(key: str) -> str:
        with fleet.borrow(key) as served:
            return served.name

    given = [answers(f"question {number}") for number in range(2000)]
    assert given == [answers(f"question {number}") for number in range(2000)]
    assert 0.21 < given.count("trial") / 2000 < 0.29  # four standard deviations
    assert "25% of questions to trial" in fleet.status()
    endpoint.breaker.failed(1.0, 0.0, surely=True)
    assert fleet.writing() == {}, "answers are quoted"
    fleet.move(model("next"))
    assert {answers(f"question {number}") for number in range(50)} == {"next"}


def test_keys_fall_evenly() -> None:
    shares = [share_of(f"k{number}") for number in range(4000)]
    counts = [sum(low <= share < low + 0.1 for share in shares) for low in (x / 10 for x in range(10))]
    assert min(counts) > 320 and max(shares) < 1.0


def test_an_adapters_name_is_never_used_twice(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no adapter"):
        adapter_name(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    assert len({adapter_name(tmp_path) for _ in range(50)}) == 50


def test_a_breaker_lets_one_through_after_each_rest_and_rests_longer_each_time() -> None:
    breaker = Breaker()
    for now in (1.0, 2.0, 3.0):
        assert breaker.allows(now)
        breaker.failed(now, now)
    rests = []
    for _ in range(7):
        assert not breaker.allows(breaker.until - 0.001)
        rests.append(breaker.until - now)
        now = breaker.until
        assert breaker.allows(now)
        breaker.taken(now)
        assert not breaker.allows(now + 0.5)  # the others wait to hear how it went
        breaker.failed(now, now)
    assert rests == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    breaker.succeeded()
    assert breaker.allows(now)


def test_requests_that_fail_together_are_one_failure() -> None:
    breaker = Breaker()
    for late in range(16):
        breaker.failed(10.0 + late / 1000, begun=9.0)
    assert breaker.failures == 1 and breaker.allows(10.1)


# --- servers that run elsewhere ---------------------------------------------------------------------------------------


def test_servers_elsewhere_are_found() -> None:
    async def story() -> None:
        with speaking(Speaker("tuned-1")) as one, speaking(Speaker("tuned-1", window=512)) as other:
            urls = f"{one.endpoint.url}, {other.endpoint.url}/,http://127.0.0.1:9/v1"
            service = ModelService(Settings.from_env({"ANSWERLOOP_GENERATOR_URL": urls}))
            assert service.status().startswith("quoting; no model has been reached yet")
            await service.look()
            assert service.status() == "ok, tuned-1 on 2 of 3 servers"
            assert await service.planned("none") == {"tuned-1": 1.0}
            warmed = [(body["stream"], "structured_outputs" in body, body["logprobs"]) for body in one.bodies]
            assert set(warmed) == {(False, False, True), (False, True, True)}, "nobody waits for what is made first"
            current = service.fleet.current
            assert current and current.window == Window(512, 128) and current.tokenizer.text("七个字") == 3
            await service.close()

    asyncio.run(story())


def test_the_model_of_the_release_is_followed_there_and_back() -> None:
    async def story() -> None:
        with speaking(Speaker("tuned-1")) as one, speaking(Speaker("tuned-2")) as two:
            urls = f"{one.endpoint.url},{two.endpoint.url}"
            service = ModelService(Settings.from_env({"ANSWERLOOP_GENERATOR_URL": urls}))
            service.follow("tuned-1")
            await service.look()
            assert service.status() == "ok, tuned-1 on 1 of 1 servers"
            for wanted in ("tuned-2", "tuned-1"):
                service.follow(wanted)
                await asyncio.to_thread(_until, lambda name=wanted: service.status() == f"ok, {name} on 1 of 1 servers")
            service.follow("tuned-3")
            await asyncio.to_thread(_until, lambda: "tuned-3 is wanted, but did not come up" in service.status())
            assert service.status().startswith("ok, tuned-1")
            await service.close()

    asyncio.run(story())


def test_a_release_names_a_registered_model_and_the_settings_have_the_last_word(tmp_path: Path) -> None:
    (tmp_path / "models" / "registry" / "tuned-1").mkdir(parents=True)
    free, fixed = ModelService(Settings(home=tmp_path)), ModelService(Settings(home=tmp_path, model="m"))
    assert free.model_for("tuned-1") == str(tmp_path / "models" / "registry" / "tuned-1")
    assert [free.writes(name) for name in ("tuned-1", "gone", "extractive")] == [True, False, False]
    assert fixed.model_for("tuned-1") == fixed.model_for("extractive") == "m"
    planned = [asyncio.run(free.planned(name)) for name in ("tuned-1", "gone")]
    assert planned == [{"tuned-1": 1.0}, {}] and asyncio.run(fixed.planned("tuned-1")) == {"m": 1.0}


@pytest.mark.parametrize(
    ("settings", "speaker", "said"),
    [
        ({"MODEL": "other"}, Speaker("tuned-1"), "servers list tuned-1; ANSWERLOOP_MODEL must name one"),
        ({}, Speaker("tuned-1", window=0), "set ANSWERLOOP_MODEL_WINDOW"),
        ({"GENERATOR_URL": "http://127.0.0.1:9/v1"}, Speaker(), "no model server answers at http://127.0.0.1:9/v1"),
    ],
)
def test_what_is_wrong_with_the_servers_is_said(settings: dict[str, str], speaker: Speaker, said: str) -> None:
    async def state() -> str:
        with speaking(speaker):
            chosen = {"GENERATOR_URL": speaker.endpoint.url, **settings}
            service = ModelService(Settings.from_env({f"ANSWERLOOP_{name}": value for name, value in chosen.items()}))
            await service.look()
            await service.close()
            return service.status()

    assert said in asyncio.run(state())


# --- a vLLM of one's own ----------------------------------------------------------------------------------------------


def test_flags_fit_the_machine_and_the_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"dtype": "float32", "max_position_embeddings": 2048}))
    launch = Launch(str(tmp_path))
    on_cpu = {name: value for name, (value, _) in flags(launch, CPU).items()}
    assert on_cpu["--dtype"] == "float32" and on_cpu["--max-model-len"] == "2048" and "--enforce-eager" in on_cpu
    variables = {name: value for name, (value, _) in environment(launch, CPU).items()}
    assert (variables["VLLM_CPU_OMP_THREADS_BIND"], variables["OMP_NUM_THREADS"]) == ("nobind", "3")
    assert variables["HF_HUB_OFFLINE"] == "1"
    assert variables["VLLM_CPU_KVCACHE_SPACE"] == "3"
    on_gpu = {name: value for name, (value, _) in flags(launch, GPU).items()}
    assert on_gpu["--dtype"] == "auto" and float(on_gpu["--gpu-memory-utilization"]) < 0.5
    assert "--enforce-eager" not in on_gpu and "VLLM_CPU_KVCACHE_SPACE" not in environment(launch, GPU)
    assert "--enable-lora" in flags(Launch(str(tmp_path), adapters=True), CPU)
    assert all(reason for _, reason in (*flags(launch, CPU).values(), *environment(launch, CPU).values()))


def test_a_registered_model_gets_the_window_that_it_was_tuned_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 2048}))
    (tmp_path / "model.json").write_text(json.dumps({"window": 640}))
    assert flags(Launch(str(tmp_path)), CPU)["--max-model-len"][0] == "640"
    assert flags(Launch(str(tmp_path), window=1024), CPU)["--max-model-len"][0] == "1024"
    monkeypatch.chdir(tmp_path)
    assert tuned_window("") == 0, "no model was named: a file that lies about is not its card"


def test_a_python_without_vllm_is_refused_before_anything_starts(tmp_path: Path) -> None:
    empty = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(empty)], check=True)
    python = str(empty / "bin" / "python")
    assert not machine(python).vllm
    with pytest.raises(Misconfigured, match="there is no vLLM in"):
        Supervisor(Launch("m"), python, tmp_path, 64, Fleet("none")).start()
    with pytest.raises(Misconfigured, match="cannot be run"):
        machine(str(tmp_path / "nothing"))


TETHERED = """
import subprocess, sys, time
from services.generation.supervisor import _TETHERED
child = subprocess.Popen([sys.executable, "-c", _TETHERED, sys.argv[1], sys.executable, "-c",
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']); "
    "time.sleep(99)"], stdin=subprocess.PIPE, start_new_session=True)
print(child.pid, flush=True)
time.sleep(99)
"""


def _tethered(file: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that keeps another, which has a child of its own; and the group of the two."""
    process = subprocess.Popen([sys.executable, "-c", TETHERED, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    group = int(process.stdout.readline())
    _until(lambda: len(_members(group)) == 3 and file.exists())
    return process, group


def _members(group: int) -> list[int]:
    """Processes of a group that still run."""
    listed = subprocess.run(["ps", "-ewwo", "pid,pgid,stat"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()[1:]]
    return [int(pid) for pid, of, state in rows if int(of) == group and not state.startswith("Z")]


def _until(so: Callable[[], bool], seconds: float = 15.0) -> None:
    until = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_nothing_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    process, group = _tethered(tmp_path / "a.running.json")
    process.kill()
    process.wait()
    _until(lambda: not _members(group))
    assert not list(tmp_path.glob("*.json"))


def test_what_outlived_even_its_tether_is_swept_away_at_the_next_start(tmp_path: Path) -> None:
    process, group = _tethered(tmp_path / "a.running.json")
    os.kill(group, signal.SIGKILL)  # the tether itself
    process.kill()
    process.wait()
    assert len(_members(group)) == 2
    assert tether.sweep(tmp_path) == [group]
    _until(lambda: not _members(group))
    assert tether.sweep(tmp_path) == []


def test_a_number_that_another_process_has_by_now_is_not_killed(tmp_path: Path) -> None:
    own = os.getpid()
    known = {"group": os.getpgrp(), "pid": own, "started": started(own) + "0"}
    (tmp_path / "a.running.json").write_text(json.dumps(known))
    (tmp_path / "b.running.json").write_text("not json")
    assert tether.sweep(tmp_path) == [] and alive(own, started(own))
