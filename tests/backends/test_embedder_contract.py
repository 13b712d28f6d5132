"""What every `router.ports.Embedder` promises, on each of ours: real forward passes, real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexer.backends import http_embedder
from indexer.backends.sentence_transformer import load
from router.errors import InvalidInput
from router.ports import Embedder
from tests.backends.embedder_models import EmbeddingServer, hidden_size, tiny_bert, tiny_electra, unpacked_e5

KINDS = [
    "packaged",
    "packaged, separate",
    "packaged, both",
    "mean",
    "cls",
    "xlm-roberta",
    "4 bits",
    "library",
    "http",
]
LONG = "The quick brown fox. " * 3000
TEXTS = [
    "How do I add a node?",
    "",
    "  \n",
    "怎么给集群增加一个只读节点?",
    "🙂🙂",
    LONG,
    "a b\x00c",
    "Ünïcode — ½",
]


@pytest.fixture(scope="module", params=KINDS)
def embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    kind, cache, folder = request.param, tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("model")
    if kind.startswith("packaged"):
        units = kind.rpartition(" ")[2] if "," in kind else "late"
        yield load("all-MiniLM-L6-v2", cache, "cpu", units)  # type: ignore[arg-type]
    elif kind == "4 bits":
        unpacked = unpacked_e5(folder)
        (unpacked / "config_sentence_transformers.json").unlink()  # with prompts a question is not a passage
        yield load(str(unpacked), cache, "cpu")
    elif kind == "library":
        yield load(str(tiny_electra(folder)), cache, "cpu")
    elif kind == "http":
        with EmbeddingServer() as server:
            embedder = http_embedder.load(http_embedder.Endpoint(server.url, "tiny", batch=4, backoff_s=0.01))
            yield embedder
            embedder.close()
    else:
        yield load(str(tiny_bert(folder, kind)), cache, "cpu")


def assert_unit(vectors: np.ndarray, rows: int, embedder: Embedder) -> None:
    assert vectors.shape == (rows, embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_questions_are_unit_vectors_whatever_the_text(embedder: Embedder) -> None:
    assert_unit(embedder.embed_questions(TEXTS), len(TEXTS), embedder)


def test_passages_and_units_are_unit_vectors_whatever_the_text(embedder: Embedder) -> None:
    spans = [[(0, len(text)), (0, 0), (0, 1), (len(text) - 1, len(text))] if text else [(0, 0)] for text in TEXTS]
    vectors, units = embedder.embed_passages(TEXTS, spans)
    assert_unit(vectors, len(TEXTS), embedder)
    for rows, wanted in zip(units, spans, strict=True):
        assert_unit(rows, len(wanted), embedder)


def test_nothing_in_nothing_out(embedder: Embedder) -> None:
    vectors, units = embedder.embed_passages([], [])
    assert vectors.shape == embedder.embed_questions([]).shape == (0, embedder.dimension)
    assert units == [] == embedder.count_tokens([])
    assert embedder.embed_passages(["a"], [[]])[1][0].shape == (0, embedder.dimension)


def test_the_batch_a_text_comes_in_does_not_matter(embedder: Embedder) -> None:
    together = embedder.embed_questions(TEXTS)
    alone = np.concatenate([embedder.embed_questions([text]) for text in reversed(TEXTS)])[::-1]
    np.testing.assert_allclose((together * alone).sum(axis=1), 1, atol=1e-3)
    np.testing.assert_array_equal(together, embedder.embed_questions(TEXTS))


def test_a_text_is_the_same_as_passage_and_as_question(embedder: Embedder) -> None:
    texts = ["How do I add a node?", "怎么给集群增加一个只读节点?", "word " * 90]
    passages, _ = embedder.embed_passages(texts, [[]] * len(texts))
    np.testing.assert_allclose((passages * embedder.embed_questions(texts)).sum(axis=1), 1, atol=1e-3)


def test_what_is_beyond_the_last_token_changes_nothing(embedder: Embedder) -> None:
    vectors = embedder.embed_questions([LONG, LONG + "Something else entirely."])
    assert vectors[0] @ vectors[1] > 0.9999


def test_a_blank_unit_has_the_vector_of_its_passage(embedder: Embedder) -> None:
    vectors, units = embedder.embed_passages(["One. Two."], [[(4, 5), (0, 4)]])
    assert vectors[0] @ units[0][0] > 0.9999


def test_units_differ_from_each_other(embedder: Embedder) -> None:
    _, units = embedder.embed_passages(["Restart the broker. The invoice is due."], [[(0, 19), (20, 39)]])
    assert units[0][0] @ units[0][1] < 0.9999


def test_tokens_grow_with_the_text_and_are_not_cut_off(embedder: Embedder) -> None:
    one, ten, many = embedder.count_tokens(["word", "word " * 10, LONG])
    assert 0 < one < ten < embedder.max_tokens < many


def test_the_fingerprint_can_name_a_folder(embedder: Embedder) -> None:
    assert embedder.fingerprint
    assert not {"/", "\\", "\0"} & set(embedder.fingerprint)


def test_spans_must_match_the_texts(embedder: Embedder) -> None:
    with pytest.raises(InvalidInput, match="2 texts with 1"):
        embedder.embed_passages(["a", "b"], [[]])


def test_threads_get_what_they_asked_for(embedder: Embedder) -> None:
    from concurrent.futures import ThreadPoolExecutor

    texts = [f"question {i} about {'nodes ' * (i % 5)}" for i in range(16)]
    with ThreadPoolExecutor(4) as pool:
        each = np.concatenate(list(pool.map(lambda text: embedder.embed_questions([text]), texts)))
    np.testing.assert_allclose((each * embedder.embed_questions(texts)).sum(axis=1), 1, atol=1e-3)


def test_hidden_size_is_what_the_tiny_models_have(tmp_path: Path) -> None:
    assert load(str(tiny_bert(tmp_path / "m", "mean")), tmp_path).dimension == hidden_size
