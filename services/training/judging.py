"""Answers of a model to a dataset's rows, judged without a judge: figures with intervals, and what the gates look at.

Two views of one answer. As written: what the model said, against the reference. As sent: after the support check and
the confidence line, as serving does it; what is not sent counts as refused.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from indexer.analysis import analyse
from router import checking, likelihood, prompt
from router.checking import Entailment
from router.confidence import WITNESS
from router.facts import opposed
from router.packing import Tokenizer, Window
from router.prompt import Shot
from services.calibration import Said, quality
from services.generation.checking import packaged_model
from services.generation.drafting import whole
from services.generation.vllm import Written
from services.training import metrics
from services.training.encoding import Messages
from services.training.fitting import Fitted, fit
from services.training.gates import Judged
from services.training.metrics import Interval, bootstrap
from services.training.quoting import Quoting
from services.training.records import Example, Rejected

RIGHT_F1 = 0.5
"""A definition, not a fit: right is an answer with all facts of the reference, no others, and half of its words."""
_ROUNDS = 200  # of the bootstrap of BLEU, which is no mean of rows

Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Task:
    """One prompt with its reference. row: the example's id and part. cited: numbers of the passages with evidence.
    seen: title and text of each passage as the model sees it."""

    row: str
    example: Example
    messages: Messages
    answer: str
    cited: tuple[int, ...]
    seen: tuple[str, ...]

    @property
    def cluster(self) -> str:
        return self.example.cluster

    @property
    def reference(self) -> str:
        """The answer without its citations."""
        return prompt.without_citations(self.answer).strip()


@dataclass(frozen=True, slots=True)
class Reply:
    """written: the model's own words. sent: what of them would be sent, "" for a refusal. held: what passed the check
    of its statements, whatever the line. features, confidence: of that, as serving has them."""

    written: str
    sent: str
    held: str = ""
    features: Mapping[str, float] = field(default_factory=dict)
    confidence: float = 0.0


def tasks_of(
    examples: Iterable[Example],
    window: Window,
    tokenizer: Tokenizer,
    shots: Callable[[Example], tuple[Shot, ...]] = lambda _example: (),
) -> tuple[list[Task], list[Rejected]]:
    """The very prompts of training, and the rows that do not fit into the window."""
    tasks: list[Task] = []
    rejected: list[Rejected] = []
    for example in examples:
        made = fit(example, window, tokenizer, shots(example))
        if isinstance(made, Rejected):
            rejected.append(made)
        else:
            tasks += [_task(one) for one in made]
    return tasks, rejected


def _task(one: Fitted) -> Task:
    row = f"{one.example.id}#{one.part}"
    return Task(row, one.example, one.messages[:-1], one.messages[-1]["content"], one.cited, one.seen)


def reply(task: Task, written: Written, quoting: Quoting, entails: Entailment | None = None) -> Reply:
    """As serving decides it: checked statement by statement, then held against the line by how well the row's passages
    answer, how well they support it, and how sure the model was of its words."""
    asked = task.example.question
    checked = checking.check(whole(written), task.seen, analyse, packaged_model(), entails, question=asked)
    quoted = {**quoting.quoted(task.example).features, WITNESS: 1.0}  # it was read by a model
    known = {**quoted, **checked.support, **likelihood.features(written.logprobs)}
    held = checked.text if checked.passages else ""
    sent = held if quoting.sure(known, task.example.language) else ""
    return Reply(written.text, sent, held, known, quoting.probability(known) if held else 0.0)


def quoted_reply(task: Task, quoting: Quoting) -> Reply:
    found = quoting.quoted(task.example)
    held = found.draft.text if found.draft.citations else ""
    sent = found.draft.text if found.sent else ""
    return Reply(found.draft.text, sent, held, found.features, quoting.probability(found.features) if held else 0.0)


def said(tasks: Sequence[Task], replies: Sequence[Reply]) -> list[Said]:
    """The answers that the line decides about: what passed the check, and whether it is right."""
    pairs = zip(tasks, replies, strict=True)
    return [Said(one.features, judge(task, one.held).right) for task, one in pairs if one.held]


def reliability(tasks: Sequence[Task], replies: Sequence[Reply]) -> dict[str, Any]:
    """How well the confidence fits the answers that the line decides about, as `services.calibration.quality`."""
    pairs = [
        (one.confidence, judge(task, one.held).right) for task, one in zip(tasks, replies, strict=True) if one.held
    ]
    if not pairs:
        return {"answers": 0}
    sure, right = zip(*pairs, strict=True)
    return quality(np.array(sure), np.array(right, float))


def judge(task: Task, sent: str) -> Judged:
    """What the gates look at; sent: "" for a refusal."""
    answerable, text = not task.example.refuses, prompt.without_citations(sent)
    return Judged(
        row=task.row,
        cluster=task.cluster,
        answerable=answerable,
        refused=not sent,
        score=metrics.token_f1(text, task.reference) if answerable and sent else 0.0,
        right=is_right(text, task.reference) if answerable else not sent,
        guarded=task.example.reviewed,
        language=task.example.language,
    )


def is_right(text: str, reference: str) -> bool:
    """Whether it holds the reference word for word, or has the same facts and half of its words, none of them turned
    into its opposite (enable for disable)."""
    ours, theirs = metrics.tokens(text), metrics.tokens(reference)
    if _holds(ours, theirs):
        return True
    if opposed(text, reference) or opposed(reference, text):
        return False
    return metrics.fact_f1(text, reference) in (None, 1.0) and metrics.token_f1(text, reference) >= RIGHT_F1


def _holds(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    size = len(theirs)
    return bool(theirs) and any(list(ours[at : at + size]) == list(theirs) for at in range(len(ours) - size + 1))


# --- figures ----------------------------------------------------------------------------------------------------------


def figures(tasks: Sequence[Task], texts: Sequence[str]) -> dict[str, Any]:
    """Each figure 0..1 with its interval; texts: one a task, as written or as sent ("" for a refusal). A figure that no
    row says anything about is left out."""
    pairs = [(task, text) for task, text in zip(tasks, texts, strict=True) if not task.example.refuses]
    values = {**_values(pairs), **_refusals(tasks, texts)}
    found = {name: bootstrap(rows) for name, rows in values.items()} | {"bleu": _bleu(pairs)}
    return {"rows": len(tasks), **{name: one.to_json() for name, one in found.items() if one.clusters}}


def by_language(tasks: Sequence[Task], texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Language → rows, and the figures that the gates look at, with their intervals."""
    out = {}
    for language in sorted({one.example.language for one in tasks}):
        own = [(task, text) for task, text in zip(tasks, texts, strict=True) if task.example.language == language]
        answerable = [pair for pair in own if not pair[0].example.refuses]
        f1 = _grouped(answerable, lambda task, text: _against(metrics.token_f1, task, text))
        right = _grouped(answerable, lambda task, text: float(is_right(prompt.without_citations(text), task.reference)))
        values = {"f1": f1, "right": right, **_refusals([task for task, _ in own], [text for _, text in own])}
        found = {name: bootstrap(rows) for name, rows in values.items()}
        out[language] = {"rows": len(own), **{name: one.to_json() for name, one in found.items() if one.clusters}}
    return out


