"""The review side of one process: the desk, what people decided about sending, and the work in the background."""

from __future__ import annotations

from pathlib import Path

from router.policy import Policy
from services.curated.live import LiveCurated
from services.review.audit import drawn
from services.review.desk import Desk
from services.review.following import Followed, follow
from services.review.webhooks import Webhooks
from services.settings import Settings
from services.store.sql import SqlStore
from services.store.verdicts import Rules


class ReviewLoop:
    """Use from one event loop."""

    def __init__(self, settings: Settings, store: SqlStore, live: LiveCurated) -> None:
        self.desk = Desk(store, live, Rules(settings.claim_s, settings.second_review_risk))
        self.webhooks = Webhooks(settings.webhook_url, settings.webhook_secret, store.reviews)
        self._store, self._live = store, live
        self._share, self._stale = settings.audit_share, settings.stale_policy

    def policy(self) -> Policy:
        return Policy(self.desk.blocked, self._drawn, self._stale)

    async def refresh(self) -> None:
        """What other processes decided."""
        await self.desk.blocked.refresh()

    async def follow_index(self, folder: Path) -> Followed:
        """Approved answers whose source is not in this index version any more go stale or move; see `following`."""
        done = await follow(self._store, folder)
        await self._live.refresh()
        return done

    async def work(self) -> None:
        """A little of what waits: new questions to their items, events to the webhook."""
        await self.desk.grouping.place()
        await self._store.reviews.tell_late()
        await self.webhooks.deliver()

    async def close(self) -> None:
        await self.webhooks.close()

    def _drawn(self, trace_id: str) -> float:
        return self._share if drawn(trace_id, self._share) else 0.0
