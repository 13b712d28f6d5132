"""A model judged on the frozen test rows of a dataset. READ FIRST of evaluation.

Every test question goes through what could answer it: the approved answers of the training rows, quoting, the base with
context, the tuned model with context, with examples, and with no passage at all. The differences are paired by row and
bootstrapped by cluster, so the report says what the tuning added, or that it added nothing that can be told.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from router import prompt, wording
from router.checking import Entailment
from router.confidence import Calibration
from router.curated import Entries
from router.errors import InvalidInput, Mismatch
from router.packing import Tokenizer, Window
from router.ports import Progress
from router.prompt import Shot, Source
from router.types import CuratedEntry
from services.calibration import Adapted, adapt
from services.compose import entailment_of
from services.curated.vocabulary import packaged_guards
from services.generation.vllm import Written
from services.training import jsonl, judging
from services.training.answering_models import Asked
from services.training.counting import tokenizer_of
from services.training.dataset import MANIFEST
from services.training.digests import digest
from services.training.gates import Judged
from services.training.judging import Reply, Task
from services.training.metrics import Interval
from services.training.quoting import Quoting
from services.training.records import Example, Split

REPORT = "evaluation.json"
_SHOWN = ("as_written", "as_sent", "as_sent_by_language")  # of a route, in the report
_CLOSED = 200  # training rows asked without passages, at most


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """model: a merged model's folder or name. dataset: a folder. base: what it was tuned from, "" to leave it out.
    previous: an older dataset, whose answers that changed since are looked for. shots: examples of the few-shot run.
    encoder: a local encoder for BERTScore, "" for none. entailment: as the setting of serving."""

    model: str
    dataset: Path
    calibration: Calibration
    base: str = ""
    previous: Path | None = None
    shots: int = 2
    encoder: str = ""
    entailment: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """A dataset as evaluation reads it. digest: of its manifest."""

    folder: Path
    examples: tuple[Example, ...]
    splits: dict[str, Split]
    window: Window
    digest: str

    def of(self, split: Split) -> list[Example]:
        return [one for one in self.examples if self.splits[one.cluster] is split]

    def judged(self) -> list[Example]:
        """The test rows, and every reviewed row wherever it is: none of those may become wrong."""
        return [one for one in self.examples if one.reviewed or self.splits[one.cluster] is Split.TEST]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """report: JSON-ready. judged: as sent, every judged row."""

    report: dict[str, Any]
    judged: list[Judged] = field(default_factory=list)


def read_data(folder: Path) -> Data:
    """Raises `InvalidInput` when it is no dataset, `Mismatch` when its rows were rendered by another prompt renderer
    than this program's."""
    path = folder / MANIFEST
    if not path.is_file():
        raise InvalidInput(f"{folder} is not a dataset; `answerloop dataset build` makes one")
    manifest = json.loads(path.read_text("utf-8"))
    if manifest["prompt_hash"] != prompt.prompt_hash():
        raise Mismatch(f"{folder} was made with other prompts than this version renders; build the dataset again")
    splits = json.loads((folder / "splits.json").read_text("utf-8"))
    tokens = manifest["tokens"]
    return Data(
        folder,
        tuple(jsonl.read_examples(folder / "examples.jsonl")),
        {cluster: Split(split) for cluster, split in splits.items()},
        Window(tokens["window"], tokens["reserved_for_answer"]),
        manifest_digest(folder),
    )


