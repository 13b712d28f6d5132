"""The training loop: transformers' Trainer, with the order of the rows, padding, resuming and progress that we want."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch.utils.data import Dataset, Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from router.ports import Progress
from services.training.encoding import MASKED, Encoded, Tokenizer

if TYPE_CHECKING:
    from services.training.lora import TrainOptions

ORDERS = ("shuffle", "length")
"""shuffle: at random each epoch. length: a curriculum, short rows first, at random within a tenth of the rows."""
_STEPS = 10  # evaluations in a run, at most; each is a checkpoint
_FEWEST_STEPS = 3
_KEPT = 2  # checkpoints
_BANDS = 10


class Rows(Dataset[Encoded]):
    def __init__(self, rows: Sequence[Encoded]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: int) -> Encoded:
        return self.rows[at]


class Ordered(Sampler[int]):
    """The same order for the same seed and epoch, so that a resumed run sees what it would have seen."""

    def __init__(self, rows: Sequence[Encoded], order: str, seed: int) -> None:
        self._lengths = [len(row.ids) for row in rows]
        self._order, self._seed, self._epoch = order, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(order_of(self._lengths, self._order, self._seed + self._epoch))


def order_of(lengths: Sequence[int], order: str, seed: int) -> list[int]:
    """Indices of the rows in the order of training."""
    chance = random.Random(seed)
    at = list(range(len(lengths)))
    chance.shuffle(at)
    if order == "shuffle":
        return at
    at.sort(key=lambda one: lengths[one])  # stable: rows of one length stay in random order
    band = max(len(at) // _BANDS, 1)
    bands = [at[begin : begin + band] for begin in range(0, len(at), band)]
    for one in bands:
        chance.shuffle(one)
    return [index for one in bands for index in one]


def pad(rows: Sequence[Encoded], filler: int) -> dict[str, torch.Tensor | int]:
    """Tensors [rows, longest], padded on the right; a causal model never looks ahead, so the padding needs no mask.
    Logits, a vocabulary wide each, are made from the first place on that has a loss (`logits_to_keep`, with
    `shift_labels` as the targets)."""
    longest = max(len(row.ids) for row in rows)
    kept = min(longest - min(row.prompt for row in rows) + 1, longest)
    pairs = [(row, longest - len(row.ids)) for row in rows]
    labels = torch.tensor([[*row.labels, *[MASKED] * (room + 1)] for row, room in pairs])
    return {
        "input_ids": torch.tensor([[*row.ids, *[filler] * room] for row, room in pairs]),
        "labels": labels[:, :-1],
        "shift_labels": labels[:, -kept:].contiguous(),
        "logits_to_keep": kept,
    }


def filler_of(tokenizer: Tokenizer) -> int:
    """What rows are padded with; it gets no attention and no loss, so any token will do."""
    return int(tokenizer.convert_tokens_to_ids(tokenizer.eos_token))


class Loop(Trainer):
    order = "shuffle"
    patience = 0

    @classmethod
    def of(
        cls,
        model: Any,
        tokenizer: Tokenizer,
        options: TrainOptions,
        rows: Sequence[Encoded],
        valid: Sequence[Encoded],
        folder: Path,
        progress: Progress,
    ) -> Self:
        filler = filler_of(tokenizer)
        loop = cls(
            model=model,
            args=_arguments(options, len(rows), len(valid), folder),
            train_dataset=Rows(rows),
            eval_dataset=Rows(valid),
            data_collator=lambda batch: pad(batch, filler),
            callbacks=[_Patience(options.patience), _Shown(progress, folder.name)],
        )
        loop.order, loop.patience = options.order, options.patience
        loop.remove_callback(PrinterCallback)  # it writes to standard output, which is for results
        return loop

    def run(self) -> None:
        """From the last checkpoint on, where there is one. What was killed after it had stopped early is not trained
        on: transformers' own resuming takes a step first and asks then."""
        found = last_checkpoint(Path(str(self.args.output_dir)))
        if found and exhausted(_judged(found), self.patience):
            self.state = TrainerState.load_from_json(str(Path(found) / TRAINER_STATE_NAME))
            self._load_best_model()
        else:
            self.train(resume_from_checkpoint=found)

    def _get_train_sampler(self, train_dataset: Any = None) -> Ordered:
        data = train_dataset or self.train_dataset
        assert isinstance(data, Rows)
        return Ordered(data.rows, self.order, self.args.seed)


