"""Whether an answer is about what the conversation is about. Pure; only words are looked at."""

from __future__ import annotations

from router.phrases import stems
from router.types import Passage, Understood

_ENOUGH = 2  # words of the conversation that the passage has: it is about the same
_FEW = 3  # words of its own up to which a message leans on what was spoken of before it


def on_topic(understood: Understood, passage: Passage) -> float:
    """1.0 where the quoted passage has words of what was asked and answered before the message, or where nothing was;
    0.0 where a message of few words is answered from a passage that has none of them. Between them for a message that
    says more itself: a new question is welcome at any time.

    Both numbers were chosen among 2 to 5 on `mtrag_un_dev_en`, which `tests.bench.confidence` fits the weight on, and
    differ little there: see docs/decisions/2026-11-29-keeps-to-the-topic.md.
    """
    if len(understood.spoken) < _ENOUGH:
        return 1.0
    strange = 1.0 - min(len(_said(understood, passage)) / _ENOUGH, 1.0)
    return 1.0 - strange * min(_FEW / max(len(stems(understood.standalone)), 1), 1.0)


def spoken_of(understood: Understood, passage: Passage, message: str) -> bool:
    """Whether the conversation before the message speaks for the passage: it has `_ENOUGH` words of it that the message
    itself does not say. Asking the same again is no other witness."""
    if len(understood.spoken) < _ENOUGH:
        return False
    return len(_said(understood, passage) - stems(message)) >= _ENOUGH


def _said(understood: Understood, passage: Passage) -> frozenset[str]:
    return frozenset(understood.spoken & stems("\n".join((*passage.heading, passage.text))))
