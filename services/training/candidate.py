"""From an adapter to a registered model in one go: merged, judged on the dataset's test rows, kept with its card."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from router.ports import Progress
from services.evaluation import served_calibration
from services.settings import Settings
from services.training import evaluation, promotion
from services.training.merging import merge, prompts_of
from services.training.registry import Card


@dataclass(frozen=True, slots=True)
class Candidate:
    """adapter: its folder. base: what it was trained on, a folder or a name. data: the dataset, a folder."""

    name: str
    adapter: Path
    base: str
    data: Path


def folder_of(settings: Settings, name: str) -> Path:
    """Where the merged model and its evaluation lie; the registry keeps a copy of its own."""
    return settings.home / "models" / "candidates" / name


def register(settings: Settings, wanted: Candidate, progress: Progress) -> Card:
    """What an earlier, unfinished call left is made anew. Raises what `Registry.check_free` does, `Misconfigured` when
    adapter and base do not belong together or merging changes what the model says, `Mismatch` when the dataset is not
    the one that it says it is."""
    promotion.registry_of(settings).check_free(wanted.name)
    out = folder_of(settings, wanted.name)
    shutil.rmtree(out, ignore_errors=True)
    merge(wanted.adapter, wanted.base, out, prompts_of(wanted.data / "test.jsonl"))
    served = served_calibration(settings)
    options = evaluation.EvaluationOptions(str(out), wanted.data, served, wanted.base, entailment=settings.entailment)
    evaluation.write(evaluation.evaluate(options, progress), str(out), None)
    return promotion.register(settings, wanted.name, out, wanted.data)
