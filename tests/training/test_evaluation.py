"""Models are judged by what they say on frozen rows: batches change nothing, every figure can come out either way."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from router import wording
from router.errors import InvalidInput, Misconfigured, Mismatch
from router.packing import Window
from services.calibrations import packaged_calibration
from services.generation.vllm import Written
from services.training import evaluation, judging
from services.training.answering_models import Asked, batches
from services.training.bert_score import Encoder, compared
from services.training.counting import tokenizer_of
from services.training.dataset import Budget, make
from services.training.encoding import Messages, encode, prompt_ids, stop_id, with_template
from services.training.evaluation import EvaluationOptions, evaluate, read_data
from services.training.judging import figures, is_right, judge, margins, paired, perplexity, tasks_of
from services.training.quoting import Quoting
from services.training.records import Split
from tests.backends.entailment_models import tiny_nli
from tests.training.test_dataset import NAMES, PASSAGES, inputs, parameter_page
from tests.training.tiny_models import make as make_model

CALIBRATION = packaged_calibration()
MESSAGES = [
    [{"role": "user", "content": text}] for text in ("What is wal_size?", "锁", "a " * 40, "lock_limit 是多少？")
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [one.text for one in PASSAGES] + list(wording.REFUSAL.values())
    return make_model(tmp_path_factory.mktemp("models") / "base", "qwen3", texts, words=1200, steps=20)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    folder = tmp_path_factory.mktemp("data") / "d"
    pages = [*PASSAGES, *(parameter_page(f"{name}{at}") for name in NAMES for at in range(3))]
    make(inputs(passages=pages), Budget(Window(1600, 60), tokenizer_of(str(base)), str(base)), folder)
    return folder


def said(text: str) -> Written:
    return Written(text, (-0.1,), "stop", 9)


def tasks(data: Path, base: Path) -> list[judging.Task]:
    read = read_data(data)
    return tasks_of(read.of(Split.TEST), read.window, tokenizer_of(str(base)))[0]


# --- asking -----------------------------------------------------------------------------------------------------------


def test_answers_in_batches_are_those_one_by_one(base: Path) -> None:
    together, alone = Asked(str(base)), Asked(str(base), batch=1)
    assert together.answers(MESSAGES, 12) == alone.answers(MESSAGES, 12)


def test_what_it_wrote_comes_with_the_probabilities_that_serving_would_see(base: Path) -> None:
    """Batched and padded, they are those of each answer word by word, its end token included where it came to one."""
    found = Asked(str(base)).written(MESSAGES, 12)
    model = AutoModelForCausalLM.from_pretrained(base)
    tokenizer = with_template(AutoTokenizer.from_pretrained(base))
    for messages, one in zip(MESSAGES, found, strict=True):
        ids, logprobs, stop = prompt_ids(tokenizer, messages), list[float](), stop_id(tokenizer)
        while len(logprobs) < 12 and ids[-1] != stop:
            with torch.no_grad():
                likely = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
            ids, logprobs = [*ids, int(likely.argmax())], [*logprobs, float(likely.max())]
        assert one.logprobs == pytest.approx(logprobs, abs=1e-4)
        assert one.finish == ("stop" if ids[-1] == stop else "length")


@given(st.lists(st.integers(1, 900), max_size=60), st.integers(1, 4_000))
def test_batches_hold_every_row_once_and_no_more_tokens_than_allowed(sizes: list[int], most: int) -> None:
    found = list(batches(sizes, most))
    assert sorted(at for batch in found for at in batch) == list(range(len(sizes)))
    assert all(len(batch) == 1 or len(batch) * max(sizes[at] for at in batch) <= most for batch in found)


def test_log_probabilities_are_the_losses_of_training(base: Path) -> None:
    pairs = list(zip(MESSAGES, ("48MB [1]", "锁", "b", "第一 [1]"), strict=True))
    found = Asked(str(base)).logprobs(pairs)
    model = AutoModelForCausalLM.from_pretrained(base)
    tokenizer = with_template(AutoTokenizer.from_pretrained(base))
    for (messages, answer), row in zip(pairs, found, strict=True):
        encoded = encode(tokenizer, messages, answer)
        ids, labels = torch.tensor([encoded.ids]), torch.tensor([encoded.labels])
        assert -sum(row) / len(row) == pytest.approx(model(input_ids=ids, labels=labels).loss.item(), abs=1e-4)


def test_a_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Misconfigured, match="cannot be loaded"):
        Asked(str(tmp_path / "empty"))


# --- judging ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reference", "right"),
    [
        ("48MB", "48MB", True),
        ("The default is 48MB.", "48MB", True),
        ("默认为 48MB", "48MB", True),
        ("480MB", "48MB", False),
        ("", "48MB", False),
        ("不是 48MB 的两倍", "是 48MB 的两倍", True),  # it holds the words; the gate against that is the support check
        ("Run `wal-restart --soon`.", "Run `wal-restart --now`.", False),
        ("Stop the service first, then start it", "Stop the service, then start it", True),
        ("It waits 10 seconds and retries", "It waits 10 minutes and retries", False),
        ("开启该功能后重试", "关闭该功能后重试", False),
    ],
)
def test_right_needs_the_same_facts(text: str, reference: str, right: bool) -> None:
    assert is_right(text, reference) is right


def test_figures_tell_a_perfect_model_from_one_that_always_refuses(data: Path, base: Path) -> None:
    rows = tasks(data, base)
    perfect = figures(rows, [one.answer for one in rows])
    silent = figures(rows, [wording.REFUSAL["zh"] for _ in rows])
    chatty = figures(rows, ["yes"] * len(rows))
    for name in ("exact", "f1", "rouge_l", "right", "citation_precision", "citation_recall"):
        assert perfect[name]["mean"] == 1.0, name
        assert silent[name]["mean"] == 0.0, name
    assert (perfect["missed_refusals"]["mean"], perfect["over_refusals"]["mean"]) == (0.0, 0.0)
    assert (silent["missed_refusals"]["mean"], silent["over_refusals"]["mean"]) == (0.0, 1.0)
    assert (chatty["missed_refusals"]["mean"], chatty["over_refusals"]["mean"]) == (1.0, 0.0)
    assert perfect["bleu"]["mean"] > 0.9 > 0.1 > chatty["bleu"]["mean"]


def test_what_is_sent_passed_the_check_and_the_line(data: Path, base: Path) -> None:
    """An invented value is not sent though the model wrote it; nothing is sent where the line is out of reach."""
    rows = [one for one in tasks(data, base) if not one.example.refuses and one.example.method == "default"]
    examples = read_data(data).examples
    open_line = Quoting(examples, CALIBRATION.with_line(0.0))
    alone = Quoting(examples, replace(CALIBRATION.with_line(0.0), by_words={"en": 1.1, "zh": 1.1}))
    shut = Quoting(examples, CALIBRATION.with_line(1.1))
    assert rows
    for row in rows:
        assert judge(row, judging.reply(row, said(row.answer), open_line).sent).right
        assert judging.reply(row, said(row.answer), alone).sent  # a model has read what it wrote of
        assert judging.reply(row, said("77777MB [1]"), open_line).sent == ""
        refused = judge(row, judging.reply(row, said(row.answer), shut).sent)
        assert refused.refused and not refused.right and refused.score == 0.0
        assert judging.quoted_reply(row, shut).sent == ""
    assert any(judging.quoted_reply(row, open_line).sent for row in rows)


def test_what_is_sent_follows_in_the_eyes_of_the_entailment_model(
    data: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right answers: all that changes what is sent is the model that serving would ask, too."""
    rows = tasks_of(read_data(data).judged(), read_data(data).window, tokenizer_of(str(base)))[0]
    right = {one.messages[-1]["content"]: one.answer for one in rows}

    def written(_self: Asked, prompts: Sequence[Messages], *_: object) -> list[Written]:
        return [said(right.get(one[-1]["content"], "")) for one in prompts]

    monkeypatch.setattr(Asked, "written", written)
    options = EvaluationOptions(str(base), data, CALIBRATION.with_line(0.0), shots=0)
    for entailment in ("", str(tiny_nli(tmp_path, always="neutral"))):
        found = evaluate(replace(options, entailment=entailment), lambda *_: None)
        alone = evaluation.judged_replies(str(base), data, options.calibration, lambda *_: None, entailment)
        assert found.report["entailment"] == entailment and alone == found.judged
        sent = [not one.refused for one in alone if one.answerable]
        assert not any(sent) if entailment else sum(sent) > len(sent) / 2


