"""The words that curated matching knows, from `guards.json`, with the folding and stemming that search uses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from indexer.analysis import fold_script, stem
from router.curated_model import NearModel
from router.curated_text import HAN, Wording
from router.guards import CONCEPT, Guards

_DATA = Path(__file__).parent / "guards.json"
_MODEL = Path(__file__).parent / "near_model.json"
_LATIN = re.compile("[a-z]{2}")
_COUNTERS = "个台次天年月周条张位种份倍秒分小日节副主只块兆字核"


@lru_cache(maxsize=1)
def packaged_guards() -> Guards:
    """Read and compiled once a process."""
    model = NearModel.from_json(json.loads(_MODEL.read_text("utf-8")))
    return guards_from(json.loads(_DATA.read_text("utf-8")), model)


def guards_from(data: Mapping[str, Any], near: NearModel) -> Guards:
    units = {surface: unit[0] for unit in data["units"] for surface in unit}
    wording = _wording(data, [unit for unit in units if unit.isascii() and unit.isalpha()])
    numerals: dict[str, str] = data["numerals"]
    states = [[side for side in group if side] for group in data["states"]]
    return Guards(
        wording=wording,
        units=units,
        numerals=numerals,
        numeral=_numeral(numerals),
        negation_han=_negation(data["negation"]["zh"], data["negation"]["zh_not"]),
        faults=re.compile(_either(data["negation"]["faults"])),
        negation_latin=frozenset(data["negation"]["en"]),
        actions=frozenset(_token(words) for words in data["actions"]),
        objects=frozenset(_token(words) for words in data["objects"]),
        states={_token(side): number for number, group in enumerate(states) for side in group},
        light=frozenset(wording.words[word] for word in data["light"]),
        general=frozenset(wording.words[word] for word in data["general"]),
        aspects=frozenset(wording.words[word] for word in data["aspects"]),
        vague=frozenset(wording.words[word] for word in data["vague"]),
        mild=frozenset(wording.words.get(word, word) for word in data["mild"]),
        finding=frozenset(wording.words[word] for word in data["finding"]),
        kin=_kin(data["kin"], wording),
        surfaces=_by_token(data),
        near=near,
    )


def _kin(groups: Iterable[Sequence[str]], wording: Wording) -> dict[str, frozenset[str]]:
    """Each group: a word of an entry, and the words of a question that may stand for it."""
    found: dict[str, set[str]] = {}
    for theirs, *ours in groups:
        for word in ours:
            found.setdefault(wording.words[_surface(word)], set()).add(wording.words[_surface(theirs)])
    return {word: frozenset(tokens) for word, tokens in found.items()}


def _by_token(data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {_token(words): tuple(words) for words in _concepts(data)}


def _token(words: Sequence[str]) -> str:
    """What all words of a concept count as: its first word in each language, because people read it in reasons."""
    other = next((word for word in words if bool(HAN.match(word)) != bool(HAN.match(words[0]))), "")
    return CONCEPT + "/".join(filter(None, (words[0], other)))


def _wording(data: Mapping[str, Any], units: Iterable[str]) -> Wording:
    words = dict(_surfaces(data))
    return Wording(
        fold=_fold,
        stem=stem,
        contractions=data["contractions"],
        head=re.compile(f"^(?:{'|'.join(data['heads'])})+"),
        tail=_tail(data["tails"]),
        latin_tail=_tail(one for one in data["tails"] if _LATIN.search(one)),
        bare=re.compile(f"^(?:{'|'.join(data['bare'])})"),
        rewrites=tuple((re.compile(pattern), instead) for pattern, instead in data["rewrites"]),
        unit=re.compile(rf"(?<=\d) (?=(?:{_either(units)})(?![a-z0-9_]))"),
        words=words,
        longest=max(len(word) for word in words if HAN.match(word)),
        lone={char: words.get(word, word) for char, word in data["lone"].items()},
    )


def _tail(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile(f"(?:{'|'.join(patterns)})+$")


def _fold(text: str) -> str:
    """Until it settles: a few characters have a simplified form that has another one."""
    folded = fold_script(text)
    while (again := fold_script(folded)) != folded:
        folded = again
    return folded


def _surfaces(data: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Fillers last: a word that is both says nothing."""
    for words in _concepts(data):
        yield from ((_surface(word), _token(words)) for word in words)
    yield from ((word, word) for word in data["plain"])
    for word in (*data["fillers"]["zh"], *data["fillers"]["en"]):
        yield _surface(word), ""


def _concepts(data: Mapping[str, Any]) -> list[Sequence[str]]:
    states = (side for group in data["states"] for side in group if side)
    return [*data["synonyms"], *data["objects"], *states, *data["actions"]]


def _surface(word: str) -> str:
    return word if HAN.match(word) else " ".join(stem(part) for part in word.split())


def _numeral(numerals: Mapping[str, str]) -> re.Pattern[str]:
    han = [word for word in numerals if HAN.match(word)]
    latin = _either(word for word in numerals if not HAN.match(word))
    inside = "".join(word for word in han if len(word) == 1)  # 二十三 is one number, which is left alone
    return re.compile(rf"(?<![第\d{inside}])(?:{_either(han)})(?=[{_COUNTERS}])|\b(?:{latin})\b")


def _negation(words: Iterable[str], harmless: Iterable[str]) -> re.Pattern[str]:
    """Words that merely hold a negation are read first and are not negations."""
    return re.compile(f"(?:{_either(harmless)})|(?P<no>{_either(words)})")


def _either(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
