"""A dataset's rows as other tools read them: TRL, LLaMA-Factory, MLX. Each file is checked after it is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from router.errors import InvalidInput
from services.training import jsonl

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Split → chat rows {"messages": […]}."""

_MLX_FILES = {"train": "train.jsonl", "valid": "valid.jsonl", "test": "test.jsonl"}
_LLAMA_FACTORY_TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


def trl(rows: Rows, folder: Path, batch: int) -> list[Path]:  # noqa: ARG001 -- one shape for all exports
    """Conversational prompt-completion rows, on which TRL's trainer takes the loss of the completion alone."""
    return [_written(folder / f"{split}.jsonl", map(_prompt_completion, some)) for split, some in rows.items()]


def llama_factory(rows: Rows, folder: Path, batch: int) -> list[Path]:  # noqa: ARG001
    """OpenAI-style messages with the dataset_info.json that registers each file."""
    files = [_written(folder / f"answerloop_{split}.jsonl", some) for split, some in rows.items()]
    info = {
        f"answerloop_{split}": {
            "file_name": f"answerloop_{split}.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": {**_LLAMA_FACTORY_TAGS, "system_tag": "system"},
        }
        for split in rows
    }
    listing = folder / "dataset_info.json"
    listing.write_text(json.dumps(info, indent=2, ensure_ascii=False), "utf-8")
    return [*files, listing]


def mlx(rows: Rows, folder: Path, batch: int) -> list[Path]:
    """train, valid and test as chat rows. Raises `InvalidInput` when a file has fewer rows than a batch: its loader
    then fails with a message that does not say why."""
    for split in _MLX_FILES:
        if len(rows.get(split, ())) < batch:
            raise InvalidInput(f"{split}: {len(rows.get(split, ()))} rows, fewer than the batch of {batch}")
    return [_written(folder / name, rows[split]) for split, name in _MLX_FILES.items()]


FORMATS: Mapping[str, Callable[[Rows, Path, int], list[Path]]] = {
    "trl": trl,
    "llama-factory": llama_factory,
    "mlx": mlx,
}


def export(dataset: Path, format: str, folder: Path, batch: int = 4) -> list[Path]:
    """Raises `InvalidInput` for an unknown format, or rows that are none."""
    if format not in FORMATS:
        raise InvalidInput(f"{format!r} is not a format; choose one of {', '.join(FORMATS)}")
    folder.mkdir(parents=True, exist_ok=True)
    rows = {
        path.stem: [row for _, row in jsonl.read(path)]
        for path in (dataset / f"{split}.jsonl" for split in ("train", "valid", "test"))
        if path.is_file() and jsonl.check_rows(path)
    }
    return FORMATS[format](rows, folder, batch)


def _prompt_completion(row: Mapping[str, Any]) -> dict[str, Any]:
    *prompt, completion = row["messages"]
    return {"prompt": prompt, "completion": [completion]}


def _written(path: Path, rows: Any) -> Path:
    jsonl.write(path, rows)
    if path.stat().st_size:
        jsonl.check_rows(path)
    return path
