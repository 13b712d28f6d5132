"""The forward pass by torch, for whole corpora.

Texts of a batch lie end to end in one matrix of tokens: the linear layers, nearly all of the work, see no padding.
Only attention looks at one length at a time. In bfloat16 where the processor multiplies it natively.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from indexer import processors
from indexer.backends.sentence_transformer import checkpoint as checkpoints
from indexer.backends.sentence_transformer.checkpoint import Checkpoint, Weights
from indexer.backends.sentence_transformer.vectors import Vectors, native_bfloat16

T = TypeVar("T")


class _Linear(NamedTuple):
    weight: Tensor
    bias: Tensor


class _Layer(NamedTuple):
    query_key_value: _Linear
    mixed: _Linear
    mixed_norm: _Linear
    wide: _Linear
    narrow: _Linear
    narrow_norm: _Linear


class TorchEncoder:
    """One batch per processor, each on one thread: nobody waits for the slowest thread of a team after every
    operation, which costs ten times the work itself as soon as something else runs on the machine."""

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        self._device = torch.device(_device(device))
        self._workers = min(len(processors.usable()), 16) if self._device.type == "cpu" else 1
        # the states of 900 tokens fit a core's cache; a GPU wants to be filled
        self.budget = 900 if self._device.type == "cpu" else 32_768
        self._precision = _precision(self._device)
        self._heads = checkpoint.heads
        self._epsilon = checkpoint.epsilon
        weights = checkpoints.weights(checkpoint)
        table = weights["embeddings.position_embeddings.weight"][checkpoint.first_position :]
        self._words = self._tensor(weights[checkpoints.WORDS])
        self._positions = self._tensor(table + weights["embeddings.token_type_embeddings.weight"][0])
        self._embedding_norm = self._linear(weights, "embeddings.LayerNorm")
        self._layers = [self._layer(weights, f"encoder.layer.{number}") for number in range(checkpoint.layers)]

    def _tensor(self, values: Vectors) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device, self._precision)

    def _linear(self, weights: Weights, *names: str) -> _Linear:
        return _Linear(
            *(self._tensor(np.concatenate([weights[f"{name}.{p}"] for name in names])) for p in _Linear._fields)
        )

    def _layer(self, weights: Weights, at: str) -> _Layer:
        return _Layer(
            self._linear(weights, *(f"{at}.attention.self.{part}" for part in ("query", "key", "value"))),
            self._linear(weights, f"{at}.attention.output.dense"),
            self._linear(weights, f"{at}.attention.output.LayerNorm"),
            self._linear(weights, f"{at}.intermediate.dense"),
            self._linear(weights, f"{at}.output.dense"),
            self._linear(weights, f"{at}.output.LayerNorm"),
        )

    @torch.inference_mode()
    def pooled(self, batch: Sequence[Sequence[int]], weights: Sequence[Vectors]) -> list[Vectors]:
        """See `bert._Encoder`; fastest when texts of one length are neighbours."""
        lengths = [len(ids) for ids in batch]
        ids = torch.from_numpy(np.concatenate([np.asarray(text, dtype=np.int64) for text in batch])).to(self._device)
        positions = torch.from_numpy(np.concatenate([np.arange(n) for n in lengths])).to(self._device)
        states = self._norm(self._words[ids] + self._positions[positions], self._embedding_norm)
        for layer in self._layers:
            states = self._forward(layer, states, lengths)
        # summed here and not in numpy, whose own team of threads would fight with our workers
        parts = zip(weights, torch.split(states.float(), lengths), strict=True)
        return [(torch.from_numpy(rows).to(self._device) @ part).cpu().numpy() for rows, part in parts]

    def map(self, job: Callable[[list[int]], T], batches: Iterable[list[int]]) -> Iterable[T]:
        with ThreadPoolExecutor(self._workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(job, batches)

    def _forward(self, layer: _Layer, states: Tensor, lengths: list[int]) -> Tensor:
        mixed = self._attention(functional.linear(states, *layer.query_key_value), lengths)
        states = self._norm(states + functional.linear(mixed, *layer.mixed), layer.mixed_norm)
        wide = functional.gelu(functional.linear(states, *layer.wide))
        return self._norm(states + functional.linear(wide, *layer.narrow), layer.narrow_norm)

    def _attention(self, query_key_value: Tensor, lengths: list[int]) -> Tensor:
        tokens, width = query_key_value.shape
        mixed = query_key_value.new_empty(tokens, width // 3)
        start = 0
        # neighbours of one length are one call: short units come by the dozen
        for length, group in groupby(lengths):
            end = start + length * len(list(group))
            mixed[start:end] = self._attend(query_key_value[start:end], length)
            start = end
        return mixed

    def _attend(self, query_key_value: Tensor, length: int) -> Tensor:
        parts = query_key_value.view(-1, length, 3, self._heads, query_key_value.shape[1] // 3 // self._heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)  # each [texts, heads, tokens, width of a head]
        # plain products: torch's fused attention was a tenth as fast on short texts in bfloat16
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        return (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).reshape(query_key_value.shape[0], -1)

    def _norm(self, states: Tensor, norm: _Linear) -> Tensor:
        return functional.layer_norm(states, states.shape[-1:], norm.weight, norm.bias, self._epsilon)


def _device(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def _precision(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if native_bfloat16() else torch.float32
