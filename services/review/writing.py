"""The curated entry that a verdict makes. Pure: the store calls it inside the verdict's transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from router import wording
from router.errors import InvalidInput, NotFound
from router.types import CuratedEntry, EntryStatus, How
from services.curated.checks import checked, id_for
from services.store.doubts import answered_by
from services.store.records import CuratedVersion
from services.store.review_records import Judgement, VerdictKind
from services.store.verdicts import Opened

Find = Callable[[str], CuratedVersion | None]

_ANSWERED = frozenset({VerdictKind.CORRECTED, VerdictKind.INCOMPLETE})


def entry_of(opened: Opened, judgement: Judgement, find: Find) -> CuratedEntry | None:
    """The entry as it is to be, None for none. Raises `InvalidInput` for a verdict that lacks what its kind needs,
    `NotFound` for an entry that is not there."""
    if judgement.kind is VerdictKind.DUPLICATE:
        return _with_wordings(_existing(judgement.entry_id, find), opened, judgement)
    if judgement.kind is VerdictKind.CORRECT:
        return _approved(opened, judgement, find)
    if judgement.kind is VerdictKind.CORRECTED and not judgement.answer.strip():
        raise InvalidInput("the verdict `corrected` needs the right answer")
    if judgement.kind in _ANSWERED and judgement.answer.strip() and judgement.curate is not False:
        return _written(opened, judgement, find)
    return None


def _approved(opened: Opened, judgement: Judgement, find: Find) -> CuratedEntry | None:
    """A stale entry is confirmed; an answer that was sent becomes an entry only where that is asked for."""
    entry_id = judgement.entry_id or opened.item.item.entry_id
    if entry_id:
        return _confirmed(_existing(entry_id, find), judgement)
    if not judgement.curate:
        return None
    if not opened.sent:
        raise InvalidInput("nothing was answered that could become a curated entry")
    sent = opened.sent[0]
    return _written(opened, replace(judgement, answer=sent.text, evidence=judgement.evidence or sent.citations), find)


def _confirmed(entry: CuratedEntry, judgement: Judgement) -> CuratedEntry:
    """Its sources are what the reviewer names now."""
    cited = judgement.evidence or entry.citations
    return checked(replace(entry, citations=cited, status=EntryStatus.LIVE))


def _written(opened: Opened, judgement: Judgement, find: Find) -> CuratedEntry:
    """A new entry, or the one that the item is about, with the reviewer's answer."""
    item = opened.item.item
    entry_id = judgement.entry_id or item.entry_id or _asked_by_name(opened) or id_for(item.question)
    found = find(entry_id)
    if found is None and judgement.entry_id:
        raise NotFound(f"no curated entry {judgement.entry_id!r}")
    base = found.entry if found else CuratedEntry(entry_id, item.question, "")
    answered = replace(base, answer=judgement.answer, citations=judgement.evidence, status=EntryStatus.LIVE)
    return _with_wordings(answered, opened, judgement)


def _asked_by_name(opened: Opened) -> str:
    """The entry whose very words were asked, and which answered; "" for none. Another one beside it would leave the
    answer that was corrected in force for its other wordings. One that was only near is right for its own question."""
    exact = (held for held in opened.traces if held.trace.curated.get("how") == How.EXACT)
    return next(filter(None, map(answered_by, exact)), "")


def _with_wordings(entry: CuratedEntry, opened: Opened, judgement: Judgement) -> CuratedEntry:
    """The item's own first wording is always among them: it was decided, so it is answered from now on."""
    known = {wording.normalise(text) for text in (entry.question, *entry.variants)}
    new = [text for text in (opened.item.item.question, *judgement.variants) if wording.normalise(text) not in known]
    fresh = tuple({wording.normalise(text): text for text in reversed(new)}.values())[::-1]
    asked = {wording.normalise(text) for text in (*entry.variants, *fresh, entry.question)}
    negatives = dict.fromkeys((*entry.negatives, *judgement.negatives))
    kept = tuple(text for text in negatives if wording.normalise(text) not in asked)
    return checked(replace(entry, variants=(*entry.variants, *fresh), negatives=kept))


def _existing(entry_id: str, find: Find) -> CuratedEntry:
    if not entry_id:
        raise InvalidInput("name the curated entry in `entry_id`")
    found = find(entry_id)
    if found is None:
        raise NotFound(f"no curated entry {entry_id!r}")
    return found.entry


def suggested(opened_question: str, questions: tuple[str, ...], apart: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Variants and negatives for a reviewer to take or leave: the other wordings of the item; and what looks like it
    but was kept apart. Citations are the reviewer's choice."""
    own = wording.normalise(opened_question)
    variants = {wording.normalise(text): text for text in questions if wording.normalise(text) != own}
    negatives = {wording.normalise(text): text for text in apart if wording.normalise(text) not in {own, *variants}}
    return list(variants.values()), list(negatives.values())
