"""Whether more than words speaks for a quoted unit: where it stands on its page, and what it begins with.

In running text, a sentence that answers a question and one that only has its words look the same to whoever counts
words. A heading over it, the list, table or code that it belongs to, or its being the very definition asked for is
another witness. What stands before the first section of a page that has sections is under its title as under a heading.
None of them says why something is so: that wants a reason or a condition in the unit or beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from router.kinds import Kind, asks, fit
from router.script import simplified
from router.types import Passage, UnitKind
from services.generation.blocks import Beside, nothing_beside
from services.generation.choosing import Choice, defines
from services.generation.reading import read

_NO_SIGN = fit((Kind.WHY,), UnitKind.SENTENCE, "")
_TITLE = 1  # a page's title says what the page is about, not what this place of it is about


def beyond_words(
    question: str,
    best: Choice,
    passage: Passage,
    weights: Mapping[str, float],
    kinds: Sequence[Kind],
    beside: Beside = nothing_beside,
) -> bool:
    """False for something in particular (who, when, which, whether …) that is asked of running text. Messages that only
    name a topic ask for nothing in particular. beside: the passages around one."""
    if not asks(question):
        return True
    if Kind.WHY in kinds and not _reasons(best, passage):
        return False
    if structured(passage) or best.piece.section >= 0 or best.piece.run >= 0:
        return True
    if Kind.WHAT_IS in kinds and defines(best.piece, frozenset(weights)):
        return True
    return any(one is not None and len(one.heading) > _TITLE for one in beside(passage))


_CONDITION = re.compile(r"如果|若|除非|只有|否则|\b(?:if|unless|otherwise|only when)\b", re.IGNORECASE)


def _reasons(best: Choice, passage: Passage) -> bool:
    """Whether the unit or one right beside it says because, so that, therefore …, weakly or clearly, or on what
    condition: "if the disk cannot be shared, the box is not shown"."""
    around = read(passage).pieces[max(best.number - 1, 0) : best.number + 2]
    return any(
        fit((Kind.WHY,), UnitKind.SENTENCE, piece.text) > _NO_SIGN or _CONDITION.search(simplified(piece.text))
        for piece in around
    )


def structured(passage: Passage) -> bool:
    """Whether it has a heading of its own, a list, a table or code: no running text."""
    return len(passage.heading) > _TITLE or any(piece.kind is not UnitKind.SENTENCE for piece in read(passage).pieces)
