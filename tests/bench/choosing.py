"""Which unit is quoted first, and the few words in front of it, on questions about manuals.

    python -m tests.bench.choosing [--homes FOLDER]

Prints one JSON object. A unit is right if what is quoted with it holds every key of the question. `first_by_words`,
`first_by_both`: share of the questions whose first unit is right without and with its meaning (`choosing.by_meaning`),
the latter by weights that were fitted on the other questions (ten folds). `meaning`, `both`: the weights fitted on all
of them, as `choosing.Shares` has them: a softmax over the units of each question. `in_front`: answers that begin with a
few words; `in_front_right`: those whose words are part of a key, or the other way round. FOLDER keeps the indexes
(`tests.bench.homes`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import logsumexp

from indexer.build import version_folder, versions
from indexer.content import Content
from indexer.corpus_embedder import CorpusEmbedder
from router.kinds import kinds_of
from router.types import Draft, SearchResult
from services.citing import neighbours
from services.compose import open_retriever
from services.evaluation import Row, bare, holds, read_rows
from services.generation.blocks import Beside, grow, render
from services.generation.choosing import MEANT, Choice, rank
from services.generation.extractive import quote
from services.settings import Settings
from tests.bench import homes
from tests.bench.homes import File

FILES = {
    "redis": "redis",
    "redis_hard": "redis",
    "redis_more": "redis",
    "redis_seen": "redis",
    "polardb": "polardb",
    "polardb_seen": "polardb",
    "tidb": "tidb",
    "postgresql": "pg",
}
_HITS = 8  # passages, as `router.answering` asks for
_FOLDS = 10

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """signs: [units, 2], the score by words and the cosine of each. right: whether it is, of each. front: the few words
    that the answer begins with, "" for none; front_right: whether they are part of a key, or a key of them."""

    signs: Matrix
    right: npt.NDArray[np.bool_]
    front: str
    front_right: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    with homes.folder(parser) as (_, folder):
        every = [one for name, home in FILES.items() for one in asked_of(homes.own(name, home, folder))]
    print(json.dumps(figures(every)))


def asked_of(file: File) -> Iterator[Asked]:
    version = versions(file.home / "index")[-1].id
    folder = version_folder(file.home / "index", version)
    embedder = CorpusEmbedder.load(folder / "corpus")
    with (
        contextlib.closing(open_retriever(Settings(home=file.home), version)) as retriever,
        contextlib.closing(Content(folder / "content.db")) as pages,
    ):
        for row in read_rows(file.path):
            if row.answerable and not row.question.history:
                found = asyncio.run(retriever.search(row.question.text, _HITS, {}, frugal=True))
                yield from _looked_at(row, found, embedder, neighbours(pages))


def _looked_at(row: Row, found: SearchResult, embedder: CorpusEmbedder, beside: Beside) -> Iterator[Asked]:
    """Nothing where nothing can be quoted."""
    question = row.question.text
    ranked = rank(found.hits, found.terms, kinds_of(question))[:MEANT]
    if not ranked:
        return
    cosines = embedder.cosines(found.terms, [one.piece.terms | one.piece.above for one in ranked])
    front = _front(quote(question, found, lambda _paths: {}, beside, embedder.cosines))
    signs = np.array([[one.score for one in ranked], cosines]).T
    right = np.array([_right(row, one, found, beside) for one in ranked])
    yield Asked(signs, right, front, any(front in key or key in front for key in map(bare, row.keys)))


def _right(row: Row, choice: Choice, found: SearchResult, beside: Beside) -> bool:
    grown = grow(choice, found.hits, kinds_of(row.question.text), found.terms, beside)
    return holds(row, "\n".join(map(render, grown.blocks)))


def _front(draft: Draft) -> str:
    """The few words before the quoted unit, bare; "" where the answer begins with that."""
    front, gap, _ = draft.text.partition("\n\n")
    first = draft.citations[0].quote
    return bare(front) if gap and bare(front) in bare(first) and len(bare(front)) < len(bare(first)) else ""


def figures(every: Sequence[Asked]) -> dict[str, Any]:
    fronts = [one for one in every if one.front]
    both, meaning = fitted(every)
    return {
        "questions": len(every),
        "first_by_words": _share([one.right[0] for one in every]),
        "first_by_both": _share(_out_of_fold(every)),
        "both": round(both, 2),
        "meaning": round(meaning / both, 2),
        "in_front": len(fronts),
        "in_front_right": sum(one.front_right for one in fronts),
    }


def _out_of_fold(every: Sequence[Asked]) -> list[bool]:
    fold = [number % _FOLDS for number in range(len(every))]
    random.Random(0).shuffle(fold)
    out = [False] * len(every)
    for number in range(_FOLDS):
        weights = fitted([one for one, of in zip(every, fold, strict=True) if of != number])
        for at, one in enumerate(every):
            if fold[at] == number:
                out[at] = bool(one.right[(one.signs @ weights).argmax()])
    return out


def fitted(every: Sequence[Asked]) -> tuple[float, float]:
    """What the score by words and the cosine are multiplied with. Where all units are right, or none is, there is no
    choice."""
    told = [one for one in every if one.right.any() and not one.right.all()]

    def loss(weights: Matrix) -> float:
        odds = [one.signs @ weights for one in told]
        return float(sum(logsumexp(each) - logsumexp(each[one.right]) for each, one in zip(odds, told, strict=True)))

    words, cosine = minimize(loss, (1.0, 1.0)).x
    return float(words), float(cosine)


def _share(values: Sequence[bool]) -> float:
    return round(sum(map(bool, values)) / max(len(values), 1), 4)


if __name__ == "__main__":
    main()
