"""The entailment model: what it says, and what it refuses to be made of."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertModel

from indexer.backends import entailment
from router.errors import GeneratorUnavailable, Misconfigured
from tests.backends.entailment_models import LABELS, POSITIONS, tiny_nli

PAIRS = [
    ("the port is 80.", "a port is there."),
    ("a port is there.", "the port is 80."),
    ("日志保留 7 天", "保留 7 天"),
]


def said(folder: Path, premise: str, hypothesis: str) -> float:
    """By the library itself."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    pair = AutoTokenizer.from_pretrained(folder)(premise, hypothesis, return_tensors="pt")
    with torch.no_grad():
        return float(model(**pair).logits.softmax(-1)[0, [*model.config.id2label.values()].index(LABELS[2])])


@pytest.mark.parametrize("labels", [LABELS, ("entailment", "neutral", "contradiction"), ("not_x", "entailment")])
def test_it_says_what_the_model_says_at_its_own_label(tmp_path: Path, labels: tuple[str, ...]) -> None:
    entails = entailment.load(str(tiny_nli(tmp_path, labels)))
    found = [entails(*pair) for pair in PAIRS]
    assert found == pytest.approx([said(tmp_path, *pair) for pair in PAIRS], abs=1e-5)
    assert len({round(one or 0.0, 4) for one in found}) == len(PAIRS), "which text is the premise matters"


def test_labels_may_be_written_in_capitals(tmp_path: Path) -> None:
    sure = entailment.load(str(tiny_nli(tmp_path, ("ENTAILMENT", "NEUTRAL"), always="ENTAILMENT")))
    assert (sure("a", "b") or 0.0) > 0.9


def test_what_is_longer_than_it_can_read_is_not_cut(tmp_path: Path) -> None:
    entails = entailment.load(str(tiny_nli(tmp_path)))
    room = POSITIONS - 2 - 3  # three special tokens
    assert entails("a " * (room - 1), "b") is not None
    assert entails("a " * room, "b") is None


def test_several_threads_take_turns_and_get_what_one_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entails = entailment.load(str(tiny_nli(tmp_path)))
    alone = [entails(*pair) for pair in PAIRS]
    forward, turn = BertModel.forward, threading.Lock()

    def alone_in(*values: object, **named: object) -> object:
        assert turn.acquire(blocking=False), "two at a time"
        time.sleep(0.002)
        turn.release()
        return forward(*values, **named)

    monkeypatch.setattr(BertModel, "forward", alone_in)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda pair: entails(*pair), PAIRS * 20))
    assert together == pytest.approx(alone * 20, abs=1e-6)


@pytest.mark.parametrize("labels", [("LABEL_0", "LABEL_1"), ("entailment",), ("entailment", "Entailment")])
def test_a_model_without_the_label_is_refused_with_those_it_has(tmp_path: Path, labels: tuple[str, ...]) -> None:
    with pytest.raises(Misconfigured, match=rf"ANSWERLOOP_ENTAILMENT.*'{labels[0]}'.*'entailment'"):
        entailment.load(str(tiny_nli(tmp_path, labels)))


def test_pickled_weights_are_not_opened(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be loaded"):
        entailment.load(str(tiny_nli(tmp_path, tensors=False)))


def test_a_name_that_is_not_here_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr("socket.socket.connect", lambda *to: asked.append(to))
    for name in ("nobody/has-this-model", str(tmp_path / "gone")):
        with pytest.raises(Misconfigured, match="cannot be loaded"):
            entailment.load(name)
    assert not asked


def test_weights_that_are_missing_would_be_random(tmp_path: Path) -> None:
    """An encoder alone, with the labels in its configuration; and a file that ends too early."""
    tiny_nli(tmp_path)
    weights = {
        name: value for name, value in load_file(tmp_path / "model.safetensors").items() if "classifier" not in name
    }
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(Misconfigured, match=r"lacks weights: classifier\.bias"):
        entailment.load(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"\x08")
    with pytest.raises(Misconfigured, match="cannot be loaded"):
        entailment.load(str(tmp_path))


def test_a_failure_while_it_reads_is_one_of_the_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    entails = entailment.load(str(tiny_nli(tmp_path)))
    monkeypatch.setattr(BertModel, "forward", fails)
    with pytest.raises(GeneratorUnavailable, match="entailment model failed: out of memory"):
        entails("a", "b")
