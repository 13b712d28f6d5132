"""Curated questions as one process holds them: exact after normalisation, near only when it is sure, else silence.

`Entries` never changes; an edit makes another one that shares what did not change. Nothing here reads or waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from router.curated_evidence import Idf, answer_of, mass
from router.curated_near import VOTERS, Judged, Wording, Wordings, idf_of, judge
from router.curated_text import normal_form
from router.guards import Facts, Guards, facts_of_key
from router.types import CuratedCandidate, CuratedEntry, CuratedMatch, EntryStatus, How

SHOWN = 6  # candidates that are judged in full and go into the trace
POOLED = 3  # entries that join the retrieval pool
_POOL_SCORE = 0.25  # least score of words, or _POOL_COSINE, to join it: retrieval weighs them again, so it may be low
_POOL_COSINE = 0.5
_LOOKED_AT = 800  # postings that a question may walk through; then rarer words have said enough
_RANKED = 20  # wordings whose score is computed


@dataclass(frozen=True, slots=True)
class Form:
    """One way to ask, or not to ask, an entry. rank: 0 for the entry's own question, 1 for a variant."""

    entry_id: str
    text: str
    key: str
    negative: bool
    rank: int
    facts: Facts


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """entries: by id, retired ones left out. forms: by number. keys, postings: normal form, word → numbers of forms.
    owned: entry id → its forms. named: a word that an answer names → the first form of its entry. idf: of each word.
    revision: of the curated store. written: each form as people wrote it → its normal form, which costs far more to
    make than to look up."""

    guards: Guards
    revision: str
    entries: Mapping[str, CuratedEntry]
    forms: Mapping[int, Form]
    keys: Mapping[str, Sequence[int]]
    postings: Mapping[str, Sequence[int]]
    owned: Mapping[str, Sequence[int]]
    named: Mapping[str, Sequence[int]]
    idf: Idf
    written: Mapping[str, str]
    said: dict[str, CuratedMatch | None] = field(default_factory=dict)
    """What was found in the very words of a normal form, kept: nothing here changes, so neither can that."""
    masses: dict[int, float] = field(default_factory=dict)
    """Form number → idf of its words, kept likewise."""

    @classmethod
    def build(cls, entries: Iterable[CuratedEntry], guards: Guards, revision: str) -> Entries:
        return cls(guards, "", {}, {}, {}, {}, {}, {}, {}, {}).replaced(entries, (), revision)

    def replaced(self, changed: Iterable[CuratedEntry], removed: Iterable[str], revision: str) -> Entries:
        """With some entries new or edited and some gone; ids that are not there are passed over."""
        draft = _Draft(self)
        for entry_id in removed:
            draft.remove(entry_id)
        for entry in changed:
            draft.remove(entry.id)
            if entry.status is not EntryStatus.RETIRED:
                draft.add(entry)
        return draft.done(revision)

    def match(self, question: str, cosines: Mapping[str, float] | None = None) -> CuratedMatch:
        """cosines: normal form of a wording → its cosine to the question, for the nearest ones."""
        key = self.key_of(question)
        exact = self.exact(key)
        if exact:
            return exact
        return self.near(key, cosines or {})

    def key_of(self, question: str) -> str:
        """The normal form of a question."""
        known = self.written.get(question)
        return normal_form(question, self.guards.wording) if known is None else known

    def exact(self, key: str) -> CuratedMatch | None:
        """None when nobody asks it in these words. A stale entry or a negative in the same words is no answer, and
        then nothing near is one either."""
        if not key or key not in self.keys:
            return None
        if key not in self.said:
            self.said[key] = self._exact([self.forms[number] for number in self.keys[key]])
        return self.said[key]

    def _exact(self, forms: Sequence[Form]) -> CuratedMatch | None:
        denied = {form.entry_id for form in forms if form.negative}
        asking = sorted((form for form in forms if not form.negative), key=lambda form: (form.rank, form.entry_id))
        candidates = tuple(self._same(form, denied) for form in asking)
        free = list(dict.fromkeys(one.entry_id for one in candidates if not one.guards))
        if not free:
            stale = next((self.entries[one.entry_id] for one in candidates if one.guards == ("stale",)), None)
            unsure = CuratedMatch(How.UNSURE, candidates=candidates, revision=self.revision, stale=stale)
            return unsure if asking else None
        margin = 0.0 if len(free) > 1 else 1.0  # two entries in the same words: the order alone decides
        return CuratedMatch(How.EXACT, self.entries[free[0]], 1.0, margin, candidates, (), self.revision)

    def _same(self, form: Form, denied: set[str]) -> CuratedCandidate:
        guards: tuple[str, ...] = ("stale",) if self.entries[form.entry_id].status is EntryStatus.STALE else ()
        if form.entry_id in denied:
            guards += (f"negative: {form.text}",)
        return CuratedCandidate(form.entry_id, form.text, 1.0, 1.0, None, guards)

    def near(self, key: str, cosines: Mapping[str, float]) -> CuratedMatch:
        judged = self.judged(key, cosines)
        free = [one for one in judged if not one.candidate.guards]
        margin = _margin(free)
        candidates = tuple(one.candidate for one in judged[:SHOWN])
        pool = tuple(self.entries[one.candidate.entry_id] for one in judged if _helps(one))[:POOLED]
        if free and free[0].candidate.probability >= free[0].line and margin >= self.guards.near.margin:
            best = free[0].candidate
            others = tuple(entry for entry in pool if entry.id != best.entry_id)
            entry = self.entries[best.entry_id]
            return CuratedMatch(How.NEAR, entry, best.probability, margin, candidates, others, self.revision)
        how = How.UNSURE if pool else How.NONE
        probability = free[0].candidate.probability if free else 0.0
        return CuratedMatch(how, None, probability, margin, candidates, pool, self.revision)

    def judged(self, key: str, cosines: Mapping[str, float]) -> list[Judged]:
        """The nearest entries, guards and probabilities included, best first."""
        stored = self.keys.get(key)
        asked = self.forms[stored[0]].facts if stored else facts_of_key(key, self.guards)
        return judge(asked, self._nearest(asked, cosines), self.idf, self.guards)

    def _nearest(self, asked: Facts, cosines: Mapping[str, float]) -> list[Wordings]:
        """The entries whose wordings are nearest, by words and by cosine."""
        by_words = self._by_words(asked.words)
        by_cosine = {number: cosines[key] for key in cosines for number in self.keys.get(key, ())}
        ranked = chain(
            sorted(by_cosine, key=lambda number: -by_cosine[number])[:_RANKED],
            sorted(by_words, key=lambda number: -by_words[number])[:_RANKED],
            self._by_names(asked.words),
        )
        found: dict[str, dict[int, None]] = {}
        best: dict[str, float] = {}
        for number in ranked:
            name = self.forms[number].entry_id
            found.setdefault(name, {})[number] = None
            best[name] = max(best.get(name, 0.0), by_cosine.get(number, 0.0) + by_words.get(number, 0.0))
        order = sorted(found, key=best.__getitem__, reverse=True)
        return [self._wordings(name, list(found[name]), cosines) for name in order[:SHOWN]]

    def _by_names(self, words: frozenset[str]) -> list[int]:
        """First forms of the entries whose answers name what the question names, where few do."""
        found = [self.named.get(word, ()) for word in words]
        return sorted({number for numbers in found if len(numbers) <= POOLED for number in numbers})

    def _by_words(self, words: frozenset[str]) -> dict[int, float]:
        """Form number → score, for the forms that share the rarest words: shared idf over all idf of both sides."""
        weights = {word: self.idf.get(word, 1.0) for word in words}
        shared, common = self._sharing(weights)
        total = sum(weights.values())
        found: dict[int, float] = {}
        for number in _most(shared):
            theirs = self.forms[number].facts.words
            both = shared[number] + sum([weights[word] for word in common if word in theirs])
            found[number] = 2 * both / (total + self._mass(number))
        return found

    def _sharing(self, weights: Mapping[str, float]) -> tuple[dict[int, float], list[str]]:
        """Form number → weight of the rare words that it shares; and the common words, which were not looked up."""
        shared: dict[int, float] = {}
        rarest, walked = sorted(weights, key=lambda one: (-weights[one], one)), 0
        for at, word in enumerate(rarest):
            postings, weight = self.postings.get(word, ()), weights[word]
            walked += len(postings)
            if not shared:
                shared = dict.fromkeys(postings, weight)
                continue
            if walked > _LOOKED_AT:
                return shared, rarest[at:]
            more = [(number, shared[number] + weight) for number in postings if number in shared]
            shared |= dict.fromkeys(postings, weight)
            shared.update(more)
        return shared, []

    def _mass(self, number: int) -> float:
        if number not in self.masses:
            self.masses[number] = mass(self.forms[number].facts.words, self.idf)
        return self.masses[number]

    def _wordings(self, entry_id: str, numbers: Sequence[int], cosines: Mapping[str, float]) -> Wordings:
        entry, owned = self.entries[entry_id], self.owned[entry_id]
        near = [number for number in numbers if not self.forms[number].negative]
        negatives = [number for number in owned if self.forms[number].negative]
        voters = len(owned) - len(negatives)
        may_vote = owned if cosines and voters >= VOTERS else ()
        asking = [self.forms[number].facts.kinds for number in may_vote if not self.forms[number].negative]
        return Wordings(
            entry_id,
            entry.status,
            answer_of(entry.answer, self.guards),
            [self._wording(number, cosines) for number in near or owned[:1]],
            [self._wording(number, cosines) for number in negatives],
            voters,
            frozenset().union(*asking),
        )

    def _wording(self, number: int, cosines: Mapping[str, float]) -> Wording:
        form = self.forms[number]
        return Wording(form.text, form.facts, self._mass(number), cosines.get(form.key))


