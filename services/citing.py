"""Passages as an answer shows them, and what they are about."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from router import units
from router.guards import another_deed
from router.types import Citation, Hit, Passage
from services.curated.vocabulary import packaged_guards

if TYPE_CHECKING:
    from indexer.content import Facts


def citations(facts: Facts, hits: Sequence[Hit]) -> tuple[Citation, ...]:
    """Whole passages as citations, for "maybe useful". A curated entry among them has no file behind it."""
    return tuple(_citation(hit, *facts.get(hit.passage.document, ("", None, ()))) for hit in hits)


def passage_deed(question: str, passage: Passage) -> str:
    """See `router.answering.Parts.another_deed`."""
    own = passage.heading[-1] if passage.heading else ""
    said = f"{' '.join(passage.heading)}\n{passage.preamble}\n{passage.text}"
    return another_deed(question, own, said, packaged_guards())


def _citation(hit: Hit, revision: str, _modified: str | None, aliases: tuple[str, ...]) -> Citation:
    passage = hit.passage
    skipped = _skipped(passage.text)
    return Citation(
        passage.id,
        passage.document,
        " > ".join(passage.heading),
        passage.text[skipped:],
        passage.start + skipped,
        passage.end,
        revision,
        aliases,
    )


@lru_cache(maxsize=2_000)  # a few megabytes: the same pages are shown again and again
def _skipped(text: str) -> int:
    """Characters before the first unit: front matter and container marks are not worth showing."""
    first = next(iter(units.split(text)), None)
    return first.start if first else 0
