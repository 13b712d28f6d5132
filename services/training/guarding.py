"""The curated guards as the dataset uses them: what makes two questions different questions."""

from __future__ import annotations

from functools import lru_cache

from router.guards import Facts, contradictions, facts_of
from services.curated.vocabulary import packaged_guards


def differences(one: str, other: str) -> tuple[str, ...]:
    """What contradicts between two questions, as "name: theirs / ours"; () when nothing does."""
    return contradictions(_facts(one), _facts(other))


@lru_cache(maxsize=65_536)
def _facts(question: str) -> Facts:
    return facts_of(question, packaged_guards())
