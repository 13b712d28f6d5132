"""A system without an index: it says so, and still gives approved answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from router.errors import IndexUnavailable
from router.types import CuratedEntry, Question, Route
from services.compose import open_system
from services.settings import Settings


def test_without_an_index_approved_answers_are_given_and_all_else_says_why(tmp_path: Path) -> None:
    system = open_system(Settings(home=tmp_path))

    async def story() -> None:
        with pytest.raises(IndexUnavailable, match="no index yet"):
            await system.ask(Question("How do I restart a node?"))
        await system.store.curated.create(CuratedEntry("e1", "How do I restart a node?", "Run it again."), "test")
        await system.refresh()
        given = await system.ask(Question("how do i restart a node"))
        assert (given.trace.answer.route, given.trace.answer.text) == (Route.CURATED, "Run it again.")
        other = await system.ask(Question("What is a tablespace?"))
        assert other.trace.answer.route is Route.ABSTAINED
        assert "no index yet" in other.trace.answer.reason
        await system.close()

    asyncio.run(story())
