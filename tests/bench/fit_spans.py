"""Fits the weights of `services.generation.spans` on questions whose answers are spans of known paragraphs.

    python -m tests.bench.fit_spans [--home FOLDER] [--seconds 30] [--out FILE]

Chinese: half of the paragraphs of CMRC dev and all of DRCD dev; English: half of the paragraphs of SQuAD half. The
halves are by the hash of the paragraph: `tests.bench.reading` reports on the other one. Each question is searched
among all paragraphs and its best units are taken as quoting takes them, so that the weights learn what to do when the
best unit is not the right one.

The loss is the negative logarithm of the expected overlap (squared F1 of words) with an answer, under a softmax over
spans; the weights are moved question by question (AdaGrad), drawn to 0 a little. The line is the lowest at which,
among questions left out of the fit, at most a quarter of what would be put in front shares no word with an answer.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from router.kinds import kinds_of
from router.types import SearchResult
from services.generation import spans
from services.generation.choosing import rank
from services.generation.cutting import Cut, Cutter, Floats, Ints, names, tokens
from services.generation.span_features import BEGIN, END, INSIDE, SORTS, Asked, Places, asked
from services.generation.spans import Model, Weights, edge_scores, places_of, prior, span_scores
from tests.bench.answers import opened, search
from tests.bench.reading import f1, held_out
from tests.bench.retrieval import PARAGRAPHS, rows

OUT = Path(__file__).resolve().parents[2] / "services" / "generation" / "spans_default.json"
DATA = {"en": ("squad",), "zh": ("cmrc", "drcd")}
WHOLE = frozenset({"drcd"})  # sets that are fitted on as a whole
LONGEST = {"en": 20, "zh": 40}
LEAST = {"en": 8, "zh": 20}  # texts that a word must stand in to have a weight
RATE = {"en": 0.1, "zh": 0.05}
EPOCHS = {"en": 4, "zh": 3}
SHRINK = 1e-3
POWER = 2.0
FOLDS = 3
WRONG = 0.25  # share of what is put in front that may share nothing with an answer
_KEPT = 0.02  # weights that are smaller are left out of the file
_OWN = 0.5  # how fast the weights of one sort of question move beside those of all


@dataclass(frozen=True, slots=True)
class Example:
    """One question with the units that quoting would read. gold: (first, last) tokens of the answers' places."""

    question: Asked
    texts: tuple[str, ...]
    found: Places
    prior: Floats
    gold: tuple[tuple[int, int], ...]
    answers: tuple[str, ...]
    scores: tuple[float, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="keep the indexes here")
    parser.add_argument("--seconds", type=float, default=30.0, help="most time for the corpus embedder")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    languages: dict[str, Any] = {}
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for language, sets in DATA.items():
            asked_of = {
                name: found_for(name, (arguments.home or Path(folder)) / name, arguments.seconds) for name in sets
            }
            counts |= {PARAGRAPHS[name]: len(one) for name, one in asked_of.items()}
            every = [pair for one in asked_of.values() for pair in one]
            languages[language], figures = fitted(language, every)
            print(json.dumps({"language": language, "questions": len(every), **figures}), flush=True)
    head = {"created": date.today().isoformat(), "data": counts, "half": "paragraphs whose SHA-256 is even"}
    arguments.out.write_text(written({**head, "languages": languages}), "utf-8")


def written(model: Mapping[str, Any]) -> str:
    """JSON with one feature a line, so that two fits can be compared."""
    whole = json.dumps(model, ensure_ascii=False)
    return whole.replace("}, ", "},\n") + "\n"


def found_for(name: str, home: Path, seconds: float) -> list[tuple[Mapping[str, Any], SearchResult]]:
    searcher = opened(name, home, seconds)
    kept = [row for row in rows(PARAGRAPHS[name]) if row["answerable"]]
    kept = [row for row in kept if name in WHOLE or not held_out(row["context"])]
    results = [replace(one, hits=one.hits[:8]) for one in search(searcher, [row["question"] for row in kept])]
    searcher.close()
    return list(zip(kept, results, strict=True))


