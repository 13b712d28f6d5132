"""Passages as an answer shows them, and what they are about."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from router import units
from router.guards import another_deed
from router.types import Citation, Hit, Passage
from services.curated.vocabulary import packaged_guards
from services.generation.context import Beside, nothing_beside

if TYPE_CHECKING:
    from indexer.content import Content, Facts


def citations(facts: Facts, hits: Sequence[Hit]) -> tuple[Citation, ...]:
    """Whole passages as citations, for "maybe useful". A curated entry among them has no file behind it."""
    return tuple(_citation(hit, *facts.get(hit.passage.document, ("", None, ()))) for hit in hits)


def neighbours(pages: Content) -> Beside:
    """See `services.generation.context.Beside`. None once `pages` is closed: an answer that is under way while another
    version begins to be served does without."""

    def beside(passage: Passage) -> tuple[Passage | None, Passage | None]:
        try:
            return pages.beside(passage)
        except sqlite3.ProgrammingError:
            return nothing_beside(passage)

    return beside


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
