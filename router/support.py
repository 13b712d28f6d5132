"""What can be said about a quoted answer from tokens alone: the features that `router.confidence` weighs.

Pure functions of token sets and scores; every result is in 0..1.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from router.script import simplified
from router.types import Hit

Weights = Mapping[str, float]
"""Each token of the question with its inverse document frequency."""

MEANING = {
    "coverage": "share of the question's informative words that the quoted text or the headings over it hold",
    "coverage_best": "the same for the single best sentence, item or row",
    "coverage_passage": "the same for its whole passage",
    "terms_found": "the same for everything that was found: low when the documents do not know the words at all",
    "words_found": "share of the question's content words, each counted alike, that anything found has: low when the "
    "documents do not know what is asked about",
    "things_quoted": "share of a Chinese question's names, nouns and figures that the quotes and their headings hold",
    "heading_match": "the same for the headings alone",
    "rarest_covered": "0 when the rarest word of the question is missing from the quoted text and its headings, 1 when "
    "none is, between them for commoner words",
    "unit_probability": "how sure the choice among the sentences is, if one of those found answers; those that say the "
    "same count together",
    "unit_margin": "how far the best sentence is ahead of the next one that says something else",
    "unit_corpus": "cosine of the question and the best sentence with the headings over it, by the corpus embedder",
    "unit_meaning": "cosine of the question and the best sentence, where the text embedder was asked",
    "read_there": "how probable reading the passages makes it that the answer stands on the page that is quoted",
    "kind_fit": "how well the best sentence fits the kind of question (a number for how many, …); 0.5 for no kind",
    "top_gap": "how far the first passage is ahead of the second one; the less, the fewer of the question's words were "
    "found",
    "agreement": "share of the search channels whose own best passage is the first one",
    "best_in_top": "1 when the best sentence is in the first passage",
    "short_sure": "how much the few words that answer best are expected to share with the right ones (the year, the "
    "name, the value); near 0 when nothing found looks like an answer",
    "short_here": "how surely these words stand in the best sentence and not in the next one",
    "identifiers_covered": "share of the question's names, flags, versions and quantities in the quotes and the "
    "headings over them",
    "identifiers_all": "1 when none of these is missing there",
    "identifiers_here": "1 when the page that is quoted first holds them all, 0 when others have to",
    "demand_met": "0 when the question asks for a limit, a superlative, a figure, a time, a price, a default or the "
    "name of a setting or command, and the quotes have none",
    "value_there": "0 when the question asks for a figure, a time, a price or a default, and the sentence, item or row "
    "that its words point to has none, or for the default, the limit or the name of a setting, and no quote has it "
    "where it would stand; then nothing is sent",
    "beyond_words": "0 when something in particular (who, when, which) is asked of running text, where a sentence that "
    "only has the question's words looks like one that answers; 1 when a heading, a list, a table or the conversation "
    "speaks for it too",
    "undisputed": "0 when another page found says the same with another value, and nothing tells which one is newer",
}
"""What each feature of a quoted answer says; all are in 0..1, cosines in -1..1."""

_CAMEL = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z]*[a-z][A-Z][A-Za-z0-9]*")  # LoongArch, GraphQL
_LATIN = re.compile(r"(?<![A-Za-z0-9_.-])[A-Za-z]{3,}(?![A-Za-z0-9_.(-])")
_PROPER = re.compile(r"(?<=[a-z0-9,'’)] )[A-Z][a-z]{2,}\b")  # Datadog, not at the beginning of a sentence
_QUOTED = re.compile(r'“([^”\n]*)”|(?<![\d=])"([^"\n]*)"|「([^」\n]*)」|『([^』\n]*)』')
_TERM = re.compile(r"(?!.*[\u3400-\u9fff]{11})[^\W_][\w .+/-]{1,19}")  # no message, no value of a setting
_MESSAGE = re.compile(r"ERROR|FATAL|[={%]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_FIRST_WIDE = "\u2e80"  # where the scripts that are cut into characters begin
_EXACT = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:                               # Chinese stands right beside Latin letters, so no \b
      --?[A-Za-z][A-Za-z0-9_-]+                             # --flag
    | v?\d+(?:\.\d+)+                                       # 2.1, v1.2.3
    | \d+[ ]?(?:[KMGT]i?B?|ms|s|min|h|天|秒|分钟|小时|年|月|%|％)(?![A-Za-z])
    | \d+(?=[ -]?(?:bits?\b|位))                            # 32 位: the number alone, for others write 32-bit
    | [A-Za-z][A-Za-z0-9]*(?:[_.:/]+[A-Za-z0-9-]+)+         # a_name, a.name, a/path
    | [A-Z]{2,}[A-Za-z0-9_]*
    | [A-Za-z0-9_]+\(\)                                     # call()
    )""",
    re.VERBOSE,
)


