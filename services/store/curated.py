"""Curated answers as an append-only list of versions. Functions here take an open transaction.

Every edit, of one entry or of a whole file, is one revision: a number that grows by one. A version is never changed
afterwards, so what the store held at any revision can always be read again, and going back is an edit like any other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, Subquery, and_, func, insert, select

from router.errors import Conflict, NotFound
from router.types import CuratedEntry
from services.store import audit
from services.store.codec import decode_entry, dumps
from services.store.records import CuratedChange, CuratedDelta, CuratedEdit, CuratedPage, CuratedVersion, now
from services.store.tables import curated_heads, curated_revisions, curated_versions
from services.store.traces import storable
from services.store.upsert import per_dialect

_AT_ONCE = 500  # ids in one statement: databases bound the number of parameters
_SHOWN = 50  # entries of a large edit that the audit log names; the versions have them all

_MOVE_HEAD = per_dialect(
    curated_heads,
    lambda put: put.on_conflict_do_update(index_elements=["entry_id"], set_={"version": put.excluded.version}),
)
_HEADS: Select[Any] = select(curated_versions).join(
    curated_heads,
    and_(
        curated_heads.c.entry_id == curated_versions.c.entry_id, curated_heads.c.version == curated_versions.c.version
    ),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An edit to make. What is the same already is left alone, and an id to delete that is not there is no error."""

    put: tuple[CuratedEntry, ...] = ()
    delete: tuple[str, ...] = ()


Plan = Callable[[Mapping[str, CuratedVersion]], Wanted]
"""From the newest versions by id, deleted ones included, to what is wanted. Runs inside the transaction."""


# Reading


def head(connection: Connection) -> int:
    """The newest revision; 0 before the first edit."""
    return connection.execute(select(func.max(curated_revisions.c.revision))).scalar_one() or 0


def get(connection: Connection, entry_id: str) -> CuratedVersion:
    found = latest(connection, [entry_id]).get(entry_id)
    if found is None or found.deleted:
        raise NotFound(f"no curated entry {entry_id!r}")
    return found


def latest(connection: Connection, ids: Collection[str] | None = None) -> dict[str, CuratedVersion]:
    """The newest version of each of these ids (None: of all), deleted ones included."""
    if ids is None:
        return _by_id(connection.execute(_HEADS))
    found: dict[str, CuratedVersion] = {}
    wanted = list(ids)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        found |= _by_id(connection.execute(_HEADS.where(curated_versions.c.entry_id.in_(some))))
    return found


def at(connection: Connection, revision: int) -> dict[str, CuratedVersion]:
    """What the store held at a revision, by id, in the order in which the entries were last changed."""
    last = _last_versions(0, revision)
    rows = connection.execute(_chosen(last).where(~curated_versions.c.deleted))
    return _by_id(rows)


def entries_at(connection: Connection, revision: int | None) -> CuratedDelta:
    """All of them, as a difference to nothing. None: the newest revision."""
    newest = head(connection)
    wanted = newest if revision is None else revision
    if not 0 <= wanted <= newest:
        raise NotFound(f"no curated revision {wanted}; the newest is {newest}")
    return CuratedDelta(wanted, tuple(version.entry for version in at(connection, wanted).values()))


def since(connection: Connection, revision: int) -> CuratedDelta:
    """What is different at the head from what it was at `revision`, entries changed and changed back included."""
    newest = head(connection)  # what is committed while we read belongs to the next look
    found = _by_id(connection.execute(_chosen(_last_versions(revision, newest))))
    changed = tuple(version.entry for version in found.values() if not version.deleted)
    return CuratedDelta(newest, changed, tuple(id for id, version in found.items() if version.deleted))


def page(connection: Connection, text: str, status: str | None, limit: int, offset: int) -> CuratedPage:
    """What was changed last comes first. text: what id, questions or answer must hold, in any case or width."""
    wanted = [~curated_versions.c.deleted]
    if text:
        wanted.append(curated_versions.c.search.contains(_folded(text), autoescape=True))
    if status is not None:
        wanted.append(curated_versions.c.status == status)
    matching = _HEADS.where(*wanted)
    total = connection.execute(select(func.count()).select_from(matching.subquery())).scalar_one()
    rows = connection.execute(matching.order_by(curated_versions.c.seq.desc()).limit(limit).offset(offset))
    return CuratedPage(tuple(_version(row) for row in rows), total, head(connection))


def history(connection: Connection, entry_id: str, limit: int, offset: int) -> list[CuratedVersion]:
    """Newest first. Raises `NotFound` for an id that never was."""
    query = select(curated_versions).where(curated_versions.c.entry_id == entry_id)
    rows = connection.execute(query.order_by(curated_versions.c.version.desc()).limit(limit).offset(offset))
    found = [_version(row) for row in rows]
    if not found and not latest(connection, [entry_id]):
        raise NotFound(f"no curated entry {entry_id!r}, and there never was")
    return found


def version_of(connection: Connection, entry_id: str, version: int) -> CuratedVersion:
    """Raises `NotFound`."""
    wanted = (curated_versions.c.entry_id == entry_id, curated_versions.c.version == version)
    row = connection.execute(select(curated_versions).where(*wanted)).one_or_none()
    if row is None:
        raise NotFound(f"no version {version} of the curated entry {entry_id!r}")
    return _version(row)


def saying(connection: Connection, text: str) -> list[CuratedVersion]:
    """The entries that hold a text, in any case or width."""
    holds = curated_versions.c.search.contains(_folded(text), autoescape=True)
    return [_version(row) for row in connection.execute(_HEADS.where(~curated_versions.c.deleted, holds))]


# Writing


