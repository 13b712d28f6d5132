"""What was answered lately, counted. Functions here take an open transaction."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from services.store.codec import loads
from services.store.tables import traces


def routes_by_day(connection: Connection, newest: int) -> list[tuple[str, str, int]]:
    """Day (UTC), route and answers, among the newest answers; bounded, so that a large store is no slower."""
    day = func.substr(traces.c.created, 1, 10).label("day")
    since = select(func.max(traces.c.seq) - newest).scalar_subquery()
    query = select(day, traces.c.route, func.count()).where(traces.c.seq > since).group_by(day, traces.c.route)
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def times(connection: Connection, newest: int) -> list[tuple[str, float]]:
    """Route and milliseconds in total of the newest answers."""
    query = select(traces.c.route, traces.c.payload).order_by(traces.c.seq.desc()).limit(newest)
    found = ((row.route, loads(row.payload).get("timings_ms", {})) for row in connection.execute(query))
    return [(route, float(laps["total"])) for route, laps in found if "total" in laps]
