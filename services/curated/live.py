"""The curated store as this process serves it: in memory, at the newest revision, following what others write.

A process sees its own edits when it acknowledges them (`refresh` after the write) and those of other processes when it
looks, which is every `LOOK_EVERY_S`. Nothing is read while a question is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from router.curated import Entries
from router.errors import AnswerloopError
from router.types import CuratedMatch
from services.curated.explain import Explanation
from services.curated.matcher import Embed, Matcher
from services.curated.self_test import Finding, SelfTest
from services.curated.trying import explained, tried, tried_by_words, tried_of
from services.curated.vocabulary import packaged_guards
from services.store.curated_store import CuratedStore

log = logging.getLogger("answerloop.curated")

LOOK_EVERY_S = 0.1  # with reading and taking in a few entries, an edit elsewhere is served within 250 ms


class LiveCurated:
    """Implements `router.ports.Curated`. Use from one event loop at a time."""

    def __init__(self, store: CuratedStore, embed: Embed | None = None) -> None:
        self._store = store
        self._entries = Entries.build((), packaged_guards(), "0")
        self.matcher = Matcher(lambda: self._entries, embed)
        self._refreshing = asyncio.Lock()
        self._testing = asyncio.Lock()
        self._tested: tuple[Entries, SelfTest] | None = None
        self._revision = 0
        self.problem = ""

    @property
    def entries(self) -> Entries:
        """As they are served now; an edit makes another object, so this one stays as it is."""
        return self._entries

    @property
    def revision(self) -> int:
        return self._revision

    def status(self) -> str:
        """For /ready: "ok, …", or what is wrong."""
        return self.problem or f"ok, revision {self._revision}, {len(self._entries.entries)} entries"

    async def match(self, question: str) -> CuratedMatch:
        """From what was read last; never waits for the store."""
        return await self.matcher.match(question)

    async def refresh(self) -> None:
        """Serves the newest revision when it returns. A store that cannot be read is a `problem`, not an error: what
        was read before stays in use."""
        async with self._refreshing:
            try:
                if await self._store.head() != self._revision:
                    await self._follow()
                self.problem = ""
            except AnswerloopError as error:
                problem = f"those of revision {self._revision} are used, the newest cannot be read: {error}"
                if not self.problem:  # said once, not ten times a second
                    log.warning("curated answers: %s", problem)
                self.problem = problem

    async def explain(self, question: str) -> Explanation:
        """Why `match` answers this question, or does not."""
        return await explained(self.matcher, self._entries, question)

    async def self_test(self) -> SelfTest:
        """The whole store, one or two milliseconds for each wording; one test at a time, on a thread. While nothing is
        edited and the embedder neither comes nor goes, asking again gives the same report at once."""
        async with self._testing:
            _, why = await self.matcher.stored(self._entries, wait=True)
            entries = self._entries  # with what was edited while thousands of vectors were made
            if self._tested is None or self._tested[0] is not entries or self._tested[1].words_alone != why:
                self._tested = entries, await tried(self.matcher, entries)
            return self._tested[1]

    async def self_test_of(self, ids: Collection[str]) -> list[SelfTest]:
        """Each of these entries, a known one or not, and its nearest neighbours."""
        return await tried_of(self.matcher, self._entries, ids)

    async def collisions_of(self, entry_id: str) -> tuple[Finding, ...]:
        """What the self-test finds of an entry by words alone; () for one that is not there."""
        known = entry_id in self._entries.entries
        return (await tried_by_words(self._entries, entry_id)).findings if known else ()

    async def _follow(self) -> None:
        delta, base = await self._store.since(self._revision), self._entries
        if delta.revision < self._revision:  # another database, put back from a backup: nothing known can be trusted
            delta, base = await self._store.entries_at(), Entries.build((), packaged_guards(), "0")
        revision = str(delta.revision)
        self._entries = await asyncio.to_thread(base.replaced, delta.changed, delta.removed, revision)
        self._revision = delta.revision
