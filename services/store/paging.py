"""How much of a list may be asked for at once."""

from __future__ import annotations

from router.errors import InvalidInput

MOST = 1_000
FURTHEST = 2**53


def check_page(limit: int, offset: int = 0) -> None:
    """Raises `InvalidInput`."""
    if not (1 <= limit <= MOST and 0 <= offset <= FURTHEST):
        raise InvalidInput(f"limit must be 1 to {MOST} and the offset 0 or more, not {limit} and {offset}")
