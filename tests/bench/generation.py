"""What the generation path costs beside vLLM itself: the same prompts, the same length of answers, 16 at a time.

    python -m tests.bench.generation [--hidden 512] [--layers 8] [--tokens 96] [--rounds 15]

Needs vLLM in this Python. A model is made on the spot and taught nothing; its answers are cut at `--tokens`, so both
ways write as many tokens. `itself`: the rendered prompts posted to the server by a bare client that reads the stream
and throws it away. `path`: packing, streaming, log-probabilities, the check of every statement, citations and the
quoting that gives the features. Rounds of both ways take turns, the same questions in each. `lost` is the share of
tokens a second that the path costs (bar: 0.05 at most): the median over pairs of rounds, which a burst of other work on
the machine does not move; `lost_in_sum` is of all rounds together. `answer_ms`: how long one asker of the 16 waits for
a whole answer of that length; `first_token_ms`: for vLLM's first token (what is sent is checked first, so an asker sees
nothing before the whole). Above the bar it ends with exit status 1. All runs on this machine: what the path computes,
vLLM cannot use.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import orjson

from router.errors import GeneratorUnavailable
from router.types import Hit, Passage, Question, SearchResult
from services.generation import vllm as client_module
from services.generation.drafting import ModelGenerator, packed_for
from services.generation.endpoints import Fleet, Served
from services.generation.extractive import ExtractiveGenerator
from services.generation.launching import Launch
from services.generation.supervisor import Supervisor
from services.generation.vllm import Vllm, request

AT_ONCE = 16
BAR = 0.05
WINDOW = 2048
_WORDS = """the node pool writes backup replica primary cluster log region token gateway holds reads starts stops after
before minutes command default limit version restart size disk memory index query table schema user role key""".split()


def main() -> int:
    options = _options()
    if not find_spec("vllm"):
        print("bench generation needs vLLM in this Python; see docs/en/serving.md", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        model = _model(Path(folder) / "bench-1", options)
        fleet = Fleet("loading")
        supervisor = Supervisor(Launch(str(model), WINDOW), "", Path(folder) / "own", options.tokens, fleet)
        supervisor.start()
        try:
            served = _wait(fleet)
            found = asyncio.run(_measured(served, fleet, options))
        finally:
            supervisor.close()
    print(json.dumps(found, indent=1))
    return outcome(found)


def outcome(found: Mapping[str, Any]) -> int:
    """The exit status: 1 where more is lost than the bar allows."""
    if found["lost"] <= found["bar"]:
        return 0
    print(f"{found['lost']:.1%} of the tokens a second are lost; at most {found['bar']:.0%} may be", file=sys.stderr)
    return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("hidden", 512), ("layers", 8), ("tokens", 96), ("rounds", 15), ("questions", 16)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def _model(folder: Path, options: argparse.Namespace) -> Path:
    from tests.training.tiny_models import make

    texts = [hit.passage.text for _, found in _asked(8) for hit in found.hits]
    return make(folder, "qwen3", texts, hidden=options.hidden, layers=options.layers, words=2000)


def _wait(fleet: Fleet) -> Served:
    until = time.monotonic() + 600
    while fleet.current is None:
        if time.monotonic() > until:
            raise GeneratorUnavailable(fleet.status())
        time.sleep(0.2)
    return fleet.current


def _asked(number: int) -> list[tuple[Question, SearchResult]]:
    """Questions of 8 words with 4 passages of about 50 words each; always the same."""
    chance = random.Random(0)

    def words(many: int) -> str:
        return " ".join(chance.choice(_WORDS) for _ in range(many)).capitalize()

    asked = []
    for at in range(number):
        texts = [" ".join(f"{words(9)}." for _ in range(5)) for _ in range(4)]
        passages = [
            Passage(f"{at * 8 + n:032x}", f"d{n}.md", ("Manual",), 0, len(text), text, "en")
            for n, text in enumerate(texts)
        ]
        hits = tuple(Hit(passage, {"bm25": 5.0 - n}, 1.0 - n / 10) for n, passage in enumerate(passages))
        asked.append((Question(f"{words(8)}?"), SearchResult(hits, {}, "en", "v1")))
    return asked


async def _measured(served: Served, fleet: Fleet, options: argparse.Namespace) -> dict[str, Any]:
    client_module.SAMPLING["ignore_eos"] = True  # type: ignore[index]  # both ways write to the limit
    asked = _asked(options.questions)
    client = Vllm(600.0)
    generator = ModelGenerator(client, fleet, ExtractiveGenerator(lambda _paths: {}), lambda _paths: {})
    bodies = [
        orjson.dumps(request(served.name, packed_for(*one, served).prompt.messages, served.window.answer))
        for one in asked
    ]
    firsts: list[float] = []
    async with httpx.AsyncClient(timeout=600, trust_env=False, limits=httpx.Limits(max_connections=None)) as bare:

        async def itself(at: int) -> None:
            firsts.append(await _read(bare, served, bodies[at]))

        async def path(at: int) -> None:
            await generator.generate(*asked[at])

        ways: dict[str, Callable[[int], Awaitable[None]]] = {"itself": itself, "path": path}
        figures, waits = await _rounds(ways, options)
    await client.close()
    tokens = options.questions * served.window.answer
    return {**_report(figures, tokens, options), **_waited(waits, firsts)}


def _waited(waits: dict[str, list[float]], firsts: list[float]) -> dict[str, Any]:
    """Milliseconds over all askers."""
    shown = {name: _quantiles(some) for name, some in waits.items()}
    return {"answer_ms": shown, "first_token_ms": _quantiles(firsts)}


def _quantiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"p50": round(cuts[9] * 1e3, 1), "p95": round(cuts[18] * 1e3, 1)}


async def _read(bare: httpx.AsyncClient, served: Served, body: bytes) -> float:
    """Seconds to the first piece."""
    endpoint = served.endpoints[0]
    headers = {**endpoint.headers, "Content-Type": "application/json"}
    began, first = time.perf_counter(), 0.0
    async with bare.stream("POST", f"{endpoint.url}/chat/completions", content=body, headers=headers) as response:
        response.raise_for_status()
        async for _ in response.aiter_raw():
            first = first or time.perf_counter() - began
    return first


async def _rounds(
    ways: dict[str, Callable[[int], Awaitable[None]]], options: argparse.Namespace
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, list[float]]]:
    """Way → (seconds, processor seconds of this process) of each round, and the seconds of each answer; the way that
    begins alternates."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    waits: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():  # warm: the prefix cache then holds what it ever will
        await _round(way, options.questions, [])
    for number in range(options.rounds):
        for name, way in list(ways.items())[:: 1 if number % 2 else -1]:
            began, cpu = time.perf_counter(), time.process_time()
            await _round(way, options.questions, waits[name])
            figures[name].append((time.perf_counter() - began, time.process_time() - cpu))
    return figures, waits


