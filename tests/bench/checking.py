"""How well the check of drafts tells supported from unsupported, against people's labels and against edits.

    python -m tests.bench.checking [--fit] [--sample 300]

Labels: MTRAG (people's faithfulness, 1 to 4, the mean of three; 3 and more counts as faithful) and HaluEval QA. Half of
the rows, by the hash of their conversation or question, are for fitting; figures are of the other half. The score of a
response is the mean probability of its statements, times the share of them that nothing contradicts. `--fit` writes
services/generation/checking_default.json.
Edits: sentences of SQuAD and CMRC paragraphs as they are, and with one thing made wrong; share that is let through.
Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from indexer.analysis import analyse
from router import facts, units
from router.checking import SupportModel, check, statements
from router.claims import MEANING, Evidence, contradictions, features, tokens_of
from services.generation.checking import PACKAGED, packaged_model
from tests.bench.retrieval import PARAGRAPHS, rows

FAITHFUL = 3.0
_LACKS = frozenset({"names", "numbers"})  # features of which more means less support
_PENALTY = 1.0  # of the squared coefficients; flat between 0.1 and 10

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """rows: one line of features for each statement of the response. against: share of them that are contradicted.
    words: number of its words."""

    data: str
    group: str
    faithful: bool
    rows: Matrix
    against: float
    words: int

    @property
    def held_out(self) -> bool:
        return hashlib.sha256(self.group.encode()).digest()[0] % 2 == 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fit", action="store_true", help="fit anew and write the packaged model")
    parser.add_argument("--sample", type=int, default=300, help="sentences of each language that are edited")
    arguments = parser.parse_args()
    everything = [*mtrag(), *halueval()]
    model = fit(everything) if arguments.fit else packaged_model()
    figures = list(quality(everything, model))
    for line in figures:
        print(json.dumps(line), flush=True)
    if arguments.fit:
        write(model, everything, figures)
    for name in ("squad", "cmrc"):
        print(json.dumps({"edits": name, **edited(name, arguments.sample, model)}), flush=True)


# --- labels -----------------------------------------------------------------------------------------------------------


def mtrag() -> Iterator[Labelled]:
    """Responses without passages to be faithful to are left out. Grouped by conversation."""
    for row in rows("mtrag_human_labels_en"):
        score = statistics.fmean(map(float, row["human"]["faithfulness"]))
        contexts = [passage["text"] for passage in row["context_passages"]]
        found = labelled("mtrag", row["id"].split("<::>")[0], score >= FAITHFUL, row["response"], contexts)
        if contexts and found:
            yield found


def halueval() -> Iterator[Labelled]:
    for row in rows("halueval_qa_en"):
        found = labelled("halueval", row["question"], not row["hallucination"], row["response"], [row["context"]])
        if found:
            yield found


def labelled(data: str, group: str, faithful: bool, response: str, contexts: Sequence[str]) -> Labelled | None:
    evidence = Evidence.together([Evidence.of(context, analyse) for context in contexts]) if contexts else None
    said = [statement.text for statement in statements(response) if not statement.frame]
    tokens = [tokens_of(text, analyse) for text in said]
    if evidence is None or not any(tokens):
        return None
    pairs = [(text, words) for text, words in zip(said, tokens, strict=True) if words]
    values = [features(text, words, evidence) for text, words in pairs]
    against = statistics.fmean(bool(contradictions(text, words, evidence, analyse)) for text, words in pairs)
    matrix = np.array([[value[name] for name in MEANING] for value in values])
    return Labelled(data, group, faithful, matrix, against, sum(map(len, tokens)))


# --- the fit ----------------------------------------------------------------------------------------------------------


def fit(everything: Sequence[Labelled]) -> SupportModel:
    """Logistic over statements, each with its response's label; both files and both labels count the same."""
    chosen = [one for one in everything if not one.held_out]
    features_of = np.concatenate([one.rows for one in chosen])
    labels = np.concatenate([np.full(len(one.rows), one.faithful) for one in chosen])
    share = dict.fromkeys({(one.data, one.faithful) for one in chosen}, 0)
    for one in chosen:
        share[one.data, one.faithful] += 1
    weights = np.concatenate(
        [np.full(len(one.rows), 1 / share[one.data, one.faithful] / len(one.rows)) for one in chosen]
    )
    coefficients, intercept = logistic(features_of, labels, weights / weights.sum() * len(chosen))
    model = SupportModel(tuple(MEANING), coefficients, intercept, 0.5)
    return SupportModel(model.names, coefficients, intercept, best_line(chosen, model))


