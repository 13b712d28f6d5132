"""Models that may be served: immutable versions with all that they came from. A version appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from router.errors import Conflict, InvalidInput, Mismatch, NotFound
from services.training.digests import digest

CARD = "model.json"
_SEAL = "seal"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Card:
    """name: also what the server serves it as, never used twice. base_digest, digest: see `digests`. dataset: hash of
    its manifest; certificate: that of its splits. prompt_hash: of the renderer it was trained with. metrics: on the
    frozen test set. code: version of this project. window: tokens of the longest prompt and answer that it was tuned
    and judged with, which it is served with; 0 where that was not written down."""

    name: str
    created: str
    base: str
    base_digest: str
    digest: str
    dataset: str
    certificate: str
    prompt_hash: str
    code: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    window: int = 0


class Registry:
    """Versions under one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, merged: Path, card: Card) -> Path:
        """Copies a merged model in. Raises `Conflict` for a name that is taken, `InvalidInput` for one that cannot be,
        `Mismatch` when the files are not those of the card."""
        self.check_free(card.name)
        target = self._folder / card.name
        unfinished = self._folder / f".{card.name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(merged, unfinished)
        if digest(str(unfinished)) != card.digest:
            shutil.rmtree(unfinished)
            raise Mismatch(f"the files in {merged} are not those of the card of {card.name}")
        written = {**asdict(card), _SEAL: _seal(card)}
        (unfinished / CARD).write_text(json.dumps(written, indent=1, ensure_ascii=False), "utf-8")
        unfinished.replace(target)
        return target

    def check_free(self, name: str) -> None:
        """Raises `Conflict` for a name that is taken, `InvalidInput` for one that cannot be."""
        _check_name(name)
        if (self._folder / name).exists():
            raise Conflict(f"the model {name} is there already; versions are never overwritten, give another name")

    def card(self, name: str) -> Card:
        """Raises `NotFound`, and `Mismatch` when it was changed since."""
        _check_name(name)
        path = self._folder / name / CARD
        if not path.is_file():
            known = ", ".join(one.name for one in self.list()) or "none yet"
            raise NotFound(f"no model {name} in {self._folder}; there is {known}")
        card, seal = _read(path)
        if seal != _seal(card):
            raise Mismatch(f"the card of model {name} is not the one that was registered; register it again")
        return card

    def path(self, name: str) -> Path:
        """The folder to serve. Raises `NotFound`, and `Mismatch` when a file was changed since."""
        card = self.card(name)
        folder = self._folder / name
        if digest(str(folder)) != card.digest:
            raise Mismatch(f"the files of model {name} are not those that were registered; register it again")
        return folder

    def list(self) -> list[Card]:
        """Oldest first."""
        cards = [_read(path)[0] for path in self._folder.glob(f"[!.]*/{CARD}")]
        return sorted(cards, key=lambda one: (one.created, one.name))


def _read(path: Path) -> tuple[Card, str]:
    """The card and its seal."""
    fields = json.loads(path.read_text("utf-8"))
    seal = str(fields.pop(_SEAL, ""))
    return Card(**fields), seal


def _seal(card: Card) -> str:
    """sha256 of all that the card says, as it is read back: a window that was changed by hand is found."""
    said = json.loads(json.dumps(asdict(card)))
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} cannot name a model: small letters, digits, '.', '_' and '-', at most 64")
