"""Whether words alone are sure of the right page (`indexer.sureness`), and what leaving the embedder out costs.

    python -m tests.bench.frugal [--homes FOLDER]
    python -m tests.bench.frugal fit [--homes FOLDER]     fit on these files and write indexer/sureness.json

FOLDER keeps the indexes for the next run (`tests.bench.homes`). Questions that have a history or name no page are left
out. Prints one JSON object a file: the share of questions that are not embedded, the right page first with every
question embedded and with these left out, and of these, how often the first page is the same.

The fit: logistic, a squared penalty of 1 on standardised signs. The line is the lowest at which, of the questions out
of fold (ten folds, five foldings), at most one in a hundred of those that are sure has another first page.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from indexer import sureness
from indexer.build import versions
from indexer.search import Request, Searcher
from indexer.sureness import SIGNS
from router.types import SearchResult
from services.compose import open_retriever
from services.evaluation import Row, read_rows
from services.settings import Settings
from tests.bench import homes
from tests.bench.homes import File

OUT = Path(sureness.__file__).with_name("sureness.json")
MOST_OTHERS = 0.01
_LIMIT = 8  # passages, as `router.answering` asks for
_BATCH = 32
_FOLDS, _FOLDINGS = 10, 5

Matrix = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["show", "fit"], default="show")
    with homes.folder(parser) as (options, folder):
        found = {file.name: looked_at(file) for file in files(folder)}
    if options.what == "fit":
        model = fitted(found)
        OUT.write_text(json.dumps(model, indent=1) + "\n", "utf-8")
        print(json.dumps(model))
        sureness.packaged.cache_clear()
    for name, each in found.items():
        print(json.dumps({"file": name, **figures(each)}), flush=True)


def files(folder: Path) -> Iterator[File]:
    yield homes.own("redis", "redis", folder)
    yield homes.own("redis_hard", "redis", folder)
    yield homes.own("redis_more", "redis", folder)
    yield homes.own("postgresql", "pg", folder)


@dataclass(frozen=True, slots=True)
class Looked:
    """signs: of the ranking by words. by_words, by_all: whether the right page is first. same: whether both have the
    same page first."""

    signs: Mapping[str, float]
    by_words: bool
    by_all: bool
    same: bool


def looked_at(file: File) -> list[Looked]:
    rows = [row for row in read_rows(file.path) if row.answerable and row.pages and not row.question.history]
    version = versions(file.home / "index")[-1].id
    with contextlib.closing(open_retriever(Settings(home=file.home), version)) as opened:
        searcher = opened.searcher
        return [one for at in range(0, len(rows), _BATCH) for one in compared(searcher, rows[at : at + _BATCH])]


def compared(searcher: Searcher, rows: Sequence[Row]) -> Iterator[Looked]:
    requests = [Request(row.question.text, _LIMIT, {}) for row in rows]
    words = searcher.ranked_by_words(requests)
    for row, (signs, alone), every in zip(rows, words, searcher.search(requests), strict=True):
        if signs is not None:
            own, other = _first(alone), _first(every)
            yield Looked(signs, bool(own & row.pages), bool(other & row.pages), bool(own & other))


def _first(found: SearchResult) -> frozenset[str]:
    """The paths of the first page."""
    top = found.hits[:1]
    return frozenset(
        path for hit in top for path in (hit.passage.document, *(place.path for place in hit.passage.also_at))
    )


def figures(looked: Sequence[Looked]) -> dict[str, Any]:
    model = sureness.packaged()
    sure = [model.is_sure(one.signs) for one in looked]
    return {
        "questions": len(looked),
        "not_embedded": round(sum(sure) / len(looked), 4),
        "right_page_first": sum(one.by_all for one in looked),
        "right_page_first_frugal": sum(
            one.by_words if own else one.by_all for one, own in zip(looked, sure, strict=True)
        ),
        "same_page": sum(one.same for one, own in zip(looked, sure, strict=True) if own),
        "of": sum(sure),
    }


def fitted(found: Mapping[str, Sequence[Looked]]) -> dict[str, Any]:
    every = [one for each in found.values() for one in each]
    signs = np.array([[one.signs[name] for name in SIGNS] for one in every])
    same = np.array([one.same for one in every])
    held_out = np.mean([_held_out(signs, same, seed) for seed in range(_FOLDINGS)], axis=0)
    weights = _logistic(signs, same)
    return {
        "coefficients": dict(zip(SIGNS, np.round(weights[:-1], 4).tolist(), strict=True)),
        "intercept": round(float(weights[-1]), 4),
        "line": round(line_for(held_out, same), 4),
        "data": {name: len(each) for name, each in found.items()},
    }


def line_for(log_odds: Matrix, same: npt.NDArray[np.bool_]) -> float:
    """The lowest line that keeps `MOST_OTHERS`. Raises IndexError where none does."""
    order = np.argsort(-log_odds, kind="stable")
    others = np.cumsum(~same[order]) / np.arange(1, len(order) + 1)
    return float(log_odds[order][np.flatnonzero(others <= MOST_OTHERS)[-1]])


def _held_out(signs: Matrix, same: npt.NDArray[np.bool_], seed: int) -> Matrix:
    folds = np.arange(len(same)) % _FOLDS
    random.Random(seed).shuffle(folds)
    out = np.zeros(len(same))
    for fold in range(_FOLDS):
        weights = _logistic(signs[folds != fold], same[folds != fold])
        out[folds == fold] = signs[folds == fold] @ weights[:-1] + weights[-1]
    return out


def _logistic(signs: Matrix, same: npt.NDArray[np.bool_]) -> Matrix:
    """One coefficient a sign, then the intercept."""
    centre, scale = signs.mean(axis=0), signs.std(axis=0)
    scaled, label = (signs - centre) / scale, np.where(same, 1.0, -1.0)

    def loss(at: Matrix) -> float:
        return float(np.logaddexp(0, -label * (scaled @ at[:-1] + at[-1])).sum() + (at[:-1] ** 2).sum() / 2)

    found = minimize(loss, np.zeros(signs.shape[1] + 1)).x
    weights = found[:-1] / scale
    return np.append(weights, found[-1] - weights @ centre)


if __name__ == "__main__":
    main()