def manifest_digest(folder: Path) -> str:
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def evaluate(options: EvaluationOptions, progress: Progress) -> Evaluation:
    """Raises `InvalidInput` without test rows, `Misconfigured` when a model cannot be loaded."""
    data = read_data(options.dataset)
    tokenizer = tokenizer_of(options.model)
    quoting, entails = Quoting(data.examples, options.calibration), entailment_of(options.entailment)
    run = _Run(data, tokenizer, quoting, progress, entails)
    if not run.test:
        raise InvalidInput(f"{options.dataset} has no test rows that fit into its window; it is too small to judge by")
    tuned = Asked(options.model)
    replies = run.replied(run.test, run.asked(tuned, run.test))
    written = [one.written for one in replies]
    routes = run.without_model() | {"tuned": _route(run.test, replies)}
    routes |= {"tuned, few shots": run.few_shot(tuned, options.shots), "tuned, closed book": run.closed_book(tuned)}
    closed = [one["written"] for one in routes["tuned, closed book"]["replies"]]
    pairs = {"tuned with context against closed book": _gain(run.test, written, closed)}
    pairs["tuned against quoting"] = _gain(run.test, [one.sent for one in replies], _sent(routes["quoting"]))
    if options.base:
        untuned = Asked(options.base)
        base = run.model(untuned)
        routes |= {"base": base, "base, few shots": run.few_shot(untuned, options.shots)}
        pairs["tuned against base"] = _gain(run.test, written, [one["written"] for one in base["replies"]])
    judged = run.judged(tuned, dict(zip((one.row for one in run.test), replies, strict=True)))
    report = {
        "model": options.model,
        "digest": digest(options.model),
        "base": options.base,
        "dataset": data.digest,
        "prompt_hash": prompt.prompt_hash(),
        "entailment": options.entailment,
        "test": {"rows": len(run.test), "clusters": len({one.cluster for one in run.test}), "left_out": run.left_out},
        "routes": {name: {key: one[key] for key in _SHOWN} for name, one in routes.items()},
        "differences": {name: {**one.to_json(), "says": said_of(one)} for name, one in pairs.items()},
        "perplexity": run.perplexity(tuned),
        "adversarial": run.adversarial(tuned),
        "memory": run.memory(tuned, options.previous),
        "confidence": judging.reliability(run.test, replies),
        "judged": [asdict(one) for one in judged],
        "rows": _rows(run.test, replies),
    }
    if options.encoder:
        report["bert_score"] = _bert_score(options.encoder, run.test, routes)
    return Evaluation(report, judged)


def judged_replies(
    model: str, dataset: Path, calibration: Calibration, progress: Progress, entailment: str = ""
) -> list[Judged]:
    """A model's judged rows alone, as the gates need them. entailment: as the setting of serving."""
    data = read_data(dataset)
    quoting = Quoting(data.examples, calibration)
    run = _Run(data, tokenizer_of(model), quoting, progress, entailment_of(entailment))
    return run.judged(Asked(model), {})


def calibrated(model: str, dataset: Path, live: Calibration, progress: Progress, entailment: str = "") -> Adapted:
    """The served calibration for this model, by what it says to the rows of the calibration slice: rows that nothing
    was trained, chosen or compared on."""
    data = read_data(dataset)
    run = _Run(data, tokenizer_of(model), Quoting(data.examples, live), progress, entailment_of(entailment))
    tasks, _ = judging.tasks_of(data.of(Split.CALIBRATION), data.window, run.tokenizer)
    replies = run.replied(tasks, run.asked(Asked(model), tasks)) if tasks else []
    return adapt(live, judging.said(tasks, replies))


def judged_quotes(dataset: Path, calibration: Calibration, counted_by: str) -> list[Judged]:
    """The same without a model: what quoting sends. counted_by: the model whose tokenizer fits the rows."""
    data = read_data(dataset)
    tasks, _ = judging.tasks_of(data.judged(), data.window, tokenizer_of(counted_by))
    quoting = Quoting(data.examples, calibration)
    return [judging.judge(task, judging.quoted_reply(task, quoting).sent) for task in tasks]


def write(evaluation: Evaluation, model: str, out: Path | None) -> Path:
    """Beside the model, or at `out`."""
    path = out or Path(model) / REPORT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(evaluation.report, indent=1, ensure_ascii=False), "utf-8")
    return path


