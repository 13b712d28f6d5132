"""The HTTP embedder against a real server in this process."""

from __future__ import annotations

import json

import numpy as np
import pytest

from indexer.backends.http_embedder import Endpoint, load
from router.errors import Misconfigured, Unavailable
from tests.backends.embedder_models import EmbeddingServer


def test_requests_are_batched_and_answers_put_in_order() -> None:
    with EmbeddingServer() as server:
        embedder = load(Endpoint(server.url, "tiny", api_key="secret", batch=3))
        vectors = embedder.embed_questions(["aaa", "bbb", "aaab", "c", "aaa"])
    assert [len(body["input"]) for body in server.seen] == [1, 3, 2]
    assert {body["model"] for body in server.seen} == {"tiny"}
    assert set(server.keys) == {"Bearer secret"}
    np.testing.assert_allclose(vectors[0], vectors[4], atol=1e-6)
    assert vectors[0] @ vectors[2] > vectors[0] @ vectors[1]


def test_temporary_trouble_is_tried_again() -> None:
    with EmbeddingServer(fail=(503, 429)) as server:
        assert load(Endpoint(server.url, "tiny", attempts=3, backoff_s=0.01)).dimension == 24
    assert len(server.seen) == 3


def test_lasting_trouble_ends_after_the_given_attempts() -> None:
    with EmbeddingServer(fail=(503,) * 9) as server, pytest.raises(Unavailable, match="after 2 attempts"):
        load(Endpoint(server.url, "tiny", attempts=2, backoff_s=0.01))
    assert len(server.seen) == 2


def test_nobody_there() -> None:
    with pytest.raises(Unavailable, match="ConnectError"):
        load(Endpoint("http://127.0.0.1:9/v1", "tiny", attempts=1))


@pytest.mark.parametrize(("status", "says"), [(401, "API key"), (404, "model name"), (400, "length of its input")])
def test_refusals_are_not_tried_again(status: int, says: str) -> None:
    with EmbeddingServer(fail=(status,)) as server, pytest.raises(Misconfigured, match=says):
        load(Endpoint(server.url, "tiny"))
    assert len(server.seen) == 1


@pytest.mark.parametrize("address", ["", "localhost:80", "ftp://host/v1", "http://"])
def test_bad_addresses(address: str) -> None:
    with pytest.raises(Misconfigured):
        load(Endpoint(address, "tiny"))


def _data(*vectors: list[float | None]) -> bytes:
    return json.dumps({"data": [{"index": i, "embedding": v} for i, v in enumerate(vectors)]}).encode()


@pytest.mark.parametrize("reply", [b"<html>", b"[]", b'{"data": []}', _data([0.0, 0.0]), _data([None, 1.0]), _data([])])
def test_nonsense_is_refused(reply: bytes) -> None:
    with EmbeddingServer(reply=reply) as server, pytest.raises((Unavailable, Misconfigured)):
        load(Endpoint(server.url, "tiny"))


def test_a_reply_without_end_is_refused() -> None:
    with EmbeddingServer(reply=b"x" * 5000) as server, pytest.raises(Misconfigured, match="more than 1000 bytes"):
        load(Endpoint(server.url, "tiny", max_reply_bytes=1000))


def test_long_texts_are_cut_before_they_are_sent() -> None:
    with EmbeddingServer() as server:
        load(Endpoint(server.url, "tiny", max_tokens=20)).embed_questions(["word " * 1000, "节点" * 1000])
    assert all(len(text) <= 60 for text in server.seen[-1]["input"])
    assert len(server.seen[-1]["input"][1]) <= 20
