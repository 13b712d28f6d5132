"""A vLLM of one's own: started, watched, started again when it dies, and never left behind.

The thread here is no part of answering: while it loads a model, questions are answered by quoting.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from router.errors import AnswerloopError, GeneratorUnavailable, Misconfigured
from router.packing import Tokenizer, Window
from services.generation import counting, probing, tether
from services.generation.endpoints import Endpoint, Fleet, Served
from services.generation.launching import Launch, Machine, environment, flags, machine

_LOOK_EVERY_S = 0.25
_SAY_EVERY_S = 10.0
_LOADING_S = 1800.0  # a large model from a slow disk; longer than that is a failure
_STOPPING_S = 10.0  # for vLLM to end by itself
_REST_S = 1.0  # before it is started again, doubled each time it dies young
_LONGEST_REST_S = 60.0
_GROWN_UP_S = 300.0  # after that long a life the next death is a new story

_TETHERED = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})
from pathlib import Path
from services.generation.tether import main
raise SystemExit(main(Path(sys.argv[1]), sys.argv[2:]))
"""

log = logging.getLogger("answerloop.generator")


def served_name(model: str) -> str:
    """What a vLLM of one's own calls this model, a folder or a name."""
    return Path(model).resolve().name if Path(model).is_dir() else model


class OwnServer:
    """One vLLM process group on a free port of this machine, with a key that only this process knows."""

    def __init__(self, launch: Launch, here: Machine, folder: Path) -> None:
        local = Path(launch.model).is_dir()
        self.launch, self._here = launch, here
        self.name = served_name(launch.model)
        self._model = str(Path(launch.model).resolve()) if local else launch.model
        self.endpoint = Endpoint(f"http://127.0.0.1:{_free_port()}/v1", secrets.token_urlsafe(32))
        mark = secrets.token_hex(4)
        self.log = folder / f"vllm-{mark}.log"
        self._file = folder / f"{mark}.running.json"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        variables = {name: value for name, (value, _) in environment(self.launch, self._here).items()}
        variables["VLLM_API_KEY"] = self.endpoint.key  # not on the command line, which every user can read
        self.log.parent.mkdir(parents=True, exist_ok=True)
        tethered = [sys.executable, "-c", _TETHERED, str(self._file.resolve())]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*tethered, *self.command()],
                stdin=subprocess.PIPE,  # ends when this process does, however it does
                stdout=output,
                stderr=output,
                env={**os.environ, **variables},
                cwd=self.log.parent,  # an interpreter of its own must not find our packages beside it
                start_new_session=True,
            )

    def command(self) -> list[str]:
        port = self.endpoint.root.rpartition(":")[2]
        where = ["--host", "127.0.0.1", "--port", port, "--served-model-name", self.name]
        chosen = [part for flag, (value, _) in flags(self.launch, self._here).items() for part in (flag, value) if part]
        server = ["-m", "vllm.entrypoints.openai.api_server"]  # the `vllm` command fails with the CPU's package
        return [self._here.python, *server, "--model", self._model, *where, *chosen]

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def last_words(self) -> str:
        """The last error in its log, or its last line."""
        lines = self.log.read_text("utf-8", "replace").splitlines() if self.log.is_file() else []
        said = [line for line in lines if line.strip()]
        errors = [line for line in said if "Error" in line and "Traceback" not in line]
        return " ".join((errors or said or ["nothing"])[-1].split())[-300:]

    def stop(self) -> None:
        """Ends the whole group. Safe to call again."""
        if self._process is None:
            return
        for number, seconds in ((signal.SIGTERM, _STOPPING_S), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            if self._gone_within(seconds):
                break
        self._file.unlink(missing_ok=True)
        if self._process.stdin:
            self._process.stdin.close()

    def _gone_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self._process is not None
            self._process.poll()
            try:
                os.killpg(self._process.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.05)
        return False


class Supervisor:
    """Keeps one model of the fleet served. start, close: once each, from any thread."""

    def __init__(self, launch: Launch, python: str, folder: Path, answer_tokens: int, fleet: Fleet) -> None:
        self._launch, self._python, self._folder = launch, python or sys.executable, folder
        self._answer_tokens, self._fleet = answer_tokens, fleet
        self._servers: dict[Served, OwnServer] = {}
        self._running: set[OwnServer] = set()  # those that are still loading among them
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="answerloop-vllm", daemon=True)

    def start(self) -> None:
        """Raises `Misconfigured` where there is no vLLM to start."""
        self._machine()
        for group in tether.sweep(self._folder):
            log.warning("a vLLM (process group %d) was left over by a server that was killed; it is ended", group)
        self._thread.start()

    def bring_up(self, model: str) -> Served:
        """Another model beside the one that is served: started, warmed, checked; its `stop` ends it. Blocks.

        Raises `GeneratorUnavailable` when it does not come up, `Misconfigured` when it cannot.
        """
        launch = Launch(model, self._launch.window, self._launch.adapters)
        return self._brought_up(launch, lambda seconds: log.info("%s is loading, %.0f s so far", model, seconds))

    def close(self) -> None:
        self._ending.set()
        self._fleet.move(None)
        for server in list(self._running):
            server.stop()
        if self._thread.is_alive():
            self._thread.join()
        for server in list(self._running):  # one that was just being started
            server.stop()
        self._fleet.move(None)
        self._fleet.state = "the server is stopping"

    def _machine(self) -> Machine:
        here = machine(self._python)
        if not here.vllm:
            raise Misconfigured(f"there is no vLLM in {self._python}; `answerloop doctor` says how to get it")
        return here

    def _run(self) -> None:
        rest = _REST_S
        while not self._ending.is_set():
            begun = time.monotonic()
            try:
                self._serve_once()
            except AnswerloopError as error:
                if self._ending.is_set():
                    return
                self._fleet.state = f"the model does not start: {error}"
                log.error("%s", self._fleet.state)
            if self._ending.is_set():
                return
            rest = _REST_S if time.monotonic() - begun > _GROWN_UP_S else min(rest * 2, _LONGEST_REST_S)
            self._fleet.state += f"; it is started again in {rest:.0f} s"
            self._ending.wait(rest)

    def _serve_once(self) -> None:
        """From the start of vLLM to its death."""
        served = self._brought_up(self._launch, self._say)
        self._fleet.move(served)
        log.info("%s answers", served.name)
        while not self._ending.wait(_LOOK_EVERY_S):
            current = self._fleet.current  # another one after a swap or a way back
            server = self._servers.get(current) if current else None
            if current is None or server is None:
                raise GeneratorUnavailable("the model was taken away")
            if not server.alive:
                self._died(current, server)
                return

    def _died(self, served: Served, server: OwnServer) -> None:
        self._launch = server.launch
        self._fleet.move(None)
        self._fleet.state = f"vLLM ended by itself ({server.last_words()})"
        log.error("%s; its log is %s", self._fleet.state, server.log)
        self._stop(served)

    def _say(self, seconds: float) -> None:
        self._fleet.state = f"{Path(self._launch.model).name} is loading, {seconds:.0f} s so far"
        log.info("%s; questions are answered by quoting meanwhile", self._fleet.state)

    def _brought_up(self, launch: Launch, say: Callable[[float], None]) -> Served:
        say(0.0)  # before the machine is looked at, which takes a second: who asks meanwhile is told the truth
        server = OwnServer(launch, self._machine(), self._folder)
        self._running.add(server)
        server.start()
        try:
            self._wait(server, say)
            probing.warm(server.endpoint, server.name)
            served = self._served(server)
        except AnswerloopError:
            self._end(server)
            raise
        served.stop = lambda: self._stop(served)
        self._servers[served] = server
        return served

    def _wait(self, server: OwnServer, say: Callable[[float], None]) -> None:
        begun = said = time.monotonic()
        while not probing.healthy(server.endpoint):
            now = time.monotonic()
            if self._ending.is_set():
                raise GeneratorUnavailable("the server is stopping")
            if not server.alive:
                raise GeneratorUnavailable(f"vLLM ended while loading it: {server.last_words()}")
            if now - begun > _LOADING_S:
                raise GeneratorUnavailable(f"it was not there after {_LOADING_S:.0f} s")
            if now - said >= _SAY_EVERY_S:
                said = now
                say(now - begun)
            time.sleep(_LOOK_EVERY_S)

    def _served(self, server: OwnServer) -> Served:
        window = next((one.window for one in probing.listed(server.endpoint) if one.name == server.name), 0)
        counted = counter(server.launch.model, (server.endpoint,), server.name)
        return Served(server.name, (server.endpoint,), window_for(window, self._answer_tokens), counted)

    def _stop(self, served: Served) -> None:
        server = self._servers.pop(served, None)
        if server:
            self._end(server)

    def _end(self, server: OwnServer) -> None:
        server.stop()
        self._running.discard(server)


def window_for(tokens: int, answer_tokens: int) -> Window:
    """The answer gets at most a quarter of a small window."""
    return Window(tokens, min(answer_tokens, tokens // 4))


def counter(model: str, endpoints: tuple[Endpoint, ...], name: str) -> Tokenizer:
    """The folder's own tokenizer where there is one and it counts as the server does; else the server's. Blocks.

    Raises `GeneratorUnavailable` when the server does not count.
    """
    if not Path(model).is_dir():
        return counting.remote(endpoints, name)
    try:
        local = counting.local(Path(model))
    except Misconfigured as error:
        log.warning("%s; its server counts instead", error)
        return counting.remote(endpoints, name)
    if probing.agrees(endpoints[0], name, local):
        return local
    log.warning("the tokenizer in %s counts otherwise than the server of %s, which counts instead", model, name)
    return counting.remote(endpoints, name)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
