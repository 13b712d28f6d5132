"""An installation that has seen much: what pages cost is measured on it. Run as a script: python -m … HOME."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from router.types import Answer, Citation, CuratedEntry, Question, ReviewItem, Route, Trace
from services.jobs import BUDGET, DATASET, REINDEX, TRAINING
from services.review.budgeting import Budgeting
from services.review.writing import entry_of
from services.settings import Settings
from services.store.curated import Wanted
from services.store.records import JobState, now
from services.store.review_records import Judgement, VerdictKind
from services.store.sql import SqlStore
from services.store.verdicts import Rules
from tests.console.audits import release, serve

OPEN, AUDITED, DECIDED, ENTRIES, JOBS = 10_000, 2_000, 1_000, 2_000, 60
LONG = "怎么配置只读节点 " * 20
CITED = Citation("0" * 32, "docs/nodes.md", "Manual > Nodes", "Add a read-only node. " * 10, 0, 220, "r")


async def fill(store: SqlStore, settings: Settings) -> None:
    """10,000 open items of long questions, 3,000 decided ones, 2,000 of them drawn by the audit; a certificate,
    entries, releases and jobs."""
    await serve(store, settings)
    await release(store, settings, "r2", "v2")
    await _by_hundreds(_asked(store, number, "abstained", Route.ABSTAINED, 0.0) for number in range(OPEN))
    await _by_hundreds(_audited(store, OPEN + number) for number in range(AUDITED))
    await _by_hundreds(_corrected(store, OPEN + AUDITED + number) for number in range(DECIDED))
    entries = (
        CuratedEntry(f"e{n}", f"Word{n} entry{n} kept?", f"答案 {n} " * 20, citations=(CITED,)) for n in range(ENTRIES)
    )
    await store.curated.edit(lambda _: Wanted(put=tuple(entries)), "test", "fill", [])
    await Budgeting(settings, store, settings.home / "index").refit("test")
    for number in range(JOBS):
        await _job(store, (REINDEX, DATASET, TRAINING, BUDGET)[number % 4])


async def _by_hundreds(work: Iterable[Awaitable[object]]) -> None:
    waiting = list(work)
    for begin in range(0, len(waiting), 500):
        await asyncio.gather(*waiting[begin : begin + 500])


async def _asked(store: SqlStore, number: int, cause: str, route: Route, probability: float) -> ReviewItem:
    text = f"第 {number} 个问题 question {number} {LONG}"
    answer = Answer(f"Answer {number}. {LONG}", route, 0.1, (), "Nothing fits.", "extractive")
    if route is Route.GROUNDED:
        answer = replace(answer, confidence=0.9 + number % 10 / 100, citations=(CITED,))
    features = {"coverage": 0.5, "lead": 0.1}
    one = Trace(uuid4().hex, now(), Question(text), text, "zh", answer, (), features, (), "r1", {"total": 1.0})
    item = ReviewItem(uuid4().hex, one.id, text, "zh", cause, "pending", one.created, probability)
    await store.record(one, item)
    return item


async def _audited(store: SqlStore, number: int) -> None:
    item = await _asked(store, number, "audit", Route.GROUNDED, 0.05)
    kind = VerdictKind.WRONG if number % 50 == 0 else VerdictKind.CORRECT
    await store.reviews.decide(item.id, Judgement(kind), "anna", item.id, Rules(), entry_of)


async def _corrected(store: SqlStore, number: int) -> None:
    item = await _asked(store, number, "thumbs_down", Route.GROUNDED, 0.0)
    judged = Judgement(VerdictKind.CORRECTED, f"Better {number}. {LONG}", (CITED,), curate=False)
    await store.reviews.decide(item.id, judged, "anna", item.id, Rules(), entry_of)


async def _job(store: SqlStore, kind: str) -> None:
    job = await store.create_job(kind, {"who": "anna", "out": "sets/one"})
    await store.update_job(job.id, state=JobState.RUNNING, stage="work", done=1, total=2)
    await store.update_job(job.id, state=JobState.DONE, result={"rows": list(range(500))})


def main(home: Path) -> None:
    settings = Settings(home=home)
    home.mkdir(parents=True, exist_ok=True)
    with SqlStore.open(settings.store_url) as store:
        asyncio.run(fill(store, settings))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
