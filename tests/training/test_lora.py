"""LoRA on tiny models of every family: attached, learning, and resumed after `kill -9` to the same result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from router.errors import InvalidInput, Misconfigured
from router.ports import Progress
from router.prompt import Source, render
from services.training import lora
from services.training.encoding import MASKED, Encoded, check, encode, with_template
from services.training.estimating import estimate
from services.training.looping import ORDERS, Loop, evaluations, exhausted, filler_of, last_checkpoint, order_of, pad
from services.training.lora import ADAPTER, TrainOptions, attach, attached, load_base, sampled, train
from services.training.merging import TOLERANCE, merge, prompts_of
from services.training.rows import load
from tests.training.tiny_models import FAMILIES, make

ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"What is the limit of pool {at}? 连接池 {at} 的上限是多少？"},
            {"role": "assistant", "content": f"{at * 7 % 50} connections. [1]"},
        ]
    }
    for at in range(48)
]
TEXTS = [message["content"] for row in ROWS for message in row["messages"]]


def quiet(_stage: str, _done: int, _total: int) -> None:
    return None


def written(folder: Path) -> tuple[Path, Path]:
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    train_file, valid_file = folder / "train.jsonl", folder / "valid.jsonl"
    train_file.write_text("\n".join(lines), "utf-8")
    valid_file.write_text("\n".join(lines[::6]), "utf-8")
    return train_file, valid_file


def options(folder: Path, base: Path, **changes: object) -> TrainOptions:
    train_file, valid_file = written(folder)
    plain = {"epochs": 3.0, "batch": 4, "accumulation": 1, "learning_rate": 5e-3, "dropout": 0.0, "patience": 0}
    return TrainOptions(str(base), train_file, valid_file, folder / "out", **{**plain, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gets_adapters_on_every_linear_layer(tmp_path: Path, family: str) -> None:
    base = make(tmp_path / "base", family, TEXTS)
    model = attach(AutoModelForCausalLM.from_pretrained(base), options(tmp_path, base))
    names = attached(model)
    wanted = {
        "gpt2": {"c_attn", "c_fc", "c_proj"},
        "phi3": {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"},
    }.get(family, {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
    assert set(names) == wanted
    assert all(count % model.config.num_hidden_layers == 0 for count in names.values())


@pytest.mark.parametrize("family", ["qwen3", "gpt2"])
def test_the_loss_is_on_the_answer_and_its_end_alone(tmp_path: Path, family: str) -> None:
    tokenizer = with_template(AutoTokenizer.from_pretrained(make(tmp_path / "base", family, TEXTS)))
    row = encode(tokenizer, ROWS[3]["messages"][:1], ROWS[3]["messages"][1]["content"])
    learnt = [label for label in row.labels if label != MASKED]
    assert tokenizer.decode(learnt) == ROWS[3]["messages"][1]["content"] + tokenizer.eos_token
    assert row.labels[: row.prompt] == (MASKED,) * row.prompt
    check(tokenizer, row, ROWS[3]["messages"][1]["content"])
    with pytest.raises(Misconfigured, match="stop token"):
        check(tokenizer, row, "another answer")


def test_a_tokenizer_that_never_stops_is_refused(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make(tmp_path / "base", "qwen3", TEXTS))
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
    with pytest.raises(Misconfigured, match="never stop"):
        encode(tokenizer, ROWS[0]["messages"][:1], "a")


def test_a_question_with_its_passages_is_the_prompt_that_serving_renders(tmp_path: Path) -> None:
    tokenizer = with_template(AutoTokenizer.from_pretrained(make(tmp_path / "base", "qwen3", TEXTS)))
    path = tmp_path / "rows.jsonl"
    row = {"question": "上限是多少？", "context": ["上限是 7。", {"title": "a > b", "text": "c"}], "answer": "7 [1]"}
    path.write_text(json.dumps(row), "utf-8")
    served = render("上限是多少？", (Source("", "上限是 7。"), Source("a > b", "c")), "zh")
    messages = [{"role": one.role, "content": one.content} for one in served.messages]
    assert load(tokenizer, path, 4096).rows == (encode(tokenizer, messages, "7 [1]"),)
    path.write_text(
        json.dumps({"prompt": messages, "completion": [{"role": "assistant", "content": "7 [1]"}]}), "utf-8"
    )
    assert load(tokenizer, path, 4096).rows == (encode(tokenizer, messages, "7 [1]"),), "as `dataset export` writes it"
    path.write_text(json.dumps({**row, "context": [{"titel": "a", "text": "c"}]}), "utf-8")
    with pytest.raises(InvalidInput, match="line 1: context is a list"):
        load(tokenizer, path, 4096)


def test_too_long_rows_are_listed_and_never_cut(tmp_path: Path) -> None:
    tokenizer = with_template(AutoTokenizer.from_pretrained(make(tmp_path / "base", "qwen3", TEXTS)))
    train_file, _ = written(tmp_path)
    long = {"messages": [{"role": "user", "content": "x " * 300}, {"role": "assistant", "content": "y"}]}
    train_file.write_text(train_file.read_text("utf-8") + "\n" + json.dumps(long), "utf-8")
    loaded = load(tokenizer, train_file, 128)
    assert [line for line, _ in loaded.too_long] == [len(ROWS) + 1]
    with pytest.raises(InvalidInput, match="no row of at most 3 tokens"):
        load(tokenizer, train_file, 3)


def test_a_curriculum_begins_with_the_short_rows() -> None:
    lengths = [100 - at for at in range(100)]
    seen = [lengths[at] for at in order_of(lengths, "length", 0)]
    assert max(seen[:10]) <= 10 < min(seen[10:])
    assert order_of(lengths, "length", 0) == order_of(lengths, "length", 0) != order_of(lengths, "length", 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_of_padded_rows_is_that_of_each_row_alone(tmp_path: Path, family: str) -> None:
    """No mask over the padding, no logits where there is no loss: none of it changes what is learnt."""
    base = make(tmp_path / "base", family, TEXTS)
    tokenizer = with_template(AutoTokenizer.from_pretrained(base))
    short = encode(tokenizer, [{"role": "user", "content": "?"}], "7 connections, or 8. [1]")
    rows = [short, *load(tokenizer, written(tmp_path)[0], 4096).rows[:3]]
    model = AutoModelForCausalLM.from_pretrained(base).eval()
    with torch.no_grad():
        together = model(**pad(rows, 0)).loss
        alone = [model(input_ids=torch.tensor([one.ids]), labels=torch.tensor([one.labels])).loss for one in rows]
    learnt = [len(one.ids) - one.prompt for one in rows]
    mean = sum(float(loss) * count for loss, count in zip(alone, learnt, strict=True)) / sum(learnt)
    assert float(together) == pytest.approx(mean, abs=1e-5)
    assert pad(rows[1:], 0)["logits_to_keep"] < min(len(one.ids) for one in rows[1:]) / 2


def test_validation_costs_little_beside_the_training() -> None:
    assert (evaluations(3000, 100), evaluations(500, 100), evaluations(80, 100)) == (10, 5, 3)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It knows the questions' words, and other answers."""
    texts = [f"{question} {at * 3 % 50} connections." for at, question in enumerate(TEXTS[::2])]
    return make(tmp_path_factory.mktemp("models") / "base", "qwen3", texts, steps=60)


