"""Tells another system what was decided: events from the store's outbox, signed, tried again until they arrive.

At least once: an event may come twice (its `id` says so), and in another order than it was decided. No redirect is
followed: the address that an administrator set is the only one that is ever called.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Mapping

import httpx

from services.store.codec import dumps
from services.store.review_records import OutboxEvent
from services.store.review_store import ReviewStore

TIMEOUT_S = 10.0
FIRST_WAIT_S, FACTOR, LONGEST_WAIT_S = 5.0, 3.0, 3_600.0
MOST_ATTEMPTS = 12  # about eight hours; a receiver that is down longer asks for what it missed

log = logging.getLogger("answerloop.webhooks")


class Webhooks:
    """url: where to post; "" sends nothing. secret: signs each call, "" signs nothing. Use from one event loop."""

    def __init__(self, url: str, secret: str, store: ReviewStore) -> None:
        self._url, self._secret, self._store = url, secret, store
        self._client: httpx.AsyncClient | None = None

    async def deliver(self) -> int:
        """Sends what is due; how many events were tried."""
        if not self._url:
            await self._store.drop_events()
            return 0
        events = await self._store.take_events()
        await asyncio.gather(*(self._deliver(event) for event in events))
        return len(events)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _deliver(self, event: OutboxEvent) -> None:
        problem = await self._post(event)
        if not problem:
            return await self._store.event_delivered(event.id)
        attempts = event.attempts + 1
        again = wait_s(attempts) if attempts < MOST_ATTEMPTS else None
        log.warning("webhook %s %s: %s (attempt %d)", event.event, event.id, problem, attempts)
        return await self._store.event_failed(event.id, problem, again)

    async def _post(self, event: OutboxEvent) -> str:
        """What went wrong, or ""."""
        body = body_of(event)
        headers = {"content-type": "application/json", **signature(self._secret, body, int(time.time()))}
        self._client = self._client or httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
        try:
            reply = await self._client.post(self._url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            return f"{type(exc).__name__}: {exc}"
        return "" if reply.is_success else f"the receiver said {reply.status_code}"


def body_of(event: OutboxEvent) -> bytes:
    return dumps({"id": event.id, "event": event.event, "created": event.created, "data": event.payload}).encode()


def signature(secret: str, body: bytes, moment: int) -> Mapping[str, str]:
    """`X-Answerloop-Signature: t=SECONDS,v1=HEX`, HEX: HMAC-SHA256 of "SECONDS.BODY". The time is signed too, so that
    a call that was listened to cannot be played again later."""
    if not secret:
        return {}
    signed = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Answerloop-Signature": f"t={moment},v1={signed}"}


def wait_s(attempts: int) -> float:
    """Before the next try, after so many in vain."""
    return float(min(FIRST_WAIT_S * FACTOR ** (attempts - 1), LONGEST_WAIT_S))
