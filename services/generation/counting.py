"""How many tokens a prompt has, by the model's own tokenizer and chat template: from its folder, or by its server.

From the folder it takes microseconds and needs no torch; the template is rendered as transformers renders it. A test
holds both against the server's own count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import httpx
import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer as Fast

from router.errors import GeneratorUnavailable, Misconfigured
from router.packing import Tokenizer
from router.prompt import TEMPLATE_OPTIONS, Message
from services.generation.endpoints import Endpoint

_KEPT = 8192  # pieces of text whose length is remembered: the same passages come again and again
_WAIT_S = 5.0  # for a count by the server
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def local(folder: Path) -> Tokenizer:
    """By the files in a model's folder. Raises `Misconfigured` when they are not those of a chat model."""
    try:
        fast = _fast(folder / "tokenizer.json")
        config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        shown = renderer(_template(folder, config), _special(folder, config))
    except (OSError, ValueError, KeyError, jinja2.TemplateError) as error:
        raise Misconfigured(f"the tokenizer in {folder} cannot be read: {error}") from error

    @lru_cache(maxsize=_KEPT)
    def text(piece: str) -> int:
        return len(fast.encode(piece, add_special_tokens=False))

    def chat(messages: Sequence[Message]) -> int:
        return len(fast.encode(shown(messages), add_special_tokens=False))

    return Tokenizer(text, chat)


def remote(endpoints: Sequence[Endpoint], name: str) -> Tokenizer:
    """By asking the servers. Blocks: for a thread. Raises `GeneratorUnavailable` when none of them answers."""

    @lru_cache(maxsize=_KEPT)
    def text(piece: str) -> int:
        return _asked(endpoints, {"model": name, "prompt": piece, "add_special_tokens": False}) if piece else 0

    def chat(messages: Sequence[Message]) -> int:
        return _asked(endpoints, chat_body(name, messages))

    return Tokenizer(text, chat)


def chat_body(name: str, messages: Sequence[Message]) -> dict[str, Any]:
    """What /tokenize is asked, to count messages as they are answered."""
    return {
        "model": name,
        "messages": [{"role": one.role, "content": one.content} for one in messages],
        "add_generation_prompt": True,
        "chat_template_kwargs": dict(TEMPLATE_OPTIONS),
    }


def _asked(endpoints: Sequence[Endpoint], body: Mapping[str, Any]) -> int:
    problem = "there is no server"
    for endpoint in sorted(endpoints, key=lambda one: (one.breaker.open, one.in_flight)):
        try:
            return int(asked_of(endpoint, body)["count"])
        except (httpx.HTTPError, ValueError, KeyError) as error:
            problem = f"its server cannot count tokens ({type(error).__name__})"
    raise GeneratorUnavailable(problem)


def asked_of(endpoint: Endpoint, body: Mapping[str, Any]) -> Any:
    """The reply of one server's /tokenize. Raises httpx.HTTPError or ValueError."""
    reply = _client().post(f"{endpoint.root}/tokenize", json=dict(body), headers=endpoint.headers)
    return reply.raise_for_status().json()


@lru_cache(maxsize=1)
def _client() -> httpx.Client:
    return httpx.Client(timeout=_WAIT_S, trust_env=False)


def _fast(file: Path) -> Fast:
    try:
        return Fast.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower for a file that is missing or damaged
        raise ValueError(str(error)) from error


# --- the chat template, as transformers renders it --------------------------------------------------------------------


def renderer(template: str, special: Mapping[str, str]) -> Callable[[Sequence[Message]], str]:
    """Messages to the text of the prompt. Raises jinja2.TemplateError for a template that is none."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    compiled = environment.from_string(template)

    def shown(messages: Sequence[Message]) -> str:
        chat = [{"role": one.role, "content": one.content} for one in messages]
        try:
            return compiled.render(messages=chat, add_generation_prompt=True, **special, **TEMPLATE_OPTIONS)
        except jinja2.TemplateError as error:
            raise GeneratorUnavailable(f"its chat template refuses the prompt: {error}") from error

    return shown


def _template(folder: Path, config: Mapping[str, Any]) -> str:
    """Raises ValueError when there is none: such a model is not for chatting."""
    file = folder / "chat_template.jinja"
    template = file.read_text("utf-8") if file.is_file() else config.get("chat_template")
    if isinstance(template, list):  # several by name
        template = {one["name"]: one["template"] for one in template}.get("default")
    if not template:
        raise ValueError("it has no chat template; `answerloop merge` writes one")
    return str(template)


def _special(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    file = folder / "special_tokens_map.json"
    known = {**config, **(json.loads(file.read_text("utf-8")) if file.is_file() else {})}
    found = {name: known.get(name) for name in _SPECIAL}
    return {name: str(token["content"] if isinstance(token, dict) else token) for name, token in found.items() if token}


def _tojson(value: Any, indent: int | None = None) -> str:
    """Jinja's own escapes what means something in HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
