"""Speed and fidelity of the packaged embedder, beside plain sentence-transformers in the same run.

    python -m tests.bench.embedder [--texts FILE.jsonl] [--passages 64] [--rounds 3]

Prints one JSON object. Passages are `context` fields of 150 to 256 tokens where a file of questions is given, and
paragraphs made of the words of Python's own documentation strings otherwise. The two sides take turns: on a machine
that others use too, compare `ours` with `library`, not either of them with another day's.
"""

from __future__ import annotations

import argparse
import json
import pydoc_data.topics
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from indexer.backends.sentence_transformer import checkpoint, load

MODEL = "all-MiniLM-L6-v2"
_QUESTION = "how do i make the standby follow the new primary number {}"  # 14 to 16 tokens


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        embedder = load(MODEL, Path(folder), "cpu")
        texts = _texts(arguments.texts)
        sized = [t for t, n in zip(texts, embedder.count_tokens(texts), strict=True) if 150 <= n <= embedder.max_tokens]
        print(json.dumps(measure(embedder, sized[: arguments.passages], arguments.rounds), indent=2))


def measure(embedder: Any, passages: list[str], rounds: int) -> dict[str, Any]:
    questions = _latency(embedder)  # first: in a process that has not loaded torch, as when serving
    import torch
    from sentence_transformers import SentenceTransformer

    library = SentenceTransformer(str(checkpoint.locate(MODEL)[1]), device="cpu")
    spans = [_sentences(text) for text in passages]
    ours, theirs = [], []
    for _ in range(rounds + 1):
        ours.append(_timed(lambda: embedder.embed_passages(passages, spans)))
        theirs.append(_timed(lambda: library.encode(passages, batch_size=32, show_progress_bar=False)))
    vectors, units = embedder.embed_passages(passages, spans)
    reference = library.encode(passages, show_progress_bar=False)
    asked = embedder.embed_questions(passages)
    return {
        "passages": len(passages),
        "units": sum(len(rows) for rows in units),
        "tokens_mean": round(statistics.mean(embedder.count_tokens(passages)), 1),
        "torch_threads": torch.get_num_threads(),
        "passages_per_s": {"ours": _rate(passages, ours), "library": _rate(passages, theirs)},
        "cpu_ms_per_passage": {"ours": _cpu(passages, ours), "library": _cpu(passages, theirs)},
        "question_ms": questions,
        "cosine_min": {
            "passage_to_library": float((vectors * reference).sum(axis=1).min()),
            "passage_to_question_path": float((vectors * asked).sum(axis=1).min()),
        },
    }


def _latency(embedder: Any) -> dict[str, float]:
    """Milliseconds for one question, median: alone, and in a batch of 32."""
    embedder.embed_questions([_QUESTION.format(0)])
    alone = [_timed(lambda i=i: embedder.embed_questions([_QUESTION.format(i)]))[0] for i in range(200)]
    batch = [_QUESTION.format(i) for i in range(32)]
    together = [_timed(lambda: embedder.embed_questions(batch))[0] for _ in range(20)]
    return {
        "alone_p50": round(1e3 * statistics.median(alone), 2),
        "in_32_p50": round(1e3 * statistics.median(together) / 32, 2),
    }


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, seconds of processor time in this process."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def _rate(passages: list[str], runs: list[tuple[float, float]]) -> dict[str, float]:
    rates = [len(passages) / clock for clock, _ in runs[1:]]  # the first run warms up
    return {"median": round(statistics.median(rates), 1), "best": round(max(rates), 1)}


def _cpu(passages: list[str], runs: list[tuple[float, float]]) -> float:
    return round(1e3 * min(cpu for _, cpu in runs[1:]) / len(passages), 2)


def _texts(file: Path | None) -> list[str]:
    if file is not None:
        return list(dict.fromkeys(json.loads(line)["context"] for line in file.read_text("utf-8").splitlines()))
    words = " ".join(pydoc_data.topics.topics.values()).split()
    return [" ".join(words[start : start + 120]) for start in range(0, 120 * 600, 120)]


def _sentences(text: str) -> list[tuple[int, int]]:
    edges = [0, *(i + 2 for i in range(len(text)) if text.startswith(". ", i)), len(text)]
    return [(a, b) for a, b in pairwise(edges) if b > a]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, help='JSON lines with a "context" each')
    parser.add_argument("--passages", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