def f1_by_cluster(tasks: Sequence[Task], texts: Sequence[str]) -> dict[str, list[float]]:
    """Of the answerable rows, in their order."""
    pairs = [(task, text) for task, text in zip(tasks, texts, strict=True) if not task.example.refuses]
    return _grouped(pairs, lambda task, text: _against(metrics.token_f1, task, text))


def paired(one: Values, other: Values) -> Interval:
    """The mean difference one - other, by cluster."""
    return bootstrap({name: [a - b for a, b in zip(one[name], other[name], strict=True)] for name in one})


def perplexity(tasks: Sequence[Task], logprobs: Sequence[Sequence[float]]) -> dict[str, float]:
    """Of the references by token, the end token included: 1 is certain. Its interval is that of the mean logarithm."""
    values: dict[str, list[float]] = defaultdict(list)
    for task, found in zip(tasks, logprobs, strict=True):
        values[task.cluster] += [-one for one in found]
    mean = bootstrap(values)
    return {
        "mean": math.exp(mean.mean),
        "low": math.exp(mean.low),
        "high": math.exp(mean.high),
        "clusters": mean.clusters,
    }


def margins(found: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """found: (cluster, mean log-probability of the right answer's tokens less that of the best wrong one's)."""
    if not found:
        return {"rows": 0}
    values: dict[str, list[float]] = defaultdict(list)
    for cluster, margin in found:
        values[cluster].append(margin)
    preferred = {name: [float(one > 0) for one in rows] for name, rows in values.items()}
    return {"rows": len(found), "margin": bootstrap(values).to_json(), "preferred": bootstrap(preferred).to_json()}


Pair = tuple[Task, str]


def _values(pairs: Sequence[Pair]) -> dict[str, dict[str, list[float]]]:
    known = [pair for pair in pairs if metrics.fact_f1(pair[1], pair[0].reference) is not None]
    return {
        "exact": _grouped(pairs, lambda task, text: _against(metrics.exact_match, task, text)),
        "f1": _grouped(pairs, lambda task, text: _against(metrics.token_f1, task, text)),
        "rouge_l": _grouped(pairs, lambda task, text: _against(metrics.rouge_l, task, text)),
        "right": _grouped(pairs, lambda task, text: float(is_right(prompt.without_citations(text), task.reference))),
        "facts": _grouped(known, lambda task, text: _against(lambda a, b: metrics.fact_f1(a, b) or 0.0, task, text)),
        "citation_precision": _grouped(pairs, lambda task, text: _cited(task, text)[0]),
        "citation_recall": _grouped(pairs, lambda task, text: _cited(task, text)[1]),
    }


def _against(metric: metrics.Metric, task: Task, text: str) -> float:
    """A refusal is no answer, whatever words it shares with one."""
    said = prompt.without_citations(text)
    return 0.0 if not said.strip() or checking.is_refusal(said) else metric(said, task.reference)


def _cited(task: Task, text: str) -> tuple[float, float]:
    return metrics.citation_scores(prompt.citations_of(text), task.cited)


def _grouped(pairs: Sequence[Pair], value: Callable[[Task, str], float]) -> dict[str, list[float]]:
    out: dict[str, list[float]] = defaultdict(list)
    for task, text in pairs:
        out[task.cluster].append(value(task, text))
    return out


def _refusals(tasks: Sequence[Task], texts: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """missed: unanswerable and answered. over: answerable and refused."""
    out: dict[str, dict[str, list[float]]] = {"missed_refusals": defaultdict(list), "over_refusals": defaultdict(list)}
    for task, text in zip(tasks, texts, strict=True):
        refused = not text.strip() or checking.is_refusal(text)
        name = "missed_refusals" if task.example.refuses else "over_refusals"
        out[name][task.cluster].append(float(refused != task.example.refuses))
    return out


def _bleu(pairs: Sequence[Pair], seed: int = 0) -> Interval:
    """Of the whole corpus, with a bootstrap over clusters."""
    by_cluster: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_cluster[pair[0].cluster].append(pair)
    groups = list(by_cluster.values())
    if not groups:
        return Interval(math.nan, math.nan, math.nan, 0)
    chance = random.Random(seed)
    drawn = sorted(_bleu_of(chance.choices(groups, k=len(groups))) for _ in range(_ROUNDS))
    return Interval(_bleu_of(groups), drawn[int(0.025 * _ROUNDS)], drawn[int(0.975 * _ROUNDS)], len(groups))


def _bleu_of(groups: Sequence[Sequence[Pair]]) -> float:
    pairs = [pair for group in groups for pair in group]
    said = [prompt.without_citations(text) for _, text in pairs]
    return metrics.bleu(said, [task.reference for task, _ in pairs])
