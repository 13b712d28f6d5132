"""Webhook calls to make, written with what they tell of. Functions here take an open transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, insert, select, update

from services.store.codec import dumps, loads
from services.store.records import now, stamp
from services.store.review_records import OutboxEvent
from services.store.tables import outbox

AT_ONCE = 500  # traces in one call
LEASE_S = 60.0  # how long one process has for a call before another may make it


def put(connection: Connection, event: str, payload: Mapping[str, Any]) -> str:
    identity, moment = uuid4().hex, now()
    values = {"id": identity, "event": event, "payload": dumps(payload), "created": moment}
    connection.execute(insert(outbox).values(**values, attempts=0, next_try=moment, problem=""))
    return identity


def put_each(connection: Connection, event: str, about: Mapping[str, Any], told: Sequence[Mapping[str, Any]]) -> None:
    """One call for each `AT_ONCE` traces, and one where there are none."""
    for start in range(0, max(len(told), 1), AT_ONCE):
        put(connection, event, {**about, "traces": list(told[start : start + AT_ONCE])})


def told(connection: Connection, event: str, since: str) -> frozenset[str]:
    """The ids of the traces in the calls about an event that were written since then, delivered or not."""
    query = select(outbox.c.payload).where(outbox.c.event == event, outbox.c.created >= since)
    return frozenset(one["id"] for payload in connection.execute(query).scalars() for one in loads(payload)["traces"])


def due(connection: Connection) -> bool:
    """Whether there is anything to send. Cheap: asked every second."""
    query = select(outbox.c.seq).where(outbox.c.next_try <= now()).limit(1)
    return connection.execute(query).first() is not None


def take(connection: Connection, limit: int) -> list[OutboxEvent]:
    """The oldest calls that are due; nobody else takes them for `LEASE_S`."""
    query = select(outbox).where(outbox.c.next_try <= now()).order_by(outbox.c.seq).limit(limit)
    rows = connection.execute(query).all()
    until = stamp(datetime.now(UTC) + timedelta(seconds=LEASE_S))
    if rows:
        connection.execute(update(outbox).where(outbox.c.seq.in_([row.seq for row in rows])).values(next_try=until))
    return [OutboxEvent(row.id, row.event, loads(row.payload), row.created, row.attempts) for row in rows]


def delivered(connection: Connection, event_id: str) -> None:
    values = {"delivered": now(), "next_try": None, "problem": "", "attempts": outbox.c.attempts + 1}
    connection.execute(update(outbox).where(outbox.c.id == event_id).values(values))


def failed(connection: Connection, event_id: str, problem: str, again_in_s: float | None) -> None:
    """again_in_s: None gives up."""
    at = None if again_in_s is None else stamp(datetime.now(UTC) + timedelta(seconds=again_in_s))
    values = {"attempts": outbox.c.attempts + 1, "next_try": at, "problem": problem[:500]}
    connection.execute(update(outbox).where(outbox.c.id == event_id).values(values))


def drop_undelivered(connection: Connection) -> None:
    """Where no webhook is set, nothing is owed to anybody."""
    connection.execute(update(outbox).where(outbox.c.next_try.is_not(None)).values(next_try=None, problem="no webhook"))
