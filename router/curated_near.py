"""How near a question is to an entry that is not asked in the same words: features, guards, a fitted probability.

Three cases, each with a model of its own: words alone (no embedder, or one that does not know the language); one
wording with a cosine; and an entry of which several wordings are near, where the votes decide and single words are
free. Guards that contradict forbid a match in every case.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from router.curated_evidence import SILENT, Answer, Evidence, Idf, evidence, mass, standing_for, without_vague
from router.guards import CONCEPT, Facts, Guards, another_kind, contradictions, kinds_differ, shown, unexplained
from router.kinds import Kind
from router.types import CuratedCandidate, EntryStatus

VOTERS = 5  # an entry with fewer wordings has no vote: each of them must stand alone
NEIGHBOURS = 10  # nearest wordings of all entries that share the vote
_PRIOR = 50
_SHARP = 20.0  # how much more a wording weighs than one that is 0.1 further away: e² times
_DEFINES = frozenset({Kind.WHAT_IS})
WORDINGS = 6  # of one entry that are compared in full


class Wordings(NamedTuple):
    """One entry beside one question. near: its nearest wordings, best first, with the cosines where known. negatives:
    the questions it must not answer, likewise. voters: how many wordings it has. kinds: of question that they ask,
    where they may vote. answer: as `router.curated_evidence.answer_of` gives it."""

    entry_id: str
    status: EntryStatus
    answer: Answer
    near: Sequence[Wording]
    negatives: Sequence[Wording]
    voters: int
    kinds: frozenset[Kind] = frozenset()


class Wording(NamedTuple):
    """mass: idf of its words."""

    text: str
    facts: Facts
    mass: float
    cosine: float | None


class Judged(NamedTuple):
    """contradicted: whether some of the candidate's guards keep the entry out of the retrieval pool too; such a
    wording that stands alone has no probability."""

    candidate: CuratedCandidate
    line: float
    contradicted: bool
    features: Mapping[str, float]
    case: str


def idf_of(counts: Mapping[str, Sequence[int]], total: int) -> Idf:
    """Lucene's. counts: word → the wordings that hold it. `_PRIOR` wordings that hold none of the words are added, or
    in a store of one entry no word would say anything."""
    total += _PRIOR
    unseen = math.log1p((total + 0.5) / 0.5)
    by_count = {seen: math.log1p((total - seen + 0.5) / (seen + 0.5)) / unseen for seen in {*map(len, counts.values())}}
    return {word: by_count[len(numbers)] for word, numbers in counts.items()}


def judge(asked: Facts, entries: Sequence[Wordings], idf: Idf, guards: Guards) -> list[Judged]:
    """Every entry beside the question, the most probable first; those without a guard before the others."""
    votes, whole = _Votes.of(entries), mass(asked.words, idf)
    judged = [_judge(asked, whole, entry, idf, guards, votes) for entry in entries if entry.near]
    return sorted(
        judged,
        key=lambda one: (
            bool(one.candidate.guards),
            -one.candidate.probability,
            -one.candidate.score,
            one.candidate.entry_id,
        ),
    )


def _judge(asked: Facts, whole: float, entry: Wordings, idf: Idf, guards: Guards, votes: _Votes) -> Judged:
    """whole: idf of the question's words."""
    voting = votes.of_entry(entry, asked, whole, idf)
    pairs = [_pair(asked, whole, wording, entry, idf, guards, voting) for wording in entry.near[:WORDINGS]]
    best = min(pairs, key=lambda one: (bool(one.candidate.guards), one.contradicted, -one.candidate.probability))
    if voting is None and votes.means and entry.voters >= VOTERS:
        best = _doubted(best, "votes: too few of its wordings are near")
    reasons = _standing(entry, asked, whole, best, idf)
    if not reasons:
        return best
    candidate = replace(best.candidate, guards=(*reasons, *best.candidate.guards))
    return best._replace(candidate=candidate, contradicted=True)


def _doubted(judged: Judged, doubt: str) -> Judged:
    candidate = judged.candidate
    return judged._replace(candidate=replace(candidate, guards=(*candidate.guards, doubt)))


