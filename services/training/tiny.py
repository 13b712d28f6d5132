"""Tiny models with tokenizers of their own, made on the spot: the real classes, saved and loaded as real ones are.

For tests and `make loop-demo`, where no real model can be had; nothing else uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
) -> Path:
    """A model of one family with a byte-level BPE trained on `texts`, saved as safetensors. steps: of full training on
    those texts; a base that knows no language at all cannot be tuned by adapters alone."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = make_tokenizer(texts, words, chat=family != "gpt2")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(_config(family, len(tokenizer), hidden, layers, tokenizer))  # type: ignore[no-untyped-call]
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    _pretrain(model, tokenizer, texts, steps)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def pretrain(folder: Path, texts: Sequence[str], steps: int, progress: Progress) -> None:
    """More full training of a model that is there, in place: on windows as long as short prompts, every second one a
    stretch that stands twice. A model that has never copied from far above cannot be tuned to quote."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder)
    _pretrain(model, AutoTokenizer.from_pretrained(folder), texts, steps, _PROMPTS, progress)
    model.save_pretrained(folder)


@dataclass(frozen=True, slots=True)
class _Windows:
    """tokens: of a window. rows: in a step. twice: whether every second window is half as long a stretch, twice."""

    tokens: int = 64
    rows: int = 16
    twice: bool = False

    def cut(self, ids: Sequence[int], starts: Sequence[int]) -> list[Sequence[int]]:
        half = self.tokens // 2
        return [
            [*ids[at : at + half]] * 2 if self.twice and number % 2 == 0 else ids[at : at + self.tokens]
            for number, at in enumerate(starts)
        ]


_PLAIN = _Windows()
_PROMPTS = _Windows(tokens=320, rows=4, twice=True)


def _pretrain(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    steps: int,
    windows: _Windows = _PLAIN,
    progress: Progress | None = None,
) -> None:
    import torch

    ids = tokenizer("\n".join(texts))["input_ids"]
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps):
        starts = torch.randint(0, max(len(ids) - windows.tokens, 1), (windows.rows,)).tolist()
        batch = torch.tensor(windows.cut(ids, starts))
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        if progress:
            progress("pre-train", step + 1, steps)


def make_tokenizer(texts: Sequence[str], words: int, chat: bool) -> Any:
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
