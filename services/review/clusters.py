"""Which questions are one review item: the same words after normalisation, or surely the same question in others.

A new question joins an open item or opens one; nothing is ever re-clustered behind a reviewer's back. One decision
resolves all questions of an item and notifies everyone who asked, so a wrong join sends a wrong answer: the guards of
curated matching apply to every wording that an item holds (重启 and 重建 never share one), and where one wording stands
beside one other, no action, state or word may be said on one side only that could change the answer. What is left is
a shared share of words with a line (`LINE`). People may know better: `together` and `apart` are their merges and
splits, and they win over guards and lines. Shared words must also stand in the same order: "replace a fan with a
light" and "replace a light with a fan" are made of the same words.

No cosine decides here. On the labelled English pairs, questions in which one word turns the answer round stand at 0.95
to 0.98 with the packaged embedder, and true paraphrases at 0.7 to 0.95.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from router.curated_text import normal_form, tokens
from router.guards import Facts, Guards, contradictions, doubts, facts_of_key

LINE = 0.9
"""Least share of words, 0..1, weighed by how rare they are among the open items. At 0.9, 97 of 100 pairs that share an
item stay inside one intent of BANKING77, where people wrote each question in their own words (0.8: 94, 0.7: 88); the
others are mostly labels that overlap. Measured by `tests.bench.clusters --lines`."""

_WALKED = 2_500  # postings that a question walks through; then rarer words have said enough
_COMPARED = 30  # wordings that are compared in full
_HELD = 50  # wordings of one item that guards compare; the first ones say what it is about


class Join(StrEnum):
    """Why a question is in an item."""

    SAME = "same"  # the same words
    NEAR = "near"  # surely the same question
    TOLD = "told"  # a reviewer said so
    NEW = "new"  # nothing open asks it


@dataclass(frozen=True, slots=True)
class Placement:
    """item_id: the item to join, None for a new one. key: the normal form. likeness: share of words with the nearest
    wording, 0..1. nearest: that wording. guards: what kept the question out of the nearest item, if anything."""

    item_id: str | None
    how: Join
    key: str
    likeness: float = 0.0
    nearest: str = ""
    guards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Similar:
    """An open item for a reviewer to merge, or not. likeness: 0..1 from words. wording: its nearest one. guards: what
    is known to differ, if anything."""

    item_id: str
    likeness: float
    wording: str
    guards: tuple[str, ...]


@dataclass(slots=True)
class _Wording:
    number: int
    item_id: str
    text: str
    facts: Facts
    order: tuple[str, ...]  # the words as they are read, each once


@dataclass(slots=True)
class Clusters:
    """The open items and their wordings, in memory; one thread at a time. Filled from the store with `add`.

    together, apart: pairs of questions, in any wording that normalises to the same, that reviewers merged or split.
    """

    guards: Guards
    line: float = LINE
    _wordings: dict[int, _Wording] = field(default_factory=dict)
    _keys: dict[str, int] = field(default_factory=dict)
    _items: dict[str, list[int]] = field(default_factory=dict)
    _postings: dict[str, list[int]] = field(default_factory=dict)
    _together: dict[str, set[str]] = field(default_factory=dict)
    _apart: dict[str, set[str]] = field(default_factory=dict)
    _next: int = 0

    def __len__(self) -> int:
        return len(self._items)

    def key(self, question: str) -> str:
        return normal_form(question, self.guards.wording)

    # --- what reviewers said ---

    def keep_together(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Merges: either question joins the item that holds the other. A later word takes an earlier one back."""
        self._tell(pairs, self._together, self._apart)

    def keep_apart(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Splits: neither question joins an item that holds the other."""
        self._tell(pairs, self._apart, self._together)

    def _tell(self, pairs: Iterable[tuple[str, str]], said: dict[str, set[str]], before: dict[str, set[str]]) -> None:
        for pair in pairs:
            one, other = map(self.key, pair)
            for left, right in ((one, other), (other, one)):
                said.setdefault(left, set()).add(right)
                before.get(left, set()).discard(right)

    # --- the open items ---

    def add(self, item_id: str, question: str) -> None:
        """Puts a question into an item, which opens with its first; the same words are held once, where they came
        last."""
        key = self.key(question)
        if key in self._keys:
            self._remove(self._keys[key])
        number, self._next = self._next, self._next + 1
        facts = facts_of_key(key, self.guards)
        self._wordings[number] = _Wording(number, item_id, question, facts, self._order(key))
        self._keys[key] = number
        self._items.setdefault(item_id, []).append(number)
        for word in facts.words:
            self._postings.setdefault(word, []).append(number)

    def close(self, item_id: str) -> None:
        """A decided item takes no more questions; unknown ids are passed over."""
        for number in list(self._items.get(item_id, ())):
            self._remove(number)

    def wordings(self, item_id: str) -> tuple[str, ...]:
        """Each wording once, as it was first asked; () when the item is not open."""
        return tuple(self._wordings[number].text for number in self._items.get(item_id, ()))

    def _remove(self, number: int) -> None:
        gone = self._wordings.pop(number)
        del self._keys[gone.facts.key]
        for table, name in ((self._items, gone.item_id), *((self._postings, word) for word in gone.facts.words)):
            table[name].remove(number)
            if not table[name]:
                del table[name]

    # --- where a question belongs ---

    def place(self, question: str) -> Placement:
        """Changes nothing; the caller makes it durable and then calls `add`."""
        key = self.key(question)
        if key in self._keys:
            same = self._wordings[self._keys[key]]
            return Placement(same.item_id, Join.SAME, key, 1.0, same.text)
        for other in sorted(self._together.get(key, ())):
            if other in self._keys:
                told = self._wordings[self._keys[other]]
                return Placement(told.item_id, Join.TOLD, key, 1.0, told.text)
        return self._near(facts_of_key(key, self.guards), self._order(key))

    def similar(self, item_id: str, limit: int = 5) -> tuple[Similar, ...]:
        """Other open items in words that are nearest to its first wording, however far; for a reviewer to merge."""
        first = self._wordings[self._items[item_id][0]]
        found: dict[str, Similar] = {}
        for likeness, wording in self._nearest(first.facts.words):
            if wording.item_id != item_id and wording.item_id not in found:
                guards = contradictions(first.facts, wording.facts)
                found[wording.item_id] = Similar(wording.item_id, likeness, wording.text, guards)
        return tuple(found.values())[:limit]

    def _order(self, key: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tokens(key, self.guards.wording)))

    def _near(self, asked: Facts, order: tuple[str, ...]) -> Placement:
        nearest = self._nearest(asked.words)
        refused: tuple[str, ...] = ()
        for likeness, wording in nearest:
            if likeness < self.line:
                break
            against = doubts(asked, wording.facts) or _turned(order, wording.order)
            against = against or self._against(asked, wording.item_id)
            if not against:
                return Placement(wording.item_id, Join.NEAR, asked.key, likeness, wording.text)
            refused = refused or against
        if not nearest:
            return Placement(None, Join.NEW, asked.key)
        return Placement(None, Join.NEW, asked.key, nearest[0][0], nearest[0][1].text, refused)

    def _against(self, asked: Facts, item_id: str) -> tuple[str, ...]:
        """What keeps a question out of an item: a reviewer, or a guard against any wording in it."""
        held = [self._wordings[number].facts for number in self._items[item_id]]
        split = self._apart.get(asked.key, set())
        if any(facts.key in split for facts in held):
            return ("split by a reviewer",)
        return next((found for facts in held[:_HELD] if (found := contradictions(asked, facts))), ())

    def _nearest(self, words: frozenset[str]) -> list[tuple[float, _Wording]]:
        """The wordings that share the rarest words, with the share of words in common, the largest first."""
        weights = {word: self._idf(word) for word in words}
        shared: Counter[int] = Counter()
        walked = 0
        for word in sorted(words, key=lambda one: (-weights[one], one)):
            postings = self._postings.get(word, ())
            walked += len(postings)
            if shared and walked > _WALKED:
                break
            for number in postings:
                shared[number] += 1
        best = (self._wordings[number] for number, _ in shared.most_common(_COMPARED))
        rated = [(self._likeness(weights, wording.facts.words), wording) for wording in best]
        return sorted(rated, key=lambda one: (-one[0], one[1].number))

    def _likeness(self, weights: dict[str, float], theirs: frozenset[str]) -> float:
        both = sum(weight for word, weight in weights.items() if word in theirs)
        return 2 * both / (sum(weights.values()) + sum(map(self._idf, theirs)))

    def _idf(self, word: str) -> float:
        """Lucene's, over the wordings of open items; a word that none holds is the rarest."""
        total, seen = len(self._wordings), len(self._postings.get(word, ()))
        return math.log1p((total - seen + 0.5) / (seen + 0.5))


def _turned(asked: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
    """Whether the words of both stand in another order."""
    ours = [word for word in asked if word in theirs]
    others = [word for word in theirs if word in asked]
    return () if ours == others else (f"order: {' '.join(ours)} / {' '.join(others)}",)


def assign(clusters: Clusters, questions: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Trace id → item id, for (trace id, question) in the order of arrival; an item has the id of its first trace."""
    placed: dict[str, str] = {}
    for trace_id, question in questions:
        placement = clusters.place(question)
        item_id = placement.item_id or trace_id
        if placement.how is not Join.SAME:
            clusters.add(item_id, question)
        placed[trace_id] = item_id
    return placed
