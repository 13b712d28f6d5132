"""What one question says beside an entry, word by word: said there too, told by the answer, or unexplained.

A paraphrase differs in how it asks; a near miss differs in what it asks about. So every word of both sides that says
something has to be accounted for: by the same word or concept on the other side, by a word that may stand for it
(`Guards.kin`), or, for a word of the question, by the answer, which names the commands, parameters and values that
people also ask by. What is left over is weighed by how rare it is in the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from router.curated_text import HAN, LATIN
from router.guards import CONCEPT, Facts, Guards, negations

Idf = Mapping[str, float]
"""Word → inverse document frequency over the wordings of a store, as a share of the largest: 0..1; 1 when missing."""

_READ = 4_000  # characters of an answer that are looked through; what a question is about stands in front
_IN_NAME = 5  # letters of a word that is known inside a name
_CODE = re.compile(
    r"\w*(?:[a-z0-9][A-Z]|[_.@:]\w|\d[A-Za-z]|[A-Za-z]\d)[\w.:@/-]*\w|--?[A-Za-z][\w-]+|\b[A-Z][A-Z_]{2,}\b"
)
_WORD_IN_HAN = re.compile(r"[A-Za-z][\w.:@/-]{2,}")
_BEGINS = re.compile(  # a name or a number, also 5 in pg-5, but neither 3 in -3 nor 200 in 1,200
    rf"(?<!{LATIN})(?<!{LATIN}\.)(?<!\d[:/-])(?!(?<=-)-)(?!(?<=(?<!\w)-)\d)(?!(?<=\d,)\d{{3}}(?!\d))"
)
_ENDS = re.compile(rf"(?![./:@-]?{LATIN})(?!(?<=\d),\d{{3}}(?!\d))")  # where it ends: a sentence may end there, too


@dataclass(frozen=True, slots=True)
class Answer:
    """text: folded, in lower case. names: what people ask by: code-like words, and any Latin word in Chinese text."""

    text: str
    names: frozenset[str]


SILENT = Answer("", frozenset())


class Evidence(NamedTuple):
    """Idf of what one side says, by how the other side accounts for it. said: by the same word; named: by a name in the
    answer; told: by another word of the answer; lost: not at all. rarest: idf of the rarest word that is neither
    said nor named. unknown: the words that are lost; only_told: those that are told."""

    said: float
    named: float
    told: float
    lost: float
    rarest: float
    unknown: frozenset[str]
    only_told: frozenset[str]

    @property
    def total(self) -> float:
        return (self.said + self.named + self.told + self.lost) or 1.0


def mass(words: Iterable[str], idf: Idf) -> float:
    return sum([idf.get(word, 1.0) for word in words])


def standing_for(asked: Facts, theirs: Facts, answer: Answer, guards: Guards) -> Facts:
    """The question in the entry's words: kin replaced by what it stands for, and without the names, numbers and states
    that the answer gives, or that say little."""
    new = asked.words - theirs.words
    swaps = {word: kin for word in guards.kin.keys() & new if (kin := _kin(word, asked, theirs, guards))}
    changed: dict[str, frozenset[str]] = {}
    said = _said_otherwise(new, asked.words & theirs.words, theirs.names, guards)
    if swaps:
        words = frozenset(swaps.get(word, word) for word in asked.words)
        changed = {
            "words": words,
            "actions": words & guards.actions,
            "states": frozenset(words & guards.states.keys()),
            "objects": frozenset(swaps.get(word, word) for word in asked.objects) & guards.objects,
        }
        new = words - theirs.words
    if swaps or asked.actions or asked.states or asked.objects:
        told = said | _told_by_name(new, answer, guards) | _told_states(asked, theirs, answer, guards)
        gone = told | (guards.vague - theirs.words)
        changed |= {
            "actions": changed.get("actions", asked.actions) - gone,
            "states": changed.get("states", asked.states) - gone,
            "objects": changed.get("objects", asked.objects) - told,
        }
    if asked.names:
        kept = (n for n in asked.names if n in theirs.names or not _told(n, answer.text, guards))
        changed["names"] = frozenset(kept)
    if asked.numbers and not theirs.numbers:
        changed["numbers"] = frozenset(n for n in asked.numbers if not _told(n, answer.text, guards))
    return _changed(asked, changed)


def _changed(facts: Facts, fields: Mapping[str, frozenset[str]]) -> Facts:
    """A copy costs as much as comparing the fields ten times, and most of the time nothing changes."""
    new: dict[str, Any] = {name: value for name, value in fields.items() if value != getattr(facts, name)}
    return replace(facts, **new) if new else facts


def _told_states(asked: Facts, theirs: Facts, answer: Answer, guards: Guards) -> frozenset[str]:
    """States that the answer gives, where the entry's wording says nothing of their kind."""
    if asked.states <= theirs.states:
        return frozenset()
    groups = {guards.states[state] for state in theirs.states}
    new = (state for state in asked.states - theirs.states if guards.states[state] not in groups)
    return frozenset(state for state in new if _told(state, answer.text, guards))


