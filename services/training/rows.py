"""Training files to encoded rows. Nothing is trimmed here: rows that are too long are listed and left out, and texts
that are too long are read in windows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from router import prompt, wording
from router.errors import InvalidInput
from router.prompt import Source
from services.training import jsonl
from services.training.encoding import Encoded, Tokenizer, check, encode
from services.training.records import Example, Split


@dataclass(frozen=True, slots=True)
class Loaded:
    """too_long: (line number, tokens) of supervised rows over the budget, left out."""

    rows: tuple[Encoded, ...]
    too_long: tuple[tuple[int, int], ...]

    @property
    def tokens(self) -> int:
        return sum(len(row.ids) for row in self.rows)


def load(tokenizer: Tokenizer, path: Path, max_tokens: int) -> Loaded:
    """Raises `InvalidInput` naming the row that is none, or when every row is too long."""
    jsonl.check_rows(path)
    rows, too_long = [], []
    for number, raw in jsonl.read(path):
        if "text" in raw:
            rows += _windows(tokenizer, raw["text"], max_tokens)
            continue
        row = _encoded(tokenizer, raw, f"{path}, line {number}")
        if len(row.ids) > max_tokens:
            too_long.append((number, len(row.ids)))
        else:
            rows.append(row)
    if not rows:
        raise InvalidInput(f"{path}: no row of at most {max_tokens} tokens; give a larger --max-tokens")
    return Loaded(tuple(rows), tuple(too_long))


def training_examples(dataset: Path) -> list[Example]:
    """The rows of a dataset's training split, with their lineage."""
    splits = json.loads((dataset / "splits.json").read_text("utf-8"))
    return [one for one in jsonl.read_examples(dataset / "examples.jsonl") if splits[one.cluster] == Split.TRAIN]


def _encoded(tokenizer: Tokenizer, raw: Mapping[str, Any], where: str) -> Encoded:
    messages, answer = _parts(raw, where)
    row = encode(tokenizer, messages, answer)
    check(tokenizer, row, answer)
    return row


def _windows(tokenizer: Tokenizer, text: str, max_tokens: int) -> list[Encoded]:
    """Continued pre-training: the loss is on every token, the end token included. A long text in windows of nearly one
    length, since a last one of a token or two would have nothing to foretell."""
    ids = [
        *tokenizer(text, add_special_tokens=False)["input_ids"],
        tokenizer.convert_tokens_to_ids(tokenizer.eos_token),
    ]
    long = ceil(len(ids) / ceil(len(ids) / max_tokens))
    cut = [tuple(ids[begin : begin + long]) for begin in range(0, len(ids), long)]
    return [Encoded(one, one, 0) for one in cut]


def _parts(raw: Mapping[str, Any], where: str) -> tuple[Sequence[Mapping[str, str]], str]:
    if "question" in raw:
        return _rendered(raw, where), raw["answer"]
    if isinstance(raw.get("prompt"), str):
        return [{"role": "user", "content": raw["prompt"]}], raw["completion"]
    *messages, last = raw.get("messages") or [*raw.get("prompt", ()), *raw.get("completion", ())] or [{}]
    if not messages or last.get("role") != "assistant":
        raise InvalidInput(f"{where}: the last message must be the assistant's answer")
    return messages, last["content"]


def _rendered(raw: Mapping[str, Any], where: str) -> Sequence[Mapping[str, str]]:
    """A question with its passages, {"title", "text"} each or plain text, in the prompt that serving renders."""
    try:
        sources = [Source("", one) if isinstance(one, str) else Source(**one) for one in raw["context"]]
    except TypeError as error:
        raise InvalidInput(f"{where}: context is a list of texts, or of title and text ({error})") from error
    made = prompt.render(raw["question"], sources, wording.language_of(raw["question"]))
    return [{"role": one.role, "content": one.content} for one in made.messages]
