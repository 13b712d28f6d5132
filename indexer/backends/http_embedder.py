"""Embeddings from an OpenAI-compatible HTTP endpoint (`POST <base>/embeddings`), as `router.ports.Embedder`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import httpx
import numpy as np
import numpy.typing as npt

from router.errors import InvalidInput, Misconfigured, Unavailable

Vectors = npt.NDArray[np.float32]
Span = tuple[int, int]

_RETRIED = {408, 429, 500, 502, 503, 504}
_CHARACTERS_PER_TOKEN = 3.0  # mixed English text; only used to estimate, see `count_tokens`


@dataclass(frozen=True, slots=True)
class Endpoint:
    """base_url: up to and including "/v1". timeout_s: for one request. attempts: 1 = never try again.

    max_tokens: of the served model; longer texts are cut before they are sent.
    max_reply_bytes: a longer reply is refused, so that a wrong URL cannot fill the memory.
    """

    base_url: str
    model: str
    api_key: str = ""
    max_tokens: int = 512
    batch: int = 32
    timeout_s: float = 30.0
    attempts: int = 3
    backoff_s: float = 0.5
    max_reply_bytes: int = 64 << 20


def load(endpoint: Endpoint) -> HttpEmbedder:
    """Asks the endpoint for one vector, to learn its dimension.

    Raises `Misconfigured` for a bad URL, key or model name, `Unavailable` when nobody answers.
    """
    return HttpEmbedder(endpoint)


class HttpEmbedder:
    """Units are embedded as texts of their own. Safe to call from many threads. `close` frees its connections."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._url = _url(endpoint.base_url)
        headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        self._client = httpx.Client(headers=headers, timeout=endpoint.timeout_s, follow_redirects=False)
        self.max_tokens = endpoint.max_tokens
        self.dimension = 0  # not known before the first reply
        self.dimension = self.embed_questions(["dimension"]).shape[1]
        where = hashlib.sha256(self._url.encode()).hexdigest()[:8]
        self.fingerprint = f"http-{where}-{endpoint.model}-{self.dimension}-{self.max_tokens}"

    def close(self) -> None:
        self._client.close()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """An estimate from above for most tokenisers: the endpoint does not tell. Wide characters count one each."""
        return [_estimate(text) for text in texts]

    def embed_questions(self, texts: Sequence[str]) -> Vectors:
        parts = [self._request(batch) for batch in _batches([self._cut(t) for t in texts], self._endpoint.batch)]
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), dtype=np.float32)

    def embed_passages(self, texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> tuple[Vectors, list[Vectors]]:
        if len(texts) != len(spans):
            raise InvalidInput(f"{len(texts)} texts with {len(spans)} lists of spans: give one list for each text")
        whole = self.embed_questions(texts)
        units = [np.repeat(whole[i : i + 1], len(row), axis=0) for i, row in enumerate(spans)]
        cuts = [(i, j, texts[i][start:end]) for i, row in enumerate(spans) for j, (start, end) in enumerate(row)]
        cuts = [cut for cut in cuts if cut[2].strip()]
        vectors = self.embed_questions([text for _, _, text in cuts])
        for (i, j, _), vector in zip(cuts, vectors, strict=True):
            units[i][j] = vector
        return whole, units

    def _cut(self, text: str) -> str:
        """Short enough for the model by our estimate; never empty, which several servers refuse."""
        while (tokens := _estimate(text)) > self.max_tokens:
            text = text[: max(1, len(text) * self.max_tokens // tokens)]
        return text if text.strip() else "."

    def _request(self, texts: list[str]) -> Vectors:
        body = {"model": self._endpoint.model, "input": texts, "encoding_format": "float"}
        return _vectors(self._post(body), len(texts), self.dimension, self._url)

    def _post(self, body: Mapping[str, object]) -> httpx.Response:
        """The reply to one request, tried again while the trouble looks temporary."""
        for attempt in range(1, self._endpoint.attempts + 1):
            try:
                response = self._send(body)
            except httpx.TransportError as exc:
                trouble = f"{type(exc).__name__}: {exc}"
            else:
                if response.status_code not in _RETRIED:
                    return _accepted(response, self._url)
                trouble = f"HTTP {response.status_code}: {response.text[:200]}"
            if attempt < self._endpoint.attempts:
                time.sleep(self._endpoint.backoff_s * 2 ** (attempt - 1))
        raise Unavailable(f"no embeddings from {self._url} after {self._endpoint.attempts} attempts ({trouble})")

    def _send(self, body: Mapping[str, object]) -> httpx.Response:
        with self._client.stream("POST", self._url, json=body) as response:
            data = bytearray()
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > self._endpoint.max_reply_bytes:
                    raise Misconfigured(f"{self._url} sent more than {self._endpoint.max_reply_bytes} bytes")
        return httpx.Response(response.status_code, content=bytes(data), request=response.request)


def _url(base: str) -> str:
    try:
        url = httpx.URL(base)
    except httpx.InvalidURL as exc:
        raise Misconfigured(f"the embeddings address {base!r} is not a URL: {exc}") from exc
    if url.scheme not in ("http", "https") or not url.host:
        raise Misconfigured(f"the embeddings address {base!r} must look like http://host:port/v1")
    return base.rstrip("/") + "/embeddings"


def _estimate(text: str) -> int:
    wide = sum(character > "\u2e7f" for character in text)
    return 2 + wide + int((len(text) - wide) / _CHARACTERS_PER_TOKEN + 0.999)


def _batches(texts: list[str], size: int) -> Iterator[list[str]]:
    return (texts[start : start + size] for start in range(0, len(texts), size))


def _accepted(response: httpx.Response, url: str) -> httpx.Response:
    if response.status_code == 200:
        return response
    hint = {401: "check the API key", 403: "check the API key", 404: "check the address and the model name"}
    advice = hint.get(response.status_code, "check the model name and the length of its input")
    raise Misconfigured(f"{url} answered HTTP {response.status_code} ({response.text[:200]}): {advice}")


def _vectors(response: httpx.Response, count: int, dimension: int, url: str) -> Vectors:
    """[count, dimension], unit length, in the order asked for (the reply may be in another)."""
    try:
        rows = {int(row["index"]): row["embedding"] for row in response.json()["data"]}
        vectors = np.array([rows[i] for i in range(count)], dtype=np.float32)
    except (ValueError, KeyError, TypeError) as exc:
        raise Unavailable(f"{url} did not answer with one embedding for each of {count} texts: {exc!r}") from exc
    if vectors.ndim != 2 or (dimension and vectors.shape[1] != dimension):
        raise Misconfigured(f"{url} sent vectors of shape {vectors.shape}, expected dimension {dimension}")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise Unavailable(f"{url} sent a vector that is zero or not a number")
    unit: Vectors = vectors / lengths
    return unit
