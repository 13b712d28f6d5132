"""Merging: the logits before, after and from disk are the same, and nothing half-done is visible."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from router.errors import Conflict, Misconfigured
from services.training import merging
from services.training.digests import BASE, base_digest, remember_base
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


def cached(home: Path, model: Path, commit: str) -> None:
    """As the hub's client lays a revision of "org/tiny" down; it becomes the newest one."""
    folder = home / "models--org--tiny"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    shutil.copytree(model, folder / "snapshots" / commit)


def test_a_base_given_by_name_is_known_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", tmp_path / "hub")
    base, newer = make(tmp_path / "base", "qwen3", TEXTS), make(tmp_path / "newer", "qwen3", TEXTS, steps=1)
    adapter = adapter_of(tmp_path, base)
    assert base_digest("org/tiny") == base_digest("no/such/thing") == "", "not on this machine"
    cached(tmp_path / "hub", base, "a" * 40)
    (tmp_path / "hub" / "models--org--tiny" / "snapshots" / ("a" * 40) / "tokenizer.json").unlink()
    assert base_digest("org/tiny") == base_digest(str(base)) != "", "whatever else of it is cached"
    remember_base(adapter, "org/tiny")
    cached(tmp_path / "hub", newer, "b" * 40)
    with pytest.raises(Misconfigured, match="other weights"):
        merge(adapter, "org/tiny", tmp_path / "merged", PROMPTS)
    report = merge(adapter, str(base), tmp_path / "merged", PROMPTS)
    assert report.base_digest == base_digest(str(base))


@pytest.mark.parametrize("when", ["merged", "reloaded"])
def test_a_model_that_says_something_else_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    base = make(tmp_path / "base", "qwen3", TEXTS)
    adapter = adapter_of(tmp_path, base)
    real, seen = merging._logits, 0

    def drifted(*given: Any) -> list[torch.Tensor]:
        """The first look is at the adapter, the second at the merged model, the third at what was read back."""
        nonlocal seen
        seen += 1
        return [one + (0.01 if seen == {"merged": 2, "reloaded": 3}[when] else 0) for one in real(*given)]

    monkeypatch.setattr(merging, "_logits", drifted)
    with pytest.raises(Misconfigured, match=r"changed a logit by 0\.01"):
        merge(adapter, str(base), tmp_path / "merged", PROMPTS)
    assert seen == 3 and {one.name for one in tmp_path.iterdir()} == {"base", "adapter"}, "nothing half-done either"