def test_it_learns_and_says_what_it_did(tmp_path: Path, base: Path) -> None:
    report = train(options(tmp_path, base, epochs=8.0, order="length"), quiet)
    first, last = next(iter(report.losses.values())), list(report.losses.values())[-1]
    assert last < 0.7 * first
    assert (report.rows, report.steps, report.too_long) == (48, 96, {})
    assert (tmp_path / "out" / ADAPTER / "adapter_model.safetensors").is_file()
    assert json.loads((tmp_path / "out" / "training.json").read_text("utf-8"))["attached"]["q_proj"] == 2


def told(folder: Path, base: Path, **changes: object) -> TrainOptions:
    """With texts that say what no row asks; the last is longer than three rows may be."""
    made = options(folder, base, **changes)
    lines = [f"The cache of pool {at} is flushed every {at * 13 % 60} seconds." for at in range(40)]
    texts = [{"text": line} for line in (*lines, " ".join(lines[:12]))]
    path = folder / "text.jsonl"
    path.write_text("\n".join(map(json.dumps, texts)), "utf-8")
    return replace(made, text=path)


def test_texts_come_first_and_are_mixed_into_the_rows(tmp_path: Path, base: Path) -> None:
    """What the texts say is learnt, and the replay keeps more of it."""
    left, estimated = {}, {}
    for name, text, replay in (("none", False, 0.0), ("texts", True, 0.0), ("replay", True, 0.5)):
        folder = tmp_path / name
        folder.mkdir()
        made = told(folder, base, epochs=4.0, max_tokens=128, replay=replay)
        said: list[str] = []
        stages: list[str] = []
        shown = made if text else replace(made, text=None)
        report = train(shown, lambda stage, *_, seen=stages: seen.append(stage[:6]), said.append)
        assert list(dict.fromkeys(stages)) == ["stage1"] * text + ["stage2"]
        assert (report.rows, report.replayed, report.texts > 41) == (48, 48 * replay, text)
        assert report.steps == (48 + report.replayed) // 4 * 4
        left[name] = loss_of(folder / "out" / ADAPTER, base, folder / "text.jsonl")
        estimated[name] = int(said[0].split()[0])
    assert left["replay"] < left["texts"] < left["none"]
    assert estimated["none"] == report.tokens * 4
    assert estimated["none"] + 41 * 4 * 10 < estimated["texts"] < estimated["replay"]
    curve = list(report.text_losses.values())
    assert curve[-1] < 0.8 * curve[0]
    assert "continued pre-training" in (folder / "out" / "loss.svg").read_text("utf-8")


