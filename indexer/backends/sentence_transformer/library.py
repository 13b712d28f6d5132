"""LibraryEmbedder: any model that the sentence-transformers package can load, computed by that package."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.backends.sentence_transformer.checkpoint import file_hash
from indexer.backends.sentence_transformer.vectors import Span, Vectors, normalise, span_texts
from router.errors import InvalidInput, Misconfigured

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_BATCH = 16


class LibraryEmbedder:
    """`router.ports.Embedder`. Every unit is embedded as a text of its own. Loads torch, for questions too."""

    def __init__(self, name: str, folder: Path, device: str) -> None:
        self._model = _open(folder, device)
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self.max_tokens = int(self._model.max_seq_length or 512)
        self.fingerprint = f"{name}-{_content(folder)[:12]}-{self.max_tokens}-separate"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens per passage, special tokens included, not cut off."""
        return [len(ids) for ids in self._model.tokenizer(list(texts), truncation=False)["input_ids"]] if texts else []

    def embed_questions(self, texts: Sequence[str]) -> Vectors:
        return self._vectors(self._model.encode_query, texts)

    def embed_passages(self, texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> tuple[Vectors, list[Vectors]]:
        if len(texts) != len(spans):
            raise InvalidInput(f"{len(texts)} texts with {len(spans)} lists of spans: give one list for each text")
        whole = self._vectors(self._model.encode_document, texts)
        units = [np.repeat(whole[i : i + 1], len(row), axis=0) for i, row in enumerate(spans)]
        cuts = span_texts(texts, spans)
        for (i, j, _), vector in zip(
            cuts, self._vectors(self._model.encode_document, [text for _, _, text in cuts]), strict=True
        ):
            units[i][j] = vector
        return whole, units

    def _vectors(self, encode: Any, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        vectors = encode(list(texts), batch_size=_BATCH, convert_to_numpy=True, show_progress_bar=False)
        return normalise(np.asarray(vectors, dtype=np.float32))


def _open(folder: Path, device: str) -> SentenceTransformer:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as exc:
        raise Misconfigured("this embedding model needs: pip install sentence-transformers") from exc
    try:
        return SentenceTransformer(
            str(folder),
            device=None if device == "auto" else device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},  # never a pickled checkpoint: opening one runs its code
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as exc:
        raise Misconfigured(f"sentence-transformers cannot load {folder}: {exc}") from exc


def _content(folder: Path) -> str:
    """One hash over all weights and settings files, in order of their paths."""
    files = sorted(file for pattern in ("**/*.safetensors", "**/*.json") for file in folder.glob(pattern))
    return hashlib.sha256("".join(file_hash(file) for file in files).encode()).hexdigest()
