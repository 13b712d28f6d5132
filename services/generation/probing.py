"""Asks a vLLM what it serves, whether it is well, and makes it warm. Blocks: for threads that are nobody's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpx
import orjson

from router.errors import GeneratorUnavailable
from router.packing import Tokenizer
from router.prompt import Message, Source, render
from services.generation.counting import asked_of, chat_body
from services.generation.endpoints import Endpoint
from services.generation.vllm import request

_LOOK_S = 2.0  # a server that is well answers in milliseconds, one that computes in tens of them
_WARM_S = 180.0  # the first request with log-probabilities took 17 s on two cores
PROBE = (
    render("How many?", (Source("a > b", "There are 7."),), "en"),
    render("有几个？", (Source("a > b", "共有 7 个。"),), "zh"),
)
"""Prompts that every model is tried with before it gets a question."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A model that a server lists. window: its tokens, or 0 where it does not say. adapter: of another one listed."""

    name: str
    window: int
    adapter: bool


def listed(endpoint: Endpoint) -> list[Listed]:
    """Raises `GeneratorUnavailable` when it does not answer as a model server does."""
    raw = _asked(endpoint, "GET", f"{endpoint.url}/models", None, _LOOK_S)
    try:
        return [Listed(one["id"], one.get("max_model_len") or 0, bool(one.get("parent"))) for one in raw["data"]]
    except (KeyError, TypeError) as error:
        raise GeneratorUnavailable(f"{endpoint.url}/models lists no models; is this a model server?") from error


def healthy(endpoint: Endpoint) -> bool:
    try:
        return _client().get(f"{endpoint.root}/health", timeout=_LOOK_S).status_code == 200
    except httpx.HTTPError:
        return False


def warm(endpoint: Endpoint, name: str) -> None:
    """One reply of every kind that will be asked for, so that no asker waits for what is made at the first time.

    Raises `GeneratorUnavailable` when the model does not reply.
    """
    for prompt in PROBE:
        body = {**request(name, prompt.messages, 4), "stream": False}
        del body["stream_options"]
        choice = {"structured_outputs": {"choice": ["yes", "no"]}, "top_logprobs": 20}
        for sent in (body, {**body, **choice}):
            reply = _asked(endpoint, "POST", f"{endpoint.url}/chat/completions", sent, _WARM_S)
            if not reply["choices"][0]["logprobs"]:
                raise GeneratorUnavailable(f"{name} gives no log-probabilities")


def agrees(endpoint: Endpoint, name: str, tokenizer: Tokenizer) -> bool:
    """Whether the server makes as many tokens of the probe prompts as the tokenizer does."""
    try:
        counts = [asked_of(endpoint, chat_body(name, prompt.messages))["count"] for prompt in PROBE]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise GeneratorUnavailable(f"{endpoint.root}/tokenize does not answer: {error}") from error
    return counts == [tokenizer.messages(prompt.messages) for prompt in PROBE]


def load_adapter(endpoint: Endpoint, name: str, folder: str) -> None:
    """Raises `GeneratorUnavailable` with the server's words, for example when it runs without --enable-lora."""
    _asked(endpoint, "POST", f"{endpoint.url}/load_lora_adapter", {"lora_name": name, "lora_path": folder}, _WARM_S)


def unload_adapter(endpoint: Endpoint, name: str) -> None:
    _asked(endpoint, "POST", f"{endpoint.url}/unload_lora_adapter", {"lora_name": name}, _WARM_S)


def token_ids(endpoint: Endpoint, name: str, messages: Sequence[Message]) -> list[int]:
    """What the server makes of a prompt. Raises httpx.HTTPError."""
    return [int(token) for token in asked_of(endpoint, chat_body(name, messages))["tokens"]]


def _asked(endpoint: Endpoint, method: str, url: str, body: Any, seconds: float) -> Any:
    """The reply's JSON, or its text where it is none."""
    content = None if body is None else orjson.dumps(body)
    headers = {**endpoint.headers, "Content-Type": "application/json"}
    try:
        reply = _client().request(method, url, content=content, headers=headers, timeout=seconds)
    except httpx.HTTPError as error:
        raise GeneratorUnavailable(f"{url} does not answer ({type(error).__name__})") from error
    if reply.status_code != 200:
        raise GeneratorUnavailable(f"{url} says {reply.status_code}: {' '.join(reply.text.split())[:200]}")
    return orjson.loads(reply.content) if reply.content[:1] in (b"{", b"[") else reply.text


@lru_cache(maxsize=1)
def _client() -> httpx.Client:
    return httpx.Client(trust_env=False)