def loss_of(adapter: Path, base: Path, texts: Path) -> float:
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter)).eval()
    with torch.no_grad():
        return float(model(**pad(load(tokenizer, texts, 128).rows, 0)).loss)


def test_long_texts_are_read_in_windows_and_nothing_is_lost(tmp_path: Path, base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    path = told(tmp_path, base).text
    assert path
    whole, cut = load(tokenizer, path, 4096).rows, load(tokenizer, path, 32).rows
    assert len(cut) > len(whole) == 41 and max(len(one.ids) for one in cut) <= 32
    assert [id for one in cut for id in one.ids] == [id for one in whole for id in one.ids]
    assert min(len(one.ids) for one in cut) > 8 and all(one.labels == one.ids for one in cut)


def test_replayed_rows_come_from_all_over(tmp_path: Path, base: Path) -> None:
    rows = [Encoded((at,), (at,), 0) for at in range(1000)]
    drawn = [one.ids[0] for one in sampled(rows, 100, 0)]
    assert len(set(drawn)) == 100 and min(drawn) < 100 and max(drawn) > 900
    assert sampled(rows, 100, 0) == sampled(rows, 100, 0) != sampled(rows, 100, 1)
    assert len(sampled(rows[:5], 100, 0)) == 5
    with pytest.raises(InvalidInput, match="needs --text"):
        train(options(tmp_path, base, replay=0.5), quiet)


def test_torn_between_the_stages_it_goes_on_as_if_nothing_had_been(tmp_path: Path, base: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    for folder in (whole, torn):
        folder.mkdir()
    some = {"epochs": 1.0, "dropout": 0.1, "replay": 0.5}
    train(told(whole, base, **some), quiet)
    for stage, step in (("stage1", 6), ("stage2", 1), ("stage2", 9)):
        with pytest.raises(Torn):
            train(told(torn, base, **some), torn_at(step, stage))
    train(told(torn, base, **some), quiet)
    same(whole / "out", torn / "out", 1e-6)


HARD: dict[str, Any] = {"epochs": 20.0, "dropout": 0.1, "patience": 3}
"""What makes resuming hard: the random numbers of dropout, and how long there has been no better loss."""


def same_adapter(one: Path, other: Path, within: float) -> None:
    left, right = (load_file(out / ADAPTER / "adapter_model.safetensors") for out in (one, other))
    assert left.keys() == right.keys()
    for name in left:
        assert torch.allclose(left[name], right[name], atol=within), name


def same(one: Path, other: Path, within: float) -> None:
    """Two output folders hold the same adapter, and reports of the same course."""
    same_adapter(one, other, within)
    said, again = (json.loads((out / "training.json").read_text("utf-8")) for out in (one, other))
    for name in ("steps", "losses", "valid_losses"):
        assert said[name] == pytest.approx(again[name], abs=within * 10), name


def unlearnable(folder: Path, base: Path, **changes: object) -> TrainOptions:
    """Validation rows whose answers nothing foretells: what fits the others better fits these worse."""
    made = options(folder, base, **changes)
    lines = []
    for at, row in enumerate(ROWS[::6]):
        question, answer = row["messages"]
        lines.append(json.dumps({"messages": [question, {**answer, "content": f"{at * 31 % 47} connections. [1]"}]}))
    made.valid.write_text("\n".join(lines), "utf-8")
    return made


def test_it_stops_when_it_gets_no_better_and_keeps_the_best(tmp_path: Path, base: Path) -> None:
    report = train(unlearnable(tmp_path, base, **HARD), quiet)
    losses = list(report.valid_losses.values())
    assert report.steps < 240 and len(losses) - 1 - losses.index(min(losses)) == 3
    best = next(step for step, loss in report.valid_losses.items() if loss == min(losses))
    kept, saved = (
        load_file(folder / "adapter_model.safetensors")
        for folder in (tmp_path / "out" / "stage2" / f"checkpoint-{best}", tmp_path / "out" / ADAPTER)
    )
    assert all(torch.equal(kept[name], saved[name]) for name in kept)


def test_patience_is_counted_from_the_best_loss() -> None:
    assert not exhausted([], 1) and not exhausted([3.0, 2.0, 1.0], 1) and exhausted([1.0, 1.0], 1)
    assert exhausted([2.0, 1.0, 3.0, 1.5], 2) and not exhausted([2.0, 1.0, 3.0, 1.5], 3)
    assert not exhausted([1.0, *[2.0] * 50], 0)


class Torn(Exception):
    """In place of the end of the process."""


def torn_at(step: int, stage: str = "") -> Progress:
    def progress(at: str, done: int, _total: int) -> None:
        if done == step and at.startswith(stage):
            raise Torn

    return progress


def test_torn_anywhere_it_goes_on_as_if_nothing_had_been(tmp_path: Path, base: Path) -> None:
    """Early on, with the patience half used up, and when it has stopped but the adapter is not there yet."""
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    for folder in (whole, torn):
        folder.mkdir()
    report = train(unlearnable(whole, base, **HARD), quiet)
    first, *_, before_last, last = report.valid_losses
    for step in (first + 1, before_last + 1):
        with pytest.raises(Torn):
            train(unlearnable(torn, base, **HARD), torn_at(step))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Torn):
        patch.setattr("services.training.lora.losses_of", lambda _loop: torn_at(0)("", 0, 0))
        train(unlearnable(torn, base, **HARD), quiet)
    assert (torn / "out" / "stage2" / f"checkpoint-{last}").is_dir()
    assert train(unlearnable(torn, base, **HARD), quiet).steps == report.steps == last
    same(whole / "out", torn / "out", 1e-6)


def test_a_base_in_four_bits_learns_and_its_adapter_merges_into_the_full_one(tmp_path: Path, base: Path) -> None:
    """QLoRA, by bitsandbytes' kernels for this machine."""
    made = options(tmp_path, base, epochs=3.0, quantised=True)
    linear = {name: type(one).__name__ for name, one in load_base(made).named_modules() if name.endswith("_proj")}
    assert linear and set(linear.values()) == {"Linear4bit"}
    report = train(made, quiet)
    assert report.attached["q_proj"] == 2 and list(report.losses.values())[-1] < 0.9 * next(
        iter(report.losses.values())
    )
    merged = merge(Path(report.adapter), str(base), tmp_path / "merged", prompts_of(None))
    assert max(merged.merged_difference, merged.reloaded_difference) < TOLERANCE


def test_quantising_without_bitsandbytes_says_what_is_missing(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lora, "find_spec", lambda _name: None)
    with pytest.raises(Misconfigured, match="--quantised needs bitsandbytes: pip install bitsandbytes"):
        train(options(tmp_path, base, quantised=True), quiet)


@pytest.mark.parametrize(("found", "said"), [({}, "none at all"), ({"q_proj": 1}, "'q_proj': 1")])
def test_a_base_that_gets_no_adapter_in_every_layer_is_refused(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, int], said: str
) -> None:
    monkeypatch.setattr(lora, "attached", lambda _model: found)
    with pytest.raises(Misconfigured, match=f"not attached to every layer of .*: .*{said}"):
        attach(AutoModelForCausalLM.from_pretrained(base), options(tmp_path, base))


