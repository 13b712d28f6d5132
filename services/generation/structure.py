"""Whether more than words speaks for a quoted unit: where it stands on its page, and what it begins with.

In running text, a sentence that answers a question and one that only has its words look the same to whoever counts
words. A heading over it, the list, table or code that it belongs to, or its being the very definition asked for is
another witness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from router.kinds import Kind, asks
from router.types import Passage, UnitKind
from services.generation.choosing import Choice, defines
from services.generation.reading import read

_TITLE = 1  # a page's title says what the page is about, not what this place of it is about


def beyond_words(
    question: str, best: Choice, passage: Passage, weights: Mapping[str, float], kinds: Sequence[Kind]
) -> bool:
    """False for something in particular (who, when, which …) that is asked of running text. Yes or no, and messages
    that only name a topic, are not asked for something in particular."""
    if Kind.WHETHER in kinds or not asks(question):
        return True
    return _structured(best, passage) or (Kind.WHAT_IS in kinds and defines(best.piece, frozenset(weights)))


def _structured(best: Choice, passage: Passage) -> bool:
    if len(passage.heading) > _TITLE or best.piece.section >= 0 or best.piece.run >= 0:
        return True
    return any(piece.kind is not UnitKind.SENTENCE for piece in read(passage).pieces)
