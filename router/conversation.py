"""What kind of message the last one is, and follow-ups made whole."""

from __future__ import annotations

from router import wording
from router.types import MessageKind, Question, Understood


def understand(question: Question) -> Understood:
    return Understood(MessageKind.QUESTION, question.text, wording.language_of(question.text))
