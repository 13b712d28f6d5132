"""The review queue: one open item per question. Functions here take an open transaction.

A wording is a row, and never moves: merging items gives their rows one `root`, splitting gives some another one. So a
trace stays with the words in which it was asked, and every merge can be taken back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, Select, and_, bindparam, case, func, or_, select, update
from sqlalchemy.sql import ColumnElement

from router import policy
from router.errors import InvalidInput, NotFound
from router.types import ReviewItem, Route, Trace
from services.store.codec import dumps
from services.store.records import QueuedItem, now
from services.store.review_records import RISK, ItemFilter, ItemPage, VerdictKind
from services.store.tables import UNDECIDED, review_items, review_traces, review_verdicts, traces
from services.store.traces import storable
from services.store.upsert import per_dialect

STATES = ("pending", "claimed", "decided")
GAPS = ("abstained", "low_confidence")
_HOUR_S = 3600.0

_item = review_items.c
_OPEN = per_dialect(
    review_items,
    lambda add: add.on_conflict_do_update(
        index_elements=["question_key"],
        index_where=UNDECIDED,
        set_={
            "updated": add.excluded.updated,
            "cause": case((add.excluded.risk > review_items.c.risk, add.excluded.cause), else_=review_items.c.cause),
            "risk": case((add.excluded.risk > review_items.c.risk, add.excluded.risk), else_=review_items.c.risk),
            "entry_id": case((add.excluded.entry_id != "", add.excluded.entry_id), else_=review_items.c.entry_id),
            "detail": case((add.excluded.detail != "{}", add.excluded.detail), else_=review_items.c.detail),
        },
    ).returning(review_items.c.id, review_items.c.root),
)
_LINK = per_dialect(review_traces, lambda add: add.on_conflict_do_nothing().returning(review_traces.c.trace_id))
_COUNT = update(review_items).where(_item.id == bindparam("wanted")).values(asks=_item.asks + 1)
_ESCALATE = (
    update(review_items)
    .where(_item.id == bindparam("wanted"), _item.risk < bindparam("new_risk"))
    .values(risk=bindparam("new_risk"), cause=bindparam("new_cause"))
)


def attach(connection: Connection, item: ReviewItem, normalised: str, detail: Mapping[str, Any] | None = None) -> str:
    """Opens `item`, or joins the open one that asks the same; the id of the one that holds the trace now.

    A trace counts once, however often it comes back (abstained, then thumbed down). What people decided not to answer
    is not brought back to them by not being answered: it joins the decided item.
    """
    values = _as_row(item, normalised, detail)
    dialect = connection.dialect.name
    foreign = _out_of_scope(connection, values["question_key"]) if item.cause in GAPS else None
    row_id, root = foreign or connection.execute(_OPEN[dialect], values).one()
    if item.trace_id:
        link = {"cause": item.cause, "probability": item.probability, "added": now()}
        added = connection.execute(_LINK[dialect], {"item_id": row_id, "trace_id": item.trace_id, **link})
        if added.first() is not None:
            connection.execute(_COUNT, {"wanted": root})
    if root != row_id:
        raised = {"wanted": root, "new_risk": values["risk"], "new_cause": item.cause}
        connection.execute(_ESCALATE, raised)
    return str(root)


def _out_of_scope(connection: Connection, key: str) -> tuple[str, str] | None:
    """The row of this question and its item, where the last thing that people said of it is that it is none to answer,
    and it is not open again."""
    newest = select(_item.id, _item.root, _item.state).where(_item.question_key == key)
    row = connection.execute(newest.order_by(_item.seq.desc()).limit(1)).one_or_none()
    if row is None or row.state != "decided":
        return None
    said = review_verdicts.c
    last = select(said.kind).where(said.item_id == row.root, said.state == "final").order_by(said.seq.desc()).limit(1)
    kind = connection.execute(last).scalar_one_or_none()
    return (row.id, row.root) if kind == VerdictKind.OUT_OF_SCOPE else None


def _as_row(item: ReviewItem, normalised: str, detail: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "id": item.id,
        "root": item.id,
        "trace_id": item.trace_id or None,
        "question": storable(item.question),
        "question_key": question_key(normalised),
        "language": item.language,
        "cause": item.cause,
        "state": item.state,
        "asks": 0,
        "risk": RISK.get(item.cause, 1.0),
        "opened": datetime.now(UTC).timestamp(),
        "placed": False,
        "probability": item.probability,
        "entry_id": item.entry_id,
        "detail": dumps(detail or {}),
        "created": item.created,
        "updated": now(),
    }


def thumbs_down(trace: Trace) -> ReviewItem:
    """Where nothing was answered, no wrong answer stands anywhere: the thumb says no more than the abstention."""
    return of_trace(trace, "abstained" if trace.answer.route is Route.ABSTAINED else "thumbs_down")


def of_trace(trace: Trace, cause: str) -> ReviewItem:
    return ReviewItem(uuid4().hex, trace.id, policy.about(trace), trace.language, cause, "pending", now())


def question_key(normalised: str) -> str:
    """A hash, because PostgreSQL refuses index entries over 2.7 kB and questions may be longer."""
    return hashlib.sha256(normalised.encode("utf-8", "surrogatepass")).hexdigest()


# Reading


def find(connection: Connection, wanted: ItemFilter) -> ItemPage:
    """In the order in which a decision is worth most."""
    conditions = _conditions(wanted)
    total = connection.execute(select(func.count()).select_from(review_items).where(*conditions)).scalar_one()
    order = _order(wanted.order)
    shown = select(_item.seq).where(*conditions).order_by(*order).limit(wanted.limit).offset(wanted.offset)
    query = select(review_items, _worth().label("worth")).where(_item.seq.in_(shown))  # whole rows: only those shown
    rows = connection.execute(query.order_by(*order))
    return ItemPage(tuple(queued(row) for row in rows), total)


def page(connection: Connection, state: str, limit: int, offset: int) -> list[QueuedItem]:
    """What most people ask first, then the oldest."""
    return list(find(connection, ItemFilter(state, order="asks", limit=limit, offset=offset)).items)


def get(connection: Connection, item_id: str) -> QueuedItem:
    """Also by the id of a wording that was merged into it. Raises `NotFound`."""
    return queued(row_of(connection, item_id))


def row_of(connection: Connection, item_id: str) -> Row[Any]:
    """The row of the item that holds this one. Raises `NotFound`."""
    root = select(_item.root).where(_item.id == item_id).scalar_subquery()
    query = select(review_items, _worth().label("worth")).where(_item.id == root)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"no review item {item_id!r}")
    return row


def count(connection: Connection, state: str) -> int:
    conditions = _conditions(ItemFilter(state))
    return connection.execute(select(func.count()).select_from(review_items).where(*conditions)).scalar_one()


def trace_ids(connection: Connection, item_id: str, limit: int | None) -> list[str]:
    """The newest first; of all wordings of the item."""
    query = _links(item_id).with_only_columns(review_traces.c.trace_id)
    return list(connection.execute(query.limit(limit)).scalars())


def _links(item_id: str) -> Select[Any]:
    return (
        select(review_traces)
        .join(review_items, _item.id == review_traces.c.item_id)
        .where(_item.root == item_id)
        .order_by(review_traces.c.added.desc(), review_traces.c.trace_id)
    )


def held(connection: Connection, item_id: str, limit: int | None = None) -> Sequence[Any]:
    """Payload, session, cause and probability of the traces of an item, newest first."""
    columns = (traces.c.id, traces.c.payload, traces.c.session_id, review_traces.c.cause, review_traces.c.probability)
    query = _links(item_id).join(traces, traces.c.id == review_traces.c.trace_id).with_only_columns(*columns)
    return connection.execute(query.limit(limit)).all()


def wordings(connection: Connection, item_id: str) -> Sequence[Row[Any]]:
    """The rows of an item, the oldest first."""
    return connection.execute(select(review_items).where(_item.root == item_id).order_by(_item.seq)).all()


def asks_by_wording(connection: Connection, item_id: str) -> dict[str, int]:
    query = _links(item_id).order_by(None).with_only_columns(review_traces.c.item_id, func.count())
    return {row[0]: row[1] for row in connection.execute(query.group_by(review_traces.c.item_id))}


def drawn_mark(connection: Connection) -> int:
    """How many answers the audit has drawn."""
    query = select(func.count()).select_from(review_traces).where(review_traces.c.probability > 0)
    return connection.execute(query).scalar_one()


def pending(row: Row[Any]) -> bool:
    """Not decided, and nobody works on it."""
    return row.state == "pending" or (row.state == "claimed" and (row.lease_until or "") < now())


def _conditions(wanted: ItemFilter) -> list[ColumnElement[bool]]:
    found = [_in_state(wanted.state), _item.root == _item.id]
    if wanted.cause:
        found.append(_item.cause == wanted.cause)
    if wanted.language:
        found.append(_item.language == wanted.language)
    if wanted.gaps:
        found.append(_item.cause.in_(GAPS))
    if wanted.text:
        found.append(func.lower(_item.question).contains(storable(wanted.text.lower()), autoescape=True))
    if wanted.claimed_by:
        found.append(_item.claimed_by == wanted.claimed_by)
    return found


def _in_state(state: str) -> ColumnElement[bool]:
    if state not in STATES:
        raise InvalidInput(f"review state {state!r} is none of {', '.join(STATES)}")
    if state == "decided":
        return _item.state == "decided"
    expired = and_(_item.state == "claimed", _item.lease_until < now())
    if state == "pending":
        return or_(_item.state == "pending", expired)
    return and_(_item.state == "claimed", _item.lease_until >= now())


def _worth() -> ColumnElement[float]:
    """Askers × risk × age in hours; a question that nobody asked (a source changed) counts as one asker."""
    age = (datetime.now(UTC).timestamp() - _item.opened) / _HOUR_S
    return case((_item.asks > 0, _item.asks), else_=1) * _item.risk * age


def _order(order: str) -> tuple[Any, ...]:
    by = {
        "worth": (_worth().desc(), _item.seq),
        "gaps": (_item.cause.in_(GAPS).desc(), _worth().desc(), _item.seq),
        "asks": (_item.asks.desc(), _item.seq),
        "newest": (_item.seq.desc(),),
        "updated": (_item.updated.desc(), _item.seq.desc()),
    }
    if order not in by:
        raise InvalidInput(f"the order {order!r} is none of {', '.join(by)}")
    return by[order]


def queued(row: Row[Any]) -> QueuedItem:
    plain = {name: getattr(row, name) for name in ReviewItem.__slots__}
    waits = pending(row)
    state = "pending" if waits else row.state
    item = ReviewItem(**{**plain, "trace_id": row.trace_id or "", "state": state})
    worth = round(float(getattr(row, "worth", 0.0)), 4)
    claimed_by = "" if waits else row.claimed_by or ""
    return QueuedItem(item, row.asks, row.updated, row.risk, worth, claimed_by, "" if waits else row.lease_until or "")
