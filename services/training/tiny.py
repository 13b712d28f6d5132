"""Tiny models with tokenizers of their own, made on the spot: the real classes, saved and loaded as real ones are.

For tests and `make loop-demo`, where no real model can be had; nothing else uses it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

from router.ports import Progress

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
FAMILIES = ("qwen3", "llama", "mistral", "phi3", "gpt2")


def make(
    folder: Path,
    family: str,
    texts: Sequence[str],
    hidden: int = 64,
    layers: int = 2,
    words: int = 2000,
    steps: int = 0,
    whole: Sequence[str] = (),
) -> Path:
    """A model of one family with a byte-level BPE trained on `texts`, saved as safetensors. steps: of full training on
    those texts; a base that knows no language at all cannot be tuned by adapters alone. whole: see `make_tokenizer`."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = make_tokenizer(texts, words, family != "gpt2", whole)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(_config(family, len(tokenizer), hidden, layers, tokenizer))  # type: ignore[no-untyped-call]
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    _pretrain(model, tokenizer, texts, steps, _Windows())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def pretrain(folder: Path, texts: Sequence[str], steps: int, progress: Progress) -> None:
    """More full training of a model that is there, in place: on windows as long as short prompts, every second one of
    lines made of two halves, and the same again in another order. A model that has never looked a line up by its first
    words cannot be tuned to answer from a table."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    lines = dict.fromkeys(line for text in texts for line in text.splitlines(keepends=True))
    encoded = [ids for line in lines if len(ids := tokenizer(line)["input_ids"]) > _SHORT]
    _pretrain(model, tokenizer, texts, steps, _Windows(tokens=176, rows=6, lines=encoded), progress)
    model.save_pretrained(folder)


_SHORT = 6  # tokens; shorter lines have nothing to look up


@dataclass(frozen=True, slots=True)
class _Windows:
    """tokens: of a window. rows: in a step. lines: their tokens; with some, every second window is half full of them,
    spliced, and has them again in another order."""

    tokens: int = 64
    rows: int = 16
    lines: Sequence[Sequence[int]] = ()

    def cut(self, ids: Sequence[int], starts: Sequence[int], chance: random.Random) -> list[Sequence[int]]:
        return [
            self._twice(chance) if len(self.lines) > 1 and number % 2 == 0 else ids[at : at + self.tokens]
            for number, at in enumerate(starts)
        ]

    def _twice(self, chance: random.Random) -> Sequence[int]:
        drawn = [_spliced(*chance.sample(self.lines, 2)) for _ in range(self.tokens // _SHORT)]
        fitting = sum(end <= self.tokens // 2 for end in accumulate(map(len, drawn)))
        some, others = drawn[:fitting], drawn[fitting:]
        return [*chain.from_iterable((*some, *chance.sample(some, fitting), *others))][: self.tokens]


def _spliced(one: Sequence[int], other: Sequence[int]) -> Sequence[int]:
    """How one line begins and another ends. Lines as they are can be learned by heart; how these end, only by looking
    it up."""
    return [*one[: len(one) // 2], *other[len(other) // 2 :]]


def _pretrain(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    steps: int,
    windows: _Windows,
    progress: Progress | None = None,
) -> None:
    import torch

    ids = tokenizer("\n".join(texts))["input_ids"]
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), fused=True)
    rate = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, max(steps, 1))
    chance = random.Random(0)
    for step in range(steps):
        starts = torch.randint(0, max(len(ids) - windows.tokens, 1), (windows.rows,)).tolist()
        batch = torch.tensor(windows.cut(ids, starts, chance))
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        optimiser.step()
        rate.step()
        optimiser.zero_grad()
        if progress:
            progress("pre-train", step + 1, steps)


def make_tokenizer(texts: Sequence[str], words: int, chat: bool, whole: Sequence[str] = ()) -> Any:
    """whole: lines that are one token each. What stands in every prompt would be most of what a tiny model reads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=words, special_tokens=SPECIAL, initial_alphabet=alphabet)
    raw.train_from_iterator(texts, trainer)
    end = "<|im_end|>" if chat else "<|endoftext|>"
    made: Any = PreTrainedTokenizerFast
    tokenizer = made(tokenizer_object=raw, eos_token=end, pad_token="<|endoftext|>")
    tokenizer.add_tokens(list(whole))
    if chat:
        tokenizer.chat_template = CHATML
    return tokenizer


def _config(family: str, words: int, hidden: int, layers: int, tokenizer: Any) -> Any:
    from transformers import AutoConfig

    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    if family == "gpt2":
        sizes = {"n_embd": hidden, "n_layer": layers, "n_head": 4, "n_positions": 2048}
    else:
        sizes = {
            "hidden_size": hidden,
            "intermediate_size": hidden * 2,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 2048,
        }
    if family == "qwen3":
        sizes["head_dim"] = hidden // 4
    return AutoConfig.for_model(family, vocab_size=words, **sizes, **ends)
