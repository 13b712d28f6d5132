"""BERTScore (Zhang et al. 2020) with a local encoder: how near an answer's tokens are to the reference's in meaning.

Optional, and in no gate: unrelated texts score about 0.85 with usual encoders, and a wrong digit hardly moves it. So
the score of unrelated pairs (each reference against another row's) stands beside it: only what is above says anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer

from router import prompt
from router.errors import Misconfigured
from services.training.judging import Task
from services.training.metrics import bootstrap

_LONGEST = 512  # tokens of a text; encoders of this kind see no more


class Encoder:
    def __init__(self, folder: str) -> None:
        """folder: or a name. Raises `Misconfigured` when it cannot be loaded."""
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            self._model: Any = AutoModel.from_pretrained(folder).eval()
        except (OSError, ValueError) as error:
            raise Misconfigured(f"the encoder {folder} cannot be loaded: {error}") from error

    def f1(self, answer: str, reference: str) -> float:
        """Each token against the nearest of the other text; 0 where a text has no token."""
        ours, theirs = self._vectors(answer), self._vectors(reference)
        if not len(ours) or not len(theirs):
            return 0.0
        near = ours @ theirs.T
        precision, recall = float(near.amax(1).mean()), float(near.amax(0).mean())
        return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0

    @torch.no_grad()
    def _vectors(self, text: str) -> torch.Tensor:
        """[tokens, dimension], unit length, without the special tokens."""
        special = set(self._tokenizer.all_special_ids)
        ids = self._tokenizer(text, return_tensors="pt", truncation=True, max_length=_LONGEST)
        kept = [at for at, token in enumerate(ids["input_ids"][0].tolist()) if token not in special]
        if not kept:
            return torch.empty(0, 1)
        made: torch.Tensor = self._model(**ids).last_hidden_state[0]
        return torch.nn.functional.normalize(made[kept], dim=1)


def compared(encoder: Encoder, tasks: Sequence[Task], written: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """written: route → one text a task. Answerable rows alone, with intervals by cluster."""
    rows = [at for at, task in enumerate(tasks) if not task.example.refuses]
    references = [tasks[at].reference for at in rows]
    others = [*references[1:], *references[:1]]
    texts = {name: [prompt.without_citations(some[at]).strip() for at in rows] for name, some in written.items()}
    found = {}
    for name, some in {**texts, "unrelated": others}.items():
        values: dict[str, list[float]] = defaultdict(list)
        for at, text, reference in zip(rows, some, references, strict=True):
            values[tasks[at].cluster].append(encoder.f1(text, reference))
        found[name] = bootstrap(values).to_json()
    return found