def logistic(values: Matrix, labels: npt.NDArray[np.bool_], weights: Matrix) -> tuple[tuple[float, ...], float]:
    """More words in common never mean less support, nor does lacking more mean more."""
    inputs = np.column_stack((values, np.ones(len(values))))
    signs = np.where(labels, 1.0, -1.0)

    def loss(at: Matrix) -> tuple[float, Matrix]:
        margins = signs * (inputs @ at)
        slope = -signs * weights / (1 + np.exp(np.clip(margins, -500, 500)))
        total = float((weights * np.logaddexp(0, -margins)).sum() + _PENALTY * (at[:-1] ** 2).sum())
        return total, inputs.T @ slope + 2 * _PENALTY * np.append(at[:-1], 0.0)

    bounds = [(None, 0.0) if name in _LACKS else (0.0, None) for name in MEANING]
    found = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B", bounds=[*bounds, (None, None)]).x
    return tuple(round(float(value), 4) for value in found[:-1]), round(float(found[-1]), 4)


def best_line(chosen: Sequence[Labelled], model: SupportModel) -> float:
    """The line at which the score of responses splits MTRAG's best. Not HaluEval's: its answers are a few words, and
    drafts are sentences."""
    labels, values = scores([one for one in chosen if one.data == "mtrag"], model)
    return best_split(labels, values)


def best_split(labels: npt.NDArray[np.bool_], values: Matrix) -> float:
    lines = np.linspace(0.05, 0.95, 181)
    return round(float(lines[int(np.argmax([balanced_accuracy_score(labels, values >= line) for line in lines]))]), 3)


def scores(chosen: Sequence[Labelled], model: SupportModel) -> tuple[npt.NDArray[np.bool_], Matrix]:
    """Labels, and mean probabilities times the share of statements that nothing contradicts."""
    values = [
        statistics.fmean(model.probability(dict(zip(MEANING, row, strict=True))) for row in one.rows)
        * (1 - one.against)
        for one in chosen
    ]
    return np.array([one.faithful for one in chosen]), np.array(values)


# --- the figures ------------------------------------------------------------------------------------------------------


def quality(everything: Sequence[Labelled], model: SupportModel) -> Iterator[dict[str, Any]]:
    """Of the half that was not fitted on, beside plain overlap (its line from the other half too) and length.

    "long": HaluEval's responses of six words and more. Its right answers are a word or two, its wrong ones whole
    sentences, so that length alone tells most of them apart.
    """
    line = best_split(*overlaps([one for one in everything if one.data == "mtrag" and not one.held_out]))
    sets: dict[str, Callable[[Labelled], bool]] = {
        "mtrag": lambda one: one.data == "mtrag",
        "halueval": lambda one: one.data == "halueval",
        "halueval long": lambda one: one.data == "halueval" and one.words >= 6,
    }
    for name, belongs in sets.items():
        chosen = [one for one in everything if one.held_out and belongs(one)]
        labels, values = scores(chosen, model)
        _, overlap = overlaps(chosen)
        kept: dict[bool, list[bool]] = {label: [] for label in (True, False)}
        for one in chosen:
            kept[one.faithful] += [
                model.probability(dict(zip(MEANING, row, strict=True))) >= model.line for row in one.rows
            ]
        figures = {
            "faithful": labels.mean(),
            "auc": roc_auc_score(labels, values),
            "auc_overlap": roc_auc_score(labels, overlap),
            "auc_length": roc_auc_score(labels, [-one.words for one in chosen]),
            "balanced_accuracy": balanced_accuracy_score(labels, values >= model.line),
            "balanced_accuracy_overlap": balanced_accuracy_score(labels, overlap >= line),
            "statements_kept_of_faithful": statistics.fmean(kept[True]),
            "statements_kept_of_others": statistics.fmean(kept[False]),
        }
        rounded = {key: round(float(value), 3) for key, value in figures.items()}
        yield {"labels": name, "responses": len(chosen), **rounded, "line": model.line}


