"""Who changed what. Written in the same transaction as the change itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from services.store.codec import dumps, loads
from services.store.records import AuditEntry, now
from services.store.tables import audit_log


def write(connection: Connection, who: str, what: str, before: object, after: object, subject: str = "") -> None:
    """subject: the id of what was changed, where its history is asked for (`of`)."""
    values = {"created": now(), "who": who, "what": what, "before": _json(before), "after": _json(after)}
    connection.execute(insert(audit_log).values(**values, subject=subject or None))


def of(connection: Connection, subject: str, limit: int) -> list[AuditEntry]:
    """What was done to one thing, newest first."""
    query = select(audit_log).where(audit_log.c.subject == subject).order_by(audit_log.c.seq.desc()).limit(limit)
    return [_entry(row) for row in connection.execute(query)]


def newest(connection: Connection, limit: int) -> list[AuditEntry]:
    rows = connection.execute(select(audit_log).order_by(audit_log.c.seq.desc()).limit(limit))
    return [_entry(row) for row in rows]


def newest_seq(connection: Connection) -> int:
    """Another number after every change that is logged; cheap."""
    return connection.execute(select(func.max(audit_log.c.seq))).scalar_one() or 0


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(row.created, row.who, row.what, _value(row.before), _value(row.after))


def _json(value: object) -> str | None:
    return None if value is None else dumps(value)


def _value(text: str | None) -> object:
    return None if text is None else loads(text)
