"""The re-ranker's coefficients: fitted on question files whose paragraphs are the documents, and judged on others.

    python -m tests.bench.rerank [cross] [--homes FOLDER]   fit on some files, ask the others
    python -m tests.bench.rerank fit [--models NAME …] [--homes FOLDER]
                                                            fit on all files and write indexer/rerank.json

The indexes stay in FOLDER and are used again. The model is a linear one over `indexer.rerank.FEATURES`; it is fitted
to give the right document's passages the largest share of exp(score) among the candidates of each question.

A page counts for more in a manual than in a file of paragraphs, so "page" is fitted last, with the others held, also on
a manual's own links: a sentence that points to another page, without the words of the link, asks for that page.
"""

from __future__ import annotations

import argparse
import json
import random
import re
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
from indexer.rerank import FEATURES, MOST, Asked, Model, packaged
from indexer.search import Request, Searcher
from indexer.sources import Source
from tests.bench.retrieval import DATA, MODEL, PARAGRAPHS, index, page_task, paragraph_task, ranks, summary

OUT = Path(rerank.__file__).parent / "rerank.json"
ZH_DENSE = rerank.WITH_DENSE.format("zh")
FITTED_ON = {"zh": ("cmrc", "drcd"), ZH_DENSE: ("cmrc", "drcd"), "en": ("squad",)}
CROSSED = {
    "drcd": ("cmrc",), "cmrc": ("drcd",), "polardb": ("cmrc", "drcd"), "redis": ("squad",),
}  # fmt: skip
EMBEDDERS = {ZH_DENSE: "multilingual-e5-small"}
"""The text embedder of the indexes that a model is fitted on, where it is not the packaged one."""
LAST = "page"
LINKS = {"zh": "tidb_docs_cn"}
"""The manual whose links tell what "page" is worth; a model without one leaves it out."""
TAKEN_OVER = {ZH_DENSE: "zh"}
"""The model that tells it instead, in proportion to what "fused" is worth in both: a whole manual would have to be
embedded only for this."""
LEFT_OUT = {"zh": ("bm25", "unit", LAST, "dense"), ZH_DENSE: ("bm25", "unit", LAST), "en": (LAST, "dense")}
"""Features without a say. With them, DRCD by CMRC has R@1 0.9640 and not 0.9642. Without them, SQuAD by its other parts
has 0.882 and not 0.889: there fused is half dense, and a page with all the words needs less of its BM25. With "dense"
beside a Chinese embedder, DRCD by CMRC has 0.972 and not 0.968, CMRC by DRCD 0.986 and not 0.979."""
PENALTY = 1e-3  # of squared coefficients, per standard deviation of a feature; at 3e-3 a tenth of a point less
_PARTS = 5
_MOST_LINKS = 800
_NO_PAGES = frozenset({"ai", "faq", "releases"})  # of the manual: lines of release notes ask nothing
_MOST_BYTES = 60_000  # of a page: longer ones list every setting, and anything can point to them
_LINK = re.compile(r"\[[^\]]*\]\(/([^)#\s]+\.md)[^)]*\)")
_POINTING = re.compile(r"(详情|更多信息|详细信息)?[，,]?(请|可以|可)?(参[考见阅照]|查看|了解)(文档|章节)?")

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


def opened(name: str, homes: Path, seconds: float, model: str = MODEL) -> tuple[Searcher, Wanted]:
    """The index of a task, built if it is not there yet. model: the text embedder."""
    home = homes / (name if model == MODEL else f"{name}-{model}")
    texts = home / "texts"
    texts.mkdir(parents=True, exist_ok=True)
    sources, wanted = _task(name, texts)
    mark = home / "folder"
    if not mark.exists():
        report, built = index(home / "home", sources, seconds, model)
        built.close()
        mark.write_text(str(version_folder(home / "home", report.version)), "utf-8")
    folder = Path(mark.read_text("utf-8"))
    dimensions = json.loads((folder / "manifest.json").read_text("utf-8"))["dimensions"]
    embedder = cache(partial(sentence_transformer.load, model, home / "home" / "models"))
    return Searcher(folder, EdgeIndex.open(folder / "engine", dimensions), embedder), wanted


def _task(name: str, texts: Path) -> tuple[list[Source], Wanted]:
    if name in LINKS.values():
        return [Source(name, str(_manual(name, texts)))], []
    return paragraph_task(name, texts) if name in PARAGRAPHS else page_task(name)


def _manual(corpus: str, texts: Path) -> Path:
    """A copy of the manual's pages that explain something."""
    whole = DATA / "corpora" / corpus
    for path in whole.rglob("*.md"):
        own = path.relative_to(whole)
        if own.parts[0] not in _NO_PAGES and path.stat().st_size <= _MOST_BYTES:
            (texts / own).parent.mkdir(parents=True, exist_ok=True)
            (texts / own).write_bytes(path.read_bytes())
    return texts


def links(corpus: str, folder: Path) -> list[tuple[str, str, str]]:
    """Sentences of a Chinese manual with one link to another page of it: the sentence without the link's words and
    without "see also", the page it points to, and the page it stands on. The same ones at every call."""
    found = []
    for path in sorted(folder.rglob("*.md")):
        own = path.relative_to(folder).as_posix()
        for sentence in re.split(r"[。\n]", path.read_text("utf-8")):
            targets = _LINK.findall(sentence)
            question = _POINTING.sub("", _LINK.sub("", sentence)).strip(" -*>|#")
            told = len(re.findall(r"[\u3400-\u9fff]", question)) >= 12 and len(question) <= 90
            if told and len(targets) == 1 and targets[0] != own and (folder / targets[0]).exists():
                found.append((question, f"{corpus}/{targets[0]}", f"{corpus}/{own}"))
    random.Random(1).shuffle(found)
    return found[:_MOST_LINKS]


