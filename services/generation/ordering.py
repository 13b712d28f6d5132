"""Which page answers: what the search says of each, and what reading its passages says, together.

The search adds up words over a whole passage; reading looks for the one unit that answers this kind of question. Each
puts another right page first. Together (`WEIGHT`, `SOFTNESS`) they have the right page first for 370 of the 508
questions of tests/bench/questions on four manuals (search 355, reading 345), on which the two numbers were chosen; for
21 and 19 of the 26 and 21 handmade ones (19 and 18; 18 and 18), which had no say; on paragraphs, where a page is one
passage and its words say nearly all, nothing changes (DRCD 0.967, CMRC 0.980).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from indexer.analysis import analyse_question
from router.kinds import kinds_of
from router.ports import Retriever
from router.types import Hit, SearchResult
from services.generation.choosing import Choice, rank

READ = 8  # passages that are read, the best of the search
WEIGHT = 0.25
"""Of the share that reading gives a page, beside its best fused score; 0.15 to 0.4 are as good. Nothing is read for the
order where a text embedder knows Chinese (multilingual-e5-small: 87 of the 96 Chinese questions without, 83 with)."""
SOFTNESS = 2.0  # of the softmax over units: their log-odds, fitted within one paragraph, are too sure across pages
_ABOVE = 1e-3  # log-odds by which the best page's units are lifted over all others


def shares(hits: Sequence[Hit], ranked: Sequence[Choice]) -> dict[str, float]:
    """Document → how probable reading finds it that the answer stands there; sums to 1, {} where nothing was read."""
    best = max((choice.score for choice in ranked), default=0.0)
    odds: dict[str, float] = defaultdict(float)
    for choice in ranked:
        odds[hits[choice.hit].passage.document] += math.exp((choice.score - best) / SOFTNESS)
    total = sum(odds.values())
    return {document: one / total for document, one in odds.items()}


def weight_of(found: SearchResult) -> float:
    """`WEIGHT`, or 0 where the search knows better, see there."""
    knows = found.language == "zh" and any("dense" in hit.scores for hit in found.hits[:1])
    return 0.0 if knows else WEIGHT


def best_page_first(
    hits: Sequence[Hit], ranked: Sequence[Choice], told: Mapping[str, float], weight: float
) -> list[Choice]:
    """The units with those of the best page lifted above all others, if any of it can be quoted; best first. told: see
    `shares`."""
    best = max(hits, key=lambda hit: _together(hit, told, weight)).passage.document if hits else ""
    own = max((choice.score for choice in ranked if hits[choice.hit].passage.document == best), default=None)
    if own is None or own == ranked[0].score:
        return list(ranked)
    lift = ranked[0].score - own + _ABOVE
    lifted = (
        replace(choice, score=choice.score + lift) if hits[choice.hit].passage.document == best else choice
        for choice in ranked
    )
    return sorted(lifted, key=lambda choice: -choice.score)


async def search(retriever: Retriever, question: str, limit: int, filters: Mapping[str, str]) -> SearchResult:
    """`limit` passages at most, see `by_reading`. Raises as the retriever does."""
    found = by_reading(question, await retriever.search(question, max(limit, READ), filters))
    return replace(found, hits=found.hits[:limit])


def by_reading(question: str, found: SearchResult) -> SearchResult:
    """The passages in the order of both. `scores` then tell what reading gave each one's page ("reading", 0..1), and
    `fused` is the sum that they are ordered by, 0..1 as before."""
    weight = weight_of(found)
    if not weight:
        return found
    hits = found.hits[:READ]
    weights = found.terms or dict.fromkeys(analyse_question(question), 1.0)
    told = shares(hits, rank(hits, weights, kinds_of(question)))
    ordered = sorted((_told(hit, told, weight) for hit in found.hits), key=lambda hit: -hit.fused)
    return replace(found, hits=tuple(ordered))


def _told(hit: Hit, told: Mapping[str, float], weight: float) -> Hit:
    scores = {**hit.scores, "reading": round(told.get(hit.passage.document, 0.0), 5)}
    return replace(hit, fused=_together(hit, told, weight) / (1 + weight), scores=scores)


def _together(hit: Hit, told: Mapping[str, float], weight: float) -> float:
    return hit.fused + weight * told.get(hit.passage.document, 0.0)
