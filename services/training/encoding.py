"""Prompt and answer to token ids and labels: the one place where a training row becomes numbers.

The prompt's ids are those that the server makes of the same messages: the tokenizer's own chat template, with the
generation prompt. The loss is on the answer and its stop token and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from router.errors import Misconfigured
from router.prompt import TEMPLATE_OPTIONS

MASKED = -100  # torch's ignore_index: no loss here

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message.role | capitalize }}: {{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}\n\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant: {% endif %}"
)
"""For base models that have no chat template (GPT-2); saved with the tokenizer, so the server uses it too."""

Messages = Sequence[Mapping[str, str]]


class Tokenizer(Protocol):
    """What is used of a transformers tokenizer."""

    chat_template: Any
    eos_token: Any

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any: ...
    def __call__(self, text: str, **options: Any) -> Any: ...
    def convert_tokens_to_ids(self, tokens: Any) -> Any: ...
    def decode(self, token_ids: Any, **options: Any) -> Any: ...
    @property
    def all_special_ids(self) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """ids and labels have the same length; labels are MASKED over the prompt. prompt: number of prompt ids."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    prompt: int


def with_template(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer, with the plain template if it has none. Raises `Misconfigured` without an end token."""
    if tokenizer.eos_token is None:
        raise Misconfigured("the tokenizer has no end token (eos_token): a model tuned with it would never stop")
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_TEMPLATE
    return tokenizer


def prompt_text(tokenizer: Tokenizer, messages: Messages) -> str:
    text: str = tokenizer.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=True, **TEMPLATE_OPTIONS
    )
    return text


def prompt_ids(tokenizer: Tokenizer, messages: Messages) -> list[int]:
    return _ids(tokenizer, prompt_text(tokenizer, messages))


def encode(tokenizer: Tokenizer, messages: Messages, answer: str) -> Encoded:
    """Raises `Misconfigured` when the template ends an answer with no special token: then nothing says stop."""
    prompt = prompt_ids(tokenizer, messages)
    target = [*_ids(tokenizer, answer), stop_id(tokenizer)]
    return Encoded((*prompt, *target), (*[MASKED] * len(prompt), *target), len(prompt))


def stop_id(tokenizer: Tokenizer) -> int:
    """The special token that the chat template puts after an assistant's message."""
    probe = "answerloop-probe"
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": probe}]
    whole: str = tokenizer.apply_chat_template(talk, tokenize=False, **TEMPLATE_OPTIONS)
    after = _ids(tokenizer, whole.rpartition(probe)[2])
    special = set(tokenizer.all_special_ids)
    if not after or after[0] not in special:
        raise Misconfigured("the chat template ends an answer with no special token: a tuned model would never stop")
    return after[0]


def check(tokenizer: Tokenizer, row: Encoded, answer: str) -> None:
    """Raises `Misconfigured` unless the labels decode to the answer and a real stop token: a missing or masked end
    makes a model that never stops while its loss looks healthy."""
    target = [label for label in row.labels if label != MASKED]
    if target[-1:] != [stop_id(tokenizer)] or tokenizer.decode(target[:-1]) != answer:
        raise Misconfigured(f"the labels decode to {tokenizer.decode(target)!r}, not to {answer!r} and a stop token")


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
