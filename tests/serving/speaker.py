"""A tiny real HTTP server that speaks as much of vLLM's interface as is used, and misbehaves as it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from services.generation.endpoints import Endpoint


@dataclass(slots=True)
class Speaker:
    """name: of its model. says: its answer, sent in as many tokens as it has words. fails: statuses of the next
    replies. breaks_after: tokens after which it hangs up. errs_after: after which it sends an error as vLLM does.
    token_s: between two tokens. no: log-probability of " no" beside "Yes" with -0.1.
    key: that it asks for. well: its health. adapters: LoRA adapters that were loaded. answers: in place of `says`, what
    it says to a prompt, and the log-probability of each word of it."""

    name: str = "tiny"
    says: str = "The pool holds 40 connections [1]."
    fails: list[int] = field(default_factory=list)
    breaks_after: int | None = None
    errs_after: int | None = None
    token_s: float = 0.0
    no: float = -2.5
    key: str = ""
    well: bool = True
    window: int = 1024
    bodies: list[dict[str, Any]] = field(default_factory=list)
    left: int = 0
    adapters: list[str] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    answers: Callable[[str], tuple[str, float]] | None = None
    endpoint: Endpoint = field(default_factory=lambda: Endpoint("http://127.0.0.1:9/v1"))

    async def chat(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.bodies.append(body)
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({"error": "Unauthorized"}, 401)
        if self.fails:
            return JSONResponse({"error": {"message": "not now", "code": 0}}, self.fails.pop(0))
        if body["model"] not in (self.name, *self.adapters):
            return JSONResponse({"error": {"message": f"The model `{body['model']}` does not exist."}}, 404)
        if not body.get("stream"):
            return JSONResponse({"choices": [{"logprobs": {"content": [_token("7", self.no)]}}]})
        said = self.answers(body["messages"][-1]["content"]) if self.answers else (self.says, -0.25)
        return StreamingResponse(self._stream(*said), media_type="text/event-stream")

    async def _stream(self, says: str, sure: float) -> AsyncIterator[bytes]:
        """Cut at odd places: events and characters are not aligned with what the network delivers."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            sent = b"".join([piece async for piece in self._events(says, sure)]) if not self.token_s else b""
            for at in range(0, len(sent), 7):
                yield sent[at : at + 7]
            if self.token_s:
                async for piece in self._events(says, sure):
                    yield piece
        except (asyncio.CancelledError, GeneratorExit):
            self.left += 1
            raise
        finally:
            self.at_once -= 1

    async def _events(self, says: str, sure: float) -> AsyncIterator[bytes]:
        words = says.split(" ")
        pieces = [word + " " * (at < len(words) - 1) for at, word in enumerate(words)]
        yield _event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
        for at, piece in enumerate(pieces):
            if at == self.errs_after:
                yield _event({"error": {"message": "EngineCore encountered an issue.", "code": 500}})
            if at == self.breaks_after:
                return
            await asyncio.sleep(self.token_s)
            yield _event(
                {"choices": [{"delta": {"content": piece}, "logprobs": {"content": [_token(piece, self.no, sure)]}}]}
            )
        yield _event({"choices": [{"delta": {"content": ""}, "finish_reason": "stop"}]})
        yield _event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": len(pieces)}})
        yield b"data: [DONE]\n\n"

    async def models(self, _request: Request) -> Response:
        return JSONResponse({"data": [{"id": self.name, "max_model_len": self.window}]})

    async def load(self, request: Request) -> Response:
        self.adapters.append(json.loads(await request.body())["lora_name"])
        return Response("Success")

    async def unload(self, request: Request) -> Response:
        self.adapters.remove(json.loads(await request.body())["lora_name"])
        return Response("Success")

    async def health(self, _request: Request) -> Response:
        return Response(status_code=200 if self.well else 503)

    async def tokenize(self, request: Request) -> Response:
        """One token a character."""
        body = json.loads(await request.body())
        text = body.get("prompt") or "".join(one["content"] for one in body.get("messages", ()))
        return JSONResponse({"count": len(text), "tokens": [ord(char) for char in text]})


def _token(text: str, no: float, sure: float = -0.25) -> dict[str, Any]:
    alternatives = [{"token": "Yes", "logprob": -0.1}, {"token": " no", "logprob": no}, {"token": "x", "logprob": -3}]
    return {"token": text, "logprob": sure, "top_logprobs": alternatives}


def _event(data: Any) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


@contextlib.contextmanager
def speaking(speaker: Speaker) -> Iterator[Speaker]:
    """On a free port of loopback, in a thread of the test; `speaker.endpoint` is where."""
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", speaker.chat, methods=["POST"]),
            Route("/v1/models", speaker.models),
            Route("/v1/load_lora_adapter", speaker.load, methods=["POST"]),
            Route("/v1/unload_lora_adapter", speaker.unload, methods=["POST"]),
            Route("/health", speaker.health),
            Route("/tokenize", speaker.tokenize, methods=["POST"]),
        ]
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        speaker.endpoint = Endpoint(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", speaker.key)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield speaker
        finally:
            server.should_exit = True
            thread.join(10)
