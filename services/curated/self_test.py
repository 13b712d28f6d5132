"""The whole curated store against itself: does every wording find its own entry, and only that one?

Every wording is asked as a user would ask it. The same words must give the entry that owns them; no other entry may be
so near that it would answer them too; no negative may be answered. Where an embedder serves, its cosines are handed in
(`services.curated.trying`), so that what is tested is what answers; without them words alone decide.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from router.curated import Entries, Form
from router.curated_evidence import mass
from router.types import EntryStatus, How

CosinesOf = Callable[[str], Mapping[str, float]]
"""A normal form to the cosines of its nearest wordings, as `Entries.match` takes them."""


RETESTED = 200  # wordings of neighbours after an edit, or after an import of several: under half a second


class Problem(StrEnum):
    EMPTY = "empty"  # nothing but punctuation: nobody can ask it
    DUPLICATE = "duplicate"  # one entry has the same words twice
    SHADOW = "shadow"  # two entries share the words: only one of them answers
    NEIGHBOUR = "neighbour"  # in other words, but the other entry would answer it too
    NEGATIVE_ASKED = "negative_asked"  # a question it must not answer is also one of its own: it stays silent
    NEGATIVE_ANSWERED = "negative_answered"  # a question it must not answer would be answered


@dataclass(frozen=True, slots=True)
class Finding:
    """wording: what was asked. other_id: the entry that answers, or shares the words; "" where it is the same one."""

    problem: Problem
    entry_id: str
    wording: str
    other_id: str = ""
    other_wording: str = ""
    probability: float = 1.0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "problem": self.problem.value}


@dataclass(frozen=True, slots=True)
class SelfTest:
    """passed: nothing found. asked: wordings and negatives that were tried. words_alone: why no embedder took part, ""
    where one did."""

    revision: str
    entries: int
    live: int
    asked: int
    findings: tuple[Finding, ...]
    seconds: float
    words_alone: str = ""

    @property
    def passed(self) -> bool:
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        counts = {problem.value: sum(one.problem is problem for one in self.findings) for problem in Problem}
        listed = [one.to_json() for one in self.findings]
        return {**asdict(self), "findings": listed, "counts": counts, "passed": self.passed}


def self_test(entries: Entries, cosines_of: CosinesOf | None = None) -> SelfTest:
    """Every entry. About a millisecond for each wording."""
    return _report(entries, entries.forms, cosines_of)


def self_test_of(
    entries: Entries, entry_id: str, cosines_of: CosinesOf | None = None, most: int = RETESTED
) -> SelfTest:
    """One entry after an edit: its own wordings and negatives, and those of its nearest neighbours: all, or, where
    they are very many, the `most` that share most with it, so that whoever edits need not wait."""
    own = entries.owned.get(entry_id, ())
    near = {
        judged.candidate.entry_id
        for number in own
        for judged in entries.judged(entries.forms[number].key, _cosines(entries.forms[number].key, cosines_of))
    }
    theirs = [number for name in sorted(near - {entry_id}) for number in entries.owned[name]]
    report = _report(entries, [*own, *_most_alike(entries, own, theirs, most)], cosines_of)
    concerned = tuple(one for one in report.findings if entry_id in (one.entry_id, one.other_id))
    return SelfTest(report.revision, report.entries, report.live, report.asked, concerned, report.seconds)


def _most_alike(entries: Entries, own: Iterable[int], theirs: Sequence[int], most: int) -> Sequence[int]:
    """By the share of a wording's idf that the own wordings hold together."""
    if len(theirs) <= most:
        return theirs
    words = frozenset().union(*(entries.forms[number].facts.words for number in own))

    def shared(number: int) -> float:
        said = entries.forms[number].facts.words
        return mass(said & words, entries.idf) / (mass(said, entries.idf) or 1.0)

    return sorted(theirs, key=shared, reverse=True)[:most]


def _report(entries: Entries, numbers: Iterable[int], cosines_of: CosinesOf | None) -> SelfTest:
    begun = time.perf_counter()
    forms = [(number, entries.forms[number]) for number in numbers]
    found = [one for number, form in forms for one in _findings(entries, number, form, cosines_of)]
    live = sum(entry.status is EntryStatus.LIVE for entry in entries.entries.values())
    seconds = round(time.perf_counter() - begun, 3)
    return SelfTest(entries.revision, len(entries.entries), live, len(forms), tuple(found), seconds)


def _findings(entries: Entries, number: int, form: Form, cosines_of: CosinesOf | None) -> Iterator[Finding]:
    if not form.key:
        yield Finding(Problem.EMPTY, form.entry_id, form.text)
    elif form.negative:
        yield from _negative(entries, form, cosines_of)
    else:
        yield from _same_words(entries, number, form)
        yield from _neighbours(entries, form, cosines_of)


def _same_words(entries: Entries, number: int, form: Form) -> Iterator[Finding]:
    """Each pair is listed once, beside the form that came first."""
    for other_number in entries.keys[form.key]:
        other = entries.forms[other_number]
        if other_number <= number or other.negative:
            continue
        if other.entry_id == form.entry_id:
            yield Finding(Problem.DUPLICATE, form.entry_id, form.text, "", other.text)
        else:
            yield Finding(Problem.SHADOW, form.entry_id, form.text, other.entry_id, other.text)


def _neighbours(entries: Entries, form: Form, cosines_of: CosinesOf | None) -> Iterator[Finding]:
    """Other entries that would answer these words if they were not stored. So their own cosine, which is 1, has no
    vote; with it nobody else would ever be near."""
    sharing = {entries.forms[number].entry_id for number in entries.keys[form.key]}
    cosines = {key: cosine for key, cosine in _cosines(form.key, cosines_of).items() if key != form.key}
    for judged in entries.judged(form.key, cosines):
        one = judged.candidate
        if one.entry_id not in sharing and not one.guards and one.probability >= judged.line:
            probability = round(one.probability, 4)
            yield Finding(Problem.NEIGHBOUR, form.entry_id, form.text, one.entry_id, one.asked, probability)


def _negative(entries: Entries, form: Form, cosines_of: CosinesOf | None) -> Iterator[Finding]:
    """Another entry may answer it in the same words: that is why it is a negative here."""
    for number in entries.keys[form.key]:
        other = entries.forms[number]
        if other.entry_id == form.entry_id and not other.negative:
            yield Finding(Problem.NEGATIVE_ASKED, form.entry_id, form.text, "", other.text)
    match = entries.match(form.text, _cosines(form.key, cosines_of))
    if match.entry and (match.entry.id == form.entry_id or match.how is How.NEAR):
        asked = match.candidates[0].asked
        probability = round(match.probability, 4)
        yield Finding(Problem.NEGATIVE_ANSWERED, form.entry_id, form.text, match.entry.id, asked, probability)


def _cosines(key: str, cosines_of: CosinesOf | None) -> Mapping[str, float]:
    return cosines_of(key) if cosines_of else {}