async def _round(way: Callable[[int], Awaitable[None]], questions: int, waits: list[float]) -> None:
    waiting = iter(range(questions))

    async def asker() -> None:
        for at in waiting:
            began = time.perf_counter()
            await way(at)
            waits.append(time.perf_counter() - began)

    await asyncio.gather(*(asker() for _ in range(AT_ONCE)))


def _report(figures: dict[str, list[tuple[float, float]]], tokens: int, options: argparse.Namespace) -> dict[str, Any]:
    speeds = {name: tokens * len(rounds) / sum(wall for wall, _ in rounds) for name, rounds in figures.items()}
    pairs = zip(figures["itself"], figures["path"], strict=True)
    lost = [1 - bare / path for (bare, _), (path, _) in pairs]
    cpu = {name: sum(used for _, used in rounds) for name, rounds in figures.items()}
    answers = options.questions * options.rounds
    return {
        "at_once": AT_ONCE,
        "tokens_per_answer": tokens // options.questions,
        "tokens_per_second": {name: round(speed, 1) for name, speed in speeds.items()},
        "lost": round(statistics.median(lost), 4),
        "lost_by_round": [round(one, 4) for one in lost],
        "lost_in_sum": round(1 - speeds["path"] / speeds["itself"], 4),
        "client_cpu_ms_per_answer": {name: round(used * 1e3 / answers, 2) for name, used in cpu.items()},
        "bar": BAR,
        "cores": os.cpu_count(),
        "model": {"hidden": options.hidden, "layers": options.layers},
    }


if __name__ == "__main__":
    sys.exit(main())
