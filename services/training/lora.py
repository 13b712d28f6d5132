"""LoRA: a base model and a dataset in, an adapter out. After a `kill -9` it goes on, to the same result.

The defaults are those of "LoRA Without Regret" (Schulman et al. 2025) and QLoRA (Dettmers et al. 2023), confirmed on
tiny models: every linear layer, rank 16, alpha 32, learning rate 2e-4, one to three epochs. Query and value alone at
rank 8 is weak, and GPT-2 and Phi-3 have no modules of those names.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, TaskType, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

from router.errors import InvalidInput, Misconfigured
from router.ports import Progress
from services.training.chart import draw
from services.training.digests import remember_base
from services.training.encoding import Encoded, Tokenizer, with_template
from services.training.estimating import Estimate, estimate
from services.training.looping import Loop, filler_of, losses_of
from services.training.rows import Loaded, load

ADAPTER = "adapter"
REPORT = "training.json"
CHART = "loss.svg"


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """base: a folder or a name. train, valid: JSONL files of one format. out: where checkpoints and the adapter go.
    text: passages for continued pre-training before, or None. replay: how many of those, drawn by the seed, are mixed
    into the supervised stage for each of its rows, 0..1. batch: rows a step and device; accumulation: steps an update.
    warmup: share of the updates. patience: evaluations without a better loss before it stops; 0 never stops early.
    order: see `looping.ORDERS`."""

    base: str
    train: Path
    valid: Path
    out: Path
    text: Path | None = None
    replay: float = 0.0
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    learning_rate: float = 2e-4
    epochs: float = 2.0
    batch: int = 4
    accumulation: int = 4
    warmup: float = 0.05
    max_tokens: int = 2048
    patience: int = 3
    order: str = "shuffle"
    quantised: bool = False
    tensorboard: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainReport:
    """losses: step → training loss; valid_losses: step → validation loss. attached: module name → how many. too_long:
    file → line numbers of rows left out. texts: rows of continued pre-training before, a long text in windows;
    text_losses: step → its training loss. replayed: rows of it among the supervised ones."""

    adapter: str
    base: str
    rows: int
    tokens: int
    steps: int
    attached: Mapping[str, int]
    trainable: int
    losses: Mapping[int, float]
    valid_losses: Mapping[int, float]
    too_long: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    texts: int = 0
    replayed: int = 0
    text_losses: Mapping[int, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def train(options: TrainOptions, progress: Progress, say: Callable[[str], None] = lambda _line: None) -> TrainReport:
    """Raises `InvalidInput` for rows that are none and `Misconfigured` for a base that cannot be tuned. say: gets the
    estimate of time and memory before the first step."""
    check_options(options)
    set_seed(options.seed)
    tokenizer = with_template(AutoTokenizer.from_pretrained(options.base))
    rows, valid = (load(tokenizer, path, options.max_tokens) for path in (options.train, options.valid))
    text = load(tokenizer, options.text, options.max_tokens).rows if options.text else ()
    again = sampled(text, int(options.replay * len(rows.rows)), options.seed)
    model = attach(load_base(options), options)
    every = (*text, *rows.rows, *again)
    say(_estimated(estimate(model, every, options.batch, options.epochs, filler_of(tokenizer))))
    first = losses_of(_run(model, tokenizer, options, text, valid, "stage1", progress))[0] if text else {}
    loop = _run(model, tokenizer, options, (*rows.rows, *again), valid, "stage2", progress)
    report = _report(model, options, loop, rows, {options.train.name: rows, options.valid.name: valid})
    return _save(model, tokenizer, options, replace(report, texts=len(text), replayed=len(again), text_losses=first))


def sampled(rows: Sequence[Encoded], count: int, seed: int) -> tuple[Encoded, ...]:
    """So many of the rows, from all over the documents, in an order of their own."""
    return tuple(random.Random(seed).sample(rows, min(count, len(rows))))


def _estimated(one: Estimate) -> str:
    return f"{one.tokens} tokens to train on, about {one.seconds / 60:.1f} minutes and {one.bytes / 2**30:.2f} GiB"


def load_base(options: TrainOptions) -> Any:
    """In bfloat16 where the machine computes in it, else in float32; in 4 bits (QLoRA) where that is asked for."""
    precision = torch.bfloat16 if bf16() else torch.float32
    quantised = _four_bits(precision) if options.quantised else {}
    try:
        return AutoModelForCausalLM.from_pretrained(options.base, dtype=precision, **quantised)
    except (OSError, ValueError) as error:
        raise Misconfigured(f"the base model {options.base} cannot be loaded: {error}") from error


def bf16() -> bool:
    """Whether this machine's accelerator computes in bfloat16. CPUs train tiny models here, in full precision."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()