def coverage(weights: Weights, words: Collection[str]) -> float:
    """Share of the question's idf that `words` hold."""
    total = sum(weights.values())
    return sum(idf for token, idf in weights.items() if token in words) / total if total else 0.0


def words_covered(words: Sequence[Sequence[str]], held: Collection[str]) -> float:
    """Mean share of each word that `held` has. words: the search tokens of each, at least one; 1.0 where there are
    none."""
    return sum(sum(token in held for token in word) / len(word) for word in words) / len(words) if words else 1.0


def askable(weights: Weights, known: Collection[str]) -> dict[str, float]:
    """Without pairs of Chinese characters that stand in none of the passages found: most are the end of one word and
    the start of the next, and no page would say them."""
    return {token: idf for token, idf in weights.items() if token in known or not is_pair(token)}


def is_pair(token: str) -> bool:
    """Whether a token is two neighbouring characters of a script that is written without spaces."""
    return len(token) == 2 and token[0] >= _FIRST_WIDE


def rarest_covered(weights: Weights, words: Collection[str]) -> float:
    """1.0 when no token of the question is missing from `words`, 0.0 when its rarest one is; between them, how common
    the rarest missing one is."""
    if not weights:
        return 0.0
    missing = max((idf for token, idf in weights.items() if token not in words), default=0.0)
    return 1.0 - missing / max(weights.values())


def identifiers(text: str) -> tuple[str, ...]:
    """Names, flags, versions and numbers with units: what an answer must not get nearly right. Lower case."""
    return tuple(dict.fromkeys(found.lower() for found in _EXACT.findall(text)))


def named(question: str) -> tuple[str, ...]:
    """What a question names: its identifiers, words like LoongArch, and every Latin word in a Chinese question. An
    answer that holds none of it answers another question. Lower case."""
    found = [*_EXACT.findall(question), *_CAMEL.findall(question)]
    found += _LATIN.findall(question) if _HAN.search(question) else []
    found += _quoted_terms(question)
    return tuple(dict.fromkeys(name.lower() for name in found))


def _quoted_terms(question: str) -> list[str]:
    """Terms in quotation marks. None of a question in traditional characters, whose pages may be in simplified ones."""
    if _MESSAGE.search(question) or simplified(question) != question:
        return []
    return [term for found in _QUOTED.findall(question) if _TERM.fullmatch(term := "".join(found))]


def proper_names(question: str) -> tuple[str, ...]:
    """Words of an English question with a capital inside a sentence; none where most words have one, as in a title."""
    words = question.split()
    if 2 * sum(word[:1].isupper() for word in words) > len(words):
        return ()
    return tuple(dict.fromkeys(_PROPER.findall(question)))


def identifiers_covered(question: str, text: str, others: Iterable[str] = ()) -> float:
    """Share of the question's identifiers that occur in `text`, spaces and case apart; 1.0 when it has none.
    others: further words that count as names."""
    wanted = (*named(question), *others)
    if not wanted:
        return 1.0
    folded = squeezed(text)
    return sum(squeezed(name) in folded for name in wanted) / len(wanted)


def top_gap(hits: Sequence[Hit]) -> float:
    """How far the first hit is ahead of the second one, as a share of its fused score; 1.0 when it is alone."""
    if len(hits) < 2 or hits[0].fused <= 0:
        return 1.0 if len(hits) == 1 else 0.0
    return min(max((hits[0].fused - hits[1].fused) / hits[0].fused, 0.0), 1.0)


def agreement(hits: Sequence[Hit]) -> float:
    """Share of the channels (BM25, dense, corpus, best unit) whose own best hit is the first hit."""
    if not hits:
        return 0.0
    return _share(hits[0].scores[name] >= max(hit.scores.get(name, 0.0) for hit in hits) for name in hits[0].scores)


def _share(flags: Iterable[bool]) -> float:
    known = list(flags)
    return sum(known) / len(known) if known else 0.0


def squeezed(text: str) -> str:
    """Without spaces, in lower case."""
    return "".join(text.split()).lower()
