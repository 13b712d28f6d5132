"""Releases, which of them is active, and the calibrations they name. Functions here take an open transaction."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, insert, select, update

from router.errors import Conflict, NotFound
from router.types import Release
from services.store import audit, curated
from services.store.codec import dumps, loads
from services.store.records import Activation, Calibration, now
from services.store.tables import activations, calibrations, releases
from services.store.upsert import per_dialect

_COLUMNS = [releases.c[name] for name in Release.__slots__]

_PUT_CALIBRATION = per_dialect(
    calibrations,
    lambda put: put.on_conflict_do_update(index_elements=["id"], set_={"created": put.excluded.created}),
)


def add(connection: Connection, release: Release) -> None:
    connection.execute(insert(releases).values(**asdict(release)))


def newest(connection: Connection, limit: int) -> list[Release]:
    rows = connection.execute(select(*_COLUMNS).order_by(releases.c.seq.desc()).limit(limit))
    return [_release(row) for row in rows]


def get(connection: Connection, release_id: str) -> Release:
    row = connection.execute(select(*_COLUMNS).where(releases.c.id == release_id)).one_or_none()
    if row is None:
        raise NotFound(f"no release {release_id!r}")
    return _release(row)


def activate(
    connection: Connection, release_id: str, who: str, keep_curated: bool = False, over: str | None = None
) -> Release:
    """Curated answers move with it: the release that is left keeps the revision it leaves, and the one that comes back
    brings its own. One that was never active has none yet, and takes what is there."""
    release, before = get(connection, release_id), active(connection)
    if over is not None and before is not None and before.id not in (over, release_id):
        raise Conflict(f"Release {release_id} was made to follow {over}, and another is served by now: {before.id}.")
    if before is not None and before.id != release_id:
        _pin(connection, before.id)
        if not keep_curated and _was_active(connection, release_id) and release.curated_revision.isdecimal():
            curated.revert(connection, int(release.curated_revision), who)
    _pin(connection, release_id)
    connection.execute(insert(activations).values(release_id=release_id, created=now(), who=who))
    audit.write(connection, who, "release.activate", before.id if before else None, release_id)
    return get(connection, release_id)


def _was_active(connection: Connection, release_id: str) -> bool:
    query = select(activations.c.seq).where(activations.c.release_id == release_id).limit(1)
    return connection.execute(query).first() is not None


def _pin(connection: Connection, release_id: str) -> None:
    """The release stands for the curated answers as they are now."""
    revision = str(curated.head(connection))
    connection.execute(update(releases).where(releases.c.id == release_id).values(curated_revision=revision))


def active(connection: Connection) -> Release | None:
    """The newest activation decides; None before the first."""
    query: Select[Any] = select(*_COLUMNS).join(activations, activations.c.release_id == releases.c.id)
    row = connection.execute(query.order_by(activations.c.seq.desc()).limit(1)).one_or_none()
    return None if row is None else _release(row)


def history(connection: Connection, limit: int) -> list[Activation]:
    rows = connection.execute(select(activations).order_by(activations.c.seq.desc()).limit(limit))
    return [Activation(row.release_id, row.created, row.who) for row in rows]


def put_calibration(connection: Connection, payload: dict[str, Any]) -> str:
    """The id is the content's hash: the same calibration put twice is one row, moved to the front."""
    text = dumps(payload)
    canonical = orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
    calibration_id = hashlib.sha256(canonical).hexdigest()[:16]
    values = {"id": calibration_id, "created": now(), "payload": text}
    connection.execute(_PUT_CALIBRATION[connection.dialect.name], values)
    return calibration_id


def get_calibration(connection: Connection, calibration_id: str) -> Calibration:
    row = connection.execute(select(calibrations).where(calibrations.c.id == calibration_id)).one_or_none()
    if row is None:
        raise NotFound(f"no calibration {calibration_id!r}")
    return Calibration(row.id, row.created, loads(row.payload))


def latest_calibration(connection: Connection) -> Calibration | None:
    query = select(calibrations).order_by(calibrations.c.created.desc(), calibrations.c.seq.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else Calibration(row.id, row.created, loads(row.payload))


def _release(row: Row[Any]) -> Release:
    return Release(**row._mapping)
