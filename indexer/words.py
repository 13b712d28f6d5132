"""The words of a question, each as a whole and with its kind: what search cuts into characters and pairs, put together.

A pair of characters that stands across two words, or one character of a longer word, says little by itself. Here Han
words are as the segmenter cuts them, others as they are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from indexer.analysis import analyse_question, is_cut, latin_words, question_words

_NAMES = frozenset({"nr", "ns", "nt", "nz", "nrt", "nrfg", "nrf"})

KINDS = ("names", "nouns", "verbs", "short", "amounts", "others")
"""names: proper names, and every Latin word, whose kind nothing tells. short: nouns, verbs and adjectives of one
character, which are no CONTENT: most are a part of a word that the segmenter does not know."""

THINGS = frozenset({"names", "nouns", "amounts"})
CONTENT = THINGS | {"verbs"}


@dataclass(frozen=True, slots=True)
class Word:
    """kind: one of KINDS. terms: its search tokens, all of them tokens of the question; at least one."""

    kind: str
    terms: tuple[str, ...]


@lru_cache(maxsize=1024)
def words_of(question: str) -> tuple[Word, ...]:
    """Without the words that only ask (see `analyse_question`): Latin words first, then Han words in reading order. A
    name is one word with its parts as terms (`work_mem`, `work`, `mem`)."""
    tokens, asked = frozenset(analyse_question(question)), question_words(question)
    latin = [tuple(term for term in dict.fromkeys(terms) if term in tokens) for terms in latin_words(asked)]
    words = [Word(_latin_kind(terms[0]), terms) for terms in dict.fromkeys(latin) if terms]
    if not any(map(is_cut, tokens)):
        return tuple(words)
    import rjieba  # reads its dictionary, which only Chinese needs; see `warm`

    for word, tag in rjieba.tag(asked.lower()):
        terms = [word] if len(word) == 1 else [word[at : at + 2] for at in range(len(word) - 1)]
        if own := tuple(term for term in terms if term in tokens and is_cut(term)):
            words.append(Word(_kind(word, tag), own))
    return tuple(words)


def warm() -> None:
    """Loads the segmenter's words (0.4 s, 32 MB) now and not at the first Chinese question."""
    import rjieba

    rjieba.tag("字")


def _latin_kind(word: str) -> str:
    return "amounts" if word[:1].isdigit() else "names"


def _kind(word: str, tag: str) -> str:
    """tag: part of speech in the segmenter's letters."""
    if tag.startswith("m") or tag == "t":
        return "amounts"
    if tag in _NAMES:
        return "names"
    if tag[0] in "nijlbs" or tag == "vn":
        return "nouns" if len(word) > 1 else "short"
    if tag[0] in "va":
        return "verbs" if len(word) > 1 else "short"
    return "others"
