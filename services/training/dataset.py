"""`answerloop dataset build`: a dataset's folder, written whole or not at all, and its manifest.

train.jsonl, valid.jsonl, test.jsonl, calibration.jsonl: chat rows. examples.jsonl: every row with its lineage and
split. fits.jsonl: of each row, its tokens, what was shortened or found no room, and how much of the answer's support is
left. text.jsonl: passages for continued pre-training, those of test sections left out. rejected.jsonl, refused.jsonl,
removed.jsonl, merged.jsonl: what is not in it and why, enough to undo it. ledger.json: what the next dataset must not
move. manifest.json: hashes, counts, certificate.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from router import prompt
from router.errors import Conflict, InvalidInput, Mismatch
from router.packing import Tokenizer, Window
from services.training import jsonl
from services.training.building import Built, Inputs, build
from services.training.fitting import Fitted, fit
from services.training.records import REFUSALS, Example, Rejected, Split
from services.training.splits import Certificate, certify
from services.version import own_version

MANIFEST = "manifest.json"
LEDGER = "ledger.json"


@dataclass(frozen=True, slots=True)
class Budget:
    """window: tokens of a row. tokenizer: how they are counted. counted_by: its name, for the manifest."""

    window: Window
    tokenizer: Tokenizer
    counted_by: str


def make(inputs: Inputs, budget: Budget, out: Path) -> dict[str, Any]:
    """Writes the dataset and returns its manifest. Raises `Conflict` when `out` is there already, `InvalidInput` when
    nothing can be made of the inputs, `Mismatch` when the rows leak from split to split."""
    if out.exists():
        raise Conflict(f"{out} is there already; a dataset is never overwritten, give another folder")
    built = build(inputs)
    fitted, rejected = _fitted(built, budget)
    if not fitted:
        raise InvalidInput(
            "no rows: the documents hold no question that a rule finds, and no entry or verdict was given"
        )
    kept = {one.example.id: one.example for one in fitted}
    certificate = certify(list(kept.values()), built.assigned.splits)
    if certificate.leaks:
        raise Mismatch(f"rows of one split are tied to another: {', '.join(certificate.leaks[:3])}; this is a fault")
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    _write(unfinished, inputs, built, fitted, rejected)
    manifest = _manifest(unfinished, inputs, built, fitted, budget, certificate)
    (unfinished / MANIFEST).write_text(_json(manifest), "utf-8")
    unfinished.replace(out)
    return manifest


def check(folder: Path) -> Certificate:
    """Reads a dataset again and certifies its rows. Raises `Mismatch` when a file is not the one of the manifest, or
    when rows leak: promotion calls this before it believes a figure."""
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    for name, digest in manifest["files"].items():
        if _hash(folder / name) != digest:
            raise Mismatch(f"{folder / name} is not the file of the manifest: it was changed after the build")
    examples = jsonl.read_examples(folder / "examples.jsonl")
    splits = json.loads((folder / "splits.json").read_text("utf-8"))
    certificate = certify(examples, {cluster: Split(split) for cluster, split in splits.items()})
    if certificate.leaks or certificate.digest != manifest["certificate"]["digest"]:
        raise Mismatch(f"the splits of {folder} are not those of its certificate")
    return certificate


def ledger_of(folder: Path | None) -> dict[str, Split]:
    """What an earlier dataset assigned; nothing without one."""
    if folder is None:
        return {}
    raw = json.loads((folder / LEDGER).read_text("utf-8"))
    return {key: Split(split) for key, split in raw.items()}


def _fitted(built: Built, budget: Budget) -> tuple[list[Fitted], list[Rejected]]:
    rows: list[Fitted] = []
    rejected = list(built.rejected)
    for example in built.assigned.rows:
        made = fit(example, budget.window, budget.tokenizer)
        if isinstance(made, Rejected):
            rejected.append(made)
        else:
            rows += made
    return rows, rejected


def _write(folder: Path, inputs: Inputs, built: Built, fitted: Sequence[Fitted], rejected: Sequence[Rejected]) -> None:
    splits = built.assigned.splits
    for split in Split:
        chosen = (row for row in fitted if splits[row.example.cluster] is split)
        jsonl.write(folder / f"{split}.jsonl", ({"messages": list(row.messages)} for row in chosen))
    kept = {row.example.id: row.example for row in fitted}
    jsonl.write(folder / "examples.jsonl", map(jsonl.example_row, kept.values()))
    jsonl.write(folder / "fits.jsonl", map(_fit_row, fitted))
    jsonl.write(folder / "text.jsonl", ({"text": text} for text in _texts(inputs, kept.values(), splits)))
    jsonl.write(folder / "rejected.jsonl", map(asdict, rejected))
    jsonl.write(folder / "refused.jsonl", map(asdict, built.refused))
    jsonl.write(folder / "removed.jsonl", map(asdict, built.cleaned.removed))
    jsonl.write(folder / "merged.jsonl", map(asdict, built.cleaned.merged))
    clusters = {row.cluster: splits[row.cluster] for row in kept.values()}
    (folder / "splits.json").write_text(_json(clusters), "utf-8")
    (folder / LEDGER).write_text(_json(built.assigned.ledger), "utf-8")


def _fit_row(row: Fitted) -> dict[str, Any]:
    names = ("part", "parts", "tokens", "left_out", "support")
    condensed = {passage: asdict(survived) for passage, survived in row.condensed.items()}
    return {"id": row.example.id, **{name: getattr(row, name) for name in names}, "condensed": condensed}


def _texts(inputs: Inputs, rows: Iterable[Example], splits: Mapping[str, Split]) -> list[str]:
    """Passages of sections that no test or calibration row rests on: nobody is judged by what they have read."""
    judged = {Split.TEST, Split.CALIBRATION}
    held = {one.section for row in rows if splits[row.cluster] in judged for one in row.evidence}
    free = (one for one in inputs.passages if f"{one.document}#{' > '.join(one.heading)}" not in held)
    return ["\n".join((" > ".join(one.heading), one.text)).strip() for one in free]


def _manifest(
    folder: Path,
    inputs: Inputs,
    built: Built,
    fitted: Sequence[Fitted],
    budget: Budget,
    certificate: Certificate,
) -> dict[str, Any]:
    rows = [row.example for row in fitted]
    lengths = sorted(row.tokens for row in fitted)
    answers = sorted(budget.tokenizer.text(row.messages[-1]["content"]) for row in fitted)
    texts = sum(1 for _ in (folder / "text.jsonl").open("rb"))
    return {
        "revision": inputs.revision,
        "lineage": _lineage(inputs),
        "prompt_hash": prompt.prompt_hash(),
        "rows": len(fitted),
        "reviewed": sum(row.reviewed for row in rows),
        "made": _made(rows),
        "languages": dict(sorted(Counter(row.language for row in rows).items())),
        "splits": dict(certificate.counts),
        "mix": {"text": texts, "supervised": len(fitted)},
        "rejected": sum(1 for _ in (folder / "rejected.jsonl").open("rb")),
        "variants": _varied(rows),
        "refused_variants": len(built.refused),
        "duplicates": len(built.cleaned.removed),
        "merged_clusters": len(built.cleaned.merged),
        "condensed": sum(bool(row.condensed) for row in fitted),
        "left_out_context": sum(bool(row.left_out) for row in fitted),
        "tokens": {
            "counted_by": budget.counted_by,
            "window": budget.window.tokens,
            "reserved_for_answer": budget.window.answer,
            "prompt_median": lengths[len(lengths) // 2],
            "prompt_longest": lengths[-1],
            "answer_median": answers[len(answers) // 2],
            "answer_longest": answers[-1],
        },
        "certificate": asdict(certificate),
        "files": {path.name: _hash(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST},
    }


def _lineage(inputs: Inputs) -> dict[str, Any]:
    """What went in, by hashes of the content: from the same, the same dataset is made again."""
    ids = sorted(one.id for one in inputs.passages)
    entries = sorted((one.id, one.question, one.answer, one.status) for one in inputs.curated)
    decided = sorted((one.cluster, one.question, one.answer, one.verdict) for one in inputs.decisions)
    return {
        "version": own_version(),
        "passages": _part(ids),
        "curated": _part(entries),
        "verdicts": _part(decided),
        "liked": _part(sorted(one.id for one in inputs.liked)),
        "previous": _part(sorted(inputs.ledger.items())),
    }


def _part(values: Sequence[Any]) -> dict[str, Any]:
    return {"count": len(values), "sha256": hashlib.sha256(json.dumps(values).encode()).hexdigest()}


def _made(rows: Iterable[Example]) -> dict[str, int]:
    """How many rows of each kind. A kind of refusal that there is none of says 0: nobody misses what is not listed."""
    counts = Counter({kind.value: 0 for kind in REFUSALS})
    counts.update(row.made.value for row in rows)
    return dict(sorted(counts.items()))


def _varied(rows: Iterable[Example]) -> dict[str, int]:
    """How many answerable questions have no, one, or two and more other wordings: each should have two or three;
    fewer where the guards or the cleaning took some."""
    every = {row.id: row for row in rows if not row.refuses}
    found = Counter(row.parent for row in every.values() if row.parent)
    counts = Counter(min(found[row.id], 2) for row in every.values() if not row.parent)
    return {"questions_with_none": counts[0], "with_one": counts[1], "with_two_or_more": counts[2]}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
