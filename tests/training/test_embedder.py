"""The embedder's negatives are safe, and an adaptation that finds nothing better is thrown away."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from router.errors import Conflict, InvalidInput, Mismatch
from services.cli import app
from services.compose import open_retriever
from services.indexing import run_index
from services.settings import Settings
from services.store.sql import SqlStore
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
    assert bool(report.saved) == (rate > 1e-6), "what did not move is not better, and what learnt is"


@pytest.mark.parametrize("better", [True, False])
def test_the_index_is_rebuilt_only_if_it_finds_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, better: bool
) -> None:
    """The whole command, with a real index and a real model; what was measured is given."""
    base, home, saved = tiny_bert(tmp_path / "base", "mean"), tmp_path / "home", tmp_path / "out"
    monkeypatch.setenv("ANSWERLOOP_HOME", str(home))
    monkeypatch.setenv("ANSWERLOOP_EMBEDDER", str(base))
    monkeypatch.setenv("ANSWERLOOP_CORPUS_SECONDS", "1")
    for one in PASSAGES:
        path = tmp_path / "docs" / one.document
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {one.heading[-1]}\n\n{one.text}", "utf-8")
    served = run_index(Settings.from_env(), [f"manual={tmp_path / 'docs'}"], "test", lambda *_: None)
    given = [{f"s{at}": [score] for at in range(20)} for score in ((0.1, 0.9) if better else (0.9, 0.1))]
    monkeypatch.setattr("services.training.embedder.ranks", lambda *_: given.pop(0))
    monkeypatch.setattr("services.training.embedder._fit", lambda model, *_: _moved(model))
    done = CliRunner().invoke(app, ["train", "embedder", "--base", str(base), "--out", str(saved), "--json"])
    assert done.exit_code == 0, done.output
    release = json.loads(done.stdout)["release"]
    assert bool(release) == saved.is_dir() == better
    with SqlStore.open(Settings.from_env().store_url) as store:
        active, known = asyncio.run(store.active_release()), asyncio.run(store.list_releases())
        assert active and active.id == served.release, "what is served does not change by itself"
        assert {one.id for one in known} == {served.release, release} - {""}
        versions = {one.index_version for one in known}
    assert len(versions) == 1 + better
    if better:
        rebuilt = next(one.index_version for one in known if one.id == release)
        with pytest.raises(Mismatch):
            open_retriever(Settings.from_env(), rebuilt)
        monkeypatch.setenv("ANSWERLOOP_EMBEDDER", str(saved))
        open_retriever(Settings.from_env(), rebuilt).close()


def _moved(model: torch.nn.Module) -> None:
    for weight in model.parameters():
        weight.data += 0.01


def test_too_little_and_an_old_folder_are_said(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(Conflict, match="never overwritten"):
        train(EmbedderOptions("x", tmp_path / "out"), PASSAGES, [], lambda *_: None)
    with pytest.raises(InvalidInput, match="too little"):
        train(EmbedderOptions("x", tmp_path / "new"), PASSAGES[:1], [], lambda *_: None)


def test_a_fifth_of_the_sections_judges() -> None:
    share = sum(held(f"section {at}") for at in range(2000)) / 2000
    assert 0.17 < share < 0.23