def evaluations(rows: float, valid: int) -> int:
    """How often to look at `valid` rows in a training that sees `rows`: three times at least, and beyond that no more
    rows than are trained on, which costs a third of the training (a forward pass without the backward one)."""
    return min(max(int(rows / max(valid, 1)), _FEWEST_STEPS), _STEPS)


def _arguments(options: TrainOptions, rows: int, valid: int, folder: Path) -> TrainingArguments:
    updates = max(int(rows / (options.batch * options.accumulation) * options.epochs), 1)
    every = max(updates // evaluations(rows * options.epochs, valid), 1)
    cuda = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch,
        per_device_eval_batch_size=options.batch,
        gradient_accumulation_steps=options.accumulation,
        learning_rate=options.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(int(updates * options.warmup), 1),
        bf16=cuda and torch.cuda.is_bf16_supported(),
        use_cpu=not cuda,
        seed=options.seed,
        data_seed=options.seed,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=every,
        save_steps=every,
        save_total_limit=_KEPT,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=every,
        report_to=["tensorboard"] if options.tensorboard else [],
        disable_tqdm=True,
        remove_unused_columns=False,
        gradient_checkpointing=options.quantised,
    )


def exhausted(losses: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` validation losses are no better than the best before them; 0 is endless patience."""
    return 0 < patience <= len(losses) - 1 - losses.index(min(losses)) if losses else False


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint. What a kill left half-written has no trainer state, which is written last."""
    whole = [one.parent for one in folder.glob(f"checkpoint-*/{TRAINER_STATE_NAME}") if one.stat().st_size]
    found = max(whole, key=lambda one: int(one.name.rpartition("-")[2]), default=None)
    return str(found) if found else None


def losses_of(loop: Trainer) -> tuple[dict[int, float], dict[int, float]]:
    """Step → training loss, step → validation loss."""
    log = loop.state.log_history
    train = {int(one["step"]): round(float(one["loss"]), 5) for one in log if "loss" in one}
    valid = {int(one["step"]): round(float(one["eval_loss"]), 5) for one in log if "eval_loss" in one}
    return train, valid


def _judged(checkpoint: str) -> list[float]:
    state = json.loads((Path(checkpoint) / TRAINER_STATE_NAME).read_text("utf-8"))
    return _evaluated(state["log_history"])


def _evaluated(log: Sequence[Mapping[str, Any]]) -> list[float]:
    return [float(one["eval_loss"]) for one in log if "eval_loss" in one]


class _Patience(TrainerCallback):
    """Early stopping that counts in the log, which checkpoints hold: the counter of transformers' own callback begins
    anew with each process."""

    def __init__(self, patience: int) -> None:
        self._patience = patience

    def on_evaluate(self, args: Any, state: Any, control: Any, **_more: Any) -> None:  # noqa: ARG002
        control.should_training_stop |= exhausted(_evaluated(state.log_history), self._patience)


class _Shown(TrainerCallback):
    def __init__(self, progress: Progress, stage: str) -> None:
        self._progress, self._stage = progress, stage

    def on_step_end(self, args: Any, state: Any, control: Any, **_more: Any) -> None:  # noqa: ARG002
        self._progress(self._stage, state.global_step, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_more: Any) -> None:  # noqa: ARG002
        """The loss in the name of the stage is enough of a plot on a terminal; the whole curve is in the report."""
        if logs and "loss" in logs:
            self._progress(f"{self._stage}, loss {float(logs['loss']):.3f}", state.global_step, state.max_steps)
