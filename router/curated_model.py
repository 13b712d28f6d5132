"""The fitted probability that two questions ask the same. Coefficients and lines come from `services.curated.fit`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Logistic:
    """line: the least probability, 0..1, at which an entry is sent."""

    intercept: float
    weights: Mapping[str, float]
    line: float

    def probability(self, features: Mapping[str, float]) -> float:
        total = self.intercept + sum([weight * features.get(name, 0.0) for name, weight in self.weights.items()])
        return 1.0 / (1.0 + math.exp(-min(max(total, -40.0), 40.0)))

    @classmethod
    def from_json(cls, payload: Mapping[str, Any]) -> Logistic:
        return cls(float(payload["intercept"]), dict(payload["weights"]), float(payload["line"]))


@dataclass(frozen=True, slots=True)
class NearModel:
    """words: one wording beside another, without an embedder. pair: the same with a cosine. votes: an entry of which
    several wordings are near, with cosines. margin: how far ahead of the next entry the best one must be. data: the
    names of what it was fitted on. embedder: the fingerprint of the model that the cosines came from."""

    words: Logistic
    pair: Logistic
    votes: Logistic
    margin: float
    data: tuple[str, ...]
    embedder: str
    created: str

    @classmethod
    def from_json(cls, payload: Mapping[str, Any]) -> NearModel:
        """Raises KeyError when a part is missing."""
        return cls(
            words=Logistic.from_json(payload["words"]),
            pair=Logistic.from_json(payload["pair"]),
            votes=Logistic.from_json(payload["votes"]),
            margin=float(payload["margin"]),
            data=tuple(payload["data"]),
            embedder=str(payload["embedder"]),
            created=str(payload["created"]),
        )