def judged_links(corpus: str, homes: Path, seconds: float) -> list[Judged]:
    """The candidates of each link, without those of the page that it stands on."""
    searcher, _ = opened(corpus, homes, seconds)
    told = links(corpus, homes / corpus / "texts")
    every = judged(searcher, [(question, {target}) for question, target, _ in told])
    searcher.close()
    return [_without(one, own) for one, (_, _, own) in zip(every, told, strict=True)]


def _without(one: Judged, document: str) -> Judged:
    kept = np.array([path != document for path in one.documents], bool)
    return Judged(one.features[kept], one.right[kept], tuple(path for path in one.documents if path != document))


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
    columns = [at for at, name in enumerate(FEATURES) if name not in left_out]
    found = _best([[(one.features[:, columns], one.right) for one in each] for each in sets])
    return {FEATURES[at]: round(value, 4) for at, value in zip(columns, found.tolist(), strict=True) if value}


def with_last(sets: Sequence[Sequence[Judged]], coefficients: Mapping[str, float]) -> dict[str, float]:
    """The coefficients, and what `LAST` is worth beside them on all the sets."""
    held = np.array([coefficients.get(name, 0.0) for name in FEATURES])
    last = FEATURES.index(LAST)
    two = [
        [(np.stack([one.features @ held, one.features[:, last]], axis=1), one.right) for one in each] for each in sets
    ]
    others, own = _best(two)
    return {**coefficients, LAST: round(float(own / others), 4)}


def taken_over(coefficients: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """The coefficients, and `LAST` as the other model has it; see `TAKEN_OVER`."""
    return {**coefficients, LAST: round(other[LAST] * coefficients["fused"] / other["fused"], 4)}


def _best(sets: Sequence[Sequence[tuple[Matrix, npt.NDArray[np.bool_]]]]) -> Matrix:
    """One coefficient per column. sets: of questions, each with its candidates' features and which are right."""
    told = [[(features, right) for features, right in each if right.any() and not right.all()] for each in sets]
    every = [one for each in told for one in each]
    features = np.concatenate([features for features, _ in every])
    scales = features.std(axis=0) + 1e-9
    right = np.concatenate([right for _, right in every])
    lengths = np.array([len(right) for _, right in every])
    weights = np.concatenate([np.full(len(each), 1 / len(each) / len(told)) for each in told])
    value = _Likelihood(features / scales, right, lengths, weights)
    found = minimize(value, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 400})
    return np.asarray(found.x / scales, np.float64)


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
    """Prints a line per model and task: as fused, and re-ranked by a model that has not seen the task's questions."""
    for own, names in FITTED_ON.items():
        others = [name for name, fitted_on in CROSSED.items() if set(fitted_on) <= set(names)]
        embedder = EMBEDDERS.get(own, MODEL)
        searchers = {name: opened(name, homes, seconds, embedder) for name in dict.fromkeys((*names, *others))}
        data = {name: judged(*searchers[name]) for name in names}
        pointing = [judged_links(LINKS[own], homes, seconds)] if own in LINKS else []
        for name, (searcher, wanted) in searchers.items():
            line: dict[str, Any] = {"model": own, "task": name}
            searcher.reranker.models = {}
            line["fused"] = summary(ranks(searcher, wanted))
            if name in CROSSED:
                sets = [data[other] for other in CROSSED[name]]
                fitted = fit(sets, LEFT_OUT[own])
                fitted = with_last([*pointing, *sets], fitted) if pointing else fitted
                fitted = taken_over(fitted, packaged()[TAKEN_OVER[own]].coefficients) if own in TAKEN_OVER else fitted
                searcher.reranker.models = {own: Model(fitted, {})}
                line |= {"reranked": summary(ranks(searcher, wanted)), "fitted_on": CROSSED[name]}
            if name in data:
                line["within_r_at_1"] = round(within(data[name], LEFT_OUT[own]), 4)
            print(json.dumps(line), flush=True)


def write(homes: Path, seconds: float, wanted: Sequence[str]) -> None:
    """Fits the models of these names; the others stay."""
    models = json.loads(OUT.read_text("utf-8"))
    for own in wanted:
        opening = partial(opened, homes=homes, seconds=seconds, model=EMBEDDERS.get(own, MODEL))
        data = {PARAGRAPHS[name]: judged(*opening(name)) for name in FITTED_ON[own]}
        coefficients = fit(list(data.values()), LEFT_OUT[own])
        if corpus := LINKS.get(own):
            data[f"links of {corpus}"] = judged_links(corpus, homes, seconds)
            coefficients = with_last(list(data.values()), coefficients)
        if other := TAKEN_OVER.get(own):
            coefficients = taken_over(coefficients, models[other]["coefficients"])
        models[own] = {"coefficients": coefficients, "data": {name: len(each) for name, each in data.items()}}
    OUT.write_text(json.dumps(models, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", nargs="?", choices=["cross", "fit"], default="cross")
    parser.add_argument("--models", nargs="+", choices=tuple(FITTED_ON), default=tuple(FITTED_ON), help="to fit")
    parser.add_argument("--homes", type=Path, default=Path("var/rerank"))
    parser.add_argument("--seconds", type=float, default=60.0, help="most time for the corpus embedder")
    arguments = parser.parse_args()
    if arguments.what == "cross":
        cross(arguments.homes, arguments.seconds)
    else:
        write(arguments.homes, arguments.seconds, arguments.models)


if __name__ == "__main__":
    main()