def said_of(one: Interval) -> str:
    if one.low > 0:
        return "better"
    return "worse" if one.high < 0 else "no difference that can be told from chance"


class _Run:
    """The test rows of a dataset, asked of one model after another. left_out: rows that do not fit."""

    def __init__(
        self,
        data: Data,
        tokenizer: Tokenizer,
        quoting: Quoting,
        progress: Progress,
        entails: Entailment | None = None,
    ) -> None:
        self.data, self.tokenizer, self.quoting, self.progress = data, tokenizer, quoting, progress
        self.entails = entails
        self.test, rejected = judging.tasks_of(data.of(Split.TEST), data.window, tokenizer)
        self.left_out = len(rejected)

    def asked(self, model: Asked, tasks: Sequence[Task]) -> list[Written]:
        return model.written([one.messages for one in tasks], self.data.window.answer, self.progress)

    def replied(self, tasks: Sequence[Task], written: Sequence[Written]) -> list[Reply]:
        return [judging.reply(*one, self.quoting, self.entails) for one in zip(tasks, written, strict=True)]

    def model(self, model: Asked) -> dict[str, Any]:
        return _route(self.test, self.replied(self.test, self.asked(model, self.test)))

    def without_model(self) -> dict[str, dict[str, Any]]:
        quoted = [judging.quoted_reply(one, self.quoting) for one in self.test]
        return {"curated": _route(self.test, self._curated()), "quoting": _route(self.test, quoted)}

    def _curated(self) -> list[Reply]:
        """By approved answers that training rows know: those of test rows would answer their own questions."""
        known = [one for one in self.data.of(Split.TRAIN) if one.reviewed and not one.refuses]
        entries = [CuratedEntry(one.id, one.question, one.answer) for one in known]
        store = Entries.build(entries, packaged_guards(), "training rows")
        found = [store.match(one.example.question).entry for one in self.test]
        return [Reply(entry.answer, entry.answer) if entry else Reply("", "") for entry in found]

    def few_shot(self, model: Asked, shots: int) -> dict[str, Any]:
        """Examples come from training clusters only. Rows that no longer fit beside them are left out."""
        examples = {name: self._shots(name, shots) for name in ("zh", "en")}
        tasks, _ = judging.tasks_of(
            (one.example for one in self.test),
            self.data.window,
            self.tokenizer,
            lambda example: examples.get(example.language, ()),
        )
        written = self.asked(model, tasks) if tasks else []
        return _route(tasks, self.replied(tasks, written))

    def _shots(self, language: str, most: int) -> tuple[Shot, ...]:
        rows = [one for one in self.data.of(Split.TRAIN) if one.language == language and one.evidence]
        rows.sort(key=lambda one: (not one.reviewed, one.id))  # ids are hashes
        return tuple(_shot(one) for one in list({one.cluster: one for one in reversed(rows)}.values())[::-1][:most])

    def closed_book(self, model: Asked) -> dict[str, Any]:
        written = self._closed(model, [one.example for one in self.test])
        return _route(self.test, [Reply(text, "") for text in written])

    def _closed(self, model: Asked, examples: Sequence[Example]) -> list[str]:
        prompts = [prompt.render(one.question, (), one.language).messages for one in examples]
        messages = [[{"role": one.role, "content": one.content} for one in some] for some in prompts]
        return model.answers(messages, self.data.window.answer, self.progress)

    def judged(self, model: Asked, known: dict[str, Reply]) -> list[Judged]:
        """known: replies that are there already."""
        tasks, _ = judging.tasks_of(self.data.judged(), self.data.window, self.tokenizer)
        missing = [one for one in tasks if one.row not in known]
        written = self.asked(model, missing) if missing else []
        replied = zip((one.row for one in missing), self.replied(missing, written), strict=True)
        replies = known | dict(replied)
        return [judging.judge(one, replies[one.row].sent) for one in tasks]

    def perplexity(self, model: Asked) -> dict[str, float]:
        pairs = [(one.messages, one.answer) for one in self.test]
        return judging.perplexity(self.test, model.logprobs(pairs, self.progress))

    def adversarial(self, model: Asked) -> dict[str, Any]:
        """The right answer against the rejected ones, all without citations, per token: a long answer is not less
        probable for being long."""
        rows = [one for one in self.test if one.example.rejected and not one.example.refuses]
        pairs = [(one.messages, text) for one in rows for text in (one.reference, *one.example.rejected)]
        means = iter([sum(one) / len(one) for one in model.logprobs(pairs, self.progress)])
        found = [
            (one.cluster, next(means) - max([next(means) for _ in one.example.rejected])) for one in rows
        ]  # the right one is taken from the iterator first
        return judging.margins(found)

    def memory(self, model: Asked, previous: Path | None) -> dict[str, Any]:
        """What it says with nothing retrieved: right answers it was trained on, and answers that were right once."""
        trained = [one for one in self.data.of(Split.TRAIN) if not one.refuses and not one.parent]
        trained = sorted(trained, key=lambda one: one.id)[:_CLOSED]
        outdated = self._outdated(previous) if previous else []
        return {
            "memorised": _share_right(trained, self._closed(model, trained)),
            "outdated": _share_right(outdated, self._closed(model, outdated)) if outdated else None,
        }

    def _outdated(self, previous: Path) -> list[Example]:
        """Rows of an older dataset whose answer is another one now."""
        now = {wording.normalise(one.question): one.answer for one in self.data.examples if not one.refuses}
        then = jsonl.read_examples(previous / "examples.jsonl")
        changed = ((one, now.get(wording.normalise(one.question))) for one in then if not one.refuses)
        return [one for one, answer in changed if answer is not None and answer != one.answer]


