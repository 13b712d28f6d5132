"""Talks to vLLM over its OpenAI-compatible HTTP: one answer, streamed, from one server to its end.

What goes wrong becomes `GeneratorUnavailable` with a sentence; the cascade then quotes and says so. A request is tried
again, on another server where there is one, only while no token has come: never is an answer put together from two
models. Leaving closes the stream, and vLLM then drops the request.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from router.errors import GeneratorUnavailable
from router.prompt import TEMPLATE_OPTIONS, Message
from services.generation.endpoints import Endpoint, Served

SEED = 0
_ATTEMPTS = 3  # with the rests between them this stays under half a second
_REST_S = 0.1  # before the second attempt, doubled before the third, each ± half of it
_CONNECT_S = 2.0  # a server that cannot be reached within it counts as gone; the whole answer has its own deadline
_IDLE_S = 2.0  # a connection is kept unused; vLLM hangs up after 5 s, and must not do so while we write
_CHUNK = 8  # tokens sent together after the first: nothing is shown before all of it is checked
_TRY_AGAIN = frozenset({404, 408, 425, 429, 500, 502, 503, 504})  # 404: that server has another model now
_MOST_ALTERNATIVES = 20  # vLLM's own limit of `top_logprobs`

SAMPLING: Mapping[str, Any] = {
    "n": 1,
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "length_penalty": 1.0,
    "min_tokens": 0,
    "ignore_eos": False,
    "skip_special_tokens": True,
    "stop": [],
    "seed": SEED,
}
"""Every one of them is sent: vLLM takes what is missing from the model's generation_config."""


@dataclass(frozen=True, slots=True)
class Written:
    """logprobs: one per token. finish: "stop", or "length" when cut off. prompt_tokens: as the server counts."""

    text: str
    logprobs: tuple[float, ...]
    finish: str
    prompt_tokens: int


class _Passing(GeneratorUnavailable):
    """Went wrong before the first token: trying again may help."""