def _pair(
    asked: Facts,
    whole: float,
    wording: Wording,
    entry: Wordings,
    idf: Idf,
    guards: Guards,
    voting: Mapping[str, float] | None,
) -> Judged:
    features = covers(asked, whole, wording, idf)
    words = score(features)
    if wording.cosine is not None:
        features["cosine"] = wording.cosine
    reasons: tuple[str, ...]
    if voting:
        case, fitted = "votes", guards.near.votes
        features |= {**pair_features(asked, wording.facts, idf), **voting}
        against = contradictions(asked, wording.facts)
        reasons = (*against, *another_kind(asked, entry.kinds))
    else:
        case, fitted = ("words", guards.near.words) if wording.cosine is None else ("pair", guards.near.pair)
        more, against, reasons = _beside(asked, wording.facts, entry.answer, idf, guards)
        features |= more
    probability = 0.0 if against else fitted.probability(features)
    candidate = CuratedCandidate(entry.entry_id, wording.text, words, probability, wording.cosine, reasons)
    return Judged(candidate, fitted.line, bool(against), features, case)


def _beside(
    asked: Facts, facts: Facts, answer: Answer, idf: Idf, guards: Guards
) -> tuple[dict[str, float], tuple[str, ...], tuple[str, ...]]:
    """Features of a wording that stands alone, its contradictions, and all reasons against it: the contradictions, or
    the doubts where there are none. What contradicts gets no features: it cannot be sent. A word of the question that
    the entry nowhere says is a doubt; and a word that only its answer says, where it asks what a thing is: what that
    answer says of the thing, people ask by itself."""
    stood = standing_for(asked, facts, answer, guards)
    theirs = without_vague(facts, stood, answer, guards)
    against = contradictions(stood, theirs)
    if against:
        return {}, against, against
    ours, others = evidence(stood, theirs, answer, idf, guards), evidence(theirs, stood, SILENT, idf, guards)
    features = slot_features(stood, theirs, ours, others)
    doubted = unexplained(stood, theirs, guards)
    strange = ours.unknown | (ours.only_told if _DEFINES & theirs.kinds else frozenset())
    if strange:
        doubted += (f"word: {', '.join(sorted(map(shown, strange)))} / none",)
    return features, (), doubted


def _standing(entry: Wordings, asked: Facts, whole: float, best: Judged, idf: Idf) -> tuple[str, ...]:
    """Why this entry may not answer whatever it says: its state, or a negative that is at least as near."""
    reasons = ("stale",) if entry.status is EntryStatus.STALE else ()
    for negative in entry.negatives:
        nearer = score(covers(asked, whole, negative, idf)) >= best.candidate.score
        cosine = best.candidate.cosine
        if nearer or (cosine is not None and negative.cosine is not None and negative.cosine >= cosine):
            return (*reasons, f"negative: {negative.text}")
    return reasons


def score(features: Mapping[str, float]) -> float:
    """0..1 from words alone: the harmonic mean of both coverages."""
    ours, theirs = features["cover_asked"], features["cover_theirs"]
    return round(2 * ours * theirs / (ours + theirs), 6) if ours + theirs else 0.0


def covers(asked: Facts, whole: float, theirs: Wording, idf: Idf) -> dict[str, float]:
    """cover_*: share of a side's idf that the other side holds, 0..1. whole: idf of the question's words."""
    both = mass(asked.words & theirs.facts.words, idf)
    return {"cover_asked": both / whole if both else 0.0, "cover_theirs": both / theirs.mass if both else 0.0}


def pair_features(asked: Facts, theirs: Facts, idf: Idf) -> dict[str, float]:
    """new_*: idf of the rarest word that the other side does not hold. grams: pairs of characters in common (Dice).
    kinds_differ: 1 where one asks how and the other why. All 0..1."""
    return {
        "new_asked": max([idf.get(word, 1.0) for word in asked.words - theirs.words], default=0.0),
        "new_theirs": max([idf.get(word, 1.0) for word in theirs.words - asked.words], default=0.0),
        "grams": _dice(asked.key, theirs.key),
        "kinds_differ": float(kinds_differ(asked.kinds, theirs.kinds)),
    }


