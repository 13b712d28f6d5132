"""What a curated entry must be before it is kept, whichever way it comes in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from indexer.parsing.page import clean
from router import wording
from router.errors import InvalidInput
from router.types import Citation, CuratedEntry

LONGEST_ID = 200
LONGEST_QUESTION = 2_000  # as ANSWERLOOP_MAX_QUESTION_CHARS: what cannot be asked needs no answer
LONGEST_ANSWER = 20_000
MOST_QUESTIONS = 500  # variants, and as many negatives
MOST_CITATIONS = 50
MOST_CHARS = 60_000  # of a whole entry; as a list in one cell it stays below the 131,072 that CSV readers take
_FURTHEST = 2**31
_RESERVED = frozenset({".", "..", "import", "export", "self-test", "explain"})  # they mean something else in a URL


def checked(entry: CuratedEntry) -> CuratedEntry:
    """The entry as it is kept: newlines as "\\n", no control characters, no blanks around texts, no question twice.

    Raises `InvalidInput` with what is wrong. Checking again changes nothing.
    """
    question = _text(entry.question, "question", LONGEST_QUESTION)
    variants = tuple(text for text in _questions(entry.variants, "variants") if text != question)
    done = replace(
        entry,
        id=checked_id(entry.id),
        question=question,
        answer=_text(entry.answer, "answer", LONGEST_ANSWER),
        variants=variants,
        negatives=_questions(entry.negatives, "negatives"),
        citations=_citations(entry.citations),
    )
    if both := {question, *variants} & set(done.negatives):
        raise InvalidInput(f"{min(both)!r} is a question of this entry and a negative of it at once")
    if (size := _size(done)) > MOST_CHARS:
        raise InvalidInput(f"the entry has {size} characters in all; at most {MOST_CHARS} are kept")
    return done


def checked_id(raw: str) -> str:
    entry_id = clean(raw).strip()
    if not entry_id or entry_id in _RESERVED:
        raise InvalidInput(f"{entry_id!r} cannot be the id of an entry")
    if len(entry_id) > LONGEST_ID:
        raise InvalidInput(f"the id has {len(entry_id)} characters; at most {LONGEST_ID} are kept")
    if bad := next((char for char in entry_id if char in "/\\" or not char.isprintable()), ""):
        raise InvalidInput(f"the id {entry_id!r} holds {bad!r}, which an id cannot")
    return entry_id


def id_for(question: str) -> str:
    """The id of an entry that comes with none: the same for the same words, so that a second import finds it."""
    return "q-" + hashlib.sha256(wording.normalise(clean(question)).encode()).hexdigest()[:12]


def _text(raw: str, name: str, longest: int) -> str:
    text = clean(raw).strip()
    if not any(char.isprintable() and not char.isspace() for char in text):
        raise InvalidInput(f"the {name} is blank")
    if len(text) > longest:
        raise InvalidInput(f"the {name} has {len(text)} characters; at most {longest} are kept")
    return text


def _questions(raw: Iterable[str], name: str) -> tuple[str, ...]:
    texts = tuple(dict.fromkeys(text for one in raw if (text := clean(one).strip())))
    if len(texts) > MOST_QUESTIONS:
        raise InvalidInput(f"there are {len(texts)} {name}; at most {MOST_QUESTIONS} are kept")
    if any(len(text) > LONGEST_QUESTION for text in texts):
        raise InvalidInput(f"one of the {name} has more than {LONGEST_QUESTION} characters")
    return texts


def _citations(raw: tuple[Citation, ...]) -> tuple[Citation, ...]:
    if len(raw) > MOST_CITATIONS:
        raise InvalidInput(f"there are {len(raw)} citations; at most {MOST_CITATIONS} are kept")
    return tuple(dict.fromkeys(_citation(citation) for citation in raw))


def _citation(raw: Citation) -> Citation:
    if not 0 <= raw.start <= raw.end < _FURTHEST:
        raise InvalidInput(f"a citation cannot run from {raw.start} to {raw.end}")
    return Citation(
        clean(raw.passage_id).strip(),
        _text(raw.source, "source of a citation", LONGEST_QUESTION),
        clean(raw.heading).strip(),
        clean(raw.quote),
        raw.start,
        raw.end,
        clean(raw.revision).strip(),
        tuple(dict.fromkeys(text for alias in raw.aliases if (text := clean(alias).strip()))),
    )


def _size(entry: CuratedEntry) -> int:
    cited = ((c.passage_id, c.source, c.heading, c.quote, c.revision, *c.aliases) for c in entry.citations)
    texts = (entry.question, entry.answer, *entry.variants, *entry.negatives, *(text for one in cited for text in one))
    return sum(map(len, texts))
