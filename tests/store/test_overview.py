"""What the Quality page reads of the store, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from router.types import Route
from services.review.writing import entry_of
from services.store import overview
from services.store.review_records import Judgement, VerdictKind
from services.store.sql import SqlStore
from services.store.verdicts import Rules
from tests.store.samples import review, trace

RIGHT = Judgement(VerdictKind.CORRECT)


def test_drawn_answers_are_read_again_when_one_of_them_is_another(store: SqlStore) -> None:
    async def draw(question: str, probability: float = 0.05) -> str:
        one = trace(question)
        item = replace(review(one, "audit"), probability=probability)
        return await store.record(one, item) or ""

    async def seen() -> tuple[list[tuple[str, bool]], list[str]]:
        rows, verdicts = await store.reviews.drawn_answers(["r1"])
        return [(row.question_key, row.decided) for row in rows], [one.item_id for one in verdicts]

    async def scenario() -> None:
        assert await seen() == ([], [])
        first = await draw("one")
        ((one, decided),), verdicts = await seen()
        assert not decided and verdicts == []
        await store.reviews.decide(first, RIGHT, "anna", "k1", Rules(), entry_of)
        assert await seen() == ([(one, True)], [first])
        assert await store.reviews.drawn_answers(["r1"]) == await store.reviews.drawn_answers(["r1"])
        assert await store.reviews.drawn_answers(["r2"]) == ([], []), "of another release"
        await draw("two")
        second = await draw("three")
        rows, verdicts = await seen()
        assert [decided for _, decided in rows] == [True, False, False] and rows[0][0] == one, "in their order"
        other = await draw("not drawn", 0.0)
        await store.reviews.decide(other, RIGHT, "anna", "k2", Rules(), entry_of)
        assert await seen() == (rows, [first]), "what was not drawn says nothing here"
        await store.reviews.undo(first, "anna")
        assert (await seen())[1] == []
        await store.reviews.merge(first, [second], "anna")
        keys = [key for key, _ in (await seen())[0]]
        assert keys[0] == keys[2] != keys[1], "they ask the same question now"

    asyncio.run(scenario())


def test_days_and_times_are_those_of_the_newest_answers(store: SqlStore) -> None:
    async def scenario() -> None:
        for day, route, took in (("01", Route.CURATED, 1.0), ("02", Route.GROUNDED, 2.0), ("02", Route.CURATED, 3.0)):
            one = replace(trace(f"{day} {took}", route), created=f"2026-11-{day}T10:00:00.000000Z")
            await store.record(replace(one, timings_ms={"total": took}), None)
        every = [("2026-11-01", "curated", 1), ("2026-11-02", "curated", 1), ("2026-11-02", "grounded", 1)]
        assert sorted(await store.read(lambda c: overview.routes_by_day(c, 10))) == every
        assert sorted(await store.read(lambda c: overview.routes_by_day(c, 2))) == every[1:]
        assert await store.read(lambda c: overview.times(c, 2)) == [("curated", 3.0), ("grounded", 2.0)]

    asyncio.run(scenario())


def test_an_empty_store_has_no_days(store: SqlStore) -> None:
    assert asyncio.run(store.read(lambda c: overview.routes_by_day(c, 10))) == []
