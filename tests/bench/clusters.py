"""Review items from a seeded queue whose groups are known, and how long one question takes among many open items.

    python -m tests.bench.clusters [--traces 10000] [--seed 2026] [--lines]

Prints one JSON object: precision and recall over pairs of traces, as a whole and by origin; for a queue of the FAQ with
its paraphrases and near misses alone, each wording as often as any other; pairs of different wordings, which
normalisation does not bring together; all of BANKING77, by intent; and CPU milliseconds for placing one question among
10,000 open items. With --lines, the pairs for other lines too.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from services.curated.vocabulary import packaged_guards
from services.review.clusters import LINE, Clusters, assign
from tests.review import seeded

LINES = (1.01, 0.999, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)  # above 1: the same words only
OPEN = 10_000


def figures(found: seeded.Pairs) -> dict[str, float]:
    return {"precision": round(found.precision, 4), "recall": round(found.recall, 4), "pairs": found.asked}


def placed(traces: Sequence[seeded.Trace], line: float = LINE) -> dict[str, str]:
    return assign(Clusters(packaged_guards(), line), [(trace.id, trace.question) for trace in traces])


def whole(traces: Sequence[seeded.Trace]) -> dict[str, Any]:
    began = time.process_time()
    item_of = placed(traces)
    spent = time.process_time() - began
    return {
        **figures(seeded.pairs(traces, item_of)),
        "traces": len(traces),
        "groups": len({trace.group for trace in traces}),
        "distinct_questions": len({trace.question for trace in traces}),
        "items": len(set(item_of.values())),
        "cpu_ms_a_trace": round(spent * 1e3 / len(traces), 3),
        "by_origin": {name: figures(found) for name, found in seeded.by_origin(traces, item_of).items()},
        "worst_joins": [list(join) for join in seeded.wrong_joins(traces, item_of)[:8]],
    }


def by_line(traces: Sequence[seeded.Trace]) -> dict[str, Any]:
    return {
        str(line): {**figures(seeded.pairs(traces, placed(traces, line))), **wordings(line, 1), **intents(line)}
        for line in LINES
    }


def wordings(line: float, seed: int) -> dict[str, int]:
    """Every labelled wording once, as it stands: pairs of one group that share an item, and pairs of two groups."""
    rng = random.Random(seed)
    asked = [(group.id, at, text) for group in seeded.groups(rng) for at, text in enumerate(group.wordings)]
    rng.shuffle(asked)
    item_of = assign(Clusters(packaged_guards(), line), [(f"{name}#{at}", text) for name, at, text in asked])
    items: dict[str, list[str]] = {}
    for name, at, _ in asked:
        items.setdefault(item_of[f"{name}#{at}"], []).append(name)
    joined = [one == other for names in items.values() for one, other in combinations(names, 2)]
    sizes = [sum(1 for _ in each) for each in _by_group(asked).values()]
    return {
        "wordings_right": sum(joined),
        "wordings_wrong": len(joined) - sum(joined),
        "wordings_asked": sum(size * (size - 1) // 2 for size in sizes),
    }


def _by_group(asked: Sequence[tuple[str, int, str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name, at, _ in asked:
        found.setdefault(name, []).append(at)
    return found


def intents(line: float) -> dict[str, int]:
    """All questions of BANKING77, each once: pairs in one item that have one intent, and that have two. An intent is
    wider than a question, so only the second figure says something about joins: the most that can be wrong."""
    asked = [row for row in seeded.rows("banking77_train_en") if row["intent"]]
    random.Random(0).shuffle(asked)
    item_of = assign(Clusters(packaged_guards(), line), [(row["id"], row["question"]) for row in asked])
    items: dict[str, list[str]] = {}
    for row in asked:
        items.setdefault(item_of[row["id"]], []).append(row["intent"])
    same = [one == other for names in items.values() for one, other in combinations(names, 2)]
    return {"intents_same": sum(same), "intents_other": len(same) - sum(same)}


def speed() -> dict[str, float]:
    """Questions of the large files open one item each; two thousand further ones are placed."""
    texts = [
        row["question"]
        for name in ("banking77_train_en", "cmrc2018_dev", "squad_v2_dev_half")
        for row in seeded.rows(name)
    ]
    random.Random(0).shuffle(texts)
    clusters = Clusters(packaged_guards())
    for number, text in enumerate(texts[:OPEN]):
        clusters.add(f"i{number}", text)
    took = []
    for text in texts[OPEN : OPEN + 2000]:
        began = time.process_time()
        clusters.place(text)
        took.append((time.process_time() - began) * 1e3)
    middle, most = np.percentile(took, (50, 95))
    return {"open_items": len(clusters), "cpu_ms_p50": round(float(middle), 3), "cpu_ms_p95": round(float(most), 3)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--traces", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--lines", action="store_true")
    options = parser.parse_args()
    if not seeded.present():
        raise SystemExit("the question files are not here: ../shared/data")
    traces = seeded.queue(options.traces, options.seed)
    faq = seeded.evenly(options.traces, options.seed, ("faq", "near miss"))
    report = {
        "queue": whole(traces),
        "faq_evenly": whole(faq),
        "wordings_once": wordings(LINE, options.seed),
        "banking77": intents(LINE),
        "one_question": speed(),
        **({"by_line": by_line(traces)} if options.lines else {}),
    }
    print(json.dumps(report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
