"""What two questions must share to count as the same words, and the words by which different ones are compared.

The normal form folds away case, width, script, spacing, punctuation that says nothing, and polite words around the
question. It keeps what can change the answer: numbers, versions, flags, names, symbols.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

_HAN = (
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
)
LATIN = rf"[^\W{_HAN}]"  # a letter, digit or underscore outside the scripts that are written without spaces
_WORD = """
    (?<![\\w-])--?{w}(?:{w}|-)*            # --flag; -5
  | (?<![\\w/.])/{w}+(?:[/.-]+{w}+)*       # /a/path
  | {w}+(?:[.:@]{w}+|(?<=\\d)/(?=\\d){w}+)*[+#%]*
  | [<>=!]=|[<>=%$€£¥≥≤≠]|(?<![^\\s(])\\*(?![^\\s),;])
"""
_KEPT = re.compile(f"(?P<han>[{_HAN}]+) | (?P<word>{_WORD.format(w=LATIN)})", re.VERBOSE)
_KEPT_ASCII = re.compile(_WORD.format(w=r"\w"), re.VERBOSE | re.ASCII)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")  # Markdown: what is shown, without where it leads
_APOSTROPHE = re.compile("[’‘ʼ`´]")
_CONTRACTED = re.compile(r"[a-z]+(?:'[a-z]+)?")
_PARTS = re.compile(rf"[{_HAN}]+|[^\s{_HAN}]+")
_TAIL = 60  # characters at the end in which polite words are looked for
_PASSES = 12  # each pass takes something away, so a few always settle it

HAN = re.compile(f"[{_HAN}]")


@dataclass(frozen=True, slots=True, eq=False)
class Wording:
    """The words that matching knows; data, read at the edge.

    fold: width and Chinese script folded away. stem: of a lower-case English word. words: each known surface (Han
    words; stems of English words, or two of them with a space) to the token it counts as, "" for one that says
    nothing. longest: characters of the longest Han surface. lone: single Han characters that are a word of their own
    where known words stand on both sides, to the token they count as. unit: the space between a number and its
    Latin unit. latin_tail: what of `tail` can be found where nothing is written in Chinese.
    """

    fold: Callable[[str], str]
    stem: Callable[[str], str]
    contractions: Mapping[str, str]
    head: re.Pattern[str]
    tail: re.Pattern[str]
    latin_tail: re.Pattern[str]
    bare: re.Pattern[str]
    rewrites: tuple[tuple[re.Pattern[str], str], ...]
    unit: re.Pattern[str]
    words: Mapping[str, str]
    longest: int
    lone: Mapping[str, str]


def normal_form(text: str, wording: Wording) -> str:
    """Equal for questions in the same words; "" when nothing but punctuation is there. Idempotent."""
    current, before = _folded(text, wording), None
    for _ in range(_PASSES):
        spaced = _spaced(_folded(current, wording))
        if spaced == before:  # the same words give the same again
            break
        current, before = _unwrapped(spaced, wording), spaced
    return current


def _folded(text: str, wording: Wording) -> str:
    ascii_only = text.isascii()  # then nothing but its case can be folded
    folded = text.casefold() if ascii_only else unicodedata.normalize("NFKC", wording.fold(text).casefold())
    return _LINK.sub(r"\1", folded) if "](" in folded else folded


def _spaced(text: str) -> str:
    """Only what says something, with one space between two Latin words and none beside Han characters."""
    plain = _APOSTROPHE.sub("'", text)
    if plain.isascii() and "'" not in plain:
        return " ".join(_KEPT_ASCII.findall(plain))
    parts: list[str] = []
    latin = False
    for match in _KEPT.finditer(plain):
        han = match.lastgroup == "han"
        if parts and not han and latin:
            parts.append(_joint(plain, match.start()))
        parts.append(match.group())
        latin = not han
    return "".join(parts)


def _joint(text: str, at: int) -> str:
    """An apostrophe inside a word stays for the contractions, which are written out next."""
    return "'" if text[at - 1] == "'" and at > 1 and text[at - 2].isalpha() else " "


def _unwrapped(text: str, wording: Wording) -> str:
    current = wording.unit.sub("", _written_out(text, wording.contractions).replace("'", " "))
    current = wording.head.sub("", current).strip() or current
    tail = (wording.latin_tail if current.isascii() else wording.tail).search(current, max(len(current) - _TAIL, 0))
    current = (tail and current[: tail.start()].strip()) or current
    for pattern, instead in wording.rewrites:
        if pattern.pattern.isascii() or not current.isascii():  # what is written in Chinese is found in Chinese only
            current = pattern.sub(instead, current)
    return wording.bare.sub("", current).strip() or current


def _written_out(text: str, contractions: Mapping[str, str]) -> str:
    if contractions.keys().isdisjoint(_CONTRACTED.findall(text)):
        return text
    return _CONTRACTED.sub(lambda found: contractions.get(found.group(), found.group()), text)


def tokens(key: str, wording: Wording) -> list[str]:
    """The words of a normal form that say something, in reading order: known words by their concept, other English
    words by their stem, other Han runs as pairs of neighbours. Empty when it only asks."""
    found: list[str] = []
    latin: list[str] = []
    for part in _PARTS.findall(key):
        if HAN.match(part):
            found += _latin(latin, wording)
            latin = []
            found += _han(part, wording)
        else:
            latin.append(part)
    return [*found, *_latin(latin, wording)]


def _latin(words: list[str], wording: Wording) -> Iterator[str]:
    stems = [wording.stem(word) for word in words]
    at = 0
    while at < len(stems):
        pair = wording.words.get(f"{stems[at]} {stems[at + 1]}") if at + 1 < len(stems) else None
        token = pair if pair is not None else wording.words.get(stems[at], stems[at])
        if token:
            yield token
        at += 1 if pair is None else 2


def _han(run: str, wording: Wording) -> Iterator[str]:
    """Known words, longest first; what is between them as pairs of neighbours."""
    known, longest, begun, at = wording.words, wording.longest, 0, 0
    while at < len(run):
        for end in range(min(at + longest, len(run)), at, -1):
            token = known.get(run[at:end])
            if token is not None:
                yield from _pairs(run[begun:at], wording)
                if token:
                    yield token
                begun = at = end
                break
        else:
            at += 1
    yield from _pairs(run[begun:], wording)


def _pairs(run: str, wording: Wording) -> list[str]:
    if len(run) == 1:
        return [token for token in [wording.lone.get(run, run)] if token]
    return [run[at : at + 2] for at in range(len(run) - 1)]