def test_a_paired_difference_needs_no_lucky_mean() -> None:
    ours, theirs = {f"c{at}": [0.6] for at in range(30)}, {f"c{at}": [0.5] for at in range(30)}
    assert paired(ours, theirs).low > 0
    noisy = {f"c{at}": [float(at % 2)] for at in range(30)}
    assert paired(noisy, theirs).low < 0 < paired(noisy, theirs).high
    assert evaluation.said_of(paired(noisy, theirs)).startswith("no difference")


def test_what_no_row_says_anything_about_is_left_out(data: Path, base: Path) -> None:
    """An undefined mean is no JSON."""
    refusals = [one for one in tasks(data, base) if one.example.refuses]
    found = figures(refusals, ["yes"] * len(refusals))
    assert found.keys() == {"rows", "missed_refusals"}
    json.dumps([found, margins([])], allow_nan=False)


def test_perplexity_is_by_token_and_margins_by_row(data: Path, base: Path) -> None:
    rows = tasks(data, base)[:2]
    found = perplexity(rows, [(math.log(0.5),) * 3, (math.log(0.125),)])
    assert found["mean"] == pytest.approx(math.exp(-(3 * math.log(0.5) + math.log(0.125)) / 4))
    preferred = margins([("a", 0.5), ("a", -0.1), ("b", 0.2)])
    assert preferred["preferred"]["mean"] == pytest.approx(2 / 3) and preferred["rows"] == 3


