"""Which wordings make one item: joining, splitting, opening again. Functions here take an open transaction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from router.errors import Conflict, InvalidInput
from services.store import audit, reviews
from services.store.records import now
from services.store.review_records import OpenWording
from services.store.tables import review_items, review_pairs, review_traces
from services.store.upsert import per_dialect

_item = review_items.c
_MOST_PAIRS = 2_500  # of a split: the first fifty wordings on either side say what each is about
_MOVE = per_dialect(review_traces, lambda add: add.on_conflict_do_nothing())


def merge(connection: Connection, item_id: str, others: Sequence[str], who: str) -> str:
    """The others' wordings join the item; its id. Raises `NotFound`, and `Conflict` for one that is decided or that
    somebody else works on."""
    into = _open(connection, item_id, who)
    for other in others:
        gone = _open(connection, other, who)
        if gone.id == into.id:
            continue
        _tell_pairs(connection, [(into.question, gone.question)], True, who)
        join(connection, gone.id, into.id)
        audit.write(connection, who, "review.merge", {"item_id": gone.id}, {"item_id": into.id}, into.id)
        audit.write(connection, who, "review.merge", {"item_id": gone.id}, {"item_id": into.id}, gone.id)
    return str(into.id)


def split(connection: Connection, item_id: str, wordings: Sequence[str], who: str) -> str:
    """These wordings become an item of their own; its id. Raises as `merge`, and `InvalidInput` unless some wordings
    of the item, but not all, are named."""
    row = _open(connection, item_id, who)
    held = reviews.wordings(connection, row.id)
    known, named = {one.id for one in held}, set(wordings)
    if not named or not named < known:
        raise InvalidInput("name some of the item's wordings, but not all of them")
    leaving = [one for one in held if one.id in named]
    staying = [one for one in held if one.id not in named]
    if row.id in named:  # the item keeps its id, so the others leave
        leaving, staying = staying, leaving
    _move(connection, [one.id for one in leaving], leaving[0].id)
    _settle(connection, row.id)
    _settle(connection, leaving[0].id)
    pairs = list(product((one.question for one in leaving), (one.question for one in staying)))[:_MOST_PAIRS]
    _tell_pairs(connection, pairs, False, who)
    for one in (row.id, leaving[0].id):
        audit.write(connection, who, "review.split", {"item_id": row.id}, {"item_id": leaving[0].id}, one)
    return str(leaving[0].id)


def join(connection: Connection, gone: str, into: str) -> None:
    """All wordings of one open item become another's."""
    rows = reviews.wordings(connection, gone)
    _move(connection, [row.id for row in rows], into)
    target = reviews.row_of(connection, into)
    worst = max(rows, key=lambda row: row.risk)
    if worst.risk > target.risk:
        raised = {"risk": worst.risk, "cause": worst.cause}
        connection.execute(update(review_items).where(_item.id == into).values(raised))
    opened = min(target.opened, *(row.opened for row in rows))
    about = {"opened": opened, "updated": now()} | _stale(rows, target)
    connection.execute(update(review_items).where(_item.id == into).values(about))
    _settle(connection, into)


def reopen(connection: Connection, item_id: str) -> None:
    """A decided item is pending again, with what was asked in the same words since."""
    rows = {row.question_key: row for row in reversed(reviews.wordings(connection, item_id))}
    for row in rows.values():
        same = (_item.question_key == row.question_key, _item.state != "decided", _item.root != item_id)
        newer = connection.execute(select(review_items).where(*same)).one_or_none()
        if newer is not None:
            _take_over(connection, newer, row.id, item_id)
    states = {"claimed_by": None, "lease_until": None, "updated": now()}
    ids = [row.id for row in rows.values()]
    connection.execute(update(review_items).where(_item.id.in_(ids)).values(state="merged", **states))
    connection.execute(update(review_items).where(_item.id == item_id).values(state="pending"))
    _settle(connection, item_id)


def unplaced(connection: Connection, limit: int) -> list[OpenWording]:
    query = select(_item.id, _item.root, _item.question).where(_item.state != "decided", ~_item.placed)
    return [OpenWording(*row) for row in connection.execute(query.order_by(_item.seq).limit(limit))]


