"""Who changed what. Written in the same transaction as the change itself."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from services.store.codec import dumps, loads
from services.store.records import AuditEntry, now
from services.store.tables import audit_log


def write(connection: Connection, who: str, what: str, before: object, after: object) -> None:
    connection.execute(
        insert(audit_log).values(created=now(), who=who, what=what, before=_json(before), after=_json(after))
    )


def newest(connection: Connection, limit: int) -> list[AuditEntry]:
    rows = connection.execute(select(audit_log).order_by(audit_log.c.seq.desc()).limit(limit))
    return [AuditEntry(row.created, row.who, row.what, _value(row.before), _value(row.after)) for row in rows]


def _json(value: object) -> str | None:
    return None if value is None else dumps(value)


def _value(text: str | None) -> object:
    return None if text is None else loads(text)
