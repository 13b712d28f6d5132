"""Who may do what. Every router declares the role it needs; a test proves that none forgot.

With no key in the store, a server that is bound to loopback is open to this very machine and to nobody else: not to
another machine, not through a proxy, and not to a web page (which could reach it by rebinding its own host name to
127.0.0.1, or by posting across origins). Everywhere else a key is needed.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from services.api.errors import Refused
from services.store.records import Role
from services.store.sql import SqlStore


@dataclass(frozen=True, slots=True)
class Caller:
    name: str
    role: Role


LOCAL = Caller("local", Role.ADMIN)


class Keyring:
    """Whether there are keys at all, and whose key one is. The store remembers good keys for a few seconds."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.any_keys = True  # closed until the store has said otherwise

    async def refresh(self) -> None:
        """Called about once a second, and after every change made here."""
        self.any_keys = await self._store.count_live_keys() > 0

    async def caller(self, key: str) -> Caller | None:
        found = await self._store.verify_key(key)
        return Caller(found.name, found.role) if found else None


class Requires:
    """A FastAPI dependency: the caller, or `Refused` with 401 (who are you?) or 403 (not you)."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, connection: HTTPConnection) -> Caller:
        state = connection.app.state
        caller = await identify(connection, state.keyring, state.shared.settings.host)
        if not caller.role.allows(self.role):
            raise Refused(403, "forbidden", f"This needs the role {self.role}; yours is {caller.role}.")
        return caller


async def anyone() -> None:
    """The role of the few routes that are open to all, for probes that can carry no key."""


AdminCaller = Annotated[Caller, Depends(Requires(Role.ADMIN))]


async def identify(connection: HTTPConnection, keyring: Keyring, bound_to: str) -> Caller:
    key = presented_key(connection)
    if key is not None:
        caller = await keyring.caller(key)
        if caller is not None:
            return caller
        if keyring.any_keys:
            raise _unauthorized("This key is unknown or revoked.")
    if keyring.any_keys or not is_loopback(bound_to):
        raise _unauthorized("A key is needed: send `Authorization: Bearer al_…` or `X-API-Key: al_…`.")
    refuse_strangers(connection)
    return LOCAL


def presented_key(connection: HTTPConnection) -> str | None:
    headers = _headers(connection)
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get(b"x-api-key", b"").decode("latin-1") or None


def _headers(connection: HTTPConnection) -> dict[bytes, bytes]:
    """By lower-case name, the first of each. Starlette's own go through all of them for every one that is asked for."""
    return dict(reversed(connection.scope["headers"]))


def refuse_strangers(connection: HTTPConnection) -> None:
    """Raises `Refused` (403) unless the request was made on this machine, to this machine, by no foreign web page."""
    headers = _headers(connection)
    client = connection.client
    if client is None or not is_loopback(client.host):
        raise _closed("it came from another machine")
    if b"forwarded" in headers or b"x-forwarded-for" in headers:
        raise _closed("it came through a proxy")
    host = headers.get(b"host", b"").decode("latin-1")
    if not is_loopback(_without_port(host)):
        raise _closed("its Host header does not name this machine")
    origin = headers.get(b"origin")
    if origin is not None and origin.decode("latin-1") not in {f"http://{host}", f"https://{host}"}:
        raise _closed("a page of another origin sent it")


@lru_cache(maxsize=256)  # the same few names come with every request
def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _unauthorized(detail: str) -> Refused:
    return Refused(401, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})


def _closed(why: str) -> Refused:
    detail = f"No key exists yet, so only this machine is served, and the request was refused because {why}."
    return Refused(403, "forbidden", f"{detail} Make a key: answerloop keys create --role admin NAME")
