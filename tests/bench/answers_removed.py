"""Questions that a page does not answer although it is about the same: the sentences that do are taken out of it.

Made from question files with paragraphs, so that the unanswerable questions are those that people asked, in every
language that has such a file; a line that was found on questions written to mislead would speak of English alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from services.evaluation import Row

_SENTENCES = re.compile(r".*?(?:[。！？；!?;]+[”」』]?|\.(?=\s|$)|$)", re.DOTALL)
_LEAST = 60  # characters that must be left: a page that says next to nothing is easy to refuse


def without_answers(rows: Sequence[Row]) -> list[Row]:
    return [left for _, left in pairs(rows)]


def pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """A question of its page, and of what is left without the answer. One for each page: without the answer to one
    question, it may still hold those to others."""
    made: dict[str | None, tuple[Row, Row]] = {}
    for row in rows:
        left = None if row.context in made else _without_answer(row)
        if left is not None:
            made[row.context] = (row, left)
    return list(made.values())


def _without_answer(row: Row) -> Row | None:
    """None where the answer cannot be taken out: it is not there, or nothing is left, or it stands across sentences."""
    text = row.context or ""
    kept = [one for one in _SENTENCES.findall(text) if not any(answer in one for answer in row.answers)]
    left = "".join(kept)
    if not row.answers or left == text or len(left) < _LEAST or any(answer in left for answer in row.answers):
        return None
    return replace(row, context=left, answerable=False, keys=(), answers=())
