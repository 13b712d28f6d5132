"""Our forward passes against the libraries' own, and what `load` refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexer.backends.sentence_transformer import bert, load, openvino_encoder
from indexer.backends.sentence_transformer.vectors import by_tokens, membership, normalise, past_space
from router.errors import Misconfigured
from tests.backends.embedder_models import tiny_bert

TEXTS = ["how do i add a node", "怎么给集群增加一个只读节点", "a", "", "a node is a node. " * 30]


@pytest.mark.parametrize("kind", ["mean", "cls", "xlm-roberta"])
@pytest.mark.parametrize("path", ["onnx", "torch"])
def test_vectors_equal_the_library_s(kind: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sentence_transformers import SentenceTransformer

    folder = tiny_bert(tmp_path / "model", kind)
    embedder = load(str(folder), tmp_path, "cpu")
    assert isinstance(embedder, bert.BertEmbedder)
    monkeypatch.setattr(embedder, "_for", lambda _: getattr(embedder, f"_{path}"))
    ours, _ = embedder.embed_passages(TEXTS, [[]] * len(TEXTS))
    theirs = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose((ours * theirs).sum(axis=1), 1, atol=2e-3)


def test_packaged_model_equals_the_library_s(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    from indexer.backends.sentence_transformer import checkpoint

    texts = ["How do I restart the broker?", "Replication copies the write-ahead log to a standby. " * 40, "升级"]
    embedder = load("all-MiniLM-L6-v2", tmp_path, "cpu")
    theirs = SentenceTransformer(str(checkpoint.locate("all-MiniLM-L6-v2")[1]), device="cpu").encode(texts)
    passages, _ = embedder.embed_passages(texts, [[]] * 3)
    assert (embedder.embed_questions(texts) * theirs).sum(axis=1).min() > 0.9995
    assert (passages * theirs).sum(axis=1).min() > 0.9995


def test_questions_in_bfloat16_are_nearly_those_in_full_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not openvino_encoder.usable():
        pytest.skip("needs the package openvino, and a processor that multiplies bfloat16")
    texts = [*TEXTS, *(f"what is {'word ' * number}for?" for number in range(40))]  # many lengths, several batches
    fast = load("all-MiniLM-L6-v2", tmp_path, "cpu").embed_questions(texts)
    monkeypatch.setattr(openvino_encoder, "usable", lambda: False)
    exact = load("all-MiniLM-L6-v2", tmp_path, "cpu").embed_questions(texts)
    assert (fast * exact).sum(axis=1).min() > 0.9995
    assert (fast != exact).any()


def test_a_late_unit_is_the_mean_of_its_tokens_in_context(tmp_path: Path) -> None:
    embedder = load("all-MiniLM-L6-v2", tmp_path, "cpu")
    text = "The broker stores messages. It is restarted with the command below."
    vectors, units = embedder.embed_passages([text], [[(0, 27), (28, len(text)), (0, len(text))]])
    assert units[0][2] @ vectors[0] > 0.95  # the same words, less the two special tokens
    alone = embedder.embed_questions([text[28:]])[0]
    assert units[0][1] @ alone > 0.5
    asked = embedder.embed_questions(["message storage of the broker"])[0]
    assert units[0][0] @ asked > units[0][1] @ asked


def test_a_late_unit_beyond_the_last_token_gets_its_passage_s_vector(tmp_path: Path) -> None:
    embedder = load("all-MiniLM-L6-v2", tmp_path, "cpu")
    text = "word " * 1000
    vectors, units = embedder.embed_passages([text], [[(4000, 4990), (0, 50)]])
    np.testing.assert_allclose(units[0][0], vectors[0], atol=1e-6)


def test_questions_and_small_updates_load_no_torch(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from indexer.backends.sentence_transformer import load
assert not {{"torch", "onnxruntime", "tokenizers", "transformers"}} & set(sys.modules)
embedder = load("all-MiniLM-L6-v2", Path({str(tmp_path)!r}))
embedder.embed_questions(["Where is the log?"])
embedder.embed_passages(["One. Two."] * 3, [[(0, 4), (5, 9)]] * 3)
assert not {{"torch", "transformers", "sentence_transformers"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_graph_is_written_once_and_whole(tmp_path: Path) -> None:
    first = load("all-MiniLM-L6-v2", tmp_path, "cpu")
    before = first.embed_questions(["a"])
    file = tmp_path / first.fingerprint / "encoder.onnx"
    written = file.stat().st_mtime_ns
    after = load("all-MiniLM-L6-v2", tmp_path, "cpu").embed_questions(["a"])
    assert [path.name for path in file.parent.iterdir()] == ["encoder.onnx"]
    assert file.stat().st_mtime_ns == written
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("by", ["what is there", "onnxruntime"])
def test_a_broken_graph_is_written_again(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if by == "onnxruntime":
        monkeypatch.setattr(openvino_encoder, "usable", lambda: False)
    embedder = load("all-MiniLM-L6-v2", tmp_path, "cpu")
    file = tmp_path / embedder.fingerprint / "encoder.onnx"
    file.parent.mkdir()
    file.write_bytes(b"half a file")
    assert np.isfinite(embedder.embed_questions(["a"])).all()
    assert file.stat().st_size > 1_000_000


def test_prompts_come_before_the_text_and_do_not_move_the_units(tmp_path: Path) -> None:
    plain = load(str(tiny_bert(tmp_path / "plain", "mean")), tmp_path)
    folder = tmp_path / "plain"
    prompts = {"prompts": {"query": "ask ", "document": "read "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts), "utf-8")
    prompted = load(str(folder), tmp_path)
    np.testing.assert_allclose(prompted.embed_questions(["a node"]), plain.embed_questions(["ask a node"]), atol=1e-5)
    vectors, units = prompted.embed_passages(["a node"], [[(2, 6)]])
    other, other_units = plain.embed_passages(["read a node"], [[(7, 11)]])
    np.testing.assert_allclose(vectors, other, atol=1e-3)
    np.testing.assert_allclose(units[0], other_units[0], atol=1e-3)
    assert prompted.fingerprint != plain.fingerprint


@pytest.mark.parametrize(
    ("model", "says"),
    [("no/such-model", "neither a folder"), ("not a name at all!", "neither a folder"), ("{empty}", "no config.json")],
)
def test_a_model_that_cannot_be_had_is_said_so(
    model: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Misconfigured, match=says):
        load(model.replace("{empty}", str(tmp_path)), tmp_path)


def test_a_pickled_checkpoint_is_never_opened(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "model", "mean")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(Misconfigured):
        load(str(folder), tmp_path, "cpu")


def test_a_damaged_model_is_said_so(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "model", "mean")
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(Misconfigured, match=r"model\.safetensors"):
        load(str(folder), tmp_path, "cpu").embed_questions(["a"])


def test_membership_marks_the_tokens_that_touch_a_span() -> None:
    tokens = [(0, 0), (0, 3), (3, 4), (5, 9), (0, 0)]
    rows = membership(tokens, [(0, 4), (4, 9), (20, 30)])
    assert rows.tolist() == [[0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [1, 1, 1, 1, 1]]


def test_a_token_does_not_begin_with_the_space_before_its_word() -> None:
    text = "One.  Two\n"
    tokens = [(0, 0), (0, 3), (3, 4), (4, 9), (9, 10), (0, 0)]
    assert past_space(tokens, text).tolist() == [[0, 0], [0, 3], [3, 4], [6, 9], [10, 10], [0, 0]]
    assert past_space([], "").shape == (0, 2)


def test_batches_hold_every_text_once_within_the_budget() -> None:
    lengths = [5, 90, 3, 3, 200, 40]
    batches = list(by_tokens(lengths, 100))
    assert sorted(i for batch in batches for i in batch) == list(range(6))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 100 for batch in batches)


def test_a_zero_vector_stays_finite() -> None:
    assert np.isfinite(normalise(np.zeros((2, 4), dtype=np.float32))).all()
