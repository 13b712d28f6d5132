"""Passages as an answer shows them, and what they are about."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

from router.guards import another_deed
from router.types import Citation, Hit, Passage
from services.curated.vocabulary import packaged_guards
from services.generation.blocks import Beside, nothing_beside
from services.generation.reading import read

if TYPE_CHECKING:
    from indexer.content import Content, Facts


def citations(facts: Facts, hits: Sequence[Hit]) -> tuple[Citation, ...]:
    """Whole passages as citations, for "maybe useful". A curated entry among them has no file behind it."""
    return tuple(_citation(hit, *facts.get(hit.passage.document, ("", None, ()))) for hit in hits)


def neighbours(pages: Content) -> Beside:
    """See `services.generation.blocks.Beside`. None once `pages` is closed: an answer that is under way while another
    version begins to be served does without."""

    def beside(passage: Passage) -> tuple[Passage | None, Passage | None]:
        try:
            return pages.beside(passage)
        except sqlite3.ProgrammingError:
            return nothing_beside(passage)

    return beside


def passage_deed(question: str, passage: Passage) -> str:
    """See `router.answering.Parts.another_deed`."""
    return another_deed(question, passage.heading, f"{passage.preamble}\n{passage.text}", packaged_guards())


def _citation(hit: Hit, revision: str, _modified: str | None, aliases: tuple[str, ...]) -> Citation:
    passage = hit.passage
    pieces = read(passage).pieces  # front matter and container marks, which stand before them, are not worth showing
    skipped = pieces[0].start if pieces else 0
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
