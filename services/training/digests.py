"""Which model it is: the hash of the files that a server reads, and of the base that an adapter was trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

BASE = "base.json"  # beside an adapter
OWN = frozenset({BASE, "merged.json", "evaluation.json", "model.json"})
"""What this project writes beside a model when its files are known already. Of these only the card, model.json, counts
in serving, and it has a seal of its own."""
_CHUNK = 1 << 20


def digest(model: str) -> str:
    """sha256 over every file of a model's folder that serving may read: weights, configuration, tokenizer, chat
    template, code. "" for a name, of which the cache may hold a part only."""
    folder = Path(model)
    if not folder.is_dir():
        return ""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return _digest(folder, (name for name in names if name.name not in OWN and not _hidden(name)))


def base_digest(model: str) -> str:
    """sha256 over what a base computes with, weights and configuration: the same for a folder, and for a name whose
    files are in the cache. The rest of a cached revision is there or not, as somebody once needed it. "" where the
    model is not on this machine."""
    folder = snapshot(model)
    if folder is None:
        return ""
    weights = list(folder.glob("*.safetensors")) or list(folder.glob("*.bin"))
    return _digest(folder, (path.relative_to(folder) for path in (*weights, *folder.glob("config.json"))))


def snapshot(model: str) -> Path | None:
    """The folder of a model: itself, or for a name the revision in the cache that transformers loads offline."""
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, "config.json")
    except HFValidationError:  # a path that is not there
        return None
    return Path(found).parent if isinstance(found, str) else None


def _digest(folder: Path, names: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for name in sorted(name.as_posix() for name in names):
        total.update(f"{name}\n{(folder / name).stat().st_size}\n".encode())
        for piece in _pieces(folder / name):
            total.update(piece)
    return total.hexdigest()


def _hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            yield piece


def remember_base(adapter: Path, base: str) -> None:
    (adapter / BASE).write_text(json.dumps({"base": base, "digest": base_digest(base)}), "utf-8")


def trained_on(adapter: Path) -> str:
    """The digest of the base that an adapter was trained on; "" when it is not known."""
    path = adapter / BASE
    return str(json.loads(path.read_text("utf-8")).get("digest", "")) if path.is_file() else ""
