"""How an asker's question stands: nothing is written for each, it follows from the item that holds the trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from router.types import EntryStatus, Route
from services.store import curated, retractions, traces, verdicts
from services.store.review_records import Standing, Stands, Verdict, VerdictState
from services.store.tables import review_items, review_traces

_UNANSWERED = frozenset({Route.ABSTAINED, Route.HANDOFF})
_UNHAPPY = frozenset({"thumbs_down", "retracted"})


def of(connection: Connection, trace_id: str) -> Standing:
    """Raises `NotFound`."""
    trace = traces.get(connection, trace_id)
    links = _links(connection, trace_id)
    recalled = retractions.standing_of(connection, trace)
    for link in links:
        last = _final(connection, link.root) if link.state == "decided" else None
        if last is not None and last.answer and last.answer != trace.answer.text:
            return Standing(trace, Stands.RESOLVED, link.root, last, _current(connection, last))
        if last is not None and recalled is None and trace.answer.route in _UNANSWERED:
            return Standing(trace, Stands.RESOLVED, link.root, last, _current(connection, last))
    item_id = links[0].root if links else ""
    if recalled is not None:
        return Standing(trace, Stands.RETRACTED, item_id)
    waits = any(_waits(link, trace.answer.route) for link in links)
    return Standing(trace, Stands.WAITING if waits else Stands.ANSWERED, item_id)


def _current(connection: Connection, verdict: Verdict) -> bool:
    """Whether people still say what they decided. An answer must not outlive its source here either."""
    if retractions.in_force(connection, verdict.answer):
        return False
    if not verdict.entry_id:
        return True
    there = curated.latest(connection, [verdict.entry_id]).get(verdict.entry_id)
    if there is None or there.deleted or there.entry.status is not EntryStatus.LIVE:
        return False
    return traces.answer_key(there.entry.answer) == traces.answer_key(verdict.answer)


def _waits(link: Row[Any], route: Route) -> bool:
    return link.state != "decided" and (route in _UNANSWERED or link.cause in _UNHAPPY)


def _links(connection: Connection, trace_id: str) -> Sequence[Any]:
    """The items that hold the trace, the newest first."""
    query = (
        select(review_items.c.root, review_items.c.state, review_traces.c.cause)
        .join(review_items, review_items.c.id == review_traces.c.item_id)
        .where(review_traces.c.trace_id == trace_id)
        .order_by(review_items.c.seq.desc())
    )
    return connection.execute(query).all()


def _final(connection: Connection, item_id: str) -> Verdict | None:
    found = (one for one in verdicts.of_item(connection, item_id) if one.state is VerdictState.FINAL)
    return next(found, None)
