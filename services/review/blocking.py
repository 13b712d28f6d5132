"""The answers that were called back, as this process knows them: asked once a draft, read when they change."""

from __future__ import annotations

from services.store.review_store import ReviewStore
from services.store.traces import answer_key


class Blocked:
    """Called with an answer's text. Empty until the first `refresh`."""

    def __init__(self, store: ReviewStore) -> None:
        self._store = store
        self._mark: tuple[int, int] = (0, 0)
        self._keys: frozenset[str] = frozenset()

    def __call__(self, text: str) -> bool:
        return bool(self._keys) and answer_key(text) in self._keys

    async def refresh(self) -> None:
        if await self._store.blocked_mark() != self._mark:
            self._mark, self._keys = await self._store.blocked()