def create(connection: Connection, entry: CuratedEntry, who: str) -> CuratedEdit:
    """Raises `Conflict` when the id is taken. The id of a deleted entry may be used again."""
    there = latest(connection, [entry.id]).get(entry.id)
    if there is not None and not there.deleted:
        raise Conflict(f"there is a curated entry {entry.id!r} already")
    return edit(connection, lambda _: Wanted(put=(entry,)), who, "create", [entry.id])


def update(connection: Connection, entry: CuratedEntry, version: int, who: str) -> CuratedEdit:
    """Raises `NotFound`, and `Conflict` when somebody changed the entry after `version`."""
    _check_version(get(connection, entry.id), version)
    return edit(connection, lambda _: Wanted(put=(entry,)), who, "update", [entry.id])


def delete(connection: Connection, entry_id: str, version: int | None, who: str) -> CuratedEdit:
    """version: None deletes whichever is there. Raises as `update`."""
    _check_version(get(connection, entry_id), version)
    return edit(connection, lambda _: Wanted(delete=(entry_id,)), who, "delete", [entry_id])


def revert(connection: Connection, revision: int, who: str) -> CuratedEdit:
    """Makes the head hold what it held at `revision`, as a new revision. Raises `NotFound` for one that never was."""
    then = entries_at(connection, revision).changed
    kept = {entry.id for entry in then}

    def back(current: Mapping[str, CuratedVersion]) -> Wanted:
        return Wanted(then, tuple(id for id in current if id not in kept))

    return edit(connection, back, who, f"revert to {revision}")


def edit(connection: Connection, plan: Plan, who: str, what: str, ids: Collection[str] | None = None) -> CuratedEdit:
    """Does what the plan wants as one revision with its line in the audit log; no revision where nothing changes.

    ids: those that the plan may look at and change; None: all.
    """
    there = latest(connection, ids)
    wanted, revision = plan(there), head(connection)
    changes = tuple(_changes(wanted, there, revision + 1, who))
    if not changes:
        return CuratedEdit(revision)
    facts = {"created": changes[0].after.created, "who": who, "what": what, "changed": len(changes)}
    connection.execute(insert(curated_revisions).values(revision=revision + 1, **facts))
    connection.execute(insert(curated_versions), [_as_row(change.after) for change in changes])
    heads = [{"entry_id": change.after.entry.id, "version": change.after.version} for change in changes]
    connection.execute(_MOVE_HEAD[connection.dialect.name], heads)
    _audit(connection, who, what, revision + 1, changes)
    return CuratedEdit(revision + 1, changes)


def _changes(wanted: Wanted, there: Mapping[str, CuratedVersion], revision: int, who: str) -> Iterable[CuratedChange]:
    moment = now()
    for entry in wanted.put:
        old = there.get(entry.id)
        if old is None or old.deleted or old.entry != entry:
            number = old.version + 1 if old else 1
            before = old if old and not old.deleted else None
            yield CuratedChange(before, CuratedVersion(entry, number, revision, moment, who))
    for id in wanted.delete:
        old = there.get(id)
        if old is not None and not old.deleted:
            yield CuratedChange(old, CuratedVersion(old.entry, old.version + 1, revision, moment, who, deleted=True))


def _check_version(there: CuratedVersion, expected: int | None) -> None:
    if expected is not None and there.version != expected:
        raise Conflict(
            f"the entry {there.entry.id!r} is at version {there.version} (by {there.who}), not {expected}; "
            "read it again and repeat the change"
        )


def _audit(connection: Connection, who: str, what: str, revision: int, changes: Sequence[CuratedChange]) -> None:
    """The entries themselves for one change; for many, which ones: their versions are kept anyway."""
    if len(changes) == 1:
        before, after = changes[0].before, changes[0].after
        then = before.entry if before else None
        current = None if after.deleted else {"revision": revision, "entry": after.entry}
        audit.write(connection, who, f"curated.{what.split()[0]}", then, current or {"revision": revision})
        return
    named = [change.after.entry.id for change in changes[:_SHOWN]]
    facts = {"revision": revision, "what": what, "changed": len(changes), "entries": named}
    audit.write(connection, who, f"curated.{what.split()[0]}", {"revision": revision - 1}, facts)


def _last_versions(after: int, until: int) -> Subquery:
    """The number of the last version of each entry that changed in the revisions after+1 … until."""
    changed = curated_versions.c
    query = select(changed.entry_id, func.max(changed.version).label("version"))
    return query.where(changed.revision > after, changed.revision <= until).group_by(changed.entry_id).subquery()


def _chosen(last: Subquery) -> Select[Any]:
    same = and_(last.c.entry_id == curated_versions.c.entry_id, last.c.version == curated_versions.c.version)
    return select(curated_versions).join(last, same).order_by(curated_versions.c.seq)


def _as_row(version: CuratedVersion) -> dict[str, Any]:
    entry = version.entry
    texts = (entry.id, entry.question, *entry.variants, entry.answer)
    return {
        "entry_id": entry.id,
        "version": version.version,
        "revision": version.revision,
        "status": entry.status.value,
        "deleted": version.deleted,
        "created": version.created,
        "who": version.who,
        "search": _folded("\n".join(texts)),
        "payload": dumps(entry),
    }


def _folded(text: str) -> str:
    return storable(unicodedata.normalize("NFKC", text).casefold())


def _by_id(rows: Iterable[Row[Any]]) -> dict[str, CuratedVersion]:
    return {row.entry_id: _version(row) for row in rows}


def _version(row: Row[Any]) -> CuratedVersion:
    entry = decode_entry(row.payload)
    return CuratedVersion(entry, row.version, row.revision, row.created, row.who, bool(row.deleted))
