"""What a dataset is made of, gathered from a running system's home: the served documents, entries and verdicts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from indexer.build import version_folder
from indexer.content import Content
from router.errors import InvalidInput
from router.types import CuratedEntry, Release, Trace
from services.compose import index_home
from services.review.decisions import Decided, decisions, regressions
from services.review.following import follow
from services.settings import Settings
from services.store import traces
from services.store.sql import SqlStore
from services.training.building import Inputs
from services.training.dataset import ledger_of
from services.training.proposing import Writer

_LIKED = 10_000  # answers that helped, the oldest: their splits are settled


def gather(settings: Settings, previous: Path | None, writer: Writer | None = None) -> Inputs:
    """previous: the dataset before, whose splits stay. writer: see `Inputs`. Raises `InvalidInput` without an index.

    What cites passages follows its sources first: no server need have opened the release."""
    release, entries, decided, liked = asyncio.run(_read(settings))
    content = Content(version_folder(index_home(settings), release.index_version) / "content.db")
    try:
        passages = list(content.all_passages())
    finally:
        content.close()
    return Inputs(passages, release.index_version, entries, decided, ledger_of(previous), liked, writer)


async def _read(
    settings: Settings,
) -> tuple[Release, tuple[CuratedEntry, ...], tuple[Decided, ...], list[Trace]]:
    with SqlStore.open(settings.store_url) as store:
        release = await store.active_release()
        if release is None:
            raise InvalidInput("there is no index to make a dataset of; make one with `answerloop index` first")
        await follow(store, version_folder(index_home(settings), release.index_version))
        decided = tuple(await decisions(store))
        wrong = {key for one in await regressions(store) for key in map(traces.answer_key, one.wrong)}
        liked = await store.read(lambda c: traces.liked(c, _LIKED))
        helped = [one for one in liked if traces.answer_key(one.answer.text) not in wrong]
        return release, (await store.curated.entries_at()).changed, decided, helped
