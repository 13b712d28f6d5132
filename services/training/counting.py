"""How many tokens a prompt has, by a model's own tokenizer and chat template."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import AutoTokenizer

from router.errors import Misconfigured
from router.packing import Tokenizer
from router.prompt import Message
from services.training.encoding import prompt_ids, with_template


def tokenizer_of(model: str) -> Tokenizer:
    """model: a folder or a name. Raises `Misconfigured` when it cannot be loaded."""
    try:
        loaded = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise Misconfigured(f"the tokenizer of {model} cannot be loaded: {error}") from error
    templated = with_template(loaded)

    def text(piece: str) -> int:
        return len(loaded(piece, add_special_tokens=False)["input_ids"])

    def chat(messages: Sequence[Message]) -> int:
        return len(prompt_ids(templated, [{"role": one.role, "content": one.content} for one in messages]))

    return Tokenizer(text, chat)
