"""Claims, verdicts and what they do, each in ONE transaction. Functions here take an open transaction.

All writers of all processes stand in one line (`engine.take_write_lock`), so what is read here is still so when it is
written: two reviewers cannot decide one item, and a request that is sent twice is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, insert, select, update

from router.errors import Conflict, NotFound
from router.types import Answer, Citation, CuratedEntry
from services.store import audit, curated, doubts, outbox, retractions, review_opening, reviews
from services.store.codec import decode_citations, decode_trace, dumps, loads
from services.store.records import CuratedVersion, QueuedItem, now, stamp
from services.store.review_records import Doubted, HeldTrace, Judgement, Verdict, VerdictKind, VerdictState
from services.store.tables import review_items, review_verdicts
from services.store.traces import SENT

_WRITTEN = 50  # traces that a verdict looks at; the others asked the same


@dataclass(frozen=True, slots=True)
class Opened:
    """An item about to be decided. questions: its wordings, the first asked first. traces: the newest."""

    item: QueuedItem
    questions: tuple[str, ...]
    traces: tuple[HeldTrace, ...]

    @property
    def sent(self) -> tuple[Answer, ...]:
        """What was answered without a person, each text once, the newest first."""
        answers = (held.trace.answer for held in self.traces if held.trace.answer.route in SENT)
        return tuple({answer.text: answer for answer in answers}.values())


Write = Callable[[Opened, Judgement, Callable[[str], CuratedVersion | None]], CuratedEntry | None]
"""The curated entry that a verdict makes, given a way to look entries up; None for none. May raise `InvalidInput`."""


@dataclass(frozen=True, slots=True)
class Rules:
    """lease_s: how long a claim holds. second_from: items of this risk and more need two reviewers; 0: none does."""

    lease_s: float = 900.0
    second_from: float = 0.0

    def two(self, risk: float) -> bool:
        return 0 < self.second_from <= risk


# Claims


def claim(connection: Connection, item_id: str, who: str, rules: Rules) -> QueuedItem:
    """Claiming again makes the lease longer. Raises `NotFound`, and `Conflict` when somebody else has it, or it is
    decided."""
    row = _free(connection, item_id, who)
    until = stamp(datetime.now(UTC) + timedelta(seconds=rules.lease_s))
    claimed = {"state": "claimed", "claimed_by": who, "lease_until": until}
    _set(connection, row.id, **claimed)
    audit.write(connection, who, "review.claim", _shown(row), claimed, row.id)
    return reviews.get(connection, row.id)


def release(connection: Connection, item_id: str, who: str) -> QueuedItem:
    """Raises `NotFound`, and `Conflict` when somebody else has it, or it is decided."""
    row = _free(connection, item_id, who)
    _set(connection, row.id, state="pending", claimed_by=None, lease_until=None)
    audit.write(connection, who, "review.release", _shown(row), {"state": "pending"}, row.id)
    return reviews.get(connection, row.id)


def _free(connection: Connection, item_id: str, who: str) -> Row[Any]:
    row = reviews.row_of(connection, item_id)
    if row.state == "decided":
        raise Conflict(f"the item {row.id!r} is decided already")
    if not reviews.pending(row) and row.claimed_by != who:
        raise Conflict(f"{row.claimed_by} works on the item {row.id!r} until {row.lease_until}")
    return row


# Verdicts


def decide(
    connection: Connection, item_id: str, judgement: Judgement, who: str, key: str, rules: Rules, write: Write
) -> Verdict:
    """key: of the request; the same one again gives what it gave. Raises `NotFound`, `InvalidInput`, and `Conflict`
    when somebody else has the item, or it is decided."""
    known = by_request(connection, key)
    if known is not None:
        return _same(known, reviews.row_of(connection, item_id).id, judgement)
    row = _free(connection, item_id, who)
    opened = look(connection, row)
    waiting = proposal(connection, row.id)
    if waiting is not None and waiting.who == who:
        raise Conflict(f"another reviewer has to confirm the verdict {waiting.id!r} on this item")
    made = _new(opened, judgement, who, key)
    if waiting is not None:
        put(connection, replace(waiting, state=VerdictState.REPLACED))
    if rules.two(row.risk):
        return _propose(connection, row, made)
    return _apply(connection, row, opened, made, write)


def confirm(connection: Connection, item_id: str, who: str, rules: Rules, write: Write) -> Verdict:
    """The second reviewer agrees. Raises `NotFound` where nothing is proposed, and `Conflict` for the first one."""
    row = _free(connection, item_id, who)
    waiting = proposal(connection, row.id)
    if waiting is None:
        raise NotFound(f"no verdict on the item {row.id!r} waits to be confirmed")
    if waiting.who == who and rules.two(row.risk):
        raise Conflict("a second reviewer has to confirm it: somebody else than the first")
    return _apply(connection, row, look(connection, row), replace(waiting, second=who), write)


def undo(connection: Connection, item_id: str, who: str) -> Verdict:
    """The item is open again and its curated entry what it was. Raises `NotFound` where there is nothing to undo, and
    `Conflict` when the entry was changed since."""
    row = reviews.row_of(connection, item_id)
    last = next((one for one in of_item(connection, row.id) if one.state is VerdictState.FINAL), None)
    if last is None or row.state != "decided":
        raise NotFound(f"the item {row.id!r} is not decided, so there is nothing to undo")
    _restore_entry(connection, last, who)
    doubts.lift(connection, last.doubted, who)
    for retraction_id in last.retraction_ids:
        retractions.lift(connection, retraction_id, who)
    undone = replace(last, state=VerdictState.UNDONE)
    put(connection, undone)
    review_opening.reopen(connection, row.id)
    audit.write(connection, who, "review.undo", {"state": "decided", "verdict": last}, {"state": "pending"}, row.id)
    _tell(connection, "item.reopened", undone)
    return undone


def look(connection: Connection, row: Row[Any]) -> Opened:
    held = reviews.held(connection, row.id, _WRITTEN)
    traces = tuple(HeldTrace(decode_trace(one.payload), one.cause, one.probability) for one in held)
    questions = tuple(dict.fromkeys(one.question for one in reviews.wordings(connection, row.id)))
    return Opened(reviews.queued(row), questions, traces)


def _new(opened: Opened, judgement: Judgement, who: str, key: str) -> Verdict:
    item = opened.item.item
    return Verdict(
        uuid4().hex,
        item.id,
        key,
        VerdictState.PROPOSED,
        who,
        now(),
        judgement,
        item.question,
        item.language,
        questions=opened.questions,
        judged=tuple(answer.text for answer in opened.sent),
    )


def _propose(connection: Connection, row: Row[Any], made: Verdict) -> Verdict:
    put(connection, made)
    _set(connection, row.id, state="pending", claimed_by=None, lease_until=None)
    audit.write(connection, made.who, "review.propose", _shown(row), {"state": "pending", "verdict": made}, row.id)
    return made


def _apply(connection: Connection, row: Row[Any], opened: Opened, made: Verdict, write: Write) -> Verdict:
    who = made.second or made.who
    final = replace(made, state=VerdictState.FINAL)
    final = _recalled(connection, opened, final, who)
    final = _written(connection, opened, final, who, write)
    doubted = doubts.cast(connection, opened.item, opened.traces, final.judgement, who)
    final = replace(final, doubted=doubted)
    put(connection, final)
    decided = {"state": "decided", "claimed_by": who, "lease_until": None, "updated": now()}
    connection.execute(update(review_items).where(review_items.c.root == row.id).values(decided))
    audit.write(connection, who, "review.verdict", _shown(row), {"state": "decided", "verdict": final}, row.id)
    _tell(connection, "item.resolved", final)
    return final


def _recalled(connection: Connection, opened: Opened, verdict: Verdict, who: str) -> Verdict:
    """Before the entry is written: an entry that says the wrong thing is retired, and then it may be corrected."""
    if not verdict.judgement.retract:
        return verdict
    reason = verdict.judgement.comment or f"verdict {verdict.judgement.kind}"
    sent = {held.trace.answer.text: held.trace for held in opened.traces if held.trace.answer.route in SENT}
    made = [retractions.retract(connection, trace, who, reason, reopen=False) for trace in sent.values()]
    return replace(verdict, retraction_ids=tuple(one.id for one in made))


def _written(connection: Connection, opened: Opened, verdict: Verdict, who: str, write: Write) -> Verdict:
    def find(entry_id: str) -> CuratedVersion | None:
        found = curated.latest(connection, [entry_id]).get(entry_id)
        return None if found is None or found.deleted else found

    entry = write(opened, verdict.judgement, find)
    answer, citations = _for_askers(opened, verdict.judgement, entry)
    told = replace(verdict, answer=answer, citations=citations)
    if entry is None:
        return told
    before = find(entry.id)
    edit = curated.edit(connection, lambda _: curated.Wanted(put=(entry,)), who, "verdict", [entry.id])
    last = before.version if before else None
    after = edit.changes[0].after.version if edit.changes else last
    return replace(told, entry_id=entry.id, before=last, after=after)


def _for_askers(opened: Opened, judgement: Judgement, entry: CuratedEntry | None) -> tuple[str, tuple[Citation, ...]]:
    if judgement.kind is VerdictKind.DUPLICATE and entry is not None:
        return entry.answer, entry.citations
    if judgement.answer:
        return judgement.answer, entry.citations if entry else judgement.evidence
    if judgement.kind is VerdictKind.CORRECT:
        if entry is not None:
            return entry.answer, entry.citations
        return next(((answer.text, answer.citations) for answer in opened.sent), ("", ()))
    return "", ()


def _restore_entry(connection: Connection, verdict: Verdict, who: str) -> None:
    if not verdict.entry_id or verdict.after == verdict.before:
        return
    there = curated.latest(connection, [verdict.entry_id]).get(verdict.entry_id)
    if there is None or there.version != verdict.after:
        raise Conflict(f"the entry {verdict.entry_id!r} was changed after this verdict; change it there instead")
    if verdict.before is None:
        wanted = curated.Wanted(delete=(verdict.entry_id,))
    else:
        retired = (name for one in verdict.retraction_ids for name in retractions.get(connection, one).entries)
        before = verdict.before - (verdict.entry_id in retired)  # called back first, by the very verdict
        wanted = curated.Wanted(put=(curated.version_of(connection, verdict.entry_id, before).entry,))
    curated.edit(connection, lambda _: wanted, who, "undo verdict", [verdict.entry_id])


def _tell(connection: Connection, event: str, verdict: Verdict) -> None:
    told = [{"id": one.id, "session_id": one.session_id} for one in reviews.held(connection, verdict.item_id)]
    about = {
        "item_id": verdict.item_id,
        "verdict": verdict.judgement.kind.value,
        "question": verdict.question,
        "answer": verdict.answer,
        "entry_id": verdict.entry_id,
    }
    outbox.put_each(connection, event, about, told)


# Reading


def get(connection: Connection, verdict_id: str) -> Verdict:
    row = connection.execute(select(review_verdicts).where(review_verdicts.c.id == verdict_id)).one_or_none()
    if row is None:
        raise NotFound(f"no verdict {verdict_id!r}")
    return _verdict(row)


def by_request(connection: Connection, key: str) -> Verdict | None:
    row = connection.execute(select(review_verdicts).where(review_verdicts.c.request_key == key)).one_or_none()
    return None if row is None else _verdict(row)


def of_item(connection: Connection, item_id: str) -> list[Verdict]:
    """Newest first."""
    query = select(review_verdicts).where(review_verdicts.c.item_id == item_id).order_by(review_verdicts.c.seq.desc())
    return [_verdict(row) for row in connection.execute(query)]


def proposal(connection: Connection, item_id: str) -> Verdict | None:
    found = [one for one in of_item(connection, item_id) if one.state is VerdictState.PROPOSED]
    return found[0] if found else None


def final(connection: Connection, limit: int | None = None, offset: int = 0) -> list[Verdict]:
    """Those in force, the oldest first."""
    query = select(review_verdicts).where(review_verdicts.c.state == VerdictState.FINAL.value)
    rows = connection.execute(query.order_by(review_verdicts.c.seq).limit(limit).offset(offset))
    return [_verdict(row) for row in rows]


def final_on(connection: Connection, items: Collection[str]) -> list[Verdict]:
    """Those in force on these items, the oldest first; the others are not taken apart, which is what costs."""
    query = select(review_verdicts).where(review_verdicts.c.state == VerdictState.FINAL.value)
    rows = connection.execute(query.order_by(review_verdicts.c.seq))
    return [_verdict(row) for row in rows if row.item_id in items]


def _same(known: Verdict, item_id: str, judgement: Judgement) -> Verdict:
    if known.item_id != item_id or known.judgement != judgement:
        raise Conflict("this request key was used for another verdict")
    return known


def put(connection: Connection, verdict: Verdict) -> None:
    """New, or another than before."""
    values = {
        "id": verdict.id,
        "item_id": verdict.item_id,
        "request_key": verdict.request_key,
        "state": verdict.state.value,
        "kind": verdict.judgement.kind.value,
        "who": verdict.who,
        "created": verdict.created,
        "payload": dumps(verdict),
    }
    there = select(review_verdicts.c.seq).where(review_verdicts.c.id == verdict.id)
    if connection.execute(there).first() is None:
        connection.execute(insert(review_verdicts).values(values))
    else:
        connection.execute(update(review_verdicts).where(review_verdicts.c.id == verdict.id).values(values))


def _verdict(row: Row[Any]) -> Verdict:
    raw = loads(row.payload)
    said = raw["judgement"]
    lists = {name: tuple(said[name]) for name in ("variants", "negatives")}
    kind, evidence = VerdictKind(said["kind"]), decode_citations(said["evidence"])
    known = {name: value for name, value in raw.items() if name in Verdict.__slots__}
    known["judgement"] = Judgement(**{**said, **lists, "kind": kind, "evidence": evidence})
    known["citations"] = decode_citations(raw["citations"])
    known |= {name: tuple(raw.get(name, ())) for name in ("judged", "questions", "retraction_ids")}
    known["doubted"] = tuple(Doubted(**one) for one in raw.get("doubted", ()))
    return Verdict(**{**known, "state": VerdictState(row.state)})


def _set(connection: Connection, item_id: str, **values: Any) -> None:
    connection.execute(update(review_items).where(review_items.c.id == item_id).values(**values, updated=now()))


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {"state": row.state, "claimed_by": row.claimed_by, "lease_until": row.lease_until}
