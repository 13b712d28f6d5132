"""Who writes the answers from the documents, as the error budget has to know it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from router.prompt import prompt_hash
from router.types import Release
from services.review.budget import Writer
from services.review.budgeting import Budgeting
from services.settings import Settings
from services.store.sql import SqlStore

if TYPE_CHECKING:
    from services.generation.service import ModelService


def writer_now(model: ModelService | None, release: Release) -> Writer:
    """For a process that answers."""
    return _writer(model.writing() if model and model.writes(release.model) else {})


async def budgeting_beside(settings: Settings, store: SqlStore, index_home: Path) -> Budgeting:
    """For a command beside the server: who writes there is told by the settings, see `ModelService.planned`."""
    from services.generation.service import ModelService

    active, model = await store.active_release(), ModelService(settings)
    try:
        writer = _writer(await model.planned(active.model if active else ""))
    finally:
        await model.close()
    return Budgeting(settings, store, index_home, lambda _release: writer)


def _writer(models: Mapping[str, float]) -> Writer:
    """models: as `ModelService.writing` says; none: answers are quoted."""
    return Writer(tuple(models.items()), prompt_hash()) if models else Writer()