class Vllm:
    """timeout_s: from the request to the last token, all attempts together."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def write(self, served: Served, messages: Sequence[Message]) -> Written:
        """The model's reply. Raises `GeneratorUnavailable`."""
        return await self._tried(served, request(served.name, messages, served.window.answer))

    async def choose(self, served: Served, messages: Sequence[Message], choices: Sequence[str]) -> dict[str, float]:
        """How probable the model finds each of the choices as its reply, adding up to 1. Raises as `write`.

        The choices must differ from their first token on. One that is not among the most probable first tokens gets 0.
        """
        body = request(served.name, messages, 1)
        body |= {"structured_outputs": {"choice": list(choices)}, "top_logprobs": _MOST_ALTERNATIVES}
        firsts: list[Mapping[str, Any]] = []
        await self._tried(served, body, firsts)
        return shares(firsts, choices)

    async def close(self) -> None:
        if self._client and self._loop is asyncio.get_running_loop():
            await self._client.aclose()
        self._client = None

    async def _tried(
        self, served: Served, body: Mapping[str, Any], firsts: list[Mapping[str, Any]] | None = None
    ) -> Written:
        deadline = asyncio.get_running_loop().time() + self.timeout_s
        tried: list[Endpoint] = []
        while True:
            endpoint = served.take(time.monotonic(), tried)
            try:
                return await self._once(endpoint, body, deadline, firsts)
            except _Passing:
                tried.append(endpoint)
                if len(tried) == _ATTEMPTS:
                    raise
            await asyncio.sleep(_REST_S * 2 ** (len(tried) - 1) * random.uniform(0.5, 1.5))

    async def _once(
        self, endpoint: Endpoint, body: Mapping[str, Any], deadline: float, firsts: list[Mapping[str, Any]] | None
    ) -> Written:
        endpoint.in_flight += 1
        begun = time.monotonic()
        try:
            async with asyncio.timeout_at(deadline):
                written = await self._read(endpoint, body, firsts)
        except TimeoutError as error:
            endpoint.breaker.failed(time.monotonic(), begun)
            raise GeneratorUnavailable(f"no whole answer within {self.timeout_s:g} s") from error
        except httpx.ConnectError as error:
            endpoint.breaker.failed(time.monotonic(), begun, surely=True)
            raise _Passing("its server cannot be reached") from error
        except (_Passing, httpx.HTTPError) as error:
            endpoint.breaker.failed(time.monotonic(), begun)
            raise error if isinstance(error, GeneratorUnavailable) else _Passing(_broke(error)) from error
        finally:
            endpoint.in_flight -= 1
        endpoint.breaker.succeeded()
        return written

    async def _read(
        self, endpoint: Endpoint, body: Mapping[str, Any], firsts: list[Mapping[str, Any]] | None
    ) -> Written:
        reply, begun = _Reply(), time.monotonic()
        try:
            async with self._http().stream(
                "POST", f"{endpoint.url}/chat/completions", content=orjson.dumps(body), headers=endpoint.headers
            ) as response:
                if response.status_code != 200:
                    raise _refused(response.status_code, await response.aread())
                async with aclosing(_events(response)) as events:
                    async for event in events:
                        reply.add(event)
        except (httpx.TransportError, _Passing) as error:
            if not reply.begun:
                raise
            endpoint.breaker.failed(time.monotonic(), begun)
            why = str(error) if isinstance(error, _Passing) else _broke(error)
            raise GeneratorUnavailable(f"{why}, in the middle of the answer") from error
        if firsts is not None:
            firsts.extend(reply.alternatives)
        return reply.written()

    def _http(self) -> httpx.AsyncClient:
        """One client per event loop: its connections belong to it."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._loop = loop
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(None, connect=_CONNECT_S),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=_IDLE_S),
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
                trust_env=False,  # a proxy to the outside is no way to a server of one's own
            )
        return self._client


def request(name: str, messages: Sequence[Message], most_tokens: int) -> dict[str, Any]:
    """The body of one request; the same arguments give the same one."""
    return {
        "model": name,
        "messages": [{"role": one.role, "content": one.content} for one in messages],
        "max_tokens": most_tokens,
        **SAMPLING,
        "logprobs": True,
        "top_logprobs": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "stream_interval": _CHUNK,
        "chat_template_kwargs": dict(TEMPLATE_OPTIONS),
    }


def shares(firsts: Sequence[Mapping[str, Any]], choices: Sequence[str]) -> dict[str, float]:
    """firsts: the alternatives for the first token, each with "token" and "logprob"."""
    weights = dict.fromkeys(choices, 0.0)
    for one in firsts:
        token = str(one["token"]).strip().lower()
        for choice in choices:
            if token and choice.lower().startswith(token):
                weights[choice] += math.exp(one["logprob"])
    total = sum(weights.values())
    if not total:
        raise GeneratorUnavailable(f"the model finds none of {', '.join(choices)} probable")
    return {choice: weight / total for choice, weight in weights.items()}


class _Reply:
    """A reply as its events come in."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._logprobs: list[float] = []
        self._finish = ""
        self._prompt_tokens = 0
        self.alternatives: list[Mapping[str, Any]] = []

    @property
    def begun(self) -> bool:
        return bool(self._logprobs or self._texts)

    def add(self, event: Mapping[str, Any]) -> None:
        """Raises `_Passing` for an error that came where an event should."""
        if "error" in event:
            raise _Passing(f"its server failed: {_message(event)}")
        if event.get("usage"):
            self._prompt_tokens = event["usage"]["prompt_tokens"]
        for choice in event["choices"]:
            self._finish = choice.get("finish_reason") or self._finish
            if choice["delta"].get("content"):
                self._texts.append(choice["delta"]["content"])
            tokens = (choice.get("logprobs") or {}).get("content") or ()
            if tokens and not self._logprobs:
                self.alternatives = tokens[0]["top_logprobs"]
            self._logprobs += [token["logprob"] for token in tokens]

    def written(self) -> Written:
        return Written("".join(self._texts), tuple(self._logprobs), self._finish, self._prompt_tokens)


async def _events(response: httpx.Response) -> AsyncGenerator[Mapping[str, Any]]:
    """The data of each server-sent event, up to "[DONE]". Raises `_Passing` when the stream ends without it."""
    waiting = b""
    async for chunk in response.aiter_raw():
        *lines, waiting = (waiting + chunk).split(b"\n")
        for line in lines:
            data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
            if data == b"[DONE]":
                return
            if data:
                yield _event(data)
    raise _Passing("its server broke off")


def _event(data: bytes) -> Mapping[str, Any]:
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _Passing("its server sent what is no event") from error
    if not isinstance(event, dict) or not ("choices" in event or "error" in event):
        raise _Passing("its server sent what is no event")
    return event


def _refused(status: int, body: bytes) -> GeneratorUnavailable:
    """What a reply that is no answer means, and whether to try again."""
    try:
        said = _message(orjson.loads(body))
    except orjson.JSONDecodeError:
        said = f"HTTP {status}"
    if status in _TRY_AGAIN:
        return _Passing(f"its server is not able to answer: {said}")
    if status in (401, 403):
        return GeneratorUnavailable("its server refused the key; set ANSWERLOOP_GENERATOR_KEY")
    return GeneratorUnavailable(f"its server refused the request: {said}")


def _message(body: Any) -> str:
    """The words of an error in any of the shapes that are in use, at most a line of them."""
    error = body.get("error", body) if isinstance(body, dict) else body
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:200]


def _broke(error: Exception) -> str:
    return f"its server broke off ({type(error).__name__})"