def overlaps(chosen: Sequence[Labelled]) -> tuple[npt.NDArray[np.bool_], Matrix]:
    plain = list(MEANING).index("overlap")
    return np.array([one.faithful for one in chosen]), np.array([float(one.rows[:, plain].mean()) for one in chosen])


def write(model: SupportModel, everything: Sequence[Labelled], figures: Sequence[Mapping[str, Any]]) -> None:
    data = {name: sum(one.data == name and not one.held_out for one in everything) for name in ("mtrag", "halueval")}
    content = {
        "names": model.names,
        "coefficients": model.coefficients,
        "intercept": model.intercept,
        "line": model.line,
        "data": {"mtrag_human_labels_en": data["mtrag"], "halueval_qa_en": data["halueval"]},
        "quality": {line["labels"]: {k: v for k, v in line.items() if k != "labels"} for line in figures},
    }
    PACKAGED.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


# --- edits ------------------------------------------------------------------------------------------------------------

_CLAUSES = re.compile(r"[,，；;]")
_DIGITS = re.compile(r"(?<![\d.,])\d{1,4}(?![\d.,])")
_COPULA = re.compile(
    r"\b(?:is|are|was|were|can|will|has been)\b|(?<=[\u4e00-\u9fff])(?:是|能|可以|有)(?=[\u4e00-\u9fff])"
)


def edited(name: str, sample: int, model: SupportModel) -> dict[str, Any]:
    """Share of the sentences let through, and how many there were: as they are, shortened by a clause, from another
    paragraph of the same page, with another number, with the gold answer replaced by another answer from the page, and
    with a negation put in."""
    edits: dict[str, list[bool]] = {}
    for sentence, context, wrongs in sentences(name, sample):
        for kind, text in {"as it is": sentence, "shortened": shortened(sentence), **wrongs}.items():
            if (text and text != sentence) or kind == "as it is":
                edits.setdefault(kind, []).append(bool(check(text, [context], analyse, model).text))
    return {kind: [round(statistics.fmean(passed), 3), len(passed)] for kind, passed in edits.items()}


def sentences(name: str, sample: int) -> Iterator[tuple[str, str, dict[str, str]]]:
    asked = [row for row in rows(PARAGRAPHS[name]) if row.get("answerable", True)]
    by_page: dict[str, list[dict[str, Any]]] = {}
    for row in asked:
        by_page.setdefault(row.get("title") or row["doc_id"], []).append(row)
    for row in asked[:: max(1, len(asked) // sample)][:sample]:
        page = by_page[row.get("title") or row["doc_id"]]
        context, answer = row["context"], row["answers"][0]
        found = next((s for s in _sentences(context) if answer in s), "")
        if len(found) < 12:
            continue
        others = [one["answers"][0] for one in page if one["answers"][0] not in found]
        elsewhere = [s for one in page if one["context"] != context for s in _sentences(one["context"]) if len(s) > 20]
        wrongs = {
            "elsewhere": elsewhere[len(found) % len(elsewhere)] if elsewhere else "",
            "number": _DIGITS.sub(lambda digits: str(int(digits[0]) + 7), found, count=1),
            "answer": found.replace(answer, others[0]) if others else "",
            "negation": _negated(found),
        }
        yield found, context, wrongs


def _sentences(context: str) -> list[str]:
    return [context[unit.start : unit.end] for unit in units.split(context)]


def _negated(sentence: str) -> str:
    if facts.denies(sentence):
        return ""
    found = _COPULA.search(sentence)
    if found is None:
        return ""
    put = f"{found[0]} not" if found[0].isascii() else f"不{found[0]}" if found[0] != "有" else "没有"
    return sentence[: found.start()] + put + sentence[found.end() :]


def shortened(sentence: str) -> str:
    """Without its second clause, if it has three: still supported."""
    marks = [found.start() for found in _CLAUSES.finditer(sentence)]
    cuts = list(pairwise(marks))
    return sentence[: cuts[0][0]] + sentence[cuts[0][1] :] if cuts else ""


if __name__ == "__main__":
    main()
