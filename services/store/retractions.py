"""Answers called back: who got them, and that they are not sent again. Functions here take an open transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from router.errors import Conflict, InvalidInput, NotFound
from router.types import CuratedEntry, EntryStatus, Trace
from services.store import audit, curated, outbox, reviews
from services.store.codec import decode_trace, dumps, loads
from services.store.records import now, stamp
from services.store.review_records import Recipient, Retraction
from services.store.tables import retractions, traces
from services.store.traces import SENT, answer_key

LATE_S = 60.0
"""Other processes hear of a recall within about a second; a reply that was under way may take longer to be written."""

_EVENT = "answer.retracted"


def retract(connection: Connection, trace: Trace, who: str, reason: str, reopen: bool = True) -> Retraction:
    """Blocks the trace's answer, retires the curated entries that say it, and tells everybody who got it. Doing it
    again changes nothing.

    reopen: their questions go to people; False where a verdict has decided them. Raises `InvalidInput` when nothing
    was answered.
    """
    if trace.answer.route not in SENT:
        raise InvalidInput(f"trace {trace.id} sent no answer that could be called back ({trace.answer.route})")
    key = answer_key(trace.answer.text)
    known = _standing(connection, key)
    if known is not None:
        return known
    got = recipients(connection, key, None)
    entries = _retire(connection, trace.answer.text, key, who)
    text = trace.standalone or trace.question.text
    made = Retraction(
        uuid4().hex,
        trace.answer.text,
        text,
        trace.language,
        now(),
        who,
        reason,
        len(got),
        tuple(entries),
        reopened=reopen,
    )
    row = {"id": made.id, "answer_key": key, "created": made.created, "who": who, "payload": dumps(made)}
    connection.execute(insert(retractions).values(row))
    audit.write(connection, who, "answer.retract", None, {"retraction": made})
    _tell(connection, made, got)
    if reopen:
        _reopen(connection, select(traces.c.payload).where(traces.c.answer_key == key))
    return made


def tell_late(connection: Connection) -> int:
    """Tells those who got an answer in the moment after it was called back, from a process that had not heard of it
    yet: like everybody who got it before, each once. How many they are."""
    missed = late(connection)
    for one, got in missed:
        ids = [recipient.trace_id for recipient in got]
        counted = replace(one, recipients=one.recipients + len(got))
        connection.execute(update(retractions).where(retractions.c.id == one.id).values(payload=dumps(counted)))
        audit.write(connection, "recall", "answer.retract.late", None, {"retraction_id": one.id, "traces": ids})
        _tell(connection, one, got)
        if one.reopened:
            _reopen(connection, select(traces.c.payload).where(traces.c.id.in_(ids)))
    return sum(len(got) for _, got in missed)


def late(connection: Connection) -> list[tuple[Retraction, list[Recipient]]]:
    """The answers called back in the last `LATE_S`, with those who got them and were not told. Cheap: asked every
    second."""
    since = _ago(datetime.now(UTC))
    query = select(retractions).where(retractions.c.lifted.is_(None), retractions.c.created >= since)
    found = []
    for row in connection.execute(query).all():
        one = _retraction(row)
        recent = recipients(connection, row.answer_key, None, since=_ago(datetime.fromisoformat(one.created)))
        told = outbox.told(connection, _EVENT, one.created) if recent else frozenset()
        if got := [recipient for recipient in recent if recipient.trace_id not in told]:
            found.append((one, got))
    return found


def _ago(moment: datetime) -> str:
    return stamp(moment - timedelta(seconds=LATE_S))


def _tell(connection: Connection, one: Retraction, got: Sequence[Recipient]) -> None:
    told = [{"id": recipient.trace_id, "session_id": recipient.session_id} for recipient in got]
    outbox.put_each(connection, _EVENT, {"retraction_id": one.id, "answer": one.answer}, told)


def lift(connection: Connection, retraction_id: str, who: str) -> Retraction:
    """The answer may be sent again, and entries retired with it are what they were. Raises `NotFound`, and `Conflict`
    when it was lifted already."""
    row = connection.execute(select(retractions).where(retractions.c.id == retraction_id)).one_or_none()
    if row is None:
        raise NotFound(f"no retraction {retraction_id!r}")
    if row.lifted is not None:
        raise Conflict(f"the retraction {retraction_id!r} was lifted at {row.lifted}")
    connection.execute(update(retractions).where(retractions.c.id == retraction_id).values(lifted=now()))
    audit.write(connection, who, "answer.unretract", {"retraction_id": retraction_id}, None)
    lifted = _retraction(row)
    if back := _brought_back(connection, lifted.entries):
        curated.edit(connection, lambda _: curated.Wanted(put=back), who, "unretract", [one.id for one in back])
    return get(connection, retraction_id)


def get(connection: Connection, retraction_id: str) -> Retraction:
    row = connection.execute(select(retractions).where(retractions.c.id == retraction_id)).one_or_none()
    if row is None:
        raise NotFound(f"no retraction {retraction_id!r}")
    return _retraction(row)


def newest(connection: Connection, limit: int, offset: int = 0) -> list[Retraction]:
    query = select(retractions).order_by(retractions.c.seq.desc()).limit(limit).offset(offset)
    return [_retraction(row) for row in connection.execute(query)]


def standing_of(connection: Connection, trace: Trace) -> Retraction | None:
    """The retraction in force of what this trace sent, if there is one."""
    return _standing(connection, answer_key(trace.answer.text)) if trace.answer.route in SENT else None


def in_force(connection: Connection, text: str) -> bool:
    """Whether this answer is called back."""
    return _standing(connection, answer_key(text)) is not None


def blocked_keys(connection: Connection) -> frozenset[str]:
    return frozenset(
        connection.execute(select(retractions.c.answer_key).where(retractions.c.lifted.is_(None))).scalars()
    )


def mark(connection: Connection) -> tuple[int, int]:
    """Changes whenever `blocked_keys` does: how many there are, and how many of them were lifted."""
    row = connection.execute(select(func.count(), func.count(retractions.c.lifted))).one()
    return row[0], row[1]


def recipients(
    connection: Connection, key: str, limit: int | None, offset: int = 0, since: str = ""
) -> list[Recipient]:
    """Who got an answer, the newest first. since: when they asked, at the earliest."""
    columns = (traces.c.id, traces.c.session_id, traces.c.question, traces.c.created)
    query = select(*columns).where(traces.c.answer_key == key, traces.c.created >= since).order_by(traces.c.seq.desc())
    return [Recipient(*row) for row in connection.execute(query.limit(limit).offset(offset))]


def _standing(connection: Connection, key: str) -> Retraction | None:
    query = select(retractions).where(retractions.c.answer_key == key, retractions.c.lifted.is_(None))
    row = connection.execute(query.order_by(retractions.c.seq.desc()).limit(1)).one_or_none()
    return None if row is None else _retraction(row)


def _retire(connection: Connection, answer: str, key: str, who: str) -> list[str]:
    """The entries whose answer this is."""
    saying = [
        version.entry
        for version in curated.saying(connection, answer)
        if version.entry.status is not EntryStatus.RETIRED and answer_key(version.entry.answer) == key
    ]
    ids = [entry.id for entry in saying]

    if ids:
        gone = tuple(replace(entry, status=EntryStatus.RETIRED) for entry in saying)
        curated.edit(connection, lambda _: curated.Wanted(put=gone), who, "retract", ids)
    return ids


def _brought_back(connection: Connection, ids: Sequence[str]) -> tuple[CuratedEntry, ...]:
    """Retired entries as they were before; what somebody changed since is left as it is."""
    found = []
    for version in curated.latest(connection, ids).values():
        retired = version.entry.status is EntryStatus.RETIRED and not version.deleted
        if retired and version.version > 1:
            found.append(curated.version_of(connection, version.entry.id, version.version - 1).entry)
    return tuple(found)


def _reopen(connection: Connection, payloads: Select[Any]) -> None:
    for payload in connection.execute(payloads.order_by(traces.c.seq)).scalars().all():
        trace = decode_trace(payload)
        reviews.attach(connection, reviews.of_trace(trace, "retracted"), trace.normalised)


def _retraction(row: Row[Any]) -> Retraction:
    raw = loads(row.payload)
    known = {name: value for name, value in raw.items() if name in Retraction.__slots__}
    return Retraction(**{**known, "entries": tuple(raw.get("entries", ())), "lifted": row.lifted})
