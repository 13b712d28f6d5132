"""A store with answers that the audit drew, and what people said of them: what the Quality page is made of."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from router.types import Release, ReviewItem, Route, Trace
from services.calibrations import packaged_calibration
from services.compose import index_home
from services.review.writing import entry_of
from services.settings import Settings
from services.store.records import now
from services.store.review_records import Judgement, VerdictKind
from services.store.sql import SqlStore
from services.store.verdicts import Rules
from tests.review import pages
from tests.store.samples import trace

RIGHT, WRONG = Judgement(VerdictKind.CORRECT), Judgement(VerdictKind.WRONG)


async def release(store: SqlStore, settings: Settings, name: str, version: str) -> Release:
    """A release of an empty index, and the confidence that comes with the package."""
    folder = index_home(settings) / "versions" / version
    if not folder.exists():
        pages.make_version(folder, None, [])
    calibration = await store.put_calibration(packaged_calibration().to_json())
    made = Release(name, now(), version, "0", "extractive", "none", calibration)
    await store.add_release(made)
    return made


async def serve(store: SqlStore, settings: Settings, name: str = "r1", version: str = "v1") -> Release:
    made = await release(store, settings, name, version)
    return await store.activate_release(made.id, "test")


async def audited(
    store: SqlStore,
    count: int,
    judgement: Judgement | None,
    *,
    served: str = "r1",
    confidence: float = 0.97,
    language: str = "zh",
    route: Route = Route.GROUNDED,
) -> None:
    """Each of another question; judgement None: nobody has looked yet."""
    for _ in range(count):
        one = drawn(uuid4().hex, served, confidence, language, route)
        item = ReviewItem(
            f"item-{one.id}", one.id, one.question.text, language, "audit", "pending", one.created, probability=0.05
        )
        await store.record(one, item)
        if judgement is not None:
            await store.reviews.decide(item.id, judgement, "anna", one.id, Rules(), entry_of)


def drawn(name: str, served: str, confidence: float, language: str, route: Route) -> Trace:
    one = trace(f"question {name}", route)
    answer = replace(one.answer, text=f"answer {name}", confidence=confidence)
    return replace(one, release=served, created=now(), language=language, answer=answer)
