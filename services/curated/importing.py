"""A file of curated entries into the store, as one edit: new ones are added, known ones (by id) brought up to date.

What a row does not say stays as it is, so a list of questions and answers that is imported again leaves the variants
alone that people added meanwhile. Importing the same file twice changes nothing the second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from router.curated_text import normal_form
from router.errors import InvalidInput
from router.types import Citation, CuratedEntry, EntryStatus
from services.curated.checks import checked, checked_id, id_for
from services.curated.exchange import Parsed, Row, SkippedRow, parse
from services.curated.vocabulary import packaged_guards
from services.store.curated import Wanted
from services.store.curated_store import CuratedStore
from services.store.records import CuratedVersion

LISTED = 200  # skipped rows and duplicates that a report shows; the counts are of all


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An entry of the file that asks, in the same words, what another entry asks: only one of them can answer."""

    line: int
    id: str
    question: str
    same_as: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """revision: of the store afterwards. changed: ids of entries created or updated."""

    revision: int
    created: int
    updated: int
    unchanged: int
    skipped: tuple[SkippedRow, ...]
    duplicates: tuple[Duplicate, ...]
    fields_left_out: tuple[str, ...]
    changed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "revision": str(self.revision),
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "skipped_total": len(self.skipped),
            "skipped": [asdict(row) for row in self.skipped[:LISTED]],
            "duplicates_total": len(self.duplicates),
            "duplicates": [asdict(one) for one in self.duplicates[:LISTED]],
            "fields_left_out": list(self.fields_left_out[:LISTED]),
        }


async def import_entries(
    store: CuratedStore, content: bytes, format: str, who: str, strict: bool = False
) -> ImportReport:
    """Raises `InvalidInput` when the file cannot be read at all, or, if `strict`, when any row cannot; then nothing
    is changed."""
    parsed = await asyncio.to_thread(parse, content, format)
    merge = _Merge(parsed)

    def plan(there: Mapping[str, CuratedVersion]) -> Wanted:
        merge.run(there)
        if strict and merge.skipped:
            first = merge.skipped[0]
            raise InvalidInput(f"{len(merge.skipped)} rows cannot be imported; line {first.line}: {first.reason}")
        return Wanted(tuple(entry for _, entry in merge.entries.values()))

    edit = await store.edit(plan, who, "import")
    created = sum(change.before is None for change in edit.changes)
    return ImportReport(
        revision=edit.revision,
        created=created,
        updated=len(edit.changes) - created,
        unchanged=len(merge.entries) - len(edit.changes),
        skipped=tuple(sorted(merge.skipped, key=lambda row: row.line)),
        duplicates=await asyncio.to_thread(merge.duplicates),
        fields_left_out=parsed.left_out,
        changed=tuple(change.after.entry.id for change in edit.changes),
    )


@dataclass(slots=True)
class _Merge:
    """Rows beside what is in the store (`there`). entries: id → (line, entry)."""

    parsed: Parsed
    entries: dict[str, tuple[int, CuratedEntry]] = field(default_factory=dict)
    skipped: list[SkippedRow] = field(default_factory=list)
    there: Mapping[str, CuratedVersion] = field(default_factory=dict)

    def run(self, there: Mapping[str, CuratedVersion]) -> None:
        """Inside the transaction, so no more than must be."""
        self.entries, self.skipped, self.there = {}, list(self.parsed.skipped), there
        for row in self.parsed.rows:
            try:
                self._add(row)
            except InvalidInput as exc:
                self.skipped.append(SkippedRow(row.line, str(exc)))

    def _add(self, row: Row) -> None:
        entry_id = _id_of(row)
        if entry_id in self.entries:
            raise InvalidInput(f"line {self.entries[entry_id][0]} is the same entry ({entry_id}) already")
        known = self.there.get(entry_id)
        entry = merged(row.fields, entry_id, known.entry if known and not known.deleted else None)
        self.entries[entry_id] = (row.line, entry)

    def duplicates(self) -> tuple[Duplicate, ...]:
        return tuple(self._same_questions())

    def _same_questions(self) -> Iterator[Duplicate]:
        """Against what the store holds now: what the file does not touch, and the lines before."""
        key = _normal_form()
        first = {
            key(version.entry.question): id
            for id, version in self.there.items()
            if not version.deleted and id not in self.entries and version.entry.status is not EntryStatus.RETIRED
        }
        for entry_id, (line, entry) in self.entries.items():
            same_as = first.setdefault(key(entry.question), entry_id)
            if same_as != entry_id:
                yield Duplicate(line, entry_id, entry.question, same_as)


def _normal_form() -> Callable[[str], str]:
    words = packaged_guards().wording
    return lambda question: normal_form(question, words)


def _id_of(row: Row) -> str:
    if str(row.fields.get("id", "")).strip():
        return checked_id(row.fields["id"])
    return id_for(row.fields.get("question", ""))


def merged(fields: Mapping[str, Any], entry_id: str, known: CuratedEntry | None) -> CuratedEntry:
    """The entry that a row makes of the one that is known. Raises `InvalidInput`."""
    base = known or CuratedEntry(entry_id, "", "")
    return checked(
        CuratedEntry(
            entry_id,
            fields.get("question", base.question),
            fields.get("answer", base.answer),
            tuple(fields.get("variants", base.variants)),
            tuple(fields.get("negatives", base.negatives)),
            _citations(fields, base.citations),
            _status(fields.get("status", ""), base.status),
        )
    )


def _status(raw: str, known: EntryStatus) -> EntryStatus:
    wanted = raw.strip().lower()
    if not wanted:
        return known
    if wanted not in list(EntryStatus):
        raise InvalidInput(f"the status {raw!r} is none of {', '.join(EntryStatus)}")
    return EntryStatus(wanted)


def _citations(fields: Mapping[str, Any], known: tuple[Citation, ...]) -> tuple[Citation, ...]:
    """`citations` says all; a mere source, heading or URL says where the answer comes from, and does not replace what
    is known more exactly about the same place."""
    source, heading, url = (fields.get(name, "").strip() for name in ("source", "heading", "url"))
    listed = fields.get("citations")
    if listed or not (source or url):
        return known if listed is None else tuple(citation_from(raw) for raw in listed)
    place = source or url
    if any(citation.source == place and heading in ("", citation.heading) for citation in known):
        return known
    return (Citation("", place, heading, "", 0, 0, "", (url,) if source and url else ()),)


_TEXTS = ("passage_id", "source", "heading", "quote", "revision")
_NUMBERS = ("start", "end")


def citation_from(raw: Mapping[str, Any]) -> Citation:
    """Raises `InvalidInput` for a field of the wrong type; a field that is missing is empty."""
    texts = {name: raw.get(name, "") for name in _TEXTS}
    numbers = {name: raw.get(name, 0) for name in _NUMBERS}
    aliases = raw.get("aliases", [])
    fits = (
        all(isinstance(value, str) for value in texts.values())
        and all(type(value) is int for value in numbers.values())
        and isinstance(aliases, list | tuple)
        and all(isinstance(alias, str) for alias in aliases)
    )
    if not fits:
        raise InvalidInput(f"a citation cannot be read: {dict(raw)!r}"[:200])
    return Citation(**texts, **numbers, aliases=tuple(aliases))
