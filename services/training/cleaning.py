"""Duplicates out, with a log that can be undone; clusters merged only where evidence and answer agree.

No vector has a say here: cosine thresholds delete paraphrases and keep duplicates. A row is a duplicate when its
question is the same after normalisation, or the same but for a few characters with no number, name, flag or negation
among them. Code, flags and names are never altered: normal forms are only compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from router import wording
from services.training.records import Example

NEAR = 0.9
"""Share of common character trigrams from which two questions of one cluster are copies of each other: one changed
character in a question of sixty. Shorter questions are copies only when they are the same."""
_GRAM = 3

Guard = Callable[[str, str], Sequence[str]]
"""What differs between two questions in numbers, names, negation, verbs…; empty when nothing does."""


@dataclass(frozen=True, slots=True)
class Removed:
    """kept: the id of the row that stands for it. Putting `example` back undoes it."""

    example: Example
    kept: str
    reason: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Cluster `into` took `cluster` over; setting the cluster of `rows` back undoes it."""

    cluster: str
    into: str
    rows: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Cleaned:
    rows: tuple[Example, ...]
    removed: tuple[Removed, ...]
    merged: tuple[Merge, ...]


def clean(examples: Iterable[Example], guard: Guard) -> Cleaned:
    """Merges clusters first, so that copies across them are then copies within one. The same rows in any order give
    the same result: what a reviewer decided is kept before other reviewed rows (it says who, and what was wrong),
    those before the rest, then the smaller id."""
    ordered = sorted(examples, key=lambda one: (not one.reviewer, not one.reviewed, one.id))
    merged, rows = merge(ordered)
    kept: list[Example] = []
    removed: list[Removed] = []
    by_cluster: dict[str, list[Example]] = defaultdict(list)
    for example in rows:
        copy = next(
            ((other, why) for other in by_cluster[example.cluster] if (why := _copies(example, other, guard))), None
        )
        if copy:
            removed.append(Removed(example, copy[0].id, copy[1]))
        else:
            by_cluster[example.cluster].append(example)
            kept.append(example)
    return Cleaned(tuple(kept), tuple(removed), tuple(merged))


def undo(cleaned: Cleaned) -> list[Example]:
    """The rows as they were before `clean`, sorted by id."""
    clusters = {row: merge.cluster for merge in reversed(cleaned.merged) for row in merge.rows}
    every = [*cleaned.rows, *(one.example for one in cleaned.removed)]
    return sorted((replace(one, cluster=clusters.get(one.id, one.cluster)) for one in every), key=lambda one: one.id)


def merge(examples: Sequence[Example]) -> tuple[list[Merge], list[Example]]:
    """Clusters with a question in common (after normalisation) become one where every row's answer and evidence agree;
    where they do not, both stay: the same words may mean two things."""
    rows_of: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        rows_of[example.cluster].append(example)
    owner: dict[str, str] = {}
    merges: list[Merge] = []
    for cluster in sorted(rows_of):
        keys = {wording.normalise(row.question) for row in rows_of[cluster]}
        into = next((owner[key] for key in sorted(keys) if key in owner), None)
        if into and _agree(rows_of[cluster], rows_of[into]):
            moved = [replace(row, cluster=into) for row in rows_of.pop(cluster)]
            rows_of[into] += moved
            ids = tuple(row.id for row in moved)
            merges.append(Merge(cluster, into, ids, "a question in common, and the same answer and evidence"))
        for key in keys:
            owner.setdefault(key, into if merges and merges[-1].cluster == cluster and into else cluster)
    cluster_of = {row.id: row.cluster for rows in rows_of.values() for row in rows}
    return merges, [replace(row, cluster=cluster_of[row.id]) for row in examples]


def _agree(some: Sequence[Example], others: Sequence[Example]) -> bool:
    return {_claim(row) for row in some} == {_claim(row) for row in others}


def _claim(row: Example) -> tuple[str, frozenset[str]]:
    return row.answer, frozenset(one.passage_id for one in row.evidence)


def _copies(one: Example, other: Example, guard: Guard) -> str:
    """Why `one` is a copy of `other`, or ""."""
    if one.answer != other.answer or one.refuses != other.refuses:
        return ""
    if wording.normalise(one.question) == wording.normalise(other.question):
        return "the same question after normalisation"
    first, second = _grams(one.question), _grams(other.question)
    near = len(first & second) / max(len(first | second), 1) >= NEAR
    return "the same question but for a few characters" if near and not guard(one.question, other.question) else ""


def _grams(text: str) -> set[str]:
    folded = wording.normalise(text)
    return {folded[at : at + _GRAM] for at in range(max(len(folded) - _GRAM + 1, 1))}
