"""Tiny NLI models made on the spot: random ones that tell pairs apart, and ones that always say the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

LABELS = ("contradiction", "neutral", "entailment")
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,日志默认保留天"
POSITIONS = 128


def tiny_nli(folder: Path, labels: Sequence[str] = LABELS, always: str = "", tensors: bool = True) -> Path:
    """always: the label that it finds everywhere; "" for random weights. tensors: without, its weights are pickled."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_CHARACTERS, *(f"##{one}" for one in _CHARACTERS)]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        initializer_range=0.3,  # so that the layers do something
        id2label=dict(enumerate(labels)),
        label2id={label: place for place, label in enumerate(labels)},
    )
    model: Any = BertForSequenceClassification(config)
    if always:
        model.classifier.weight.data.zero_()
        model.classifier.bias.data = torch.tensor([4.0 if label == always else 0.0 for label in labels])
    model.save_pretrained(folder)
    if not tensors:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}).save_pretrained(folder)
    return folder
