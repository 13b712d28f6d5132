"""API keys. The key itself is shown once and never stored: 256 random bits need no slow hash, SHA-256 is enough."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from uuid import uuid4

from sqlalchemy import Connection, Row, func, insert, select, update

from router.errors import InvalidInput, NotFound
from services.store import audit
from services.store.records import KeyInfo, Role, now
from services.store.tables import api_keys

_SHOWN = 11  # "al_" and 8 characters: enough to recognise, 48 of 256 bits given away


def create(connection: Connection, name: str, role: str, who: str) -> tuple[str, str]:
    """(key id, the key itself). Raises `InvalidInput`."""
    if role not in set(Role):
        raise InvalidInput(f"role {role!r} is none of {', '.join(Role)}")
    if not 0 < len(name.strip()) <= 200 or "\x00" in name:
        raise InvalidInput("a key needs a name of 1 to 200 characters")
    key_id, plaintext = uuid4().hex, "al_" + secrets.token_urlsafe(32)
    connection.execute(
        insert(api_keys).values(
            id=key_id,
            name=name.strip(),
            role=str(role),
            hash=hash_key(plaintext),
            prefix=plaintext[:_SHOWN],
            created=now(),
        )
    )
    audit.write(connection, who, "key.create", None, {"id": key_id, "name": name.strip(), "role": str(role)})
    return key_id, plaintext


def revoke(connection: Connection, key_id: str, who: str) -> None:
    """Revoking twice changes nothing. Raises `NotFound`."""
    row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).one_or_none()
    if row is None:
        raise NotFound(f"no key {key_id!r}")
    if row.revoked is None:
        connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(revoked=now()))
        audit.write(connection, who, "key.revoke", {"id": key_id, "name": row.name, "role": row.role}, None)


def find(connection: Connection, key_hash: str) -> KeyInfo | None:
    row = connection.execute(
        select(api_keys).where(api_keys.c.hash == key_hash, api_keys.c.revoked.is_(None))
    ).one_or_none()
    if row is None or not hmac.compare_digest(row.hash, key_hash):
        return None
    return _info(row)


def everything(connection: Connection) -> list[KeyInfo]:
    return [_info(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.created, api_keys.c.id))]


def count_live(connection: Connection) -> int:
    query = select(func.count()).select_from(api_keys).where(api_keys.c.revoked.is_(None))
    return connection.execute(query).scalar_one()


def hash_key(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode("utf-8", "surrogatepass")).hexdigest()


def _info(row: Row[tuple[object, ...]]) -> KeyInfo:
    return KeyInfo(row.id, row.name, Role(row.role), row.prefix, row.created, row.revoked)


class KeyCache:
    """Good keys, by hash, for a few seconds: a key revoked by another process stops working that soon.

    Bad keys are not remembered, so nobody can fill the cache from outside.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, KeyInfo]] = {}
        self._generation = 0

    def get(self, key_hash: str) -> KeyInfo | None:
        until, info = self._known.get(key_hash, (0.0, None))
        return info if time.monotonic() < until else None

    @property
    def generation(self) -> int:
        return self._generation

    def put(self, key_hash: str, info: KeyInfo, generation: int) -> None:
        """generation: as it was before the look-up; a look-up that a `clear` overtook is not kept."""
        with self._lock:
            if generation == self._generation:
                self._known[key_hash] = (time.monotonic() + self._seconds, info)

    def clear(self) -> None:
        with self._lock:
            self._generation += 1
            self._known.clear()
