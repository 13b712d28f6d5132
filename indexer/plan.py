"""What a new index version will hold: which documents, cut into which passages. No vectors yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from indexer import chunking, duplicates, sources
from indexer.content import Content, Stored
from indexer.parsing import ParseError
from indexer.sources import FileEntry, Limits, Source
from router.ports import Progress
from router.types import Location, Passage, Skipped

CountTokens = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True, slots=True)
class Plan:
    """skipped: with the content hash of what could not be parsed. parsed: how many documents were read anew."""

    documents: tuple[Stored, ...]
    passages: tuple[Passage, ...]
    skipped: tuple[tuple[Skipped, str | None], ...]
    parsed: int


@dataclass(frozen=True, slots=True)
class Scanned:
    entries: tuple[FileEntry, ...]
    skipped: tuple[Skipped, ...]
    revisions: Mapping[str, str | None]


def scan(home: Path, wanted: Sequence[Source], limits: Limits, own: Mapping[str, Limits]) -> Scanned:
    """List the files of every source. own: by source, where it has others than `limits`. Raises InvalidInput for a
    source that cannot be opened."""
    entries: list[FileEntry] = []
    skipped: list[Skipped] = []
    revisions = {}
    for source in wanted:
        opened = sources.open_source(source, home / "clones")
        found = sources.scan(opened, own.get(source.name, limits))
        entries.extend(found.entries)
        skipped.extend(found.skipped)
        revisions[source.name] = opened.commit
    return Scanned(tuple(entries), tuple(skipped), revisions)


def unchanged(scanned: Scanned, before: Content) -> bool:
    """Whether the parent was made from these very bytes."""
    known = {path: content_hash for path, (content_hash, _) in before.hashes().items()} | before.unreadable()
    current = {entry.document_path: _hash(entry) for entry in scanned.entries}
    listed = {(item.path, item.reason) for item in scanned.skipped}
    then = {(item.path, item.reason) for item in before.skipped() if item.path not in known}
    return current == known and listed == then


def plan(scanned: Scanned, before: Content | None, count_tokens: CountTokens, progress: Progress) -> Plan:
    """Parse what is new or changed, keep the rest; one of several nearly identical pages is cut into passages."""
    kept = {item.document.path: item for item in before.stored()} if before else {}
    documents: dict[str, Stored] = {}
    failed: list[tuple[Skipped, str | None]] = []
    parsed = 0
    for number, entry in enumerate(scanned.entries):
        old = kept.get(entry.document_path)
        if old and old.document.content_hash == _hash(entry):
            signature = (
                old.signature if duplicates.is_current(old.signature) else duplicates.signature(old.document.text)
            )
            documents[entry.document_path] = replace(old, signature=signature)
        else:
            parsed += 1
            try:
                document = sources.load(entry)
                documents[document.path] = Stored(document, duplicates.signature(document.text), None)
            except ParseError as error:
                failed.append((sources.skip(entry, error), _hash(entry)))
        progress("read", number + 1, len(scanned.entries))
    stored = _with_aliases(documents)
    passages = _passages(stored, kept, before, count_tokens, progress)
    skipped = (*((item, None) for item in scanned.skipped), *failed)
    return Plan(tuple(stored), tuple(passages), skipped, parsed)


def _hash(entry: FileEntry) -> str:
    """The content hash; "" for a file that cannot be read now (parsing it then says why)."""
    try:
        return entry.content_hash
    except ParseError:
        return ""


def _with_aliases(documents: Mapping[str, Stored]) -> list[Stored]:
    """Every document with the page that stands for it, and that page with its aliases."""
    same_as = duplicates.group(
        duplicates.Page(path, item.document.language, item.signature) for path, item in documents.items()
    )
    aliases: dict[str, list[str]] = {}
    for alias, canonical in same_as.items():
        aliases.setdefault(canonical, []).append(alias)
    return [
        Stored(replace(item.document, aliases=tuple(sorted(aliases.get(path, ())))), item.signature, same_as.get(path))
        for path, item in sorted(documents.items())
    ]


def _passages(
    documents: Sequence[Stored],
    kept: Mapping[str, Stored],
    before: Content | None,
    count_tokens: CountTokens,
    progress: Progress,
) -> list[Passage]:
    """The passages of all documents that are searched, each once, with the other places where it stands."""
    known = _by_document(before, {path: item.document.language for path, item in kept.items()}) if before else {}
    searched = [item.document for item in documents if item.same_as is None]
    every: list[Passage] = []
    for number, document in enumerate(searched):
        old = kept.get(document.path)
        if old and old.document.content_hash == document.content_hash and document.path in known:
            every.extend(known[document.path])
        else:
            every.extend(chunking.chunk(document, count_tokens))
        progress("cut", number + 1, len(searched))
    return _each_once(every)


def _by_document(before: Content, languages: Mapping[str, str]) -> dict[str, list[Passage]]:
    """Each document's passages as they were cut from it, also those that are kept where they stand first: what is in no
    language of its own has that of its document. languages: by document."""
    out: dict[str, list[Passage]] = {}
    for passage in before.all_passages():
        own = replace(passage, also_at=()) if passage.also_at else passage
        out.setdefault(own.document, []).append(own)
        for place in passage.also_at:
            language = chunking.language_of(own.text, languages[place.path])
            there = replace(own, document=place.path, start=place.start, end=place.end, language=language)
            out.setdefault(place.path, []).append(there)
    for passages in out.values():
        passages.sort(key=lambda passage: passage.start)
    return out


def _each_once(every: Sequence[Passage]) -> list[Passage]:
    places: dict[str, list[Passage]] = {}
    for passage in every:
        if passage.text.strip():
            places.setdefault(passage.id, []).append(passage)
    return [
        replace(first, also_at=tuple(Location(other.document, other.start, other.end) for other in others))
        if others
        else first
        for first, *others in places.values()
    ]