def test_the_estimate_counts_and_leaves_nothing_behind(tmp_path: Path, base: Path) -> None:
    made = options(tmp_path, base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = load(tokenizer, made.train, 4096).rows
    model = attach(AutoModelForCausalLM.from_pretrained(base), made)
    one, other = (estimate(model, rows, 4, epochs, filler_of(tokenizer)) for epochs in (1.0, 3.0))
    assert one.tokens == sum(len(row.ids) for row in rows) and other.tokens == 3 * one.tokens
    frozen = sum(weight.numel() for weight in model.parameters() if not weight.requires_grad)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert one.flops_per_token == 4 * (frozen + trained)
    assert one.bytes == other.bytes > 4 * frozen + 16 * trained
    assert estimate(model, rows, 8, 1.0, filler_of(tokenizer)).bytes > one.bytes, "a larger batch has more activations"
    assert 0 < one.seconds < 600 and all(weight.grad is None for weight in model.parameters())


def test_steps_that_accumulate_are_one_larger_batch(tmp_path: Path, base: Path) -> None:
    """Answers of several lengths: the mean is over the tokens of the whole update, not of the means of its steps."""
    rows = [
        json.dumps({"messages": [row["messages"][0], _longer(row["messages"][1], at)]}) for at, row in enumerate(ROWS)
    ]
    for name, batch, accumulation in (("large", 8, 1), ("small", 2, 4)):
        (tmp_path / name).mkdir()
        made = options(tmp_path / name, base, epochs=2.0, batch=batch, accumulation=accumulation)
        made.train.write_text("\n".join(rows), "utf-8")
        train(made, quiet)
    same_adapter(tmp_path / "large" / "out", tmp_path / "small" / "out", 1e-4)


def _longer(answer: dict[str, str], at: int) -> dict[str, str]:
    return {**answer, "content": answer["content"] * (1 + 5 * (at % 3 == 0))}


def test_the_rate_rises_before_it_falls_and_the_curves_are_drawn(tmp_path: Path, base: Path) -> None:
    report = train(options(tmp_path, base, epochs=4.0, warmup=0.5), quiet)
    last = last_checkpoint(tmp_path / "out" / "stage2")
    assert last
    log = json.loads((Path(last) / "trainer_state.json").read_text("utf-8"))["log_history"]
    rates = {one["step"]: one["learning_rate"] for one in log if "learning_rate" in one}
    rising, falling = ([rates[step] for step in sorted(rates) if (step <= 24) == early] for early in (True, False))
    assert report.steps == 48 and len(rising) > 2 and len(falling) > 2 and max(rates.values()) <= 5e-3
    assert rising == sorted(set(rising)) and falling == sorted(set(falling), reverse=True)
    drawn = ElementTree.fromstring((tmp_path / "out" / "loss.svg").read_text("utf-8"))
    lines = [one.attrib["points"].split() for one in drawn if one.tag.endswith("polyline")]
    assert [len(one) for one in lines] == [len(report.losses), len(report.valid_losses)]
    assert {"training", "validation", f"loss of {base}"} <= {one.text for one in drawn}


@pytest.mark.parametrize("order", ORDERS)
def test_the_loop_shows_the_rows_in_the_order_that_is_asked_for(tmp_path: Path, base: Path, order: str) -> None:
    made = options(tmp_path, base, order=order)
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = [encode(tokenizer, [{"role": "user", "content": "limit " * (40 - at)}], "y") for at in range(40)]
    loop = Loop.of(AutoModelForCausalLM.from_pretrained(base), tokenizer, made, rows, rows[:4], tmp_path, quiet)
    lengths = [len(row.ids) for row in rows]
    epochs = []
    for epoch in (0, 1):
        loader = loop.get_train_dataloader()
        loader.set_epoch(epoch)  # as the loop does
        longest = [int(batch["input_ids"].shape[1]) for batch in loader]
        wanted = order_of(lengths, order, made.seed + epoch)
        assert longest == [max(lengths[at] for at in wanted[begin : begin + 4]) for begin in range(0, 40, 4)]
        epochs.append(wanted)
        assert (longest == sorted(longest)) == (order == "length")
    assert epochs[0] != epochs[1] and sorted(epochs[0]) == sorted(epochs[1]) == list(range(40))


SCRIPT = """
import sys
from pathlib import Path
from tests.training.test_lora import HARD, options, quiet, train
folder, base = Path(sys.argv[1]), Path(sys.argv[2])
train(options(folder, base, **HARD), quiet)
"""


@pytest.mark.slow
def test_killed_and_started_again_it_ends_the_same(tmp_path: Path, base: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    for folder in (whole, torn):
        folder.mkdir()
    train(options(whole, base, **HARD), quiet)
    command = [sys.executable, "-c", SCRIPT, str(torn), str(base)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment)
    _wait_for_checkpoint(torn / "out" / "stage2", process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (torn / "out" / "training.json").exists()
    subprocess.run(command, check=True, env=environment)
    same(whole / "out", torn / "out", 1e-5)


def _wait_for_checkpoint(folder: Path, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        if list(folder.glob("checkpoint-*/trainer_state.json")) or process.poll() is not None:
            return
        time.sleep(0.05)
    raise AssertionError("no checkpoint was written")


def test_standard_output_is_left_for_the_result(tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(options(tmp_path, base, epochs=1.0), quiet)
    assert capsys.readouterr().out == ""
