"""BertEmbedder: everything around the forward pass of a BERT-like model."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from indexer.backends.sentence_transformer import openvino_encoder
from indexer.backends.sentence_transformer.checkpoint import Checkpoint
from indexer.backends.sentence_transformer.vectors import (
    Span,
    Units,
    Vectors,
    by_tokens,
    membership,
    normalise,
    past_space,
    span_texts,
)
from router.errors import InvalidInput

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

T = TypeVar("T")

SMALL = 100
"""Up to this many texts ONNX Runtime (a third of the speed) is done before torch would be imported and ready."""
_CHUNK = 2048  # texts tokenised and sorted by length together: bounds memory, long enough to sort well
_SEPARATE_SHARE = 0.6  # in units="both"; measured on SQuAD paragraphs: 0.5-0.7 is flat


class _Encoder(Protocol):
    """One forward pass.

    budget: tokens in one batch. pooled: token ids of each text, and for each text weights [rows, tokens]
    -> for each text [rows, dimension], its last hidden states summed with those weights.
    map: like the built-in one, on as many threads as serve this encoder best.
    """

    budget: int

    def pooled(self, batch: Sequence[Sequence[int]], weights: Sequence[Vectors]) -> list[Vectors]: ...

    def map(self, job: Callable[[list[int]], T], batches: Iterable[list[int]]) -> Iterable[T]: ...


class BertEmbedder:
    """`router.ports.Embedder` for BERT-like models. Questions never load torch. Safe to call from many threads."""

    def __init__(self, checkpoint: Checkpoint, cache_dir: Path, device: str, units: Units) -> None:
        self.dimension = checkpoint.dimension
        self.max_tokens = checkpoint.max_tokens
        self.fingerprint = f"{checkpoint.name}-{checkpoint.identity[:12]}-{units}"
        self._checkpoint = checkpoint
        self._device = device
        self._units = units
        self._graph = cache_dir / self.fingerprint / "encoder.onnx"
        self._lock = threading.Lock()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens per passage, special tokens and prompt included: at most `max_tokens` means nothing is cut off."""
        prompt = self._checkpoint.passage_prompt
        return [len(encoding) for encoding in self._whole_tokenizer.encode_batch_fast([prompt + t for t in texts])]

    def embed_questions(self, texts: Sequence[str]) -> Vectors:
        vectors, _ = self._embed(self._asking, self._checkpoint.question_prompt, texts, [()] * len(texts))
        return vectors

    def embed_passages(self, texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> tuple[Vectors, list[Vectors]]:
        if len(texts) != len(spans):
            raise InvalidInput(f"{len(texts)} texts with {len(spans)} lists of spans: give one list for each text")
        encoder = self._for(len(texts))
        prompt = self._checkpoint.passage_prompt
        if self._units == "late":
            return self._embed(encoder, prompt, texts, spans)
        passages, late = self._embed(encoder, prompt, texts, spans)
        separate = self._separate(encoder, texts, spans, late)
        if self._units == "separate":
            return passages, separate
        share = np.float32(_SEPARATE_SHARE)
        return passages, [
            normalise(share * own + (1 - share) * pooled) for own, pooled in zip(separate, late, strict=True)
        ]

    def _separate(
        self, encoder: _Encoder, texts: Sequence[str], spans: Sequence[Sequence[Span]], blank: list[Vectors]
    ) -> list[Vectors]:
        """Every span embedded as a text of its own; a span of white space keeps its row of `blank`."""
        out = [rows.copy() for rows in blank]
        cuts = span_texts(texts, spans)
        words = [text for _, _, text in cuts]
        vectors, _ = self._embed(encoder, self._checkpoint.passage_prompt, words, [()] * len(words))
        for (i, j, _), vector in zip(cuts, vectors, strict=True):
            out[i][j] = vector
        return out

    def _embed(
        self, encoder: _Encoder, prompt: str, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> tuple[Vectors, list[Vectors]]:
        whole = np.empty((len(texts), self.dimension), dtype=np.float32)
        units = [np.empty((0, self.dimension), dtype=np.float32)] * len(texts)
        for start in range(0, len(texts), _CHUNK):
            prompted = [prompt + text for text in texts[start : start + _CHUNK]]
            shifted = [[(a + len(prompt), z + len(prompt)) for a, z in row] for row in spans[start : start + _CHUNK]]
            for index, rows in self._pooled(encoder, prompted, shifted):
                whole[start + index], units[start + index] = rows[0], rows[1:]
        return whole, units

    def _pooled(
        self, encoder: _Encoder, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Iterator[tuple[int, Vectors]]:
        """(number of the text, [1 + spans, dimension]) in the order of the batches."""
        encodings = self._tokenizer.encode_batch(list(texts))

        def job(batch: list[int]) -> list[tuple[int, Vectors]]:
            weights = [self._weights(encodings[i], texts[i], spans[i]) for i in batch]
            rows = encoder.pooled([encodings[i].ids for i in batch], weights)
            return [(i, normalise(sums)) for i, sums in zip(batch, rows, strict=True)]

        batches = by_tokens([len(encoding.ids) for encoding in encodings], encoder.budget)
        for finished in encoder.map(job, batches):
            yield from finished

    def _weights(self, encoding: Encoding, text: str, spans: Sequence[Span]) -> Vectors:
        """[1 + spans, tokens]: what to sum for the whole text, then for each span."""
        first = np.ones((1, len(encoding.ids)), dtype=np.float32)
        if self._checkpoint.pooling == "cls":
            first[0, 1:] = 0
        if not spans:
            return first
        inside = membership(past_space(encoding.offsets, text), spans)
        # a span without tokens of its own gets the text's vector
        return np.concatenate([first, np.where(inside.all(axis=1, keepdims=True), first, inside)])

    def _for(self, texts: int) -> _Encoder:
        return self._onnx if texts <= SMALL and "torch" not in sys.modules else self._torch

    @cached_property
    def _torch(self) -> _Encoder:
        from indexer.backends.sentence_transformer.torch_encoder import TorchEncoder

        return TorchEncoder(self._checkpoint, self._device)

    @property
    def _asking(self) -> _Encoder:
        """The one for questions: the faster of those that load no torch."""
        with self._lock:  # the first questions come together: one of them loads the model
            return self._openvino_once if openvino_encoder.usable() else self._onnx_once

    @cached_property
    def _openvino_once(self) -> _Encoder:
        return openvino_encoder.OpenVinoEncoder(self._checkpoint, self._graph)

    @property
    def _onnx(self) -> _Encoder:
        with self._lock:
            return self._onnx_once

    @cached_property
    def _onnx_once(self) -> _Encoder:
        from indexer.backends.sentence_transformer.onnx_encoder import OnnxEncoder

        return OnnxEncoder(self._checkpoint, self._graph)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._checkpoint.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.max_tokens)
        return tokenizer

    @cached_property
    def _whole_tokenizer(self) -> Tokenizer:
        """The same without truncation. They share the vocabulary, whose trie is 280 MB in a multilingual model."""
        from tokenizers import Tokenizer

        cut = self._tokenizer
        whole = Tokenizer(cut.model)
        whole.normalizer, whole.pre_tokenizer = cut.normalizer, cut.pre_tokenizer
        whole.post_processor = cut.post_processor
        whole.add_tokens(list(cut.get_added_tokens_decoder().values()))
        return whole