def _shot(one: Example) -> Shot:
    """The evidence alone: examples are for the form, and room is short."""
    sources = tuple(Source(part.heading or part.document, part.text) for part in one.evidence)
    marks = "".join(f"[{number}]" for number in range(1, len(sources) + 1))
    return Shot(one.question, sources, f"{one.answer} {marks}")


def _route(tasks: Sequence[Task], replies: Sequence[Reply]) -> dict[str, Any]:
    return {
        "as_written": judging.figures(tasks, [one.written for one in replies]),
        "as_sent": judging.figures(tasks, [one.sent for one in replies]),
        "as_sent_by_language": judging.by_language(tasks, [one.sent for one in replies]),
        "replies": [asdict(one) for one in replies],
    }


def _bert_score(encoder: str, tasks: Sequence[Task], routes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Of the routes that were asked every row."""
    from services.training.bert_score import Encoder, compared

    written = {name: [reply["written"] for reply in one["replies"]] for name, one in routes.items()}
    return compared(Encoder(encoder), tasks, {name: some for name, some in written.items() if len(some) == len(tasks)})


def _sent(route: dict[str, Any]) -> list[str]:
    return [one["sent"] for one in route["replies"]]


def _gain(tasks: Sequence[Task], ours: Sequence[str], theirs: Sequence[str]) -> Interval:
    return judging.paired(judging.f1_by_cluster(tasks, ours), judging.f1_by_cluster(tasks, theirs))


def _share_right(examples: Sequence[Example], texts: Sequence[str]) -> dict[str, Any]:
    right = [judging.is_right(text, one.answer) for one, text in zip(examples, texts, strict=True)]
    return {"rows": len(right), "right": sum(right) / len(right) if right else None}


def _rows(tasks: Sequence[Task], replies: Sequence[Reply]) -> list[dict[str, Any]]:
    """What people score, see `human_sheet`."""
    return [
        {
            "row": task.row,
            "cluster": task.cluster,
            "question": task.example.question,
            "reference": task.reference,
            "written": reply.written,
            "sent": reply.sent,
            "confidence": reply.confidence,
        }
        for task, reply in zip(tasks, replies, strict=True)
    ]
