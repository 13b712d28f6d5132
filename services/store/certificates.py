"""Certificates of the error budget, and the audited answers they rest on. Functions here take an open transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, insert, select

from services.store import audit
from services.store.codec import dumps, loads
from services.store.records import now
from services.store.tables import certificates, review_items, review_traces, traces


@dataclass(frozen=True, slots=True)
class KeptCertificate:
    """payload: as `services.review.budget.Certificate` writes it."""

    id: str
    created: str
    who: str
    release_id: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DrawnAnswer:
    """An answer that the audit drew. item_id: of the item that holds it. question_key: of that item's question. model,
    prompt: what wrote it, and the hash of what a model was asked with."""

    trace_id: str
    created: str
    language: str
    route: str
    confidence: float
    answer_key: str
    probability: float
    item_id: str
    question_key: str
    decided: bool
    model: str
    prompt: str


def put(connection: Connection, who: str, release_id: str, payload: Mapping[str, Any]) -> KeptCertificate:
    kept = KeptCertificate(uuid4().hex, now(), who, release_id, payload)
    row = {"id": kept.id, "created": kept.created, "who": who, "release_id": release_id, "payload": dumps(payload)}
    connection.execute(insert(certificates).values(row))
    facts = {"certificate": kept.id, "state": payload.get("state"), "line": payload.get("line")}
    audit.write(connection, who, "budget.certify", None, facts, kept.id)
    return kept


def newest(connection: Connection, limit: int) -> list[KeptCertificate]:
    query = select(certificates).order_by(certificates.c.seq.desc()).limit(limit)
    rows = connection.execute(query)
    return [KeptCertificate(row.id, row.created, row.who, row.release_id, loads(row.payload)) for row in rows]


def newest_id(connection: Connection) -> str:
    """ "" before the first."""
    query = select(certificates.c.id).order_by(certificates.c.seq.desc()).limit(1)
    return connection.execute(query).scalar_one_or_none() or ""


def drawn(connection: Connection, release_ids: Collection[str]) -> list[DrawnAnswer]:
    """What the audit drew under these releases, the oldest first."""
    held, root = review_items.alias("held"), review_items.alias("root")
    columns = (
        traces.c.id.label("trace_id"),
        *(traces.c[name] for name in ("created", "language", "route", "confidence", "answer_key")),
        review_traces.c.probability,
        root.c.id.label("item_id"),
        root.c.question_key,
        (root.c.state == "decided").label("decided"),
        traces.c.payload,
    )
    query = (
        select(*columns)
        .join(review_traces, review_traces.c.trace_id == traces.c.id)
        .join(held, held.c.id == review_traces.c.item_id)
        .join(root, root.c.id == held.c.root)
        .where(review_traces.c.probability > 0, traces.c.release_id.in_(list(release_ids)))
        .order_by(traces.c.seq + 0)  # so that SQLite begins with what was drawn, not with all traces in their order
    )
    return [_drawn(row) for row in connection.execute(query)]


def _drawn(row: Row[Any]) -> DrawnAnswer:
    """Read here, because PostgreSQL reads no JSON in which a NUL stands, and a question may hold one."""
    told = {name: value for name, value in row._mapping.items() if name != "payload"}
    wrote = loads(row.payload)
    return DrawnAnswer(**told, model=wrote["answer"]["model"], prompt=wrote.get("prompt", ""))
