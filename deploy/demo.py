"""`make demo`: index documents, serve them, ask over HTTP, show what came back. Everything through the front door.

Without --docs the manual of this project is indexed, in both its languages; with it, your folder or git URL, and the
questions are made of its own titles. What is kept lies in var/demo, so a second run only looks for changes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from indexer.sources import load, open_source, parse_source, scan
from router.errors import AnswerloopError
from services.cli_output import by_place
from services.running import running_server
from services.settings import PREFIX

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "var" / "demo"
START_S = 60
TITLES = 3  # questions made from the titles of your own documents

COLOURS = {"curated": "green", "grounded": "green", "abstained": "yellow"}
OWN_QUESTIONS = (
    "How do I index a git repository?",
    "怎么给同事创建一个只能提问的密钥？",
    "What is the largest document that can be uploaded?",
    "重建索引的时候，线上的服务会受影响吗？",
    "Which error code do I get when too many questions wait?",
    "置信度是什么意思？",
    "如何煮咖啡？",
)
NOT_IN_ANY_MANUAL = "如何煮咖啡？"

out = Console(highlight=False, width=None if sys.stdout.isatty() else 110)


@dataclass(frozen=True, slots=True)
class Options:
    """docs: a folder or git URL, None for the project's own manual. once: stop after the questions."""

    docs: str | None
    port: int
    once: bool


class DemoFailed(AnswerloopError):
    code = "demo_failed"


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a killed demo stops its server too
    try:
        run(options)
    except AnswerloopError as exc:
        out.print(Text(f"The demo stopped: {exc}", style="bold red"))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def run(options: Options) -> None:
    if (running := running_server(HOME)) is not None:
        raise DemoFailed(
            f"one is running already, at {running.url}. Stop it first (Ctrl-C there, or kill {running.pid})."
        )
    source = f"{_source_name(options.docs)}={options.docs or ROOT / 'docs'}"
    build_index(source)
    questions = OWN_QUESTIONS if options.docs is None else (*from_titles(source), NOT_IN_ANY_MANUAL)
    with server(options.port) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        out.print(f"\nServing at [bold]{url}[/]. Asking over HTTP:")
        if options.docs is not None:
            out.print("[dim](The questions below were made from the titles of your documents.)[/]")
        for question in questions:
            show(question, posted(client, "/ask", {"question": question}))
        show_review(fetched(client, "/review/items"))
        show_next(url, options)
        if not options.once:
            wait_for_interrupt()


