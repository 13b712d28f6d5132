"""The forward pass by OpenVINO in bfloat16, of the graph that `onnx_encoder` writes: half the work for a question.

Only where the package is installed and the processor multiplies bfloat16 natively; elsewhere it gains nothing.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from indexer.backends.sentence_transformer.checkpoint import Checkpoint
from indexer.backends.sentence_transformer.onnx_encoder import export
from indexer.backends.sentence_transformer.vectors import Vectors, native_bfloat16, padded

if TYPE_CHECKING:
    from openvino import InferRequest

T = TypeVar("T")

_STEP = 8
"""Tokens. A question of another shape than the one before costs 3.3 ms and not 2.0, so there are few shapes."""


@cache
def usable() -> bool:
    return native_bfloat16() and importlib.util.find_spec("openvino") is not None


class OpenVinoEncoder:
    """budget: tokens in one batch, padding included."""

    budget = 2048

    def __init__(self, checkpoint: Checkpoint, path: Path) -> None:
        if not path.is_file():
            export(checkpoint, path)
        try:
            self._request = _open(path)
        except RuntimeError:  # cut short by a full disk
            export(checkpoint, path)
            self._request = _open(path)
        self._asking = threading.Lock()  # a request is one place for inputs and outputs

    def pooled(self, batch: Sequence[Sequence[int]], weights: Sequence[Vectors]) -> list[Vectors]:
        """See `bert._Encoder`. Safe to call from many threads."""
        ids, lengths = padded(batch, _STEP)
        with self._asking:
            self._request.infer({"ids": ids, "lengths": lengths}, share_inputs=True, share_outputs=True)
            out = self._request.get_output_tensor(0).data
            return [
                np.asarray(rows @ states[: len(own)]) for rows, states, own in zip(weights, out, batch, strict=True)
            ]

    def map(self, job: Callable[[list[int]], T], batches: Iterable[list[int]]) -> Iterable[T]:
        return map(job, batches)


def _open(path: Path) -> InferRequest:
    """Raises RuntimeError for a file that is not a graph."""
    from openvino import Core

    # one thread: the other cores are the web server's, and a team of threads waits for its slowest after each step
    options = {
        "INFERENCE_PRECISION_HINT": "bf16",
        "INFERENCE_NUM_THREADS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # a thread that is bound to one core waits for that core
    }
    return Core().compile_model(path, "CPU", options).create_infer_request()
