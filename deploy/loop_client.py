"""What `make loop-demo` does over HTTP as an asker and as a reviewer: asks, whole or streamed, and reads forms."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import httpx

from deploy.demo import DemoFailed, out, posted


def asked(client: httpx.Client, question: str) -> dict[str, Any]:
    reply = posted(client, "/ask", {"question": question})
    out.print(f"  {question} → [bold]{reply['route']}[/]: {' '.join(reply['answer'].split())[:80]}")
    return reply


def streamed(client: httpx.Client, question: str) -> dict[str, Any]:
    """The `done` event, with the number of pieces that came before it."""
    pieces, event = 0, ""
    with client.stream("POST", "/ask", json={"question": question, "stream": True}) as reply:
        for line in reply.iter_lines():
            if line.startswith("event:"):
                event = line.removeprefix("event:").strip()
                pieces += event == "delta"
            elif line.startswith("data:") and event == "done":
                done: dict[str, Any] = json.loads(line.removeprefix("data:"))
                return {**done, "pieces": pieces}
    raise DemoFailed("the stream ended without its last event")


def inputs(page: str) -> list[tuple[str, str]]:
    """Name and value of each input field of a page, in order."""
    found: list[tuple[str, str]] = []

    class Fields(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            given = dict(attributes)
            if tag == "input":
                found.append((given.get("name") or "", given.get("value") or ""))

    Fields().feed(page)
    return found
