"""Whether one text follows from another, by a local sequence-classification model that was trained for it (NLI).

Files of this machine only: nothing is downloaded, no code of the model's own is run, and no pickled weights are opened,
because opening them runs their code. Importing this file loads neither torch nor transformers.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from safetensors import SafetensorError

from router.checking import Entailment
from router.errors import GeneratorUnavailable, Misconfigured

_LABEL = "entailment"
_LONGEST = 512  # tokens of both texts together: models of this kind are trained on no more
_UNUSED = 2  # positions that the RoBERTa family counts and never fills


@lru_cache(maxsize=1)  # the model that answers and one in shadow share it
def load(model: str) -> Entailment:
    """model: a folder, or a name that the model cache of this machine knows.

    Raises `Misconfigured` when it cannot be loaded, or is no model for this.
    """
    try:
        tokenizer, classifier, missing = _opened(model)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as exc:
        raise Misconfigured(f"{_wrong(model)} cannot be loaded: {exc}") from exc
    if missing:
        raise Misconfigured(f"{_wrong(model)} lacks weights: {', '.join(sorted(missing)[:3])}")
    return _Nli(tokenizer, classifier, _entailed(model, classifier.config.id2label))


def _opened(model: str) -> tuple[Any, Any, set[str]]:
    """Tokenizer, classifier, and the weights that it should have and has not: those would be random."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    classifier, info = AutoModelForSequenceClassification.from_pretrained(
        model,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=torch.float32,  # many are kept in half precision, which is slow on a CPU
        output_loading_info=True,
    )
    return tokenizer, classifier.to("cuda" if torch.cuda.is_available() else "cpu").eval(), set(info["missing_keys"])


def _entailed(model: str, labels: Mapping[int, str]) -> int:
    """The place of the label among the model's own. A single label would always be certain."""
    places = [place for place, label in labels.items() if label.casefold() == _LABEL]
    if len(places) != 1 or len(labels) < 2:
        names = ", ".join(map(repr, labels.values()))
        raise Misconfigured(f"{_wrong(model)} has the labels {names}; one of several must be {_LABEL!r}")
    return places[0]


def _wrong(model: str) -> str:
    return f"ANSWERLOOP_ENTAILMENT: the model {model}"


class _Nli:
    """`router.checking.Entailment`. One pair at a time: it takes all cores, so that several would only wait for each
    other, and hold more memory meanwhile."""

    def __init__(self, tokenizer: Any, classifier: Any, entailed: int) -> None:
        self._tokenizer, self._classifier, self._entailed = tokenizer, classifier, entailed
        positions = getattr(classifier.config, "max_position_embeddings", _LONGEST)
        self._longest = min(tokenizer.model_max_length, positions - _UNUSED, _LONGEST)
        self._turn = threading.Lock()

    def __call__(self, premise: str, hypothesis: str) -> float | None:
        import torch

        with self._turn, torch.inference_mode():
            pair = self._tokenizer(premise, hypothesis, truncation=False, return_tensors="pt", verbose=False)
            if pair["input_ids"].shape[1] > self._longest:
                return None
            try:
                logits = self._classifier(**pair.to(self._classifier.device)).logits[0]
            except RuntimeError as exc:  # a GPU without room
                raise GeneratorUnavailable(f"the entailment model failed: {exc}") from exc
            return float(logits.softmax(-1)[self._entailed])
