"""What the Quality page shows: what was answered lately and how fast, what the audit says, and what is promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.api.state import Shared
from services.console.certificates import Audit, audit_of
from services.store import overview

NEWEST = 10_000  # answers that are counted by day
TIMED = 200  # answers whose times are read
DAYS = 30


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of the newest answers by one route."""

    route: str
    n: int
    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Quality:
    """days: date → route → answers, the newest 30 days among the newest 10,000 answers."""

    days: Mapping[str, Mapping[str, int]]
    latencies: tuple[Latency, ...]
    audit: Audit


async def quality_of(here: Shared, language: str) -> Quality:
    store = here.system.store
    counted = await store.read(lambda c: overview.routes_by_day(c, NEWEST))
    times = await store.read(lambda c: overview.times(c, TIMED))
    days: dict[str, dict[str, int]] = {}
    for day, route, count in counted:
        days.setdefault(day, {})[route] = count
    newest = dict(sorted(days.items())[-DAYS:])
    return Quality(newest, tuple(_latencies(times)), await audit_of(here, language))


def _latencies(times: list[tuple[str, float]]) -> list[Latency]:
    by_route: dict[str, list[float]] = {}
    for route, total in times:
        by_route.setdefault(route, []).append(total)
    return [
        Latency(route, len(found), _at(sorted(found), 0.5), _at(sorted(found), 0.95))
        for route, found in sorted(by_route.items())
    ]


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
