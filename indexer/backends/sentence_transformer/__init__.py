"""The text embedder that runs inside our own process: sentence-transformers models, as `router.ports.Embedder`.

    load            model name or folder -> the right embedder; the only public function
    checkpoint.py   find the model, check its hash, read what it says about itself
    packed.py       multilingual-e5-small, made into a folder from a package's one file (e5_file.py)
    blocks.py       weights in 4 bits, as that file holds them
    bert.py         BertEmbedder: tokens, batches, pooling; for BERT-like models
    onnx_encoder.py     its forward pass for questions and small updates, without torch
    openvino_encoder.py its forward pass for questions where that package and bfloat16 units are there
    torch_encoder.py    its forward pass for whole corpora, bfloat16 where the processor has it
    library.py      LibraryEmbedder: every other architecture, by the sentence-transformers package itself

Importing this package loads none of torch, transformers, onnxruntime, openvino or tokenizers.
"""

from __future__ import annotations

from pathlib import Path

from indexer.backends.sentence_transformer import checkpoint, packed
from indexer.backends.sentence_transformer.bert import BertEmbedder
from indexer.backends.sentence_transformer.library import LibraryEmbedder
from indexer.backends.sentence_transformer.vectors import Units
from router.ports import Embedder

__all__ = ["load"]


def load(model: str, cache_dir: Path, device: str = "auto", units: Units = "late") -> Embedder:
    """The embedder for a model.

    model: "all-MiniLM-L6-v2" or "multilingual-e5-small" (packaged, no network), the path of a sentence-transformers
        folder, or a hub name.
    cache_dir: where `<fingerprint>/encoder.onnx` and unpacked models are kept; made on first need, then used again.
    device: "auto" (a GPU for whole corpora where torch sees one), "cpu" or "cuda".
    units: where unit vectors come from: "late" = pooled from the passage's own token states, free;
        "separate" = each unit embedded on its own; "both" = the normalised sum; these two double the work.
    Raises `Misconfigured` when the model cannot be had, or is damaged.
    """
    name, folder = (model, packed.folder(cache_dir)) if model == packed.NAME else checkpoint.locate(model)
    found = checkpoint.read(name, folder)
    if found is None:
        return LibraryEmbedder(name, folder, device)
    return BertEmbedder(found, cache_dir, device, units)
