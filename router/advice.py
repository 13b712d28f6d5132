"""What a model is asked beside answering, where there is one, and what of its word counts.

The rules go first and stay in force. A follow-up that they made whole is not asked about, and no guard is lifted: the
model can keep a near match from being sent, never send one. A model that is not there changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import replace

from router import support
from router.conversation import has_content, said_words
from router.errors import GeneratorUnavailable
from router.ports import Adviser
from router.types import CuratedMatch, How, MessageKind, Question, Understood

_POINTS = re.compile(
    r"\b(?:it|its|this|that|these|those|they|them|their|there|one|ones|same|instead|too|also)\b"
    r"|^\W*(?:and|or|but|so|then|what about|how about)\b|它|[这那该此]|呢\W*$|^\W*(?:那|还有|如果|换成|以及|或者)",
    re.IGNORECASE,
)
_LONGEST = 500  # characters of a question made whole; what is longer answers or tells a story
_SAME = 0.5  # yes is then as probable as no


async def whole(understood: Understood, question: Question, adviser: Adviser | None) -> Understood:
    """A message that points back, and that the rules could not make whole, as the model reads it in its conversation.

    Kept only where it holds the names and numbers of the message and no word that nobody said.
    """
    if adviser is None or not question.history or not _left_open(understood):
        return understood
    try:
        read = await adviser.whole_question(question.text, question.history, understood.language)
    except GeneratorUnavailable:
        return understood
    if read == understood.standalone or not _may_stand_for(read, question):
        return understood
    return replace(understood, kind=MessageKind.QUESTION, standalone=read, carried=f"by the model: {read}")


def _left_open(understood: Understood) -> bool:
    if understood.kind is MessageKind.UNCLEAR:
        return True
    asks = understood.kind is MessageKind.QUESTION and not understood.carried
    return asks and _POINTS.search(understood.standalone) is not None


def _may_stand_for(read: str, question: Question) -> bool:
    if not read or len(read) > max(_LONGEST, 2 * len(question.text)) or not has_content(read):
        return False
    said = "\n".join((question.text, *(turn.content for turn in question.history)))
    return support.identifiers_covered(question.text, read) == 1.0 and said_words(read) <= said_words(said)


async def confirmed(match: CuratedMatch, understood: Understood, adviser: Adviser | None) -> CuratedMatch:
    """A near match of which the model says that it is another question is not returned. The entry does not join the
    retrieval pool either, as where a guard contradicts."""
    if adviser is None or match.how is not How.NEAR or match.entry is None:
        return match
    best = next(one for one in match.candidates if one.entry_id == match.entry.id)
    try:
        same = await adviser.same_question(understood.standalone, best.asked, understood.language)
    except GeneratorUnavailable:
        return match
    if same >= _SAME:
        return match
    doubted = replace(best, guards=(*best.guards, f"model: the same question with {same:.2f}"))
    candidates = tuple(doubted if one is best else one for one in match.candidates)
    return replace(match, how=How.UNSURE if match.pool else How.NONE, entry=None, candidates=candidates)