def fitted(
    language: str, pairs: Sequence[tuple[Mapping[str, Any], SearchResult]]
) -> tuple[dict[str, Any], dict[str, float]]:
    """The model as JSON, and the figures of the questions left out, fold by fold (folds by paragraph)."""
    units = [units_of(row, result) for row, result in pairs]
    vocabulary = vocabulary_of((one[0][0] for one in units if one[0]), LEAST[language])
    cutter = Cutter(vocabulary)
    cuts = {text: cutter(text) for texts, _ in units for text in texts}
    examples = [example(row, result, *one, cuts) for (row, result), one in zip(pairs, units, strict=True)]
    folds = [sha256(row["context"].encode()).digest()[1] % FOLDS for row, _ in pairs]
    outcomes: list[tuple[float, float]] = []
    for fold in range(FOLDS):
        others = [one for one, of in zip(examples, folds, strict=True) if of != fold]
        model = Model(vocabulary, descended(others, vocabulary, language), LONGEST[language], 0.0)
        inside = (one for one, of in zip(examples, folds, strict=True) if of == fold)
        outcomes += [outcome(model, one, language) for one in inside if one]
    line, figures = line_of(outcomes)
    weights = descended(examples, vocabulary, language)
    return to_json(weights, vocabulary, LONGEST[language], line), figures


def units_of(row: Mapping[str, Any], result: SearchResult) -> tuple[tuple[str, ...], tuple[float, ...]]:
    ranked = rank(result.hits, result.terms, kinds_of(row["question"]))[: spans.READ]
    return tuple(one.piece.text for one in ranked), tuple(one.score for one in ranked)


def vocabulary_of(texts: Iterable[str], least: int) -> dict[str, int]:
    """The names that stand in at least so many texts."""
    counts: Counter[str] = Counter()
    for text in set(texts):
        counts.update({name for word, start, end in tokens(text) for name in names(word, text[start:end])})
    edge = set(names("^", "^"))
    return {name: row for row, name in enumerate(sorted({*edge, *(n for n, k in counts.items() if k >= least)}), 1)}


def example(
    row: Mapping[str, Any], result: SearchResult, texts: Sequence[str], scores: Sequence[float], cuts: Mapping[str, Cut]
) -> Example | None:
    question = asked(row["question"], result.terms, kinds_of(row["question"]))
    found, kept = places_of([cuts[text] for text in texts], question)
    if found is None:
        return None
    gold = [
        (int(edge) + first, int(edge) + last)
        for number, edge in zip(kept, found.edges, strict=False)
        if texts[number] in row["context"]  # the same words on another page are no answer
        for first, last in occurrences(cuts[texts[number]], texts[number], row["answers"])
    ]
    return Example(
        question, tuple(texts), found, prior(scores)[kept], tuple(gold), tuple(row["answers"]), tuple(scores)
    )


def occurrences(one: Cut, text: str, answers: Sequence[str]) -> list[tuple[int, int]]:
    """(first, last) tokens wherever one of the answers stands in the text."""
    out, low = [], text.lower()
    for answer in {answer.strip().lower() for answer in answers} - {""}:
        at = low.find(answer)
        while at >= 0:
            held = [number for number, (start, end) in enumerate(one.spans) if end > at and start < at + len(answer)]
            out += [(held[0], held[-1])] if held else []
            at = low.find(answer, at + 1)
    return out


# --- descending -------------------------------------------------------------------------------------------------------


def descended(examples: Sequence[Example | None], vocabulary: Mapping[str, int], language: str) -> Weights:
    width = len(SORTS) + 1
    tables = [
        np.zeros((count, width), np.float32) for count in (len(vocabulary) + 1, len(BEGIN), len(END), len(INSIDE))
    ]
    moved = [np.full_like(table, 0.1) for table in tables]
    kept, epochs = [one for one in examples if one and one.gold], EPOCHS[language]
    random = np.random.default_rng(1)
    for epoch in range(epochs):
        rate = RATE[language] * (1 - 0.8 * epoch / epochs)
        for number in random.permutation(len(kept)):
            step(kept[number], tables, moved, rate, LONGEST[language], random)
    return Weights(*tables)