def slot_features(asked: Facts, theirs: Facts, ours: Evidence, others: Evidence) -> dict[str, float]:
    """What is accounted for on either side, as shares of its idf (see `router.curated_evidence`). swapped: idf of the
    rarest word of one side where the other has one of its own. turned: 1 where what both name comes in another order.
    deed_lost: 1 where the entry names an action and the question none. All 0..1."""
    total = ours.total
    return {
        "left_asked": ours.lost / total,
        "left_theirs": others.lost / others.total,
        "lost_theirs": others.rarest,
        "named": ours.named / total,
        "told": ours.told / total,
        "swapped": min(ours.rarest, others.rarest),
        "turned": float(_turned(asked, theirs)),
        "deed_lost": float(bool(theirs.actions) and not asked.actions),
    }


def _turned(asked: Facts, theirs: Facts) -> bool:
    """Who overrides whom, one that reads two or two that read one: names, plain words and numbers that both sides
    share, in another order. Known words change places in paraphrases too (重启集群, 集群怎么重启)."""
    both = asked.words & theirs.words - asked.actions
    if len(both) < 2:
        return False
    if not any(word.isdigit() for word in asked.words & theirs.words):
        both = frozenset(word for word in both if word[0] != CONCEPT)
    return [word for word in asked.order if word in both] != [word for word in theirs.order if word in both]


def _dice(ours: str, theirs: str) -> float:
    first, second = _grams(ours), _grams(theirs)
    return 2 * len(first & second) / (len(first) + len(second)) if first or second else 0.0


def _grams(text: str) -> frozenset[str]:
    return frozenset(map("".join, pairwise(text)))


@dataclass(frozen=True, slots=True)
class _Votes:
    """What the nearest wordings of all entries say together, by entry. means: of its three best cosines. shares: of
    the `NEIGHBOURS` nearest wordings. weights: its share of all near wordings, each weighing exp(_SHARP * cosine)."""

    means: Mapping[str, float]
    shares: Mapping[str, float]
    weights: Mapping[str, float]

    @classmethod
    def of(cls, entries: Sequence[Wordings]) -> _Votes:
        if all(one.cosine is None for entry in entries for one in entry.near):
            return cls({}, {}, {})
        cosines = {
            entry.entry_id: heapq.nlargest(NEIGHBOURS, (one.cosine for one in entry.near if one.cosine is not None))
            for entry in entries
        }
        nearest = heapq.nlargest(NEIGHBOURS, ((cosine, name) for name, all_ in cosines.items() for cosine in all_))
        shares = {name: sum(one == name for _, one in nearest) / len(nearest) for _, name in nearest}
        means = {name: sum(all_[:3]) / len(all_[:3]) for name, all_ in cosines.items() if all_}
        return cls(means, shares, _weights(entries))

    def of_entry(self, entry: Wordings, asked: Facts, whole: float, idf: Idf) -> dict[str, float] | None:
        """None where the entry has no vote."""
        if not self.means:
            return None
        near = [one for one in entry.near if one.cosine is not None]
        if entry.voters < VOTERS or len(near) < 3:
            return None
        mean = self.means[entry.entry_id]
        others = max((value for name, value in self.means.items() if name != entry.entry_id), default=0.0)
        known = frozenset().union(*(one.facts.words for one in near))
        return {
            "nearest": max(one.cosine or 0.0 for one in near),
            "mean3": mean,
            "lead": mean - others,
            "share": self.shares.get(entry.entry_id, 0.0),
            "weight": self.weights[entry.entry_id],
            "known": mass(asked.words & known, idf) / (whole or 1.0),
        }


def _weights(entries: Sequence[Wordings]) -> dict[str, float]:
    each = {
        entry.entry_id: sum(math.exp(_SHARP * one.cosine) for one in entry.near if one.cosine is not None)
        for entry in entries
    }
    total = sum(each.values())
    return {name: weight / total if total else 0.0 for name, weight in each.items()}
