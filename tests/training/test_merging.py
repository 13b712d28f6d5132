"""Merging: the logits before, after and from disk are the same, and nothing half-done is visible."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from router.errors import Conflict, Misconfigured
from services.training.digests import BASE, remember_base
from services.training.lora import TrainOptions, attach
from services.training.merging import TOLERANCE, merge
from tests.training.test_lora import ROWS, TEXTS
from tests.training.tiny_models import make

PROMPTS = [row["messages"][:1] for row in ROWS[:6]]


def adapter_of(folder: Path, base: Path) -> Path:
    """An adapter that does something: its second matrix is not zero."""
    options = TrainOptions(str(base), Path(), Path(), folder)
    model = attach(AutoModelForCausalLM.from_pretrained(base), options)
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    model.save_pretrained(folder / "adapter")
    AutoTokenizer.from_pretrained(base).save_pretrained(folder / "adapter")
    remember_base(folder / "adapter", str(base))
    return folder / "adapter"


@pytest.mark.parametrize("family", ["qwen3", "gpt2"])
def test_merged_equals_the_adapter_and_survives_the_disk(tmp_path: Path, family: str) -> None:
    base = make(tmp_path / "base", family, TEXTS)
    adapter = adapter_of(tmp_path, base)
    report = merge(adapter, str(base), tmp_path / "merged", PROMPTS)
    assert max(report.merged_difference, report.reloaded_difference) < TOLERANCE
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    plain = AutoModelForCausalLM.from_pretrained(base)
    ids = torch.arange(20)[None]
    assert not torch.allclose(reloaded(ids).logits, plain(ids).logits, atol=1e-2)
    with pytest.raises(Conflict, match="never overwritten"):
        merge(adapter, str(base), tmp_path / "merged", PROMPTS)


def test_another_base_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    base, other = make(tmp_path / "base", "qwen3", TEXTS), make(tmp_path / "other", "qwen3", TEXTS, hidden=32)
    adapter = adapter_of(tmp_path, base)
    with pytest.raises(Misconfigured, match="other weights"):
        merge(adapter, str(other), tmp_path / "merged", PROMPTS)
    (adapter / BASE).unlink()  # an adapter from elsewhere does not say
    with pytest.raises(Misconfigured, match="does not fit the base"):
        merge(adapter, str(other), tmp_path / "merged", PROMPTS)
    assert not (tmp_path / "merged").exists()
