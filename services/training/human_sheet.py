"""A sheet for blind scoring by two people, and what came of it.

1 wrong or harmful, 2 mostly wrong, 3 partly right, 4 right with a blemish, 5 right and complete. Models have no names
on the sheet and answers stand in an order that a hash decides, so no rater can tell whose is whose.
"""

from __future__ import annotations

import csv
import json
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from router.errors import Conflict, InvalidInput
from services.training.metrics import bootstrap, weighted_kappa

SHEET, KEY = "sheet.csv", "key.json"
GRADES = 5
_COLUMNS = ("item", "question", "reference", "answer", "score (1-5)")
_REFUSED = "(refused)"


def write(reports: Sequence[Path], out: Path, most: int) -> int:
    """reports: evaluation reports on one dataset. Returns how many answers are on the sheet. Raises `Conflict` when
    `out` is there, `InvalidInput` when the reports are of different datasets."""
    if out.exists():
        raise Conflict(f"{out} is there already; scored sheets are never overwritten, give another folder")
    read_in = [json.loads(path.read_text("utf-8")) for path in reports]
    if len({one["dataset"] for one in read_in}) != 1:
        raise InvalidInput("the reports are of different datasets: their answers cannot be compared")
    salt = secrets.token_hex(16)  # else the key could be worked out from the sheet
    rows = sorted({row["row"] for row in read_in[0]["rows"]}, key=lambda row: _hash(salt, row))[:most]
    key, lines = {}, []
    for report in read_in:
        for row in report["rows"]:
            if row["row"] in rows:
                item = _hash(salt, report["digest"], report["model"], row["row"])[:12]
                key[item] = {"model": report["model"], "row": row["row"], "cluster": row["cluster"]}
                lines.append((item, row["question"], row["reference"], row["written"] or _REFUSED, ""))
    out.mkdir(parents=True)
    with (out / SHEET).open("w", encoding="utf-8-sig", newline="") as file:  # with a mark: spreadsheets need it
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows([_harmless(cell) for cell in line] for line in sorted(lines))
    (out / KEY).write_text(json.dumps(key, indent=1, ensure_ascii=False), "utf-8")
    return len(lines)


def read(folder: Path, first: Path, second: Path) -> dict[str, Any]:
    """Agreement of the raters, and each model's mean score with its interval by cluster. Raises `InvalidInput` naming
    the item that has no score 1..5, or that is missing."""
    key = json.loads((folder / KEY).read_text("utf-8"))
    ones, others = _scores(first, key), _scores(second, key)
    items = sorted(key)
    kappa = weighted_kappa([ones[item] for item in items], [others[item] for item in items], GRADES)
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        values[key[item]["model"]][key[item]["cluster"]].append((ones[item] + others[item]) / 2)
    return {
        "answers": len(items),
        "weighted_kappa": kappa,
        "models": {model: bootstrap(clusters).to_json() for model, clusters in sorted(values.items())},
    }


def _scores(path: Path, key: Mapping[str, Any]) -> dict[str, int]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        found = {row.get("item", ""): (row.get(_COLUMNS[-1]) or "").strip() for row in csv.DictReader(file)}
    wrong = [item for item in key if found.get(item, "") not in {str(grade) for grade in range(1, GRADES + 1)}]
    if wrong:
        said = found.get(wrong[0])
        raise InvalidInput(f"{path}: item {wrong[0]} has {said!r} for a score, not 1 to {GRADES} ({len(wrong)} such)")
    return {item: int(found[item]) for item in key}


def _harmless(cell: str) -> str:
    """A spreadsheet must not take an answer for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t") else cell


def _hash(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()
