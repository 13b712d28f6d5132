"""`POST /ask` over a real server and a real corpus, beside a bare loop over the same embedder and index.

    python -m tests.bench.ask [--language en|zh] [--home FOLDER] [--seconds 16]

Prints one JSON object. The index (20,000 passages and more) is built first, in FOLDER if one is given, and found there
by the next run. No question is asked twice: headings of the corpus, and stretches of its sentences. The bare loop is
behind HTTP as our server is (`tests.bare_loop`); both run all the time, and the same client asks both of them the same
questions in turns of some seconds, because the machine is not the same for a minute: compare `ratio`, of all rounds
together, and see in `ratio_by_round` how far it can be trusted. `cpu_ms` is processor time of the server for each
question, all threads and child processes. The loop alone, without HTTP, is measured before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvloop

from indexer.build import version_folder, versions
from indexer.content import Content
from tests.bare_loop import Bare
from tests.processes import cpu_ms, report, resident, serving

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "data" / "corpora"
SOURCES = {
    "zh": {"tidb": "tidb_docs_cn"},
    "en": {"pg": "postgresql_sgml_en", "redis": "redis_doc_en", "fastapi": "fastapi_en_zh/docs/en"},
}
TEMPLATES = {
    "zh": ("如何理解{}？", "{}怎么配置？", "{}有什么限制？", "{}是什么意思？"),
    "en": ("How do I use {}?", "What does the manual say about {}?", "How does {} work?", "What is {} for?"),
}
ASKERS = 32
ROUNDS = 6
SEEDS = ((1, 1), (2, ASKERS))  # (which questions, how many askers)
_HEAD = "POST /ask HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", choices=tuple(SOURCES), default="en")
    parser.add_argument("--home", type=Path, help="keep the index here")
    parser.add_argument("--seconds", type=float, default=16.0, help="of load on each server, at each number of askers")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        return print(json.dumps(bare(options.home, options.language, options.seconds)))
    with tempfile.TemporaryDirectory() as folder:
        home = (options.home or Path(folder)).resolve()
        return print(json.dumps(measure(home, options.language, options.seconds), indent=1))


def measure(home: Path, language: str, seconds: float) -> dict[str, Any]:
    passages = indexed(home, language)
    load = [os.getloadavg()[0]]
    loops = [_bare_process(home, language, seconds / 4)]
    with _serving_bare(home) as bare_loop, serving(home, log_level="warning") as served:
        sides = {
            "ask": Side(served.url, served.process.pid, home, language),
            "bare_http": Side(*bare_loop, home, language),
        }
        for side in sides.values():
            side.asked(0, ASKERS, seconds / ROUNDS)
        rounds = [
            {
                name: {askers: side.asked(seed, askers, seconds / ROUNDS) for seed, askers in SEEDS}
                for name, side in turn
            }
            for turn in (list(sides.items())[:: 1 if number % 2 else -1] for number in range(ROUNDS))
        ]
        memory = resident(served.process.pid)
    loops.append(_bare_process(home, language, seconds / 4))
    load.append(os.getloadavg()[0])
    every = {name: {askers: _together(name, askers, rounds) for _, askers in SEEDS} for name in sides}
    return {
        "language": language,
        "passages": passages,
        "load_average": load,
        **{name: [one.figures() for one in found.values()] for name, found in every.items()},
        "ratio": _ratio(every),
        "ratio_by_round": [_ratio(one) for one in rounds],
        "bare": _means(loops),
        "server_mib": memory,
    }


@dataclass(frozen=True, slots=True)
class Load:
    """replies: milliseconds and what was said. seconds, cpu_ms: of the whole load."""

    askers: int
    replies: Sequence[tuple[float, dict[str, Any]]]
    seconds: float
    cpu_ms: float

    @property
    def p50_ms(self) -> float:
        return statistics.median(milliseconds for milliseconds, _ in self.replies)

    @property
    def per_second(self) -> float:
        return len(self.replies) / self.seconds

    def figures(self) -> dict[str, Any]:
        times = sorted(milliseconds for milliseconds, _ in self.replies)
        found = {
            "askers": self.askers,
            "asked": len(times),
            "per_second": round(self.per_second, 1),
            "p50_ms": round(self.p50_ms, 3),
            "p95_ms": round(times[int(len(times) * 0.95)], 3),
            "cpu_ms": round(self.cpu_ms / len(times), 2),
        }
        return found | _told(self.replies) if "route" in self.replies[0][1] else found


class Side:
    """One of the two servers, with the questions that it was not asked yet."""

    def __init__(self, url: str, pid: int, home: Path, language: str) -> None:
        self._url, self._pid = url, pid
        self._left = {seed: bodies(home, language, seed) for seed in range(3)}

    def asked(self, seed: int, askers: int, seconds: float) -> Load:
        before = cpu_ms(self._pid)
        replies, took = uvloop.run(ask(self._url, self._left[seed], seconds, askers))
        return Load(askers, replies, took, cpu_ms(self._pid) - before)


Found = Mapping[str, Mapping[int, Load]]
"""Name of the side → askers → load."""


def _round(sides: Mapping[str, Side], number: int, seconds: float) -> Found:
    """Each side first in every other round."""
    turn = list(sides.items())[:: 1 if number % 2 else -1]
    return {name: {askers: side.asked(seed, askers, seconds) for seed, askers in SEEDS} for name, side in turn}


def _together(name: str, askers: int, rounds: Sequence[Found]) -> Load:
    loads = [one[name][askers] for one in rounds]
    replies = [reply for one in loads for reply in one.replies]
    return Load(askers, replies, sum(one.seconds for one in loads), sum(one.cpu_ms for one in loads))


def _ratio(found: Found) -> dict[str, float]:
    """How many times as long as the bare loop behind HTTP."""
    own, bare_loop = found["ask"], found["bare_http"]
    return {
        "one": round(own[1].p50_ms / bare_loop[1].p50_ms, 3),
        "many": round(bare_loop[ASKERS].per_second / own[ASKERS].per_second, 3),
    }


def _means(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.mean(one[name] for one in found), 3) for name in found[0]}


def indexed(home: Path, language: str) -> int:
    """Passages of the newest version, which is made if there is none."""
    if not (home.is_dir() and versions(home / "index")):
        sources = [
            argument for name, folder in SOURCES[language].items() for argument in ("-s", f"{name}={CORPORA / folder}")
        ]
        report(home, "index", *sources, corpus_seconds=30)
    return versions(home / "index")[-1].passages


def questions(home: Path, language: str, seed: int) -> Iterator[str]:
    """Distinct ones, without end; two seeds share none."""
    manifest = versions(home / "index")[-1]
    content = Content(version_folder(home / "index", manifest.id) / "content.db")
    rng = random.Random(7)
    passages = [passage for passage in content.all_passages() if passage.language == language]
    content.close()
    seen: set[str] = set()
    for number in itertools.count():
        passage = rng.choice(passages)
        text = _from_heading(passage.heading, language, rng) if number % 3 else _from_text(passage.text, language, rng)
        if text and text not in seen:
            seen.add(text)
            if len(seen) % 3 == seed:
                yield text


def _from_heading(heading: Sequence[str], language: str, rng: random.Random) -> str:
    joined = (" 的 " if language == "zh" else " in ").join(reversed(heading[-2:])).replace("`", "")
    words = joined[:30] if language == "zh" else " ".join(joined.split()[:8])
    return rng.choice(TEMPLATES[language]).format(words) if len(words) > 3 else ""


def _from_text(text: str, language: str, rng: random.Random) -> str:
    lines = [line for line in re.split(r"[。.\n]", text) if 20 < len(line) < 200 and line[:1].isalnum()]
    if not lines:
        return ""
    line = re.sub(r"[`*_\[\]()]", " ", rng.choice(lines))
    return f"{line[:24]}吗？" if language == "zh" else f"why {' '.join(line.split()[:9])}?"


def bodies(home: Path, language: str, seed: int) -> Iterator[bytes]:
    ready = list(itertools.islice(questions(home, language, seed), 12_000))  # made before the clock runs
    return iter([orjson.dumps({"question": question}) for question in ready])


async def ask(
    url: str, requests: Iterator[bytes], seconds: float, askers: int
) -> tuple[list[tuple[float, dict[str, Any]]], float]:
    """Milliseconds and reply of each question, and how many seconds all of it took."""
    replies: list[tuple[float, dict[str, Any]]] = []
    host, port = url.removeprefix("http://").split(":")
    began = time.perf_counter()
    await asyncio.gather(*(_asker(host, int(port), requests, began + seconds, replies) for _ in range(askers)))
    return replies, time.perf_counter() - began


def _told(replies: Sequence[tuple[float, dict[str, Any]]]) -> dict[str, Any]:
    """What only our own replies say."""
    stages: dict[str, list[float]] = defaultdict(list)
    for _, reply in replies:
        for name, value in reply["timings_ms"].items():
            stages[name].append(value)
    grounded = [milliseconds for milliseconds, reply in replies if reply["route"] == "grounded"]
    return {
        "p50_grounded_ms": round(statistics.median(grounded), 3) if grounded else None,
        "grounded": round(len(grounded) / len(replies), 3),
        "stages_p50_ms": {name: round(statistics.median(values), 3) for name, values in stages.items()},
    }


async def _asker(
    host: str, port: int, requests: Iterator[bytes], until: float, replies: list[tuple[float, dict[str, Any]]]
) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    while time.perf_counter() < until and (body := next(requests, None)) is not None:
        began = time.perf_counter()
        writer.write(_HEAD.format(host, len(body)).encode() + body)
        top = await reader.readuntil(b"\r\n\r\n")
        length = int(top.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        reply = await reader.readexactly(length)
        if not top.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"unexpected reply: {top.decode()}{reply.decode()}")
        replies.append(((time.perf_counter() - began) * 1e3, orjson.loads(reply)))
    writer.close()


# --- the bare loop: behind HTTP, and alone ----------------------------------------------------------------------------


@contextlib.contextmanager
def _serving_bare(home: Path) -> Iterator[tuple[str, int]]:
    """Its address and process id."""
    command = [sys.executable, "-m", "tests.bare_loop", "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


def _bare_process(home: Path, language: str, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.ask", "--bare", "--language", language, "--home", str(home)]
    done = subprocess.run([*command, "--seconds", str(seconds)], stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def bare(home: Path, language: str, seconds: float) -> dict[str, float]:
    loop = Bare(home)
    texts = list(itertools.islice(questions(home, language, 0), 12_000))
    loop.search(texts[:ASKERS])
    began = time.process_time()
    one = _timed(loop, [[text] for text in texts], seconds / 2)
    between = time.process_time()
    many = _timed(loop, [texts[at : at + ASKERS] for at in range(0, len(texts) - ASKERS, ASKERS)], seconds / 2)
    return {
        "p50_ms": round(statistics.median(one) * 1e3, 3),
        "per_second_in_batches": round(ASKERS * len(many) / sum(many), 1),
        "cpu_ms": round((between - began) * 1e3 / len(one), 2),
        "cpu_ms_in_batches": round((time.process_time() - between) * 1e3 / ASKERS / len(many), 2),
    }


def _timed(loop: Bare, batches: Sequence[Sequence[str]], seconds: float) -> list[float]:
    times: list[float] = []
    for batch in batches:
        if sum(times) > seconds:
            break
        began = time.perf_counter()
        loop.search(batch)
        times.append(time.perf_counter() - began)
    return times


if __name__ == "__main__":
    main()