def _most(shared: Mapping[int, float]) -> list[int]:
    """The `_RANKED` forms that share most, the first ones where several share the same. Most share little, and need not
    be put in order."""
    if len(shared) > _RANKED:
        least = sorted(shared.values(), reverse=True)[_RANKED - 1]
        shared = {number: value for number, value in shared.items() if value >= least}
    return sorted(shared, key=shared.__getitem__, reverse=True)[:_RANKED]


def _margin(free: Sequence[Judged]) -> float:
    if not free:
        return 0.0
    return free[0].candidate.probability - (free[1].candidate.probability if len(free) > 1 else 0.0)


def _helps(one: Judged) -> bool:
    candidate = one.candidate
    return not one.contradicted and (candidate.score >= _POOL_SCORE or (candidate.cosine or 0.0) >= _POOL_COSINE)


class _Draft:
    """An `Entries` under change: the outer dictionaries are copied once, what is inside on first touch."""

    def __init__(self, base: Entries) -> None:
        self._guards = base.guards
        self._entries = dict(base.entries)
        self._forms = dict(base.forms)
        self._keys: dict[str, Sequence[int]] = dict(base.keys)
        self._postings: dict[str, Sequence[int]] = dict(base.postings)
        self._owned = dict(base.owned)
        self._written = dict(base.written)
        self._named: dict[str, Sequence[int]] = dict(base.named)
        self._own: set[int] = set()  # ids of the lists made here, which may be changed in place
        self._next = max(base.forms, default=-1) + 1

    def remove(self, entry_id: str) -> None:
        entry = self._entries.pop(entry_id, None)
        if entry is None:
            return
        numbers = self._owned.pop(entry_id)
        for name in answer_of(entry.answer, self._guards).names:
            self._drop(self._named, name, numbers[0])
        for number in numbers:
            form = self._forms.pop(number)
            self._written.pop(form.text, None)  # another form in these words is found all the same, only slower
            self._drop(self._keys, form.key, number)
            for word in form.facts.words:
                self._drop(self._postings, word, number)

    def add(self, entry: CuratedEntry) -> None:
        self._entries[entry.id] = entry
        asked = ((text, False, min(rank, 1)) for rank, text in enumerate((entry.question, *entry.variants)))
        numbers = [self._form(entry.id, *one) for one in chain(asked, ((text, True, 1) for text in entry.negatives))]
        self._owned[entry.id] = tuple(numbers)
        for name in answer_of(entry.answer, self._guards).names:
            self._append(self._named, name, numbers[0])

    def _form(self, entry_id: str, text: str, negative: bool, rank: int) -> int:
        key = normal_form(text, self._guards.wording)
        form = Form(entry_id, text, key, negative, rank, facts_of_key(key, self._guards))
        number, self._next = self._next, self._next + 1
        self._forms[number] = form
        self._written[text] = key
        self._append(self._keys, key, number)
        for word in form.facts.words:
            self._append(self._postings, word, number)
        return number

    def _append(self, table: dict[str, Sequence[int]], name: str, number: int) -> None:
        self._mine(table, name).append(number)

    def _drop(self, table: dict[str, Sequence[int]], name: str, number: int) -> None:
        left = self._mine(table, name)
        left.remove(number)
        if not left:
            del table[name]

    def _mine(self, table: dict[str, Sequence[int]], name: str) -> list[int]:
        held = table.get(name)
        if isinstance(held, list) and id(held) in self._own:
            return held
        mine = list(held or ())
        self._own.add(id(mine))
        table[name] = mine
        return mine

    def done(self, revision: str) -> Entries:
        return Entries(
            self._guards,
            revision,
            self._entries,
            self._forms,
            self._keys,
            self._postings,
            self._owned,
            self._named,
            idf_of(self._postings, len(self._forms)),
            self._written,
        )