def build_index(source: str) -> None:
    out.print(f"Indexing [bold]{source}[/] …")
    begun = time.monotonic()
    done = subprocess.run(
        [*COMMAND, "index", "--source", source, "--force", "--json"],  # what the last demo was asked does not count
        env=_environment(),
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise DemoFailed("the documents could not be indexed; the reason stands above.")
    report = json.loads(done.stdout)
    counts = f"{report['documents']} documents, {report['passages']} passages"
    out.print(f"{counts}, {len(report['skipped'])} skipped, in {time.monotonic() - begun:.1f} s.")


def from_titles(source: str) -> Sequence[str]:
    """Questions about a few documents, evenly drawn. Raises `InvalidInput` when the source cannot be opened."""
    entries = scan(open_source(parse_source(source), HOME / "index" / "clones")).entries
    documents = [load(entry) for entry in entries[:: max(1, len(entries) // TITLES)][:TITLES]]
    return [_about(document.title, document.language) for document in documents]


def _about(title: str, language: str) -> str:
    return f"什么是{title.removeprefix('关于')}？" if language == "zh" else f"What is {title.removeprefix('About ')}?"


@contextmanager
def server(port: int) -> Iterator[str]:
    """A real `answerloop serve` for as long as the block runs; its address."""
    command = [*COMMAND, "serve", "--port", str(free_port(port))]
    process = subprocess.Popen(command, env=_environment(), start_new_session=True)  # Ctrl-C is for us to pass on, once
    try:
        yield _address(process)
    finally:
        process.terminate()
        process.wait()


def free_port(wanted: int) -> int:
    """`wanted`, or the next port nobody listens on. Raises `DemoFailed` after a hundred."""
    for port in range(wanted, min(wanted + 100, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DemoFailed(f"no port from {wanted} to {wanted + 99} is free; give another one: make demo PORT=9000")


def _address(process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoFailed("the server did not start; the reason stands above.")
        running = running_server(HOME)
        if running is not None and running.pid == process.pid and _ready(running.url):
            return running.url
        time.sleep(0.1)
    raise DemoFailed(f"the server was not ready within {START_S} s.")


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def posted(client: httpx.Client, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return _value(client.post(path, json=body))


def fetched(client: httpx.Client, path: str) -> dict[str, Any]:
    return _value(client.get(path))


def _value(reply: httpx.Response) -> dict[str, Any]:
    value: dict[str, Any] = reply.json()
    if reply.status_code != 200:
        raise DemoFailed(f"{reply.request.url} said {reply.status_code}: {value.get('detail')}")
    return value


def show(question: str, reply: Mapping[str, Any]) -> None:
    body = Text(reply["answer"].strip() + "\n\n")
    for place, marks in by_place(reply["citations"]).items():
        body.append(f"{marks} {_named(*place)}\n", style="cyan")
    for place in by_place(reply["maybe_useful"]):
        body.append(f"maybe useful: {_named(*place)}\n", style="dim cyan")
    colour = COLOURS.get(reply["route"], "blue")
    body.append(reply["route"], style=f"bold {colour}")
    body.append(f" · confidence {reply['confidence']:.2f} · {reply['timings_ms'].get('total', 0):.0f} ms\n")
    body.append(reply["reason"], style="dim")
    if reply["review"]["queued"]:
        body.append("\nSent to people for review.", style="yellow")
    out.print(Panel(body, title=Text(question, style="bold"), title_align="left", border_style=colour))


def _named(source: str, heading: str) -> str:
    return f"{source} > {heading}" if heading else source


def show_review(queue: Mapping[str, Any]) -> None:
    out.print("\n[bold]Waiting for a reviewer[/] (GET /review/items):")
    for item in queue["items"]:
        out.print(Text(f"  {item['question']}  ·  {item['cause']}, asked {item['asks']}×"))
    if not queue["items"]:
        out.print("  nothing")


def show_next(url: str, options: Options) -> None:
    question = "置信度是什么意思？" if options.docs is None else "YOUR QUESTION"
    body = json.dumps({"question": question}, ensure_ascii=False)
    out.print("\n[bold]Ask it yourself:[/]")
    out.print(Text(f"  curl -s {url}/ask -H 'Content-Type: application/json' -d '{body}'"), soft_wrap=True)
    if options.docs is None:
        out.print("With your own documents: make demo DOCS=../my-docs")


def wait_for_interrupt() -> None:
    out.print("\nThe server keeps running; Ctrl-C stops it.")
    with suppress(KeyboardInterrupt):
        signal.pause()


COMMAND = (sys.executable, "-m", "services.cli")


def _environment() -> dict[str, str]:
    """No setting of yours reaches the demo: it must not write into an installation's home or database."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return others | {f"{PREFIX}HOME": str(HOME), f"{PREFIX}LOG_LEVEL": "warning"}


def _source_name(docs: str | None) -> str:
    if docs is None:
        return "docs"
    last = docs.rstrip("/").rsplit("/", 1)[-1].removesuffix(".git") or "docs"
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(last).expanduser().resolve().name if last in {".", ".."} else last)
    return name.strip("-.") or "docs"


def _options() -> Options:
    parser = argparse.ArgumentParser(description="Index documents, serve them and ask questions over HTTP.")
    parser.add_argument("--docs", help="a folder or a git URL; without it, this project's own manual")
    parser.add_argument("--port", type=int, default=8080, help="this port or the next free one")
    parser.add_argument("--once", action="store_true", help="stop after the questions")
    given = parser.parse_args()
    return Options(given.docs or None, given.port, given.once)


if __name__ == "__main__":
    sys.exit(main())
