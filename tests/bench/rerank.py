"""The re-ranker's coefficients: fitted on question files whose paragraphs are the documents, and judged on others.

    python -m tests.bench.rerank cross [--homes FOLDER]     fit on some files, ask the others
    python -m tests.bench.rerank fit [--homes FOLDER]       fit on all files and write indexer/rerank.json

The indexes stay in FOLDER and are used again. The model is a linear one over `indexer.rerank.FEATURES`; it is fitted
to give the right document's passages the largest share of exp(score) among the candidates of each question.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from indexer import rerank
from indexer.backends import sentence_transformer
from indexer.backends.qdrant_edge import EdgeIndex
from indexer.build import version_folder
from indexer.rerank import FEATURES, MOST, Asked, Model
from indexer.search import Request, Searcher
from tests.bench.retrieval import MODEL, PARAGRAPHS, index, page_task, paragraph_task, ranks, summary

OUT = Path(rerank.__file__).parent / "rerank.json"
FITTED_ON = {"zh": ("cmrc", "drcd"), "en": ("squad",)}
CROSSED = {
    "drcd": ("cmrc",), "cmrc": ("drcd",), "polardb": ("cmrc", "drcd"), "redis": ("squad",),
}  # fmt: skip
LEFT_OUT = {"zh": ("bm25", "unit"), "en": ()}
"""Features without a say. With them, DRCD by CMRC has R@1 0.9640 and not 0.9642. Without them, SQuAD by its other parts
has 0.882 and not 0.889: there fused is half dense, and a page with all the words needs less of its BM25."""
PENALTY = 1e-3  # of squared coefficients, per standard deviation of a feature; at 3e-3 a tenth of a point less
_PARTS = 5

Matrix = npt.NDArray[np.float64]
Wanted = Sequence[tuple[str, set[str]]]


@dataclass(frozen=True, slots=True)
class Judged:
    """One question's candidates. features: [n, FEATURES]; right: bool [n], whether the passage's document is right;
    documents: path of each."""

    features: Matrix
    right: npt.NDArray[np.bool_]
    documents: tuple[str, ...]


class _Recorder:
    """Stands in for the re-ranker: keeps what it would have looked at."""

    def __init__(self, own: rerank.Reranker) -> None:
        self._own = own
        self.seen: list[tuple[npt.NDArray[np.int64], Matrix]] = []

    def rank(
        self, asked: Asked, rows: npt.NDArray[np.int64], scaled: Mapping[str, rerank.Floats], fused: rerank.Floats
    ) -> rerank.Floats:
        first = np.argsort(-fused, kind="stable")[:MOST]
        own = {name: values[first] for name, values in scaled.items()}
        features = self._own.features(asked, rows[first], own, fused[first])
        self.seen.append((rows[first], features.astype(float)))
        return fused


def opened(name: str, homes: Path, seconds: float) -> tuple[Searcher, Wanted]:
    """The index of a task, built if it is not there yet."""
    home = homes / name
    texts = home / "texts"
    texts.mkdir(parents=True, exist_ok=True)
    sources, wanted = paragraph_task(name, texts) if name in PARAGRAPHS else page_task(name)
    mark = home / "folder"
    if not mark.exists():
        report, built = index(home / "home", sources, seconds)
        built.close()
        mark.write_text(str(version_folder(home / "home", report.version)), "utf-8")
    folder = Path(mark.read_text("utf-8"))
    dimensions = json.loads((folder / "manifest.json").read_text("utf-8"))["dimensions"]
    embedder = cache(partial(sentence_transformer.load, MODEL, home / "home" / "models"))
    return Searcher(folder, EdgeIndex.open(folder / "engine", dimensions), embedder), wanted


def judged(searcher: Searcher, wanted: Wanted) -> list[Judged]:
    recorder = _Recorder(searcher.reranker)
    searcher.reranker = recorder  # type: ignore[assignment]  # the same method, and it only looks
    for at in range(0, len(wanted), 32):
        searcher.search([Request(question, MOST, {}) for question, _ in wanted[at : at + 32]])
    searcher.reranker = recorder._own
    return [_judged(searcher, *seen, gold) for seen, (_, gold) in zip(recorder.seen, wanted, strict=True)]


def _judged(searcher: Searcher, rows: npt.NDArray[np.int64], features: Matrix, gold: set[str]) -> Judged:
    passages = searcher.content.passages(rows.tolist())
    places = [{passage.document, *(place.path for place in passage.also_at)} for passage in passages]
    right = np.array([bool(paths & gold) for paths in places], bool)
    return Judged(features, right, tuple(passage.document for passage in passages))


def fit(sets: Sequence[Sequence[Judged]], left_out: Sequence[str]) -> dict[str, float]:
    """Feature → coefficient. Every set counts the same. Maximises the share of the right passages' exp(score)."""
    told = [[one for one in each if one.right.any() and not one.right.all()] for each in sets]
    columns = [at for at, name in enumerate(FEATURES) if name not in left_out]
    every = [one for each in told for one in each]
    features = np.concatenate([one.features[:, columns] for one in every])
    scales = features.std(axis=0) + 1e-9
    right = np.concatenate([one.right for one in every])
    lengths = np.array([len(one.right) for one in every])
    weights = np.concatenate([np.full(len(each), 1 / len(each) / len(told)) for each in told])
    value = _Likelihood(features / scales, right, lengths, weights)
    found = minimize(value, np.zeros(len(columns)), jac=True, method="L-BFGS-B", options={"maxiter": 400})
    return {FEATURES[at]: round(float(w / s), 4) for at, w, s in zip(columns, found.x, scales, strict=True) if w}


