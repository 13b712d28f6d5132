"""The review part of the relational store: `SqlStore.reviews`. What the statements mean is in their modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from services.store import (
    audit,
    certificates,
    outbox,
    provenance,
    retractions,
    review_opening,
    reviews,
    standing,
    traces,
    verdicts,
)
from services.store.certificates import DrawnAnswer, KeptCertificate
from services.store.codec import decode_trace, loads
from services.store.paging import check_page
from services.store.provenance import Rebinding, Renewal
from services.store.records import QueuedItem
from services.store.review_records import (
    AskedWording,
    HeldTrace,
    ItemFilter,
    ItemPage,
    ItemView,
    Judgement,
    OpenWording,
    OutboxEvent,
    Recipient,
    Retraction,
    Standing,
    Verdict,
)
from services.store.verdicts import Rules, Write

if TYPE_CHECKING:
    from services.store.sql import SqlStore

_SHOWN = 20  # traces of an item that are shown whole
_HISTORY = 100

Drawn = tuple[list[DrawnAnswer], list[Verdict]]


class ReviewStore:
    """Every change is durable when its call returns, with its line in the audit log. `who`: the name of the key.

    Raises what `SqlStore` raises besides.
    """

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._drawn: tuple[object, Drawn] | None = None

    # The queue

    async def find(self, wanted: ItemFilter) -> ItemPage:
        """Raises `InvalidInput` for a state or an order that does not exist."""
        check_page(wanted.limit, wanted.offset)
        return await self._store.read(lambda c: reviews.find(c, wanted))

    async def view(self, item_id: str) -> ItemView:
        """Also by the id of a wording that was merged into it. Raises `NotFound`."""
        return await self._store.read(lambda c: _view(c, item_id))

    async def claim(self, item_id: str, who: str, rules: Rules) -> QueuedItem:
        """Raises `NotFound`, and `Conflict` when somebody else has it or it is decided."""
        return await self._store.write(lambda c: verdicts.claim(c, item_id, who, rules))

    async def release(self, item_id: str, who: str) -> QueuedItem:
        return await self._store.write(lambda c: verdicts.release(c, item_id, who))

    async def merge(self, item_id: str, others: Sequence[str], who: str) -> str:
        return await self._store.write(lambda c: review_opening.merge(c, item_id, others, who))

    async def split(self, item_id: str, wordings: Sequence[str], who: str) -> str:
        """The id of the item that the wordings make now."""
        return await self._store.write(lambda c: review_opening.split(c, item_id, wordings, who))

    async def unplaced(self, limit: int) -> list[OpenWording]:
        """Open wordings that were not yet looked at beside the others, the oldest first."""
        return await self._store.read(lambda c: review_opening.unplaced(c, limit))

    async def open_wordings(self, pairs_after: int) -> tuple[list[OpenWording], list[tuple[str, str, bool]], int]:
        """The placed wordings of all open items; what reviewers said since `pairs_after`; the last of that."""

        def look(connection: Connection) -> tuple[list[OpenWording], list[tuple[str, str, bool]], int]:
            said = review_opening.pairs(connection, pairs_after)
            pairs = [(row.one, row.other, bool(row.together)) for row in said]
            return review_opening.placed(connection), pairs, said[-1].seq if said else pairs_after

        return await self._store.read(look)

    async def placed(self, joins: Sequence[tuple[str, str]]) -> None:
        """(wording, the item it belongs to, or itself)."""
        await self._store.write(lambda c: review_opening.place(c, joins))

    # Verdicts

    async def decide(
        self, item_id: str, judgement: Judgement, who: str, key: str, rules: Rules, write: Write
    ) -> Verdict:
        """See `verdicts.decide`."""
        return await self._store.write(lambda c: verdicts.decide(c, item_id, judgement, who, key, rules, write))

    async def confirm(self, item_id: str, who: str, rules: Rules, write: Write) -> Verdict:
        return await self._store.write(lambda c: verdicts.confirm(c, item_id, who, rules, write))

    async def undo(self, item_id: str, who: str) -> Verdict:
        return await self._store.write(lambda c: verdicts.undo(c, item_id, who))

    async def final_verdicts(self) -> list[Verdict]:
        """Those in force, the oldest first."""
        return await self._store.read(verdicts.final)

    # Askers, and what is called back

    async def standing(self, trace_id: str) -> Standing:
        """Raises `NotFound` for an answer never given here."""
        return await self._store.read(lambda c: standing.of(c, trace_id))

    async def retract(self, trace_id: str, who: str, reason: str) -> Retraction:
        """Raises `NotFound`, and `InvalidInput` when the trace sent no answer."""
        return await self._store.write(lambda c: retractions.retract(c, traces.get(c, trace_id), who, reason))

    async def lift(self, retraction_id: str, who: str) -> Retraction:
        return await self._store.write(lambda c: retractions.lift(c, retraction_id, who))

    async def retraction(self, retraction_id: str) -> Retraction:
        return await self._store.read(lambda c: retractions.get(c, retraction_id))

    async def called_back(self, trace_id: str) -> Retraction | None:
        """The retraction in force of what this trace sent. Raises `NotFound` for a trace that is not there."""
        return await self._store.read(lambda c: retractions.standing_of(c, traces.get(c, trace_id)))

    async def retractions(self, limit: int = 50, offset: int = 0) -> list[Retraction]:
        """Newest first."""
        check_page(limit, offset)
        return await self._store.read(lambda c: retractions.newest(c, limit, offset))

    async def recipients(self, retraction_id: str, limit: int = 100, offset: int = 0) -> list[Recipient]:
        """Who got the answer, newest first. Raises `NotFound`."""
        check_page(limit, offset)

        def look(connection: Connection) -> list[Recipient]:
            key = traces.answer_key(retractions.get(connection, retraction_id).answer)
            return retractions.recipients(connection, key, limit, offset)

        return await self._store.read(look)

    async def blocked(self) -> tuple[tuple[int, int], frozenset[str]]:
        """A mark that changes with them, and the keys of the answers that are not sent again."""
        return await self._store.read(lambda c: (retractions.mark(c), retractions.blocked_keys(c)))

    async def blocked_mark(self) -> tuple[int, int]:
        return await self._store.read(retractions.mark)

    async def tell_late(self) -> int:
        """See `retractions.tell_late`. Writes nothing where there is nobody."""
        if not await self._store.read(retractions.late):
            return 0
        return await self._store.write(retractions.tell_late)

    async def renew(self, wanted: Sequence[Renewal], version: str) -> list[str]:
        """Entries whose source changed; the ids of those that somebody edited meanwhile, which are left alone."""
        return await self._store.write(lambda c: provenance.renew(c, wanted, version))

    async def rebind(self, wanted: Sequence[Rebinding], version: str) -> list[str]:
        """Verdicts whose evidence stands in another passage now; the ids of those that cite that one from now on."""
        return await self._store.write(lambda c: provenance.rebind(c, wanted, version))

    # The error budget

    async def drawn_answers(self, release_ids: Sequence[str]) -> Drawn:
        """What the audit drew under these releases and the verdicts in force on it, the oldest first. Read again only
        when one of them may be another: a long audit holds thousands. Not to be changed."""
        return await self._store.read(lambda c: self._drawn_now(c, tuple(release_ids)))

    def _drawn_now(self, connection: Connection, release_ids: tuple[str, ...]) -> Drawn:
        mark = release_ids, reviews.drawn_mark(connection), audit.newest_seq(connection)  # before what it marks
        if self._drawn is not None and self._drawn[0] == mark:
            return self._drawn[1]
        rows = certificates.drawn(connection, release_ids)
        found = rows, verdicts.final_on(connection, {row.item_id for row in rows})
        self._drawn = mark, found
        return found

    async def put_certificate(self, who: str, release_id: str, payload: Mapping[str, Any]) -> KeptCertificate:
        return await self._store.write(lambda c: certificates.put(c, who, release_id, payload))

    async def certificates(self, limit: int) -> list[KeptCertificate]:
        """Newest first."""
        check_page(limit)
        return await self._store.read(lambda c: certificates.newest(c, limit))

    async def newest_certificate(self) -> str:
        """Its id; cheap."""
        return await self._store.read(certificates.newest_id)

    # Webhooks

    async def take_events(self, limit: int = 20) -> list[OutboxEvent]:
        """What is due; nobody else takes it for a minute. Writes nothing where nothing is."""
        if not await self._store.read(outbox.due):
            return []
        return await self._store.write(lambda c: outbox.take(c, limit))

    async def event_delivered(self, event_id: str) -> None:
        await self._store.write(lambda c: outbox.delivered(c, event_id))

    async def event_failed(self, event_id: str, problem: str, again_in_s: float | None) -> None:
        await self._store.write(lambda c: outbox.failed(c, event_id, problem, again_in_s))

    async def drop_events(self) -> None:
        """For where no webhook is set."""
        if await self._store.read(outbox.due):
            await self._store.write(outbox.drop_undelivered)


def _view(connection: Connection, item_id: str) -> ItemView:
    row = reviews.row_of(connection, item_id)
    asks = reviews.asks_by_wording(connection, row.id)
    held = reviews.held(connection, row.id, _SHOWN)
    return ItemView(
        reviews.queued(row),
        tuple(
            AskedWording(one.id, one.question, asks.get(one.id, 0), one.cause)
            for one in reviews.wordings(connection, row.id)
        ),
        tuple(HeldTrace(decode_trace(one.payload), one.cause, one.probability) for one in held),
        tuple(verdicts.of_item(connection, row.id)),
        tuple(audit.of(connection, row.id, _HISTORY)),
        loads(row.detail),
    )