def placed(connection: Connection) -> list[OpenWording]:
    query = select(_item.id, _item.root, _item.question).where(_item.state != "decided", _item.placed)
    return [OpenWording(*row) for row in connection.execute(query.order_by(_item.seq))]


def place(connection: Connection, joins: Sequence[tuple[str, str]]) -> None:
    """What nobody works on joins the open item it belongs to; what is decided or claimed meanwhile stays as it is."""
    for wording_id, item_id in joins:
        connection.execute(update(review_items).where(_item.id == wording_id).values(placed=True))
        if item_id != wording_id:
            _join_if_open(connection, wording_id, item_id)


def _join_if_open(connection: Connection, wording_id: str, item_id: str) -> None:
    row, into = reviews.row_of(connection, wording_id), reviews.row_of(connection, item_id)
    if row.id == wording_id != into.id and into.state != "decided" and row.state != "decided" and reviews.pending(row):
        join(connection, row.id, into.id)
        who = {"item_id": row.id, "question": row.question}
        audit.write(connection, "clustering", "review.join", who, {"item_id": into.id}, into.id)


def pairs(connection: Connection, after: int = 0) -> Sequence[Row[Any]]:
    """What reviewers said belongs together or not, in the order in which they said it."""
    return connection.execute(select(review_pairs).where(review_pairs.c.seq > after).order_by(review_pairs.c.seq)).all()


def _open(connection: Connection, item_id: str, who: str) -> Row[Any]:
    row = reviews.row_of(connection, item_id)
    if row.state == "decided":
        raise Conflict(f"the item {row.id!r} is decided already")
    if not reviews.pending(row) and row.claimed_by != who:
        raise Conflict(f"{row.claimed_by} works on the item {row.id!r} until {row.lease_until}")
    return row


def _move(connection: Connection, ids: Sequence[str], root: str) -> None:
    """placed: people, or the words, have said where they belong."""
    values = {"root": root, "state": "merged", "placed": True, "claimed_by": None, "lease_until": None}
    connection.execute(update(review_items).where(_item.id.in_(ids), _item.id != root).values(values))
    own = {"root": root, "state": "pending", "placed": True, "claimed_by": None, "lease_until": None}
    connection.execute(update(review_items).where(_item.id.in_(ids), _item.id == root).values(own))


def _settle(connection: Connection, item_id: str) -> None:
    """Counts again who asks it; wordings that are no item of their own count nobody."""
    asks = sum(reviews.asks_by_wording(connection, item_id).values())
    connection.execute(update(review_items).where(_item.root == item_id, _item.id != item_id).values(asks=0))
    connection.execute(update(review_items).where(_item.id == item_id).values(asks=asks))


def _stale(rows: Sequence[Row[Any]], target: Row[Any]) -> dict[str, str]:
    """What is known of a changed source goes with the item."""
    about = next((row for row in rows if row.entry_id), None)
    return {} if about is None or target.entry_id else {"entry_id": about.entry_id, "detail": about.detail}


def _take_over(connection: Connection, newer: Row[Any], row_id: str, item_id: str) -> None:
    """The traces of a newer wording in the same words, whose row is then done with."""
    links = connection.execute(select(review_traces).where(review_traces.c.item_id == newer.id)).all()
    for link in links:
        values = {**link._mapping, "item_id": row_id}
        connection.execute(_MOVE[connection.dialect.name], values)
    connection.execute(delete(review_traces).where(review_traces.c.item_id == newer.id))
    others = [one.id for one in reviews.wordings(connection, newer.id) if one.id != newer.id]
    if others:
        connection.execute(update(review_items).where(_item.id.in_(others)).values(root=item_id, state="merged"))
    connection.execute(update(review_items).where(_item.id == newer.id).values(state="decided", root=item_id, asks=0))
    if newer.root != newer.id:
        _settle(connection, newer.root)


def _tell_pairs(connection: Connection, told: Sequence[tuple[str, str]], together: bool, who: str) -> None:
    moment = now()
    rows = [{"one": one, "other": other, "together": together, "who": who, "created": moment} for one, other in told]
    connection.execute(insert(review_pairs), rows)
