"""The calibration that a model is judged under: that of the release that is served."""

from __future__ import annotations

import asyncio

from router.confidence import Calibration
from services.compose import calibration_of, packaged_calibration
from services.settings import Settings
from services.store.sql import SqlStore


def served_calibration(settings: Settings) -> Calibration:
    """The packaged one where nothing is served yet."""
    settings.make_home()
    return asyncio.run(_served(settings))


async def _served(settings: Settings) -> Calibration:
    with SqlStore.open(settings.store_url) as store:
        active = await store.active_release()
        return await calibration_of(store, active.calibration) if active else packaged_calibration()
