"""Asking and searching from the command line: through a running server where one holds the index, else right here.

Either way the result is the JSON object that the HTTP interface gives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from router.errors import AnswerloopError, InvalidInput, Unavailable
from router.types import Question
from services.running import running_server
from services.settings import Settings

if TYPE_CHECKING:
    from services.compose import System


class ServerRefused(AnswerloopError):
    code = "server_refused"


def ask(settings: Settings, question: str) -> dict[str, Any]:
    """Raises `ServerRefused` or `Unavailable` when a server is used, otherwise what the system raises."""
    _refuse_blank(question)
    if url := server_url(settings):
        return post(url, settings.api_key, "/ask", {"question": question}, settings.ask_timeout_s)

    from services.api.render import ask_reply

    async def here(system: System) -> dict[str, Any]:
        outcome = await system.ask(Question(question))
        return ask_reply(outcome.trace, outcome.review_item)

    return _with_system(settings, here)


def search(settings: Settings, question: str, limit: int) -> dict[str, Any]:
    """As `ask`."""
    _refuse_blank(question)
    if url := server_url(settings):
        body = {"question": question, "limit": limit}
        return post(url, settings.api_key, "/search", body, settings.ask_timeout_s)

    from services.api.render import search_reply

    async def here(system: System) -> dict[str, Any]:
        return search_reply(await system.search(question, limit, {}))

    return _with_system(settings, here)


def explain(settings: Settings, question: str) -> dict[str, Any]:
    """As `ask`; nothing is recorded."""
    _refuse_blank(question)
    if url := server_url(settings):
        return post(url, settings.api_key, "/review/explain", {"question": question}, settings.ask_timeout_s)
    return _with_system(settings, lambda system: system.explain(Question(question)))


def why(settings: Settings, trace_id: str) -> dict[str, Any]:
    """As `ask`, for an answer that was given. Raises `NotFound`."""
    if url := server_url(settings):
        return get(url, settings.api_key, f"/review/traces/{quote(trace_id, safe='')}", settings.ask_timeout_s)
    return _with_system(settings, lambda system: system.why(trace_id))


def server_url(settings: Settings) -> str:
    """The server to use: the one that was named, else the live one of this home, else none ("")."""
    if settings.server:
        return settings.server.rstrip("/")
    running = running_server(settings.home)
    return running.url if running else ""


def post(url: str, key: str, path: str, body: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """The reply's JSON. Raises `ServerRefused` with the server's own words, `Unavailable` when it cannot be reached."""
    return _call("POST", url, key, path, body, timeout_s)


def get(url: str, key: str, path: str, timeout_s: float) -> dict[str, Any]:
    """As `post`."""
    return _call("GET", url, key, path, None, timeout_s)


def _call(method: str, url: str, key: str, path: str, body: dict[str, Any] | None, timeout_s: float) -> dict[str, Any]:
    import httpx  # a tenth of a second that `--help` need not wait for

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        reply = httpx.request(method, url + path, json=body, headers=headers, timeout=timeout_s + 5, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise Unavailable(f"The server {url} cannot be reached: {exc}") from exc
    value = _json_object(reply.content)
    if reply.status_code == 200:
        return value
    hint = " Give a key with --key or ANSWERLOOP_API_KEY." if reply.status_code == 401 else ""
    raise ServerRefused(f"The server {url} said {reply.status_code}: {value.get('detail', 'no reason')}{hint}")


def _json_object(content: bytes) -> dict[str, Any]:
    import orjson

    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"detail": "something that is not Answerloop's"}


def _with_system(settings: Settings, work: Callable[[System], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    from services.compose import open_system

    system = open_system(settings)

    async def run() -> dict[str, Any]:
        try:
            return await work(system)
        finally:
            await system.close()

    return asyncio.run(run())


def _refuse_blank(question: str) -> None:
    if not question.strip():
        raise InvalidInput("The question is blank.")
