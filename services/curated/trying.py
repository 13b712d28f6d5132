"""Explain and the self-test with the cosines that serving has, so that they say what would be sent."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

from router.curated import Entries
from services.curated.explain import Explanation, explain
from services.curated.matcher import Matcher
from services.curated.self_test import RETESTED, SelfTest, self_test, self_test_of

_WHOLE = 256  # wordings multiplied at once where all are asked: 10 MB for ten thousand of them


async def explained(matcher: Matcher, entries: Entries, question: str, wait: bool = False) -> Explanation:
    """Embeds the question where serving would. wait: for vectors of wordings that are not there yet, where the question
    is compared with them; a server says that they are being made."""
    key = entries.key_of(question)
    if not entries.keys or entries.exact(key):
        return explain(entries, question)
    compared = await matcher.compared(entries, key, wait)
    return replace(explain(entries, question, compared.cosines), words_alone=compared.words_alone)


async def tried(matcher: Matcher, entries: Entries) -> SelfTest:
    """The whole store, on a thread. Waits for vectors that are not there yet."""
    vectors, why = await matcher.stored(entries, wait=True)
    table = vectors.table(_WHOLE) if vectors else None
    return replace(await asyncio.to_thread(self_test, entries, table), words_alone=why)


async def tried_of(matcher: Matcher, entries: Entries, ids: Collection[str]) -> list[SelfTest]:
    """One report for each entry, on a thread. Whoever edits does not wait for the vectors of a whole store."""
    vectors, why = await matcher.stored(entries, wait=False)
    table = vectors.table(1) if vectors else None
    most = RETESTED // max(len(ids), 1)
    found = [await asyncio.to_thread(self_test_of, entries, entry_id, table, most) for entry_id in ids]
    return [replace(report, words_alone=why) for report in found]


async def tried_by_words(entries: Entries, entry_id: str) -> SelfTest:
    """One entry without the embedder, which may have to be loaded first: for who has decided something and waits."""
    return await asyncio.to_thread(self_test_of, entries, entry_id)
