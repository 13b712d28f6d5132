"""Which rows may train a model and which may judge it.

Rows are kept together by connected components: the same cluster, the same question after normalisation, a section or a
passage that both rest on. Split by rows instead, 96 to 99 of 100 test rows have a sibling in the training rows. A
component is assigned by a hash of its content, never by chance and never by counting, so that the same inputs always
split alike; what an earlier dataset assigned stays where it was, also when documents grow.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from router import wording
from services.training.records import Example, Rejected, Split

CALIBRATION_SHARE = 0.05
SHARES = ((Split.TRAIN, 0.8), (Split.VALID, 0.1), (Split.TEST, 0.1))  # of what is not for calibration


@dataclass(frozen=True, slots=True)
class Assigned:
    """rows: those that have a split, by id. splits: cluster → split. ledger: every key of every row so far → split, to
    be given to the next dataset. rejected: rows that would tie two splits of an earlier dataset together."""

    rows: tuple[Example, ...]
    splits: Mapping[str, Split]
    ledger: Mapping[str, Split]
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was checked, machine-readable. leaks: every cluster, question, section or passage in two splits."""

    rows: int
    components: int
    counts: Mapping[str, int]
    leaks: tuple[str, ...]
    digest: str  # sha256 over (row id, split), sorted: promotion checks the rows against it


def assign(examples: Sequence[Example], before: Mapping[str, Split] | None = None) -> Assigned:
    """before: the ledger of earlier datasets, which nothing here moves."""
    links = _Union(dict(before or {}))
    rows, rejected = [], []
    for example in sorted(examples, key=lambda one: one.id):
        if torn := links.tie(keys_of(example)):
            reason = f"it would tie {' and '.join(torn)} rows of an earlier dataset together"
            rejected.append(Rejected(example.question, example.cluster, reason))
        else:
            rows.append(example)
    ledger = {**(before or {}), **links.splits()}
    splits = {example.cluster: ledger[keys_of(example)[0]] for example in rows}
    return Assigned(tuple(rows), splits, ledger, tuple(rejected))


def split_of(component: str) -> Split:
    """By a hash of the component's name, uniform in 0..1."""
    at = int.from_bytes(hashlib.sha256(component.encode()).digest()[:8], "big") / 2**64
    if at < CALIBRATION_SHARE:
        return Split.CALIBRATION
    at = (at - CALIBRATION_SHARE) / (1 - CALIBRATION_SHARE)
    for split, share in SHARES:
        if at < share:
            return split
        at -= share
    return SHARES[-1][0]


def certify(examples: Sequence[Example], splits: Mapping[str, Split]) -> Certificate:
    """Looks at the rows themselves, not at how they were assigned."""
    seen: dict[str, set[Split]] = defaultdict(set)
    for example in examples:
        for key in keys_of(example):
            seen[key].add(splits[example.cluster])
    leaks = tuple(sorted(key for key, found in seen.items() if len(found) > 1))
    counts = {split.value: 0 for split in Split}
    for example in examples:
        counts[splits[example.cluster].value] += 1
    rows = sorted(f"{example.id} {splits[example.cluster]}" for example in examples)
    digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return Certificate(len(examples), _component_count(examples), counts, leaks, digest)


def keys_of(example: Example) -> tuple[str, ...]:
    """What ties a row to others: its cluster, its question, and section and passage of its evidence. Distractors tie
    nothing: the loss is on the answer alone."""
    evidence = example.evidence
    return (
        f"cluster {example.cluster}",
        f"question {wording.normalise(example.question)}",
        *(f"section {one.section}" for one in evidence),
        *(f"passage {one.passage_id}" for one in evidence),
    )


def _component_count(examples: Iterable[Example]) -> int:
    links = _Union({})
    for example in examples:
        links.tie(keys_of(example))
    return len({links.find(key) for key in links.parent})


@dataclass(slots=True)
class _Union:
    """Union-find over keys, with path halving. known: the split that a key already has."""

    known: Mapping[str, Split]
    parent: dict[str, str] = field(default_factory=dict)
    label: dict[str, Split] = field(default_factory=dict)  # of a root, where one of its keys is known

    def find(self, key: str) -> str:
        if key not in self.parent:
            self.parent[key] = key
            if key in self.known:
                self.label[key] = self.known[key]
        while self.parent[key] != key:
            self.parent[key] = self.parent[self.parent[key]]
            key = self.parent[key]
        return key

    def tie(self, keys: Sequence[str]) -> tuple[str, ...]:
        """Joins the keys, or joins nothing and returns the splits that they would tie together."""
        roots = {self.find(key) for key in keys}
        labels = {self.label[root] for root in roots if root in self.label}
        if len(labels) > 1:
            return tuple(sorted(labels))
        top = min(roots)
        for root in roots:
            self.parent[root] = top
        if labels:
            self.label[top] = labels.pop()
        return ()

    def splits(self) -> dict[str, Split]:
        """Every key's split. An unlabelled component's name is the smallest hash of what first ties it to documents:
        its sections, or its clusters where it has none; so the order of the rows does not matter."""
        members: dict[str, list[str]] = defaultdict(list)
        for key in self.parent:
            members[self.find(key)].append(key)
        return {key: self.label.get(root) or _by_hash(keys) for root, keys in members.items() for key in keys}


def _by_hash(keys: Sequence[str]) -> Split:
    kinds = ("section ", "cluster ", "")  # the last for a question whose only row was rejected
    anchors = next(found for kind in kinds if (found := [key for key in keys if key.startswith(kind)]))
    return split_of(min(hashlib.sha256(key.encode()).hexdigest() for key in anchors))
