"""The review queue: one open item per normalised question. Functions here take an open transaction."""

from __future__ import annotations

import hashlib
from uuid import uuid4

from sqlalchemy import Connection, Row, bindparam, func, select, update

from router.errors import NotFound
from router.types import ReviewItem, Trace
from services.store.records import QueuedItem, now
from services.store.tables import UNDECIDED, review_items, review_traces
from services.store.traces import storable
from services.store.upsert import per_dialect

STATES = ("pending", "claimed", "decided")

_OPEN = per_dialect(
    review_items,
    lambda add: add.on_conflict_do_update(
        index_elements=["question_key"], index_where=UNDECIDED, set_={"updated": add.excluded.updated}
    ).returning(review_items.c.id),
)
_LINK = per_dialect(review_traces, lambda add: add.on_conflict_do_nothing().returning(review_traces.c.trace_id))
_COUNT = update(review_items).where(review_items.c.id == bindparam("wanted")).values(asks=review_items.c.asks + 1)


def attach(connection: Connection, item: ReviewItem, normalised: str) -> str:
    """Opens `item`, or joins the open one that asks the same; the id of the one that holds the trace now.

    A trace counts once, however often it comes back (abstained, then thumbed down).
    """
    values = {
        "id": item.id,
        "trace_id": item.trace_id,
        "question": storable(item.question),
        "question_key": _question_key(normalised),
        "language": item.language,
        "cause": item.cause,
        "state": item.state,
        "asks": 0,
        "created": item.created,
        "updated": now(),
    }
    dialect = connection.dialect.name
    item_id: str = connection.execute(_OPEN[dialect], values).scalar_one()
    linked = connection.execute(_LINK[dialect], {"item_id": item_id, "trace_id": item.trace_id, "added": now()})
    if linked.first() is not None:
        connection.execute(_COUNT, {"wanted": item_id})
    return item_id


def thumbs_down(trace: Trace) -> ReviewItem:
    return ReviewItem(
        id=uuid4().hex,
        trace_id=trace.id,
        question=trace.question.text,
        language=trace.language,
        cause="thumbs_down",
        state="pending",
        created=now(),
    )


def page(connection: Connection, state: str, limit: int, offset: int) -> list[QueuedItem]:
    """What most people ask first, then the oldest."""
    query = (
        select(review_items)
        .where(review_items.c.state == state)
        .order_by(review_items.c.asks.desc(), review_items.c.seq)
        .limit(limit)
        .offset(offset)
    )
    return [_queued(row) for row in connection.execute(query)]


def get(connection: Connection, item_id: str) -> QueuedItem:
    row = connection.execute(select(review_items).where(review_items.c.id == item_id)).one_or_none()
    if row is None:
        raise NotFound(f"no review item {item_id!r}")
    return _queued(row)


def count(connection: Connection, state: str) -> int:
    query = select(func.count()).select_from(review_items).where(review_items.c.state == state)
    return connection.execute(query).scalar_one()


def trace_ids(connection: Connection, item_id: str, limit: int) -> list[str]:
    """The newest first."""
    query = (
        select(review_traces.c.trace_id)
        .where(review_traces.c.item_id == item_id)
        .order_by(review_traces.c.added.desc(), review_traces.c.trace_id)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def _question_key(normalised: str) -> str:
    """A hash, because PostgreSQL refuses index entries over 2.7 kB and questions may be longer."""
    return hashlib.sha256(normalised.encode("utf-8", "surrogatepass")).hexdigest()


def _queued(row: Row[tuple[object, ...]]) -> QueuedItem:
    item = ReviewItem(**{name: getattr(row, name) for name in ReviewItem.__slots__})
    return QueuedItem(item=item, asks=row.asks, updated=row.updated)
