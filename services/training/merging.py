"""The adapter folded into its base: one model that any server loads, proved equal to what was trained.

Merged into the full-precision base of the very revision it was trained on; logits are compared before merging, after
it, and after reloading from disk. The folder appears whole or not at all.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from router.errors import Conflict, Misconfigured
from services.training import jsonl
from services.training.digests import base_digest, digest, trained_on
from services.training.encoding import Messages, prompt_ids, with_template

MERGED = "merged.json"
TOLERANCE = 1e-3
"""Largest difference of a logit, merged against adapter, in float32. Folding reorders sums: 1e-5 is usual on tiny
models, and rounding grows with depth; ten times what was seen, and far below what changes a greedy token."""


@dataclass(frozen=True, slots=True)
class MergeReport:
    """merged_difference, reloaded_difference: largest absolute difference of a logit to the model with its adapter."""

    folder: str
    base: str
    base_digest: str
    adapter_digest: str
    merged_difference: float
    reloaded_difference: float
    tolerance: float
    prompts: int

    @property
    def agrees(self) -> bool:
        return max(self.merged_difference, self.reloaded_difference) <= self.tolerance


def merge(adapter: Path, base: str, out: Path, prompts: Sequence[Messages]) -> MergeReport:
    """Raises `Conflict` when `out` exists, `Misconfigured` when the adapter is another base's or logits differ."""
    if out.exists():
        raise Conflict(f"{out} is already there; a merged model is never overwritten, give another folder")
    found = _checked_base(adapter, base)
    saved = AutoTokenizer.from_pretrained(adapter)
    tokenizer = with_template(saved)
    ids = [prompt_ids(tokenizer, messages) for messages in prompts]
    tuned = _tuned(adapter, base)
    before = _logits(tuned, ids)
    merged = tuned.merge_and_unload(safe_merge=True)
    after = _difference(before, _logits(merged, ids))
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    merged.save_pretrained(unfinished)
    saved.save_pretrained(unfinished)
    reloaded = _difference(before, _logits(_full(str(unfinished)), ids))
    report = MergeReport(str(out), base, found, digest(str(adapter)), after, reloaded, TOLERANCE, len(ids))
    if not report.agrees:
        shutil.rmtree(unfinished)
        worst = max(after, reloaded)
        raise Misconfigured(f"merging changed a logit by {worst:.2g}, more than {TOLERANCE:.0e}: not saved")
    (unfinished / MERGED).write_text(json.dumps(asdict(report), indent=1), "utf-8")
    unfinished.replace(out)
    return report


def prompts_of(rows: Path | None, most: int = 16) -> list[Messages]:
    """The first prompts of a file of chat rows; without one, two plain questions."""
    if rows is None:
        return [[{"role": "user", "content": text}] for text in ("How do I restart a node?", "怎么重启节点？")]
    chats = (row["messages"][:-1] for _, row in jsonl.read(rows) if "messages" in row)
    return list(islice(chats, most))


def _full(model: str) -> Any:
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    loaded.train(False)
    return loaded


def _checked_base(adapter: Path, base: str) -> str:
    """Its digest. The same weights that the adapter was trained on, not only the same name."""
    before, found = trained_on(adapter), base_digest(base)
    if before and found and before != found:
        raise Misconfigured(f"{base} is not the revision that the adapter {adapter} was trained on: other weights")
    return found


def _tuned(adapter: Path, base: str) -> Any:
    try:
        return PeftModel.from_pretrained(_full(base), str(adapter)).eval()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: other shapes than the adapter's
        raise Misconfigured(f"the adapter {adapter} does not fit the base {base}: {error}") from error


@torch.no_grad()
def _logits(model: Any, ids: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """One tensor [tokens, vocabulary] per prompt."""
    return [model(input_ids=torch.tensor([row], device=model.device)).logits[0].float().cpu() for row in ids]


def _difference(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    return max((float((a - b).abs().max()) for a, b in zip(one, other, strict=True)), default=0.0)
