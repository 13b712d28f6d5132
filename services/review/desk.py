"""What a reviewer does, for the HTTP interface, the console and the command line alike. READ FIRST of the queue.

Everything is durable when a call returns, and this process answers by it then: a verdict's curated answer is served, an
answer that was called back is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from services.curated.live import LiveCurated
from services.curated.self_test import Finding
from services.review.blocking import Blocked
from services.review.clusters import Similar
from services.review.grouping import Grouping
from services.review.writing import entry_of, suggested
from services.store.records import QueuedItem
from services.store.review_records import (
    ItemFilter,
    ItemPage,
    ItemView,
    Judgement,
    Recipient,
    Retraction,
    Standing,
    Verdict,
)
from services.store.sql import SqlStore
from services.store.verdicts import Rules

_SIMILAR = 5


@dataclass(frozen=True, slots=True)
class Opinion:
    """What helps to decide an item. similar: other open items, perhaps to merge. variants, negatives: suggested for
    the curated entry."""

    similar: tuple[Similar, ...]
    variants: tuple[str, ...]
    negatives: tuple[str, ...]


class Desk:
    """Use from one event loop. Raises `NotFound`, `Conflict` (somebody else has it, or it is decided), `InvalidInput`,
    and what the store raises. `who`: the reviewer's name."""

    def __init__(self, store: SqlStore, live: LiveCurated, rules: Rules = Rules()) -> None:  # noqa: B008 - frozen
        self._store, self._live, self._rules = store, live, rules
        self.grouping = Grouping(store)
        self.blocked = Blocked(store.reviews)

    async def items(self, wanted: ItemFilter) -> ItemPage:
        """One page of the queue, what is worth most first."""
        return await self._store.reviews.find(wanted)

    async def item(self, item_id: str) -> ItemView:
        """One item with its questions, what was found and answered, verdicts and history."""
        return await self._store.reviews.view(item_id)

    async def opinion(self, view: ItemView) -> Opinion:
        """Slower than `item`: compares with the other open items."""
        similar = await self.grouping.similar(view.item.item.id, _SIMILAR)
        apart = tuple(one.wording for one in similar if one.guards)
        questions = tuple(one.question for one in view.wordings)
        variants, negatives = suggested(view.item.item.question, questions, apart)
        return Opinion(similar, tuple(variants), tuple(negatives))

    async def claim(self, item_id: str, who: str) -> QueuedItem:
        """For `Rules.lease_s` from now; claiming again makes it longer."""
        return await self._store.reviews.claim(item_id, who, self._rules)

    async def release(self, item_id: str, who: str) -> QueuedItem:
        return await self._store.reviews.release(item_id, who)

    async def decide(self, item_id: str, judgement: Judgement, who: str, request_key: str = "") -> Verdict:
        """request_key: made up by the caller, so that a request that is sent again is not done again. The state of the
        verdict is `proposed` where the item needs a second reviewer."""
        key = request_key or uuid4().hex
        verdict = await self._store.reviews.decide(item_id, judgement, who, key, self._rules, entry_of)
        await self._known_here()
        return verdict

    async def confirm(self, item_id: str, who: str) -> Verdict:
        """The second reviewer agrees with what the first proposed."""
        verdict = await self._store.reviews.confirm(item_id, who, self._rules, entry_of)
        await self._known_here()
        return verdict

    async def undo(self, item_id: str, who: str) -> Verdict:
        """The item is open again, its curated entry what it was before."""
        verdict = await self._store.reviews.undo(item_id, who)
        await self._known_here()
        return verdict

    async def collisions(self, entry_id: str) -> tuple[Finding, ...]:
        """What the self-test finds, by words alone, of an approved answer that a verdict wrote."""
        return await self._live.collisions_of(entry_id)

    async def split(self, item_id: str, wordings: Sequence[str], who: str) -> str:
        """wordings: ids of `ItemView.wordings`. The id of the item that they make now."""
        return await self._store.reviews.split(item_id, wordings, who)

    async def merge(self, item_id: str, others: Sequence[str], who: str) -> str:
        """others: ids of open items. The id of the item that holds them all."""
        return await self._store.reviews.merge(item_id, others, who)

    async def retract(self, trace_id: str, who: str, reason: str) -> Retraction:
        """Calls back the answer of a trace: everybody who got it is told, it is not sent again, and the questions are
        in the queue."""
        made = await self._store.reviews.retract(trace_id, who, reason)
        await self._known_here()
        return made

    async def lift(self, retraction_id: str, who: str) -> Retraction:
        made = await self._store.reviews.lift(retraction_id, who)
        await self._known_here()
        return made

    async def _known_here(self) -> None:
        """What was written is what this process answers by: approved answers, and those called back."""
        await self._live.refresh()
        await self.blocked.refresh()

    async def called_back(self, trace_id: str) -> Retraction | None:
        """The retraction in force of the answer of a trace."""
        return await self._store.reviews.called_back(trace_id)

    async def retractions(self, limit: int = 50, offset: int = 0) -> list[Retraction]:
        return await self._store.reviews.retractions(limit, offset)

    async def recipients(self, retraction_id: str, limit: int = 100, offset: int = 0) -> list[Recipient]:
        return await self._store.reviews.recipients(retraction_id, limit, offset)

    async def standing(self, trace_id: str) -> Standing:
        """How the question of an asker stands."""
        return await self._store.reviews.standing(trace_id)
