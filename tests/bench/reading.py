"""How near the first block of an answer is to the answer: search, quote, and F1 with what people marked.

    python -m tests.bench.reading [NAME …] [--home FOLDER] [--seconds 30] [--sample 2000]

Prints one JSON object a line. For the paragraph sets (squad, cmrc): the questions on the half of the paragraphs that
the weights of `services.generation.spans` were not fitted on, searched among all paragraphs. F1 is SQuAD's on words
for English and on characters for Chinese. The first block is the answer up to its first line break; beside it stands
the sentence with the highest BM25 in the same passages. For the page sets (polardb, redis): whether the keys are there.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from indexer.analysis import fold
from indexer.search import Searcher
from router.types import Draft, SearchResult
from services.generation.extractive import quote
from tests.bench.answers import Row, best_by_bm25, first_quote, measure, opened, search
from tests.bench.retrieval import PAGES, PARAGRAPHS, rows

_MARKS = re.compile(r"[^\w\s]|_")
_ARTICLES = frozenset({"a", "an", "the"})


def held_out(paragraph: str) -> bool:
    """Whether a paragraph belongs to the half that is reported on, and not to the one that is fitted on."""
    return sha256(paragraph.encode()).digest()[0] % 2 == 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=["squad", "cmrc", *PAGES])
    parser.add_argument("--home", type=Path, help="keep the indexes here")
    parser.add_argument("--seconds", type=float, default=30.0, help="most time for the corpus embedder")
    parser.add_argument("--sample", type=int, default=2000, help="most questions of one set")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.names:
            searcher = opened(name, (arguments.home or Path(folder)) / name, arguments.seconds)
            if name in PAGES:
                figures = measure(name, searcher, "all", show=False)
            else:
                figures = paragraphs(name, searcher, arguments.sample)
            print(json.dumps({"task": name, **figures}), flush=True)
            searcher.close()


def paragraphs(name: str, searcher: Searcher, sample: int) -> dict[str, Any]:
    asked = [row for row in rows(PARAGRAPHS[name]) if row["answerable"] and held_out(row["context"])]
    asked = asked[:: -(-len(asked) // sample)]
    found = search(searcher, [row["question"] for row in asked])
    facts = searcher.content.facts()
    meaning = searcher.corpus_embedder.cosines if searcher.corpus_embedder else None
    drafts, seconds = [], []
    for row, result in zip(asked, found, strict=True):
        quote(row["question"], result, lambda _paths: facts, meaning=meaning)
        begun = time.process_time()
        drafts.append(quote(row["question"], result, lambda _paths: facts, meaning=meaning))
        seconds.append(time.process_time() - begun)
    language = "zh" if name == "cmrc" else "en"
    return {"questions": len(asked), **summary(asked, found, drafts, language), "hot_ms": ms(seconds)}


def ms(seconds: Sequence[float]) -> float:
    return round(statistics.median(seconds) * 1e3, 3)


def summary(
    asked: Sequence[Row], found: Sequence[SearchResult], drafts: Sequence[Draft], language: str
) -> dict[str, Any]:
    """All shares and F1 are means over the questions, 0..1. short: a few words stand in front, as a paragraph."""
    blocks = [first_block(draft) for draft in drafts]
    ours = scored(asked, blocks, language)
    theirs = scored(asked, [best_by_bm25(result) for result in found], language)
    short = np.array([draft.text.startswith("\n\n", len(block)) for block, draft in zip(blocks, drafts, strict=True)])
    low, high = interval(ours - theirs, [row["context"] for row in asked])
    return {
        "f1_first_block": mean(ours),
        "f1_best_sentence_by_bm25": mean(theirs),
        "gain": mean(ours - theirs),
        "gain_95": [low, high],
        "gold_in_first_block": mean(holding(asked, blocks, language)),
        "gold_in_first_quote": mean(holding(asked, [first_quote(draft) for draft in drafts], language)),
        "gold_in_answer": mean(holding(asked, [draft.text for draft in drafts], language)),
        "short": mean(short),
        "f1_short": mean(ours[short]),
        "nothing_right_in_short": mean(ours[short] == 0),
    }


def first_block(draft: Draft) -> str:
    return draft.text.split("\n", 1)[0]


def scored(asked: Sequence[Row], said: Sequence[str], language: str) -> Any:
    pairs = zip(asked, said, strict=True)
    return np.array([max(f1(text, answer, language) for answer in row["answers"]) for row, text in pairs])


def holding(asked: Sequence[Row], said: Sequence[str], language: str) -> Any:
    """Whether one of the answers stands in each text, with its words in order."""
    joint = " " if language == "en" else ""
    folded = [joint.join(["", *tokens(text, language), ""]) for text in said]
    wanted = [[joint.join(["", *tokens(answer, language), ""]) for answer in row["answers"]] for row in asked]
    return np.array([any(one in text for one in some) for text, some in zip(folded, wanted, strict=True)])


def f1(said: str, answer: str, language: str) -> float:
    """0..1: harmonic mean of the share of the answer's words that were said and of the said that are the answer's."""
    one, other = (Counter(tokens(text, language)) for text in (said, answer))
    common = (one & other).total()
    return 2 * common / max(one.total() + other.total(), 1)


def tokens(text: str, language: str) -> list[str]:
    """English words without punctuation and articles, as SQuAD's own script has them; else letters and digits."""
    if language == "en":
        return [word for word in _MARKS.sub("", text.lower()).split() if word not in _ARTICLES]
    return [char for char in fold(text) if char.isalnum()]


def mean(values: Any) -> float:
    return round(float(np.mean(values)), 4) if len(values) else 0.0


def interval(gains: Any, clusters: Sequence[str], draws: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean: paragraphs are drawn, not questions."""
    numbers = np.unique(np.array([sha256(one.encode()).hexdigest() for one in clusters]), return_inverse=True)[1]
    sums, counts = np.bincount(numbers, gains), np.bincount(numbers)
    random = np.random.default_rng(1)
    drawn = random.integers(0, len(sums), (draws, len(sums)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (0.025, 0.975))
    return round(float(low), 4), round(float(high), 4)


if __name__ == "__main__":
    main()
