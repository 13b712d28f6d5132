"""What a model's own token probabilities say about its draft: features for `router.confidence`."""

from __future__ import annotations

import math
from collections.abc import Sequence

MEANING = {
    "model_sure": "how sure the model was of its words: the geometric mean of their probabilities",
    "model_least": "how sure it was of the word that it was least sure of",
}
"""What each feature says; both are in 0..1."""


def features(logprobs: Sequence[float]) -> dict[str, float]:
    """logprobs: natural logarithms, one per token. Nothing for no tokens."""
    if not logprobs:
        return {}
    known = [min(value, 0.0) for value in logprobs]  # rounding may put one a hair above certainty
    return {"model_sure": math.exp(sum(known) / len(known)), "model_least": math.exp(min(known))}
