"""How long a training takes and how much memory, before it starts: said from sizes and from one measured step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from services.training.encoding import Encoded
from services.training.looping import pad

_ADAM = 16  # bytes a trained parameter: weight, gradient and two moments in float32


@dataclass(frozen=True, slots=True)
class Estimate:
    """seconds: of the whole training, evaluations left out. bytes: weights, adapters with their optimiser, and the
    activations of one batch. flops_per_token: forward and backward through a frozen base, 4 × its parameters
    (2 forward, 2 for the gradients of the activations; a frozen weight needs none of its own)."""

    seconds: float
    bytes: int
    tokens: int
    flops_per_token: int


def estimate(model: Any, rows: Sequence[Encoded], batch: int, epochs: float, filler: int) -> Estimate:
    """Runs one forward and backward on the longest rows, and leaves no gradient behind."""
    longest = sorted(rows, key=lambda row: -len(row.ids))[:batch]
    inputs = {name: _moved(value, model.device) for name, value in pad(longest, filler).items()}
    began = time.perf_counter()
    model(**inputs).loss.backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    took = time.perf_counter() - began
    model.zero_grad(set_to_none=True)
    tokens = int(sum(len(row.ids) for row in rows) * epochs)
    return Estimate(
        seconds=took / inputs["input_ids"].numel() * tokens,
        bytes=_weights(model) + _activations(model, inputs["input_ids"].numel(), inputs["shift_labels"].numel()),
        tokens=tokens,
        flops_per_token=4 * sum(one.numel() for one in model.parameters()),
    )


def _weights(model: Any) -> int:
    sizes = (one.numel() * (_ADAM if one.requires_grad else one.element_size()) for one in model.parameters())
    return int(sum(sizes))


def _activations(model: Any, tokens: int, judged: int) -> int:
    """About 34 values a token, layer and hidden unit without recomputation (Korthikanti et al. 2022, without the part
    of attention that grows with the square), and the logits of the judged places in float32 with their gradient."""
    config, width = model.config, next(model.parameters()).element_size()
    hidden = 34 * config.num_hidden_layers * config.hidden_size * width // 2
    return int(tokens * hidden + judged * 8 * config.vocab_size)


def _moved(value: Any, device: Any) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value
