"""The embedder's negatives are safe, and an adaptation that finds nothing better is thrown away."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from router.errors import Conflict, InvalidInput
from services.training.embedder import EmbedderOptions, Pair, contrast, held, pairs_of, ranks, siblings, train
from services.training.negatives import holds_answer
from tests.backends.embedder_models import tiny_bert
from tests.training.test_dataset import NAMES, PASSAGES, parameter_page, task_page

MORE = [*PASSAGES, *(page(f"{name}{at}") for name in NAMES for at in range(3) for page in (parameter_page, task_page))]


def pair(anchor: str, section: str, text: str = "", hard: str = "") -> Pair:
    return Pair(anchor, "0" * 32, text or anchor, section, hard)


def test_siblings_and_other_peoples_hard_negatives_push_nobody() -> None:
    masked = siblings([pair("a", "s1"), pair("b", "s1", hard="x"), pair("c", "s2", hard="y")])
    assert masked.tolist() == [
        [False, True, False, True, True],
        [True, False, False, False, True],
        [False, False, False, True, False],
    ]


def test_the_loss_does_not_see_what_is_masked() -> None:
    """The sibling's passage is as near as can be; only unmasked it would be a wrong answer."""
    vectors = {"a": [1.0, 0.0], "p": [1.0, 0.0], "b": [0.0, 1.0], "q": [1.0, 0.0]}

    def look(texts: object) -> torch.Tensor:
        return torch.tensor([vectors[text] for text in texts])  # type: ignore[attr-defined]

    same = contrast(look, [pair("a", "s", "p"), pair("a", "s", "q")]).item()
    apart = contrast(look, [pair("a", "s", "p"), pair("a", "t", "q")]).item()
    assert same == pytest.approx(0.0, abs=1e-6) and apart > 0.5


def test_hard_negatives_lack_the_answer_and_are_of_other_sections() -> None:
    pairs = [one for one in pairs_of(PASSAGES, []) if one.hard]
    texts = {one.id: one.text for one in PASSAGES}
    assert pairs
    for one in pairs:
        assert not holds_answer(one.hard, texts[one.passage]) and one.hard != one.text


def test_ranks_are_of_the_right_passage_among_all() -> None:
    class Model:
        def encode(self, texts: list[str], **_options: object) -> object:
            import numpy as np

            return np.array([[1.0, 0.0] if "near" in text else [0.0, 1.0] for text in texts], np.float32)

    texts = {"0" * 32: "near", "1" * 32: "far"}
    found = ranks(Model(), [Pair("near?", "0" * 32, "", "s", ""), Pair("near?", "1" * 32, "", "t", "")], texts)
    assert found == {"s": [1.0], "t": [0.5]}


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "epochs"), [(1e-12, 1), (3e-3, 12)])
def test_it_is_kept_only_if_it_finds_better(tmp_path: Path, rate: float, epochs: int) -> None:
    base = tiny_bert(tmp_path / "base", "mean")
    options = EmbedderOptions(str(base), tmp_path / "out", epochs=epochs, batch=16, learning_rate=rate)
    report = train(options, MORE, [], lambda *_: None)
    assert report.judged and report.pairs
    assert bool(report.saved) == (report.gain.low > 0) == (tmp_path / "out").is_dir()
    if rate < 1e-6:
        assert not report.saved, "what did not move is not better"


def test_too_little_and_an_old_folder_are_said(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(Conflict, match="never overwritten"):
        train(EmbedderOptions("x", tmp_path / "out"), PASSAGES, [], lambda *_: None)
    with pytest.raises(InvalidInput, match="too little"):
        train(EmbedderOptions("x", tmp_path / "new"), PASSAGES[:1], [], lambda *_: None)


def test_a_fifth_of_the_sections_judges() -> None:
    share = sum(held(f"section {at}") for at in range(2000)) / 2000
    assert 0.17 < share < 0.23
