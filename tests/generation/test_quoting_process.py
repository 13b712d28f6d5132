"""Quoting elsewhere gives what quoting here gives, and is missed by nobody when it fails."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import content
from router.types import Draft, Hit, Location, Passage, Question, SearchResult
from services.generation import quoting_process, reading, readings
from services.generation.quoting import Quoting
from services.generation.quoting_process import CrowdedGenerator
from services.generation.quoting_worker import replied, reply, request

TEXTS = (
    "Backups are kept for 7 days. To restore one:\n\n1. stop the node\n2. run `restore --all`\n",
    "| Name | Value |\n|---|---|\n| work_mem | 4MB |\n| 连接数 | 100 |\n",
    "默认保留 7 天。备份过期后自动删除。\n\n- 停止节点\n- 执行 `restore`\n",
)
PASSAGES = tuple(
    Passage(f"{number:032x}", "a/b.md", ("Manual", "备份"), 100 * number, 100 * number + len(text), text, "en")
    for number, text in enumerate(TEXTS)
)
FOUND = SearchResult(
    tuple(Hit(passage, {"bm25": 3.5}, 1.0 - number / 10, 0) for number, passage in enumerate(PASSAGES)),
    {"backup": 1.25, "kept": 2.0, "work_mem": 3.0, "备份": 1.1},
    "en",
    "v1",
)
QUESTIONS = ("How long are backups kept?", "How do I restore a backup?", "What is work_mem?", "备份保留几天？", "Why?")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    content.write(tmp_path / "content.db", (), list(PASSAGES), ())
    readings.write(tmp_path, None, lambda *_: None)
    yield tmp_path
    reading.keep(None)
    reading._read.cache_clear()


class _Here(Quoting):
    """Counts what was quoted on the event loop."""

    asked = 0

    def quote(self, question: str, found: SearchResult) -> Draft:
        self.asked += 1
        return super().quote(question, found)


def _here(folder: Path) -> _Here:
    opened = _Here.open(folder)
    assert isinstance(opened, _Here)
    return opened


async def _started(generator: CrowdedGenerator, here: _Here) -> int:
    """The worker's process id, once it answers."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        before = here.asked
        await generator.generate(Question("How long are backups kept?"), FOUND)
        if here.asked == before:
            return _children()[0]
        await asyncio.sleep(0.02)
    raise AssertionError("the process did not start")


def _children() -> list[int]:
    lists = Path("/proc/self/task").glob("*/children")
    return [int(one) for path in lists for one in path.read_text("utf-8").split() if _is_worker(int(one))]


def _is_worker(pid: int) -> bool:
    try:
        return b"quoting_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def assert_same(one: Draft, other: Draft) -> None:
    """Sums over sets of words differ in their last digit from process to process."""
    assert one.support == pytest.approx(other.support)
    assert replace(one, support={}) == replace(other, support={})


def test_the_drafts_are_the_same(folder: Path) -> None:
    async def both() -> None:
        here = _here(folder)
        generator = CrowdedGenerator(here, folder, lambda: True)
        await _started(generator, here)
        before = here.asked
        asked = [Question(text) for text in QUESTIONS * 8]
        drafts = await asyncio.gather(*(generator.generate(question, FOUND) for question in asked))
        assert here.asked == before
        for draft, question in zip(drafts, asked, strict=True):
            assert_same(draft, here.quote(question.text, FOUND))
        assert any(draft.citations for draft in drafts)
        await generator.close()
        assert _children() == []

    asyncio.run(both())


def test_a_lone_question_starts_no_process(folder: Path) -> None:
    async def alone() -> None:
        here = _here(folder)
        generator = CrowdedGenerator(here, folder, lambda: False)
        assert (await generator.generate(Question(QUESTIONS[0]), FOUND)).citations
        await asyncio.sleep(0)
        assert here.asked == 1
        assert _children() == []
        await generator.close()

    asyncio.run(alone())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_ends_or_hangs_is_missed_by_nobody(
    folder: Path, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quoting_process, "_AGAIN_S", 0.01)
    monkeypatch.setattr(quoting_process, "_PATIENCE_S", 0.3)

    async def killed() -> None:
        here = _here(folder)
        generator = CrowdedGenerator(here, folder, lambda: True)
        first = await _started(generator, here)
        before = here.asked
        under_way = asyncio.gather(*(generator.generate(Question(text), FOUND) for text in QUESTIONS))
        os.kill(first, how)
        drafts = await under_way
        for draft, text in zip(drafts, QUESTIONS, strict=True):
            assert_same(draft, here.quote(text, FOUND))
        assert here.asked > before
        assert await _started(generator, here) != first
        await generator.close()

    asyncio.run(killed())


def test_one_that_cannot_start_is_tried_again_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works = quoting_process._WORKER
    monkeypatch.setattr(quoting_process, "_AGAIN_S", 0.01)
    monkeypatch.setattr(quoting_process, "_WORKER", ("-c", "raise SystemExit(3)"))

    async def tried() -> None:
        here = _here(folder)
        generator = CrowdedGenerator(here, folder, lambda: True)
        for _ in range(5):
            assert (await generator.generate(Question(QUESTIONS[0]), FOUND)).citations
            await asyncio.sleep(0.05)
        assert here.asked == 5
        monkeypatch.setattr(quoting_process, "_WORKER", works)
        await _started(generator, here)
        await generator.close()

    asyncio.run(tried())


def test_it_ends_with_whoever_asked(folder: Path) -> None:
    """However that ended: nobody is left to close anything after `kill -9`."""
    command = [sys.executable, "-P", "-m", "services.generation.quoting_worker", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin
        assert worker.stdout
        assert worker.stdout.readline() == b"\n"
        worker.stdin.write(request(7, QUESTIONS[0], FOUND))
        worker.stdin.flush()
        assert replied(worker.stdout.readline())[0] == 7
        worker.send_signal(signal.SIGINT)  # a terminal's, which is for the server
        worker.stdin.close()
        assert worker.wait(10) == 0


def test_a_question_that_fails_says_so_here_and_harms_no_other() -> None:
    def failing(_question: str, _found: SearchResult) -> Draft:
        raise ValueError("no")

    assert replied(reply(request(3, "?", FOUND), failing)) == (3, None)


@given(
    st.text(st.characters(exclude_categories=("Cs",))),
    st.lists(st.text(st.characters(exclude_categories=("Cs",)))),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_what_is_read_there_is_what_was_found_here(text: str, heading: list[str], score: float) -> None:
    also = (Location("c/d.md", 3, 9),)
    passage = Passage("0" * 32, "a/b.md", tuple(heading), 0, len(text), text, "zh", text, also)
    found = SearchResult((Hit(passage, {"bm25": score}, score, None),), {text: score}, "zh", "")
    seen: list[SearchResult] = []

    def quote(_question: str, there: SearchResult) -> Draft:
        seen.append(there)
        return Draft(text, (), "extractive", support={"coverage": score})

    expected = Draft(text, (), "extractive", support={"coverage": score})
    assert replied(reply(request(1, text, found), quote)) == (1, expected)
    assert seen == [found]
