"""Follow-ups made whole: what a message leaves out is taken from the turns before it, without a model.

A message that is whole by itself stays as it is: a wrong carry is worse than none. So only clear signs of something
missing are acted on (a pronoun that nothing in the message explains, "what about …", "那…呢", "why?", "the song" after
a song was spoken of), and what is carried is the topic of the last questions, or the last question itself.
"""

from __future__ import annotations

from functools import lru_cache

from router import followups_en, followups_zh, smalltalk
from router.phrases import is_chinese
from router.script import simplified
from router.topics import Context, after, exchanges
from router.types import Turn

LONGEST = 1000  # characters of a message that is looked at; longer ones say enough by themselves


def context_of(history: tuple[Turn, ...]) -> Context | None:
    """What the last turns are about, each of them made whole by those before it; None when nothing was asked."""
    context: Context | None = None
    for asked, said in exchanges(history):
        context = _after(context, asked, said)
    return context


@lru_cache(maxsize=2048)
def _after(context: Context | None, asked: str, said: str) -> Context | None:
    """One exchange further. Kept, because every message of a conversation brings the same turns again."""
    if not asked or smalltalk.kind_of(asked):
        return context
    return after(context, make_whole(asked, context)[0] if context else asked, said)


def make_whole(text: str, context: Context) -> tuple[str, str]:
    """The message as a question that stands alone, and what was carried into it ("" when nothing was)."""
    if len(text) > LONGEST or not text.strip():
        return text, ""
    rules = followups_zh if is_chinese(text) or (is_chinese(context.question) and _short(text)) else followups_en
    made = rules.make_whole(simplified(text), context)
    return made if made and all(part.strip() for part in made) else (text, "")  # a turn of "?" has nothing to carry


def _short(text: str) -> bool:
    """ "Windows?" in a Chinese conversation."""
    return len(text.split()) <= 2
