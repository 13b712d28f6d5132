"""How much each channel is worth on this corpus, per language: measured by asking the corpus about itself.

Two kinds of questions come from the documents: a passage's own heading, and one of its sentences with a stretch of
it taken away. Every other time the passage is searched without them, so that a question's words are sometimes there
and sometimes only meant. What they ask for is known. The sentences and headings are kept out of the corpus embedder's
training, or it would be asked what it was told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexer import fusion, lexical
from indexer.analysis import analyse, analyse_question, term_id
from indexer.corpus_embedder import CorpusEmbedder, features
from indexer.runs import best_of_runs
from router.ports import Embedder

MOST_PASSAGES = 600  # of a language: the haystack
MOST_QUESTIONS = 300
FEWEST_QUESTIONS = 20  # fewer say nothing
_KEPT = 0.4  # of a sentence's words


@dataclass(frozen=True, slots=True)
class Probe:
    """A passage as it is searched while its own question is asked.

    units: the text of the units that are searched. question: "" if none could be made. is_heading: whether the
    question is the heading. asked: number of the unit that became the question, -1 for none.
    """

    heading_text: str
    units: tuple[str, ...]
    question: str
    is_heading: bool
    asked: int


def probe(heading: Sequence[str], units: Sequence[str], rng: np.random.Generator) -> Probe:
    """Make a question of the last heading, or of a middle-sized unit."""
    hidden = bool(rng.random() < 0.5)
    if rng.random() < 0.3 and units and heading and len(analyse_question(heading[-1])) > 2:
        return Probe(" > ".join(heading[:-1] if hidden else heading), tuple(units), heading[-1], True, -1)
    above = " > ".join(heading)
    usable = [at for at, unit in enumerate(units) if 8 <= len(analyse(unit)) <= 120]
    if not usable or (hidden and len(units) < 2):
        return Probe(above, tuple(units), "", False, -1)
    chosen = int(rng.choice(usable))
    searched = tuple(unit for at, unit in enumerate(units) if at != chosen or not hidden)
    return Probe(above, searched, _thinned(units[chosen], rng), False, chosen)


def _thinned(sentence: str, rng: np.random.Generator) -> str:
    """The sentence without one stretch of it: the part that would be the answer."""
    pieces = sentence.split() if sentence.count(" ") * 12 > len(sentence) else list(sentence)
    kept = max(int(len(pieces) * _KEPT), 2)
    begin = int(rng.integers(0, len(pieces) - kept + 1)) if len(pieces) > kept else 0
    return (" " if " " in sentence else "").join(pieces[begin : begin + kept])


@dataclass(frozen=True, slots=True)
class Measured:
    """quality: channel → mean reciprocal rank alone, and "fused"."""

    weights: dict[str, float]
    quality: dict[str, float]
    questions: int
    passages: int


def measure(probes: Sequence[Probe], embedder: Embedder | None, corpus: CorpusEmbedder | None) -> Measured:
    """The weights of one language. embedder, corpus: None to leave that channel out."""
    asked = [at for at, item in enumerate(probes) if item.question][:MOST_QUESTIONS]
    if len(asked) < FEWEST_QUESTIONS:
        return Measured(fusion.weights_from({"bm25": 1.0}), {}, len(asked), len(probes))
    gold = np.array(asked, np.int64)
    questions = [probes[at].question for at in asked]
    scaled = {name: fusion.scale(scores) for name, scores in _scores(probes, questions, embedder, corpus).items()}
    alone = {name: round(fusion.mean_reciprocal_rank(scores, gold), 4) for name, scores in scaled.items()}
    weights = fusion.weights_from(alone)
    together = fusion.mean_reciprocal_rank(fusion.fuse(scaled, weights), gold)
    return Measured(weights, {**alone, "fused": round(together, 4)}, len(asked), len(probes))


def _scores(
    probes: Sequence[Probe], questions: Sequence[str], embedder: Embedder | None, corpus: CorpusEmbedder | None
) -> dict[str, fusion.Scores]:
    tokens = [analyse_question(question) for question in questions]
    scores = dict(zip(("bm25", "unit"), _lexical(probes, tokens), strict=True))
    if embedder is not None:
        scores["dense"] = _dense(probes, questions, embedder)
    if corpus is not None:
        bags = [features([*analyse(item.heading_text), *analyse("\n".join(item.units))]) for item in probes]
        scores["corpus"] = corpus.embed_questions(tokens) @ corpus.embed(bags).T
    return scores


def _lexical(probes: Sequence[Probe], questions: Sequence[Sequence[str]]) -> tuple[fusion.Scores, fusion.Scores]:
    texts = [_ids(analyse("\n".join((item.heading_text, *item.units)))) for item in probes]
    bm25 = lexical.Bm25(float(np.mean([len(text) for text in texts])))
    statistics = lexical.TermStatistics.of(map(np.unique, texts), len(texts))
    vectors = [dict(zip(*bm25.weights(text), strict=True)) for text in texts]
    units = [[np.unique(_ids(analyse(unit))) for unit in item.units] for item in probes]
    flat = [unit for one in units for unit in one]
    offsets = np.cumsum([0] + [len(unit) for unit in flat])
    terms = np.concatenate(flat) if flat else np.empty(0, np.uint32)
    starts = np.cumsum([0] + [len(one) for one in units])
    whole = np.zeros((len(questions), len(probes)), np.float32)
    best = np.zeros_like(whole)
    average = float(np.mean(np.diff(offsets))) if len(flat) else 1.0
    for row, question in enumerate(questions):
        ids = np.unique(_ids(question))
        idf = statistics.idf(ids)
        pairs = list(zip(ids.tolist(), idf.tolist(), strict=True))
        whole[row] = [sum(value * vector[term] for term, value in pairs if term in vector) for vector in vectors]
        best[row] = best_of_runs(lexical.unit_scores(terms, offsets, average, ids, idf), starts)
    return whole, best


def _ids(tokens: Sequence[str]) -> lexical.Ids:
    return np.fromiter(map(term_id, tokens), np.uint32, len(tokens))


def _dense(probes: Sequence[Probe], questions: Sequence[str], embedder: Embedder) -> fusion.Scores:
    texts, spans = [], []
    for item in probes:
        lines = [item.heading_text, *item.units]
        ends = np.cumsum([len(line) + 1 for line in lines])
        texts.append("\n".join(lines))
        spans.append([(int(end) - 1 - len(line), int(end) - 1) for line, end in zip(lines[1:], ends[1:], strict=True)])
    passages, units = embedder.embed_passages(texts, spans)
    asked = embedder.embed_questions(questions)
    starts = np.cumsum([0] + [len(one) for one in units])
    best = np.stack([best_of_runs(row, starts) for row in asked @ np.concatenate(units).T])
    return np.asarray(fusion.dense(asked @ passages.T, best), np.float32)
