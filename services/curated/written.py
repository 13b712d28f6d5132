"""FAQs of made-up products with paraphrases and near misses: to fit the matching of questions, and to measure it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Faq:
    """An entry of a made-up FAQ. same: other ways to ask it. other: near misses, which nothing in the store answers."""

    store: str
    id: str
    question: str
    answer: str
    same: tuple[str, ...]
    other: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.question, *self.same, *self.other)


def written(path: Path = Path(__file__).parent / "near_pairs.jsonl") -> list[Faq]:
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return [Faq(**{**row, "same": tuple(row["same"]), "other": tuple(row["other"])}) for row in rows]


def stores_of(faqs: Iterable[Faq]) -> dict[str, list[Faq]]:
    found: dict[str, list[Faq]] = {}
    for faq in faqs:
        found.setdefault(faq.store, []).append(faq)
    return found