def _four_bits(precision: torch.dtype) -> dict[str, Any]:
    """precision: in which it computes. bitsandbytes works on a CPU too, some eight times slower than without."""
    if not find_spec("bitsandbytes"):
        raise Misconfigured("--quantised needs bitsandbytes: pip install bitsandbytes")
    from transformers import BitsAndBytesConfig

    settings = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    config = BitsAndBytesConfig(**settings, bnb_4bit_compute_dtype=precision)  # type: ignore[no-untyped-call]
    return {"quantization_config": config}


def attach(model: Any, options: TrainOptions) -> Any:
    """Adapters on every linear layer but the output. Raises `Misconfigured` when none, or not all layers, got one."""
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules="all-linear",
        task_type=TaskType.CAUSAL_LM,
    )
    tuned = get_peft_model(model, config, autocast_adapter_dtype=True)
    layers = model.config.num_hidden_layers
    partly = {name: count for name, count in attached(tuned).items() if count % layers}
    if not attached(tuned) or partly:
        raise Misconfigured(f"adapters were not attached to every layer of {options.base}: {partly or 'none at all'}")
    return tuned


def attached(model: nn.Module) -> dict[str, int]:
    """Module name ("q_proj") → how many adapters."""
    counts: dict[str, int] = {}
    for path, module in model.named_modules():
        if hasattr(module, "lora_A") and len(module.lora_A):
            name = path.rpartition(".")[2]
            counts[name] = counts.get(name, 0) + 1
    return counts


def _run(
    model: Any,
    tokenizer: Tokenizer,
    options: TrainOptions,
    rows: tuple[Any, ...],
    valid: Loaded,
    stage: str,
    progress: Progress,
) -> Loop:
    loop = Loop.of(model, tokenizer, options, rows, valid.rows, options.out / stage, progress)
    loop.run()
    return loop


def _report(model: Any, options: TrainOptions, loop: Loop, rows: Loaded, files: Mapping[str, Loaded]) -> TrainReport:
    losses, valid_losses = losses_of(loop)
    return TrainReport(
        adapter=str(options.out / ADAPTER),
        base=options.base,
        rows=len(rows.rows),
        tokens=rows.tokens,
        steps=loop.state.global_step,
        attached=attached(model),
        trainable=sum(one.numel() for one in model.parameters() if one.requires_grad),
        losses=losses,
        valid_losses=valid_losses,
        too_long={name: tuple(line for line, _ in one.too_long) for name, one in files.items() if one.too_long},
    )


def _save(model: Any, tokenizer: Any, options: TrainOptions, report: TrainReport) -> TrainReport:
    """The adapter and the report appear last, and the report last of all: without it the training is not done."""
    adapter = Path(report.adapter)
    model.save_pretrained(adapter)
    tokenizer.save_pretrained(adapter)
    remember_base(adapter, options.base)
    curves = {
        "training": report.losses,
        "validation": report.valid_losses,
        "continued pre-training": report.text_losses,
    }
    (options.out / CHART).write_text(draw(curves, f"loss of {options.base}"), "utf-8")
    (options.out / REPORT).write_text(json.dumps(report.to_json(), indent=1), "utf-8")
    return report


def check_options(options: TrainOptions) -> None:
    """Raises `InvalidInput` for figures that cannot be."""
    for name in ("rank", "alpha", "batch", "accumulation", "max_tokens"):
        if getattr(options, name) < 1:
            raise InvalidInput(f"{name} must be at least 1")
    if not 0 <= options.replay <= 1 or not 0 <= options.dropout < 1:
        raise InvalidInput("replay and dropout are shares, 0 to 1")
    if options.replay and not options.text:
        raise InvalidInput("replay mixes rows of continued pre-training in: it needs --text")
