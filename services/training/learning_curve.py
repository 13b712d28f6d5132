"""How much each further reviewed cluster brings: one LoRA a size, nested subsets, all judged on the same test rows.

A claim like "72 % with none, 89 % with 100 samples" says nothing without its interval: at a hundred test questions that
is ± 9 and ± 7 points. Here every point has one, and its paired difference to the base.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from router.errors import InvalidInput
from router.ports import Progress
from services.generation.endpoints import share_of
from services.training import jsonl, judging
from services.training.answering_models import Asked
from services.training.chart import draw
from services.training.counting import tokenizer_of
from services.training.evaluation import Data, read_data, said_of
from services.training.judging import Task
from services.training.lora import TrainOptions, train
from services.training.metrics import bootstrap
from services.training.records import Example, Split


@dataclass(frozen=True, slots=True)
class CurveOptions:
    """sizes: numbers of clusters, rising; 0 is the base as it is. unreviewed: whether clusters that nobody read count
    as well. wrong: share of the training clusters, 0..1, that get another one's answer: what label noise costs. The
    rest: see `lora.TrainOptions`."""

    dataset: Path
    base: str
    out: Path
    sizes: tuple[int, ...] = (0, 25, 50, 100, 200)
    unreviewed: bool = False
    epochs: float = 2.0
    learning_rate: float = 2e-4
    batch: int = 4
    accumulation: int = 4
    wrong: float = 0.0


def run(options: CurveOptions, progress: Progress) -> dict[str, Any]:
    """Sizes beyond what there is are left out and named. Raises `InvalidInput` without a cluster or a test row."""
    data = read_data(options.dataset)
    clusters = ordered_clusters(data, options.unreviewed)
    if not clusters:
        raise InvalidInput(
            "no training cluster was reviewed by a person; review some answers, or count the others with --unreviewed"
        )
    tasks, _ = judging.tasks_of(data.of(Split.TEST), data.window, tokenizer_of(options.base))
    if not any(not one.example.refuses for one in tasks):
        raise InvalidInput(f"{options.dataset} has no answerable test row that fits into its window")
    found = [
        (size, _f1(options, data, clusters[:size], tasks, progress)) for size in options.sizes if size <= len(clusters)
    ]
    report = _report(options, found, len(clusters))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "curve.json").write_text(json.dumps(report, indent=1), "utf-8")
    (options.out / "curve.svg").write_text(_drawn(report), "utf-8")
    return report


def ordered_clusters(data: Data, unreviewed: bool) -> list[str]:
    """Training clusters with an answer, by hash: each size holds the ones before it."""
    rows = [one for one in data.of(Split.TRAIN) if not one.refuses and (one.reviewed or unreviewed)]
    return sorted({one.cluster for one in rows}, key=lambda name: sha256(f"curve {name}".encode()).digest())


def _f1(
    options: CurveOptions, data: Data, clusters: Sequence[str], tasks: Sequence[Task], progress: Progress
) -> dict[str, list[float]]:
    """Cluster → token F1 of its rows."""
    model = _tuned(options, data, clusters, progress) if clusters else Asked(options.base)
    return judging.f1_by_cluster(tasks, model.answers([one.messages for one in tasks], data.window.answer, progress))


def _tuned(options: CurveOptions, data: Data, clusters: Sequence[str], progress: Progress) -> Asked:
    out = options.out / str(len(clusters))
    out.mkdir(parents=True, exist_ok=True)
    wanted = frozenset(clusters)
    rows = [one for one in data.of(Split.TRAIN) if one.cluster in wanted]
    _write(out / "train.jsonl", mislabelled(rows, options.wrong), data, options.base)
    _write(out / "valid.jsonl", data.of(Split.VALID), data, options.base)
    settings = TrainOptions(
        base=options.base,
        train=out / "train.jsonl",
        valid=out / "valid.jsonl",
        out=out,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        batch=options.batch,
        accumulation=options.accumulation,
        max_tokens=data.window.tokens,
    )
    return Asked(train(settings, progress).adapter, options.base)


def mislabelled(rows: Sequence[Example], share: float) -> list[Example]:
    """A share of the clusters, chosen by hash, each with the answer of the next cluster of its language instead."""
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    for one in rows:
        if not one.refuses:
            answers[one.language].setdefault(one.cluster, one.answer)
    following = {
        cluster: answer
        for known in answers.values()
        for cluster, answer in zip(known, [*list(known.values())[1:], *list(known.values())[:1]], strict=True)
    }
    wrong = {name for name in following if share_of(f"wrong {name}") < share}
    return [replace(one, answer=following[one.cluster]) if one.cluster in wrong else one for one in rows]


def _write(path: Path, examples: Sequence[Example], data: Data, base: str) -> None:
    tasks, _ = judging.tasks_of(examples, data.window, tokenizer_of(base))
    rows = ({"messages": [*one.messages, {"role": "assistant", "content": one.answer}]} for one in tasks)
    if not jsonl.write(path, rows):
        raise InvalidInput(f"no row for {path.name} of {path.parent}: the dataset is too small for a curve")


def _report(options: CurveOptions, found: Sequence[tuple[int, dict[str, list[float]]]], known: int) -> dict[str, Any]:
    first = found[0][1] if found else {}
    points = []
    for size, values in found:
        f1, gain = bootstrap(values), judging.paired(values, first)
        shown = {"f1": f1.mean, "low": f1.low, "high": f1.high}
        points.append(
            {
                "clusters": size,
                **shown,
                "gain": gain.mean,
                "gain_low": gain.low,
                "gain_high": gain.high,
                "says": said_of(gain),
            }
        )
    return {
        "base": options.base,
        "counted": "all clusters" if options.unreviewed else "reviewed clusters",
        "wrong": options.wrong,
        "clusters_there": known,
        "left_out_sizes": [size for size in options.sizes if size > known],
        "test_clusters": len(first),
        "points": points,
    }


def _drawn(report: dict[str, Any]) -> str:
    curves = {name: {one["clusters"]: one[name] for one in report["points"]} for name in ("f1", "low", "high")}
    return draw(curves, f"token F1 over {report['counted']}")
