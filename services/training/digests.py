"""Which weights a model is: the hash of its files, and of the base that an adapter was trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

BASE = "base.json"  # beside an adapter
_CHUNK = 1 << 20


def digest(model: str) -> str:
    """sha256 over the weights of a model's folder; "" for a name, which only a hub could resolve."""
    folder = Path(model)
    if not folder.is_dir():
        return ""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        total.update(path.name.encode())
        for piece in _pieces(path):
            total.update(piece)
    return total.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            yield piece


def remember_base(adapter: Path, base: str) -> None:
    (adapter / BASE).write_text(json.dumps({"base": base, "digest": digest(base)}), "utf-8")


def trained_on(adapter: Path) -> str:
    """The digest of the base that an adapter was trained on; "" when it is not known."""
    path = adapter / BASE
    return str(json.loads(path.read_text("utf-8")).get("digest", "")) if path.is_file() else ""
