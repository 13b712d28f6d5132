"""Approved answers that a verdict calls wrong or out of date, with no better one in their place: they are not certain
any more. Functions here take an open transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from router.errors import Conflict
from router.types import CuratedEntry, EntryStatus, Route
from services.store import curated
from services.store.records import CuratedEdit, QueuedItem
from services.store.review_records import Doubted, HeldTrace, Judgement, VerdictKind
from services.store.traces import answer_key

_DOUBTS = frozenset({VerdictKind.WRONG, VerdictKind.STALE_SOURCE})


def cast(
    connection: Connection, item: QueuedItem, traces: Sequence[HeldTrace], said: Judgement, who: str
) -> tuple[Doubted, ...]:
    """The entries that a verdict made stale: those it is about, and those whose words were sent for the item and still
    are what the entry says."""
    if said.kind not in _DOUBTS and (said.kind is not VerdictKind.CORRECTED or said.curate is not False):
        return ()
    named = {said.entry_id, item.item.entry_id} - {""}
    sent = {entry_id: answer_key(held.trace.answer.text) for held in traces if (entry_id := answered_by(held))}
    found = curated.latest(connection, {*named, *sent}).values()
    stale = tuple(
        replace(one.entry, status=EntryStatus.STALE)
        for one in found
        if not one.deleted and one.entry.status is EntryStatus.LIVE
        if one.entry.id in named or sent[one.entry.id] == answer_key(one.entry.answer)
    )
    edit = _put(connection, stale, who, f"verdict {said.kind}")
    return tuple(Doubted(change.after.entry.id, change.after.version) for change in edit.changes)


def lift(connection: Connection, doubted: Iterable[Doubted], who: str) -> None:
    """The entries are what they were. Raises `Conflict` when one was changed since."""
    for one in doubted:
        there = curated.latest(connection, [one.entry_id]).get(one.entry_id)
        if there is None or there.version != one.version:
            raise Conflict(f"the entry {one.entry_id!r} was changed after this verdict; change it there instead")
        before = curated.version_of(connection, one.entry_id, one.version - 1).entry
        _put(connection, (before,), who, "undo verdict")


def _put(connection: Connection, entries: tuple[CuratedEntry, ...], who: str, what: str) -> CuratedEdit:
    return curated.edit(connection, lambda _: curated.Wanted(put=entries), who, what, [one.id for one in entries])


def answered_by(held: HeldTrace) -> str:
    """The curated entry that was sent as the answer, "" where none was."""
    trace = held.trace
    return trace.curated.get("entry") or "" if trace.answer.route is Route.CURATED else ""