def _told_by_name(new: frozenset[str], answer: Answer, guards: Guards) -> frozenset[str]:
    """Who asks by a name that only the answer gives ("what should interrupt.recover be set to?") asks about what the
    answer says of it: its actions and objects count as said."""
    if new.isdisjoint(answer.names):
        return frozenset()
    return frozenset(word for word in new if _told(word, answer.text, guards))


def without_vague(theirs: Facts, asked: Facts, answer: Answer, guards: Guards) -> Facts:
    """An entry's wording without the words that say little, where the question does not name them (mild ones only
    beside something that both name); and, where both name the same thing, without the fault that it arose from
    (操作失败、状态变为 Interrupt 后如何重试)."""
    changed: dict[str, frozenset[str]] = {}
    if theirs.actions or theirs.states:
        vague = guards.vague - asked.words
        changed = {"actions": theirs.actions - vague, "states": theirs.states - vague}
    mild = theirs.words & guards.mild
    if mild and asked.words & theirs.words - theirs.actions - guards.mild:
        changed["words"] = theirs.words - (mild - asked.words)
    if theirs.negated and not asked.negated and _name_same(asked, theirs, answer):
        changed["negated"] = negations(guards.faults.sub("", theirs.key), guards)
    return _changed(theirs, changed)


def _name_same(asked: Facts, theirs: Facts, answer: Answer) -> bool:
    return any(word.isascii() and word[0] != CONCEPT for word in asked.words & (theirs.words | answer.names))


def _kin(word: str, asked: Facts, theirs: Facts, guards: Guards) -> str:
    kin = guards.kin.get(word)
    return min(kin & theirs.words - asked.words, default="") if kin else ""


def evidence(ours: Facts, theirs: Facts, answer: Answer, idf: Idf, guards: Guards) -> Evidence:
    """answer: `SILENT` where the words are the entry's own."""
    named = told = lost = rarest = 0.0
    unknown, only_told = set(), set()
    both, new = ours.words & theirs.words, ours.words - theirs.words
    said = mass(both - guards.vague, idf)
    twice = _said_otherwise(new, both, theirs.names, guards)
    for word in new - guards.vague:
        weight = idf.get(word, 1.0)
        if word in twice or (word in theirs.key and HAN.match(word)):
            said += weight
            continue
        if word in answer.names:
            named += weight
            continue
        if weight > rarest:
            rarest = weight
        if answer.text and _told(word, answer.text, guards):
            told += weight
            only_told.add(word)
        else:
            lost += weight
            unknown.add(word)
    return Evidence(said, named, told, lost, rarest, frozenset(unknown), frozenset(only_told))


def _said_otherwise(new: frozenset[str], both: frozenset[str], names: frozenset[str], guards: Guards) -> set[str]:
    """New words that the other side says in another form: by kin that both sides have as well, or inside one of its
    names (the backup of pg_basebackup)."""
    found = {word for word in guards.kin.keys() & new if not guards.kin[word].isdisjoint(both)}
    return found.union(_in_names(new, names, guards)) if names else found


def _in_names(words: frozenset[str], names: frozenset[str], guards: Guards) -> Iterator[str]:
    for word in words:
        surfaces = [surface for surface in guards.surfaces.get(word, ()) if len(surface) >= _IN_NAME]
        if any(surface in name for surface in surfaces for name in names):
            yield word


def _told(word: str, answer: str, guards: Guards) -> bool:
    """A name or a number is told whole: max_connections is not max_connections_per_user, nor 3 what begins 30."""
    known = guards.surfaces.get(word)
    if known is None and not word.isalpha():
        return _stands_whole(word, answer)
    return any(_stands(surface, answer) for surface in known or (word,))


def _stands(surface: str, answer: str) -> bool:
    """Han text anywhere; other words where they begin, because answers inflect them."""
    at = answer.find(surface)
    anywhere = at > 0 and HAN.match(surface)
    while at >= 0:
        if anywhere or not at or not answer[at - 1].isalnum():
            return True
        at = answer.find(surface, at + 1)
    return False


def _stands_whole(name: str, answer: str) -> bool:
    at = answer.find(name)
    while at >= 0:
        if _BEGINS.match(answer, at) and _ENDS.match(answer, at + len(name)):
            return True
        at = answer.find(name, at + 1)
    return False


@lru_cache(maxsize=20_000)
def answer_of(answer: str, guards: Guards) -> Answer:
    """The front of an answer as its words are looked for."""
    text = guards.wording.fold(answer[:_READ])
    pattern, wording = _WORD_IN_HAN if HAN.search(text) else _CODE, guards.wording
    stems = (wording.stem(name.casefold()) for name in pattern.findall(text))
    names = frozenset(token for one in stems if (token := wording.words.get(one, one)))
    return Answer(text.casefold(), names)