# --- a whole run ------------------------------------------------------------------------------------------------------


def test_every_route_is_in_the_report(data: Path, base: Path, tmp_path: Path) -> None:
    options = EvaluationOptions(str(base), data, CALIBRATION, base=str(base), previous=data)
    found = evaluate(options, lambda *_: None)
    report = json.loads(evaluation.write(found, str(base), tmp_path / "e.json").read_text("utf-8"))
    wanted = {"curated", "quoting", "base", "base, few shots", "tuned", "tuned, few shots", "tuned, closed book"}
    assert set(report["routes"]) == wanted
    for route in report["routes"].values():
        assert sum(one["rows"] for one in route["as_sent_by_language"].values()) == route["as_sent"]["rows"]
    assert set(report["routes"]["tuned"]["as_sent_by_language"]) == {"en", "zh"}
    itself = report["differences"]["tuned against base"]
    assert (itself["mean"], itself["low"], itself["high"]) == (0, 0, 0), "a model does not differ from itself"
    assert itself["says"].startswith("no difference")
    assert report["memory"]["outdated"] is None and report["memory"]["memorised"]["rows"] > 0
    assert report["adversarial"]["rows"] > 0 and report["perplexity"]["mean"] > 1
    guarded = [one for one in found.judged if one.guarded]
    assert guarded and len(found.judged) > report["test"]["rows"] - 1


def test_bert_score_stands_beside_that_of_unrelated_texts(data: Path, base: Path) -> None:
    """Any encoder that transformers loads; this one knows little, but a text is nearest to itself."""
    rows = tasks(data, base)
    found = compared(Encoder(str(base)), rows, {"itself": [one.answer for one in rows], "silent": [""] * len(rows)})
    assert found["itself"]["mean"] == pytest.approx(1.0, abs=1e-4) and found["silent"]["mean"] == 0.0
    assert found["silent"]["mean"] < found["unrelated"]["mean"] < found["itself"]["mean"]
    with pytest.raises(Misconfigured, match="encoder"):
        Encoder(str(data))


def test_shots_come_from_training_clusters(data: Path, base: Path) -> None:
    read = read_data(data)
    run = evaluation._Run(read, tokenizer_of(str(base)), Quoting(read.examples, CALIBRATION), lambda *_: None)
    trained = {one.question for one in read.of(Split.TRAIN)}
    for language in ("zh", "en"):
        shots = run._shots(language, 2)
        assert len(shots) == 2 and {one.question for one in shots} <= trained
        assert all(wording.language_of(one.question) == language for one in shots)


def test_answers_that_changed_are_asked_for_without_passages(data: Path, base: Path, tmp_path: Path) -> None:
    """An older dataset in which one default was another one."""
    pages = [parameter_page(name) for name in NAMES]
    older = [replace(one, text=one.text.replace("MB", "GB")) for one in pages]
    make(
        inputs(passages=older, curated=(), decisions=()),
        Budget(Window(1600, 60), tokenizer_of(str(base)), "t"),
        tmp_path / "o",
    )
    read = read_data(data)
    run = evaluation._Run(read, tokenizer_of(str(base)), Quoting(read.examples, CALIBRATION), lambda *_: None)
    changed = run._outdated(tmp_path / "o")
    assert changed and all("GB" in one.answer for one in changed)
    assert run._outdated(data) == []


def test_other_prompts_and_no_dataset_are_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not a dataset"):
        read_data(tmp_path)
    manifest = json.loads((data / "manifest.json").read_text("utf-8"))
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "prompt_hash": "other"}), "utf-8")
    with pytest.raises(Mismatch, match="other prompts"):
        read_data(tmp_path)