@dataclass(frozen=True, slots=True)
class _Likelihood:
    """lengths: candidates per question; weights: one per question, adding up to 1."""

    features: Matrix
    right: npt.NDArray[np.bool_]
    lengths: npt.NDArray[np.int64]
    weights: Matrix

    def __call__(self, coefficients: Matrix) -> tuple[float, Matrix]:
        starts = np.concatenate(([0], np.cumsum(self.lengths)[:-1]))
        owner = np.repeat(np.arange(len(starts)), self.lengths)
        scores = self.features @ coefficients
        shares = np.exp(scores - np.maximum.reduceat(scores, starts)[owner])
        among_right = shares * self.right
        total, good = np.add.reduceat(shares, starts), np.add.reduceat(among_right, starts) + 1e-30
        loss = float(self.weights @ (np.log(total) - np.log(good)) + PENALTY * coefficients @ coefficients)
        pull = (shares / total[owner] - among_right / good[owner]) * self.weights[owner]
        return loss, self.features.T @ pull + 2 * PENALTY * coefficients


def first_is_right(each: Sequence[Judged], coefficients: Mapping[str, float]) -> float:
    model = Model(coefficients, {})
    hits = [one.right[int(model.score(one.features.astype(np.float32)).argmax())] for one in each if len(one.right)]
    return float(np.sum(hits)) / len(each)


def within(each: Sequence[Judged], left_out: Sequence[str]) -> float:
    """R@1 of a model that was fitted on the rest of the file: its questions in order, in parts, so that questions
    about one paragraph stay together."""
    part = np.arange(len(each)) * _PARTS // len(each)
    found = 0.0
    for number in range(_PARTS):
        inside = [one for one, own in zip(each, part, strict=True) if own == number]
        outside = [one for one, own in zip(each, part, strict=True) if own != number]
        found += first_is_right(inside, fit([outside], left_out)) * len(inside)
    return found / len(each)


def cross(homes: Path, seconds: float) -> None:
    """Prints a line per task: as fused, and re-ranked by a model that has not seen the task's questions."""
    searchers = {name: opened(name, homes, seconds) for name in (*PARAGRAPHS, "polardb", "redis")}
    data = {name: judged(*searchers[name]) for name in PARAGRAPHS}
    for name, (searcher, wanted) in searchers.items():
        language = "zh" if name in ("cmrc", "drcd", "polardb") else "en"
        line: dict[str, Any] = {"task": name}
        searcher.reranker.models = {}
        line["fused"] = summary(ranks(searcher, wanted))
        if name in CROSSED:
            fitted = fit([data[other] for other in CROSSED[name]], LEFT_OUT[language])
            searcher.reranker.models = {language: Model(fitted, {})}
            line |= {"reranked": summary(ranks(searcher, wanted)), "fitted_on": CROSSED[name]}
        if name in data:
            line["within_r_at_1"] = round(within(data[name], LEFT_OUT[language]), 4)
        print(json.dumps(line), flush=True)


def write(homes: Path, seconds: float) -> None:
    models = {}
    for language, names in FITTED_ON.items():
        data = {name: judged(*opened(name, homes, seconds)) for name in names}
        coefficients = fit(list(data.values()), LEFT_OUT[language])
        models[language] = {"coefficients": coefficients, "data": {PARAGRAPHS[name]: len(data[name]) for name in names}}
    OUT.write_text(json.dumps(models, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=["cross", "fit"])
    parser.add_argument("--homes", type=Path, default=Path("var/rerank"))
    parser.add_argument("--seconds", type=float, default=60.0, help="most time for the corpus embedder")
    arguments = parser.parse_args()
    (cross if arguments.what == "cross" else write)(arguments.homes, arguments.seconds)


if __name__ == "__main__":
    main()
