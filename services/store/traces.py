"""Traces and what people thought of them. Functions here take an open transaction."""

from __future__ import annotations

import hashlib
import unicodedata
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, insert, select

from router.errors import InvalidInput, NotFound
from router.types import Route, Trace
from services.store.codec import decode_trace, encode_trace
from services.store.records import TraceSummary, now
from services.store.tables import feedback, traces

INSERT = insert(traces)
COLUMNS = tuple(column.name for column in traces.columns if column is not traces.c.seq)
"""What `as_row` gives; `seq` is the database's."""

RATINGS = ("up", "down")
SENT = frozenset({Route.CURATED, Route.GROUNDED})
"""The routes by which an answer is sent without a person."""


def as_row(trace: Trace) -> dict[str, Any]:
    """Raises `InvalidInput` when the trace cannot be written as JSON."""
    return {
        "id": trace.id,
        "created": trace.created,
        "question": storable(trace.question.text),
        "language": trace.language,
        "route": trace.answer.route.value,
        "confidence": float(trace.answer.confidence),
        "release_id": trace.release,
        "session_id": None if trace.question.session_id is None else storable(trace.question.session_id),
        "payload": encode_trace(trace),
        "answer_key": answer_key(trace.answer.text) if trace.answer.route in SENT else None,
    }


@lru_cache(maxsize=16_384)  # the same approved answers are sent again and again; a whole audit has room
def answer_key(text: str) -> str:
    """An answer is known by its words: width, capitals and spaces make no other answer of it."""
    words = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()


def storable(text: str) -> str:
    """PostgreSQL's text cannot hold NUL; the payload, being JSON, keeps the original."""
    return text.replace("\x00", "\ufffd")


def get(connection: Connection, trace_id: str) -> Trace:
    payload = connection.execute(select(traces.c.payload).where(traces.c.id == trace_id)).scalar_one_or_none()
    if payload is None:
        raise NotFound(f"no trace {trace_id!r}")
    return decode_trace(payload)


def newest(connection: Connection, limit: int, before: int | None, route: str | None) -> list[TraceSummary]:
    columns = [traces.c[name] for name in TraceSummary.__slots__]
    query = select(*columns).order_by(traces.c.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(traces.c.seq < before)
    if route is not None:
        query = query.where(traces.c.route == route)
    return [TraceSummary(**row._mapping) for row in connection.execute(query)]


def liked(connection: Connection, limit: int) -> list[Trace]:
    """Answers from the documents that askers said helped, and nobody that they did not; the oldest first."""
    rated = {rating: select(feedback.c.trace_id).where(feedback.c.rating == rating) for rating in RATINGS}
    wanted = traces.c.id.in_(rated["up"]) & traces.c.id.not_in(rated["down"])
    grounded = traces.c.route == Route.GROUNDED.value
    query = select(traces.c.payload).where(wanted & grounded).order_by(traces.c.seq).limit(limit)
    return [decode_trace(payload) for payload in connection.execute(query).scalars()]


def add_feedback(connection: Connection, trace_id: str, rating: str, comment: str) -> None:
    if rating not in RATINGS:
        raise InvalidInput(f"rating {rating!r} is neither 'up' nor 'down'")
    connection.execute(
        insert(feedback).values(trace_id=trace_id, rating=rating, comment=storable(comment), created=now())
    )
