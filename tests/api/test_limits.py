from __future__ import annotations

import asyncio

import pytest

from router.errors import Overloaded
from services.api.errors import DeadlinePassed
from services.api.limits import Admission


def test_places_come_back_whatever_happened() -> None:
    async def scenario() -> None:
        admission = Admission(places=1, queue=1, timeout_s=0.05)

        async def fail() -> None:
            raise KeyError

        async def inner_timeout() -> None:
            raise TimeoutError

        for work, error in (
            (fail, KeyError),
            (inner_timeout, TimeoutError),
            (lambda: asyncio.sleep(9), DeadlinePassed),
        ):
            with pytest.raises(error):
                await admission.run(work)
            assert admission.inside == 0
        cancelled = asyncio.create_task(admission.run(lambda: asyncio.sleep(9)))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        assert admission.inside == 0

    asyncio.run(scenario())


def test_waiting_counts_towards_the_deadline_and_the_queue_is_bounded() -> None:
    async def scenario() -> None:
        admission = Admission(places=1, queue=1, timeout_s=0.1)
        first, second = (asyncio.create_task(admission.run(lambda: asyncio.sleep(0.09, "done"))) for _ in range(2))
        await asyncio.sleep(0.01)
        with pytest.raises(Overloaded) as refused:
            await admission.run(lambda: asyncio.sleep(0))
        assert refused.value.retry_after == 1
        assert await first == "done"
        with pytest.raises(DeadlinePassed):
            await second

    asyncio.run(scenario())
