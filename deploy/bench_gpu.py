"""`make bench-gpu`: LoRA speed, use of the processor, memory, and resuming, on a model with random weights.

Needs torch, transformers and peft; nothing of this project, and no download. Prints one JSON object. On a machine
without a GPU it runs on the processor: `--tiny` makes that a matter of seconds.

- tokens_per_s: of the training steps after the first few, which compile and allocate.
- model_flop_utilisation: 4 × parameters × tokens (2 forward, 2 for the gradients of activations; a frozen weight needs
  none of its own), without attention's part and without recomputation, over what `--peak-tflops` says, or the matrix
  product of this machine that was measured right before.
- resume: trained in one go, and stopped half-way, saved, loaded into a new process's state and trained on: the largest
  difference of an adapter's weight.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import AutoModelForCausalLM, Qwen3Config

WARM = 3  # steps that are not counted
RESUME_STEPS = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """hidden, layers, heads: of a Qwen3. words: vocabulary. batch × length: tokens a step."""

    hidden: int = 1024
    layers: int = 28
    heads: int = 16
    words: int = 151_936
    batch: int = 8
    length: int = 1024
    steps: int = 20


TINY = Shape(hidden=64, layers=2, heads=4, words=512, batch=2, length=64, steps=3)


def bench(shape: Shape, peak_tflops: float | None) -> dict[str, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = torch.bfloat16 if device == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    peak = peak_tflops or measured_tflops(device, kind, 8192 if device == "cuda" else 512)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    model = lora(shape, device, kind)
    parameters = sum(one.numel() for one in model.parameters())
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    speed, losses = measured_steps(model, shape, device)
    report = {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "precision": str(kind).removeprefix("torch."),
        "torch": torch.__version__,
        "shape": asdict(shape),
        "parameters": parameters,
        "trained_parameters": trained,
        "tokens_per_s": round(speed, 1),
        "peak_tflops": round(peak, 3),
        "peak_from": "given" if peak_tflops else "a matrix product measured here",
        "model_flop_utilisation": round(4 * parameters * speed / (peak * 1e12), 4),
        "peak_memory_gib": peak_memory(device),
        "loss_first": round(losses[0], 4),
        "loss_last": round(losses[-1], 4),
    }
    del model
    return {**report, "resume": resumed(shape, device, kind)}


def lora(shape: Shape, device: str, kind: torch.dtype) -> Any:
    """A random base of this shape with adapters on every linear layer."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=shape.words,
        hidden_size=shape.hidden,
        intermediate_size=shape.hidden * 3,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads // 2,
        head_dim=shape.hidden // shape.heads,
        max_position_embeddings=shape.length,
        tie_word_embeddings=True,
    )
    base = AutoModelForCausalLM.from_config(config, dtype=kind).to(device)
    settings = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(base, settings).train()


def measured_steps(model: Any, shape: Shape, device: str) -> tuple[float, list[float]]:
    """Tokens a second over the counted steps, and the losses."""
    optimiser = optimiser_of(model)
    losses, began = [], time.perf_counter()
    for step in range(WARM + shape.steps):
        if step == WARM:
            settle(device)
            began = time.perf_counter()
        losses.append(one_step(model, optimiser, shape, device, step))
    settle(device)
    return shape.steps * shape.batch * shape.length / (time.perf_counter() - began), [float(one) for one in losses]


def optimiser_of(model: Any) -> torch.optim.AdamW:
    return torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=2e-4)


def one_step(model: Any, optimiser: torch.optim.Optimizer, shape: Shape, device: str, step: int) -> torch.Tensor:
    """The batch of a step is always the same, so that a resumed run sees what it would have seen."""
    chance = torch.Generator().manual_seed(step)
    ids = torch.randint(0, shape.words, (shape.batch, shape.length), generator=chance).to(device)
    loss: torch.Tensor = model(input_ids=ids, labels=ids).loss
    loss.backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss.detach()


def resumed(shape: Shape, device: str, kind: torch.dtype) -> dict[str, Any]:
    whole = lora(shape, device, kind)
    run(whole, optimiser_of(whole), shape, device, range(RESUME_STEPS))
    wanted = weights(whole)
    del whole
    with tempfile.TemporaryDirectory() as folder:
        path, half = Path(folder) / "state.pt", RESUME_STEPS // 2
        torn = lora(shape, device, kind)
        optimiser = optimiser_of(torn)
        run(torn, optimiser, shape, device, range(half))
        torch.save({"model": get_peft_model_state_dict(torn), "optimiser": optimiser.state_dict()}, path)
        del torn, optimiser
        model = lora(shape, device, kind)
        optimiser = optimiser_of(model)
        state = torch.load(path, map_location=device)
        set_peft_model_state_dict(model, state["model"])
        optimiser.load_state_dict(state["optimiser"])
        run(model, optimiser, shape, device, range(half, RESUME_STEPS))
    found = weights(model)
    largest = max(float((wanted[name] - found[name]).abs().max()) for name in wanted)
    moved = max(float(one.abs().max()) for name, one in found.items() if "lora_B" in name)
    return {"steps": RESUME_STEPS, "largest_difference": largest, "largest_weight_of_b": moved}


def run(model: Any, optimiser: torch.optim.Optimizer, shape: Shape, device: str, steps: Sequence[int]) -> None:
    for step in steps:
        one_step(model, optimiser, shape, device, step)


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: one.detach().float().cpu().clone() for name, one in get_peft_model_state_dict(model).items()}


def measured_tflops(device: str, kind: torch.dtype, size: int) -> float:
    """What a square matrix product reaches here."""
    one = torch.randn(size, size, device=device, dtype=kind)
    for _ in range(3):
        one @ one
    settle(device)
    rounds, began = 10, time.perf_counter()
    for _ in range(rounds):
        one @ one
    settle(device)
    return 2 * size**3 * rounds / (time.perf_counter() - began) / 1e12


def peak_memory(device: str) -> float | None:
    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if device == "cuda" else None


def settle(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> int:
    parser = argparse.ArgumentParser(description="LoRA speed, memory and resuming on this machine.")
    parser.add_argument("--tiny", action="store_true", help="seconds on a processor; the figures say nothing")
    parser.add_argument("--peak-tflops", type=float, help="of the device by its data sheet, without sparsity")
    parser.add_argument("--batch", type=int, help="rows a step")
    parser.add_argument("--length", type=int, help="tokens a row")
    given = parser.parse_args()
    shape = TINY if given.tiny else Shape()
    changed = {name: getattr(given, name) for name in ("batch", "length") if getattr(given, name)}
    print(json.dumps(bench(Shape(**{**asdict(shape), **changed}), given.peak_tflops), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