def step(
    one: Example, tables: list[Floats], moved: list[Floats], rate: float, longest: int, random: np.random.Generator
) -> None:
    weights = _column(tables, one.question.sort)
    found = one.found
    edges = edge_scores(found, weights)
    first, last = tried(one, edges, longest, random)
    score, features = span_scores(found, weights, edges, first, last, one.prior)
    gold = np.array(one.gold)
    gain = spans.shared(found, first, last, gold[:, 0], gold[:, 1]).max(axis=1) ** POWER
    chance = np.exp(score - score.max())
    chance /= chance.sum()
    wanted = chance * gain
    if not wanted.sum():
        return
    pull = (chance - wanted / wanted.sum()).astype(np.float32)
    count = len(found.held)
    at_begin, at_end = (np.bincount(side, pull, count).astype(np.float32) for side in (first, last))
    places = np.concatenate([found.before.ravel(), found.after.ravel()])
    pulls = np.concatenate([np.repeat(at_begin, found.before.shape[1]), np.repeat(at_end, found.after.shape[1])])
    known, where = np.unique(places, return_inverse=True)
    by_word = np.bincount(where, pulls).astype(np.float32) * (known > 0)
    gradients = (by_word, at_begin @ found.begin, at_end @ found.end, pull @ features)
    for number, gradient in enumerate(gradients):
        touched = known if number == 0 else np.arange(len(gradient))
        for column, share in ((0, 1.0), (1 + one.question.sort, _OWN)):
            _move(tables[number], moved[number], (touched, np.array(column)), gradient * share, rate)


def _move(table: Floats, moved: Floats, at: tuple[Ints, Ints], gradient: Floats, rate: float) -> None:
    change = gradient + SHRINK * table[at]
    moved[at] += change**2
    table[at] -= rate * change / np.sqrt(moved[at])


def _column(tables: Sequence[Floats], sort: int) -> Weights:
    return Weights(*(table[:, 0] + table[:, 1 + sort] for table in tables))


def tried(
    one: Example, edges: tuple[Floats, Floats], longest: int, random: np.random.Generator, some: int = 150
) -> tuple[Ints, Ints]:
    """The spans that score best now, some at random, and the right ones."""
    found, count = one.found, len(one.found.held)
    first, last = spans.spans(found, edges, 16, longest)
    begin = random.integers(0, count, some)
    end = np.minimum(begin + random.integers(0, 12, some), count - 1)
    fits = (found.text[begin] == found.text[end]) & found.opens[begin] & found.closes[end]
    gold = np.array(one.gold)
    code = np.unique(np.concatenate([first * count + last, begin[fits] * count + end[fits], gold @ (count, 1)]))
    return code // count, code % count


# --- the line and the file --------------------------------------------------------------------------------------------


def outcome(model: Model, one: Example, language: str) -> tuple[float, float]:
    """How sure the best span is, and its overlap with the nearest answer."""
    span = model.best(one.question, one.texts, one.scores)
    if span is None or span.whole:
        return 0.0, 0.0
    said = one.texts[span.text][span.start : span.end]
    return span.sure, max(f1(said, answer, language) for answer in one.answers)


def line_of(outcomes: Sequence[tuple[float, float]]) -> tuple[float, dict[str, float]]:
    """The line (see above), and what is above it."""
    ordered = sorted(outcomes, reverse=True)
    missed = np.cumsum([share == 0 for _, share in ordered]) / np.arange(1, len(ordered) + 1)
    count = int(np.flatnonzero(missed <= WRONG).max(initial=0)) + 1
    above = [share for _, share in ordered[:count]]
    figures = {
        "line": round(ordered[count - 1][0], 3),
        "in_front": round(count / len(ordered), 3),
        "f1_in_front": round(float(np.mean(above)), 3),
        "f1_of_all_spans": round(float(np.mean([share for _, share in ordered])), 3),
    }
    return figures["line"], figures


def to_json(weights: Weights, vocabulary: Mapping[str, int], longest: int, line: float) -> dict[str, Any]:
    tables = ((weights.begin, BEGIN), (weights.end, END), (weights.inside, INSIDE))
    begin, end, inside = (_named(table, rows, 0.0) for table, rows in tables)
    words = _named(weights.words[1:], tuple(vocabulary), _KEPT)
    return {"longest": longest, "line": line, "begin": begin, "end": end, "inside": inside, "words": words}


def _named(table: Floats, rows: Sequence[str], least: float) -> dict[str, dict[str, float]]:
    columns = ("", *SORTS)
    named = {
        name: {columns[at]: round(float(value), 2) for at, value in enumerate(row) if abs(value) > least}
        for name, row in zip(rows, table, strict=True)
    }
    return {name: row for name, row in named.items() if row}


if __name__ == "__main__":
    main()
