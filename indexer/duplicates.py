"""Pages that say the same are searched once: one stays, the others become its aliases.

Two pages are the same when their words are (whatever their markup), or nearly so: at least 95 % of their
character 8-grams in common AND the same numbers, identifiers and negations. A manual for version 7.1 that
differs from the one for 7.0 in a digit is another page; so is one that says "not".

The likeness is estimated from the smallest hashes of each page's 8-grams (bottom-k sketch: Cohen and Kelley,
"Summarizing data using bottom-k sketches", 2007). With k = 256 its standard error at 0.95 is 0.014.
"""

from __future__ import annotations

import hashlib
import html
import re
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

SIMILAR = 0.95
_GRAM = 8  # characters
_SKETCH = 256  # hashes kept
_SHORTEST = 400  # characters; shorter pages must be the same to the word, a few characters are a big part of them
_HEADER = struct.Struct("<B16s8sI")
_VERSION = 1

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---[ \t]*(?:\n|\Z)", re.S)
_LINK_TARGET = re.compile(r"\]\(<?[^()<>\n]*(?:\([^()\n]*\)[^()<>\n]*)*>?\)")
_IMAGE = re.compile(r"!\[[^\[\]\n]*\]\([^()\n]*\)")
_TAG = re.compile(r"</?[A-Za-z][\w-]*(?:[ \t][^<>\n]{0,300})?/?>")
_ITEM_NUMBER = re.compile(r"^[ \t>]*\d{1,3}[.)][ \t]", re.M)
_FENCE_LINE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^`\n]*$", re.M)
_WORD = re.compile(r"\w")
_NOT_WORDS = re.compile(r"[\W_]+")
_TOKEN = re.compile(r"[A-Za-z0-9_-][\w.'-]*", re.ASCII)
# What must not differ: tokens with digits, names (two_words, twoWords, --flags), and what turns a statement round.
_HARD = re.compile(
    r".*\d.*|.*\w_\w.*|--?[a-zA-Z].*|[a-z]+[A-Z].*|not|no|never|without|cannot|\w+n't|only|except", re.ASCII
)
_TURNS = "不无未没非禁勿莫仅無沒僅"


_Kept = tuple["Page", int, npt.NDArray[np.uint32]]  # with its number of letters and its sketch


@dataclass(frozen=True, slots=True)
class Page:
    """One page to be compared. signature: what `signature` gave for its text."""

    path: str
    language: str
    signature: bytes


def signature(text: str) -> bytes:
    """A page's fingerprint, about 1 KB, stable between runs: hash of the words, hash of the numbers and
    names, the number of letters, and the sketch of the 8-grams."""
    shown = _without_markup(text)
    words = _NOT_WORDS.sub("", shown).casefold()
    grams = _smallest_hashes(words)
    header = _HEADER.pack(_VERSION, _digest(words, 16), _digest(_hard(shown), 8), len(words))
    return header + grams.astype("<u4").tobytes()


def is_current(signature: bytes) -> bool:
    """Whether `group` can compare it; an earlier version of this file may have made it."""
    return signature[:1] == bytes([_VERSION])


def group(pages: Iterable[Page]) -> Mapping[str, str]:
    """Alias path → the path of the page that stays. The same for any order of the pages."""
    ranked = sorted(pages, key=_rank)
    canonical: dict[str, str] = {}
    first_with: dict[bytes, str] = {}
    kept: dict[bytes, list[_Kept]] = defaultdict(list)
    for page in ranked:
        version, words, hard, count = _HEADER.unpack_from(page.signature)
        if version != _VERSION:
            raise ValueError(f"{page.path}: signature of version {version}; compute it again")
        key = hard + page.language.encode()
        sketch = np.frombuffer(page.signature, dtype="<u4", offset=_HEADER.size)
        twin = first_with.get(words) or _similar(kept[key], count, sketch)
        if twin:
            canonical[page.path] = twin
        else:
            first_with[words] = page.path
            kept[key].append((page, count, sketch))
    return canonical


def _rank(page: Page) -> tuple[bool, bool, int, str]:
    """Best first: in the folder of its own language, written rather than built, short path, alphabetical."""
    parts = {part.lower().replace("_", "-") for part in PurePosixPath(page.path).parts[1:-1]}
    own = any(part == page.language or part.startswith(page.language + "-") for part in parts)
    built = PurePosixPath(page.path).suffix.lower() in (".html", ".htm", ".xhtml", ".pdf")
    return not own, built, len(page.path), page.path


def _similar(kept: Sequence[_Kept], count: int, sketch: npt.NDArray[np.uint32]) -> str | None:
    if count < _SHORTEST:
        return None
    for page, other_count, other in kept:
        # Texts whose lengths differ by more than 5 % do not have 95 % in common.
        if min(count, other_count) >= SIMILAR * max(count, other_count) and likeness(sketch, other) >= SIMILAR:
            return page.path
    return None


def likeness(one: npt.NDArray[np.uint32], other: npt.NDArray[np.uint32]) -> float:
    """Estimated Jaccard similarity, 0..1: of the k smallest hashes of the union, the share that is in both."""
    union = np.union1d(one, other)[:_SKETCH]
    both = np.intersect1d(one, other, assume_unique=True)
    return float(np.isin(union, both, assume_unique=True).mean()) if len(union) else 1.0


def _without_markup(text: str) -> str:
    body = _FRONT_MATTER.sub("", text, count=1)
    text = html.unescape(body) if _WORD.search(body) else text  # a page of nothing but front matter is that
    text = _IMAGE.sub(" ", text)
    text = _LINK_TARGET.sub("]", text)
    text = _TAG.sub(" ", text)
    text = _FENCE_LINE.sub("", text)
    return _ITEM_NUMBER.sub("", text).replace("\\", "")


def _hard(shown: str) -> str:
    """The tokens that must not differ, each with how often it stands there."""
    counts = Counter(token.strip(".'") for token in _TOKEN.findall(shown))
    tokens = sorted(f"{token} {count}" for token, count in counts.items() if _HARD.fullmatch(token))
    return "\n".join(tokens + [f"{mark} {shown.count(mark)}" for mark in _TURNS])


def _smallest_hashes(words: str) -> npt.NDArray[np.uint32]:
    """The k smallest distinct 32-bit hashes of the 8-grams, sorted: a polynomial over the characters, then mixed."""
    letters = np.frombuffer(words.encode("utf-32-le", errors="replace"), dtype="<u4").astype(np.uint64)
    if len(letters) < _GRAM:
        letters = np.pad(letters, (0, _GRAM - len(letters)))
    total = np.zeros(len(letters) - _GRAM + 1, dtype=np.uint64)
    for offset in range(_GRAM):
        total = total * np.uint64(0x100000001B3) + letters[offset : offset + len(total)]
    total ^= total >> np.uint64(33)  # MurmurHash3's finaliser: every input bit reaches the bits that are kept
    total *= np.uint64(0xFF51AFD7ED558CCD)
    total ^= total >> np.uint64(33)
    hashes = (total >> np.uint64(32)).astype(np.uint32)
    some = 4 * _SKETCH  # sorting a few is much quicker than all, and nearly always holds k distinct ones
    if len(hashes) > some:
        smallest = np.unique(np.partition(hashes, some)[:some])
        if len(smallest) >= _SKETCH:
            return smallest[:_SKETCH]
    return np.unique(hashes)[:_SKETCH]


def _digest(text: str, size: int) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", errors="replace"), digest_size=size).digest()
