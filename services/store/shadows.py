"""Models tried beside the one that is served, and what they said there. Functions here take an open transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, func, insert, select, update

from router.errors import Conflict, InvalidInput
from services.store import audit
from services.store.codec import dumps, loads
from services.store.records import now
from services.store.tables import shadow_answers, shadows


@dataclass(frozen=True, slots=True)
class Shadow:
    """model: that is tried. release_id: what is served beside it. share: of the questions, above 0 and at most 1.
    ended: None while it goes on."""

    id: str
    created: str
    who: str
    model: str
    release_id: str
    share: float
    ended: str | None


@dataclass(frozen=True, slots=True)
class ShadowAnswer:
    """payload: as `services.review.shadowing` writes it."""

    trace_id: str
    created: str
    payload: Mapping[str, Any]


def start(connection: Connection, model: str, release_id: str, share: float, who: str) -> Shadow:
    """Raises `Conflict` while another one goes on: two candidates at once are more than most machines hold."""
    if not 0 < share <= 1:
        raise InvalidInput("the share of the questions is above 0 and at most 1")
    running = current(connection)
    if running is not None:
        raise Conflict(f"the model {running.model} is tried already; end that first: answerloop models shadow --stop")
    made = Shadow(f"s-{uuid4().hex[:12]}", now(), who, model, release_id, share, None)
    connection.execute(insert(shadows).values({name: getattr(made, name) for name in Shadow.__slots__}))
    facts = {"shadow": made.id, "model": model, "release": release_id, "share": share}
    audit.write(connection, who, "shadow.start", None, facts)
    return made


def stop(connection: Connection, who: str) -> Shadow | None:
    """The one that goes on; None where there is none."""
    running = current(connection)
    if running is None:
        return None
    connection.execute(update(shadows).where(shadows.c.id == running.id).values(ended=now()))
    audit.write(connection, who, "shadow.stop", {"shadow": running.id, "model": running.model}, None)
    return newest(connection, running.model)


def current(connection: Connection) -> Shadow | None:
    query = select(shadows).where(shadows.c.ended.is_(None)).order_by(shadows.c.seq.desc()).limit(1)
    return _shadow(connection.execute(query).one_or_none())


def newest(connection: Connection, model: str = "") -> Shadow | None:
    """model: "" for any."""
    query = select(shadows).order_by(shadows.c.seq.desc()).limit(1)
    if model:
        query = query.where(shadows.c.model == model)
    return _shadow(connection.execute(query).one_or_none())


def put(connection: Connection, shadow_id: str, trace_id: str, payload: Mapping[str, Any]) -> None:
    values = {"shadow_id": shadow_id, "trace_id": trace_id, "created": now(), "payload": dumps(payload)}
    connection.execute(insert(shadow_answers).values(values))


def answers(connection: Connection, shadow_id: str) -> list[ShadowAnswer]:
    """The oldest first."""
    query = select(shadow_answers).where(shadow_answers.c.shadow_id == shadow_id).order_by(shadow_answers.c.created)
    return [ShadowAnswer(row.trace_id, row.created, loads(row.payload)) for row in connection.execute(query)]


def count(connection: Connection, shadow_id: str) -> int:
    query = select(func.count()).select_from(shadow_answers).where(shadow_answers.c.shadow_id == shadow_id)
    return int(connection.execute(query).scalar_one())


def _shadow(row: Row[Any] | None) -> Shadow | None:
    return None if row is None else Shadow(**{name: getattr(row, name) for name in Shadow.__slots__})
