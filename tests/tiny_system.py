"""A tiny real system for tests of the outer floors: three passages, word overlap, quoting, the real store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from router.errors import IndexUnavailable, NotFound
from router.types import (
    Answer,
    Citation,
    Hit,
    Passage,
    Question,
    Release,
    ReviewItem,
    Route,
    SearchResult,
    Trace,
)
from services.compose import Outcome, Readiness
from services.curated.live import LiveCurated
from services.explaining import explanation
from services.generation.service import ModelService
from services.review.budgeting import Budgeting
from services.review.loop import ReviewLoop
from services.settings import Settings
from services.store.records import now
from services.store.sql import SqlStore

TEXTS = {
    "docs/nodes.md": "Add a read-only node with the command add-node. It takes about two minutes.",
    "docs/backup.md": "Backups are kept for seven days. Restore one with the command restore.",
    "docs/zh.md": "初始化集群需要三个节点。完成后可以添加只读节点。",
}
PASSAGES = tuple(
    Passage(f"{number:032x}", path, ("Manual", path), 0, len(text), text, "zh" if "zh" in path else "en")
    for number, (path, text) in enumerate(TEXTS.items())
)


@dataclass(slots=True)
class TinySystem:
    """delay_s: how long an answer takes. broken: the index cannot be opened. model: as of a real system; it is not
    asked here."""

    settings: Settings
    store: SqlStore
    delay_s: float = 0.0
    broken: bool = False
    release: str = "r1"
    record: bool = True
    model: ModelService | None = None
    asked: list[Question] = field(default_factory=list)
    curated: LiveCurated = field(init=False)
    review: ReviewLoop = field(init=False)
    budget: Budgeting = field(init=False)

    def __post_init__(self) -> None:
        self.curated = LiveCurated(self.store.curated)
        self.review = ReviewLoop(self.settings, self.store, self.curated)
        self.budget = Budgeting(self.settings, self.store, self.settings.home / "index")

    async def ask(self, question: Question) -> Outcome:
        if self.broken:
            raise IndexUnavailable("No index version can be opened; run: answerloop index")
        self.asked.append(question)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        trace = self._trace(question, _best(question.text))
        item = None
        if trace.answer.route is Route.ABSTAINED:
            item = ReviewItem(uuid4().hex, trace.id, question.text, "en", "abstained", "pending", trace.created)
        if self.record:
            await self.store.record(trace, item)
        return Outcome(trace, item)

    async def explain(self, question: Question) -> dict[str, Any]:
        return explanation(self._trace(question, _best(question.text)), None)

    async def why(self, trace_id: str) -> dict[str, Any]:
        return explanation(await self.store.get_trace(trace_id), None)

    async def search(self, question: str, limit: int, filters: Mapping[str, str], **_: object) -> SearchResult:
        if self.broken:
            raise IndexUnavailable("No index version can be opened; run: answerloop index")
        hits = [Hit(passage, {"bm25": float(_overlap(question, passage))}, 0.0) for passage in PASSAGES]
        wanted = [hit for hit in hits if filters.get("document", hit.passage.document) == hit.passage.document]
        best = sorted(wanted, key=lambda hit: -hit.scores["bm25"])[:limit]
        return SearchResult(tuple(best), {}, "en", "v1", {"retrieve": 0.1})

    def cite(self, hits: Sequence[Hit]) -> tuple[Citation, ...]:
        return tuple(
            Citation(hit.passage.id, hit.passage.document, " > ".join(hit.passage.heading), hit.passage.text, 0, 0, "r")
            for hit in hits
        )

    def readiness(self) -> Readiness:
        return Readiness(
            not self.broken,
            {"curated": self.curated.status(), "index": "cannot be opened" if self.broken else "ok, version v1"},
        )

    async def activate(self, release_id: str, who: str, keep_curated: bool = False) -> Release:
        release = await self.store.activate_release(release_id, who, keep_curated)
        self.release = release.id
        await self.curated.refresh()
        await self._read_budget(release)
        return release

    async def refresh(self) -> None:
        active = await self.store.active_release()
        self.release = active.id if active else self.release
        await self.review.refresh()
        if active and (self.budget.last is None or await self.budget.moved(active)):
            await self._read_budget(active)

    async def _read_budget(self, release: Release) -> None:
        """As a real system does when it opens a release. Those of many tests have no calibration."""
        with contextlib.suppress(NotFound):
            await self.budget.calibration(release)

    async def close(self) -> None:
        await self.review.close()
        self.store.close()

    def _trace(self, question: Question, passage: Passage | None) -> Trace:
        answer = Answer("I do not know.", Route.ABSTAINED, 0.1, (), "Nothing fits.", "extractive")
        if passage:
            quote = passage.text
            cited = Citation(passage.id, passage.document, " > ".join(passage.heading), quote, 0, len(quote), "r")
            answer = Answer(quote, Route.GROUNDED, 0.9, (cited,), "A passage fits.", "extractive")
        timings = {"retrieve": 0.1, "total": 0.2}
        return Trace(uuid4().hex, now(), question, question.text, "en", answer, (), {}, (), self.release, timings)


def _overlap(question: str, passage: Passage) -> int:
    text = passage.text.lower()
    words = [word for word in question.lower().split() if len(word) > 3]
    return sum(word in text for word in words) + sum(char in text for char in question if "一" <= char <= "鿿")


def _best(question: str) -> Passage | None:
    best = max(PASSAGES, key=lambda passage: _overlap(question, passage))
    return best if _overlap(question, best) >= 2 else None
