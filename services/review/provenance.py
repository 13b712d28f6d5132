"""Approved answers never outlive their source: what cites a passage that is gone is looked at before it is sent again.
The evidence of verdicts follows in the same way; where it is gone, it teaches nothing any more.

A passage's id is its words under its headings, so the passages that changed between two index versions are a set
difference of ids: nothing is compared but what is gone. Where the words of the evidence still stand in the document,
the citation moves to the passage that holds them; else the entry goes stale and comes to people with both texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from indexer.content import Content, Facts
from router.errors import NotFound
from router.types import Citation, CuratedEntry, EntryStatus, Passage
from services.store.review_records import Verdict

_COMPARED = 40  # passages of a document that are compared in full with the one that is gone
_SHOWN = 4_000  # characters of either text; a passage is rarely half as long


@dataclass(frozen=True, slots=True)
class Moved:
    """A citation whose words still stand, now in another passage."""

    before: Citation
    after: Citation


@dataclass(frozen=True, slots=True)
class Gone:
    """A citation whose words do not stand in its document any more. old: the passage's text, where the version before
    is still there, else the quote. nearest: what stands in its place, None when nothing of the document does."""

    citation: Citation
    old: str
    nearest: Passage | None

    def to_json(self) -> dict[str, Any]:
        near, cited = self.nearest, self.citation
        return {
            "source": cited.source,
            "heading": cited.heading,
            "quote": cited.quote,
            "passage_id": cited.passage_id,
            "old": self.old[:_SHOWN],
            "new": near.text[:_SHOWN] if near else "",
            "new_heading": " > ".join(near.heading) if near else "",
            "new_passage": near.id if near else "",
        }


@dataclass(frozen=True, slots=True)
class Affected:
    """An entry that cites what is gone. It is stale when `gone` holds anything, else only its citations moved."""

    entry: CuratedEntry
    moved: tuple[Moved, ...]
    gone: tuple[Gone, ...]

    def renewed(self) -> CuratedEntry:
        by = {one.before: one.after for one in self.moved}
        cited = tuple(by.get(citation, citation) for citation in self.entry.citations)
        return replace(self.entry, citations=cited, status=EntryStatus.STALE if self.gone else self.entry.status)


def examine(entries: Iterable[CuratedEntry], now: Path, before: Path | None) -> list[Affected]:
    """The live entries that cite a passage which the index does not hold. now, before: the content files of the index
    version to serve and of the one before it; without that one, an old text is only as much as was quoted."""
    live = [entry for entry in entries if entry.status is EntryStatus.LIVE and entry.citations]
    cited = {one.passage_id for entry in live for one in entry.citations if one.passage_id}
    with ExitStack() as stack:
        content = stack.enter_context(closing(Content(now)))
        missing = cited - content.known(cited)
        if not missing:
            return []
        old = stack.enter_context(closing(Content(before))) if before is not None and before.is_file() else None
        shelf = _Shelf(content, old.by_id(missing) if old else {})
        return [shelf.affected(entry, missing) for entry in live if _cites(entry.citations, missing)]


def moved_evidence(verdicts: Iterable[Verdict], now: Path) -> dict[str, tuple[Moved, ...]]:
    """By the id of a verdict: its citations that stand in another passage of the index version. now: its content file.
    Evidence that is gone is not named: the verdict keeps what it rested on."""
    resting = [one for one in verdicts if one.citations]
    cited = {citation.passage_id for one in resting for citation in one.citations if citation.passage_id}
    with closing(Content(now)) as content:
        missing = cited - content.known(cited)
        shelf = _Shelf(content, {}) if missing else None
        looked = {one.id: shelf.moved(one.citations, missing) for one in resting} if shelf else {}
    return {name: moved for name, moved in looked.items() if moved}


def whole(content_file: Path, passage_ids: Sequence[str]) -> tuple[Citation, ...]:
    """Passages as evidence, each with all it says. Raises `NotFound` for one that the index version does not hold."""
    with closing(Content(content_file)) as content:
        found, facts = content.by_id(passage_ids), content.facts()
    gone = [one for one in passage_ids if one not in found]
    if gone:
        raise NotFound(f"the served index holds no passage {gone[0]!r}; `answerloop search --json` shows their ids")
    return tuple(_whole(found[one], facts) for one in dict.fromkeys(passage_ids))


def _whole(passage: Passage, facts: Facts) -> Citation:
    revision, _, aliases = facts.get(passage.document, ("", None, ()))
    heading = " > ".join(passage.heading)
    return Citation(passage.id, passage.document, heading, passage.text, passage.start, passage.end, revision, aliases)


def _cites(citations: Iterable[Citation], missing: set[str]) -> bool:
    return any(one.passage_id in missing for one in citations)


class _Shelf:
    """The documents of the new version as they are needed; several entries cite the same page."""

    def __init__(self, content: Content, old: Mapping[str, Passage]) -> None:
        self._content, self._old = content, old
        self._facts = content.facts()
        self._documents: dict[str, Sequence[Passage]] = {}

    def affected(self, entry: CuratedEntry, missing: set[str]) -> Affected:
        moved = self.moved(entry.citations, missing)
        still = {one.before for one in moved}
        lost = [one for one in entry.citations if one.passage_id in missing and one not in still]
        return Affected(entry, moved, tuple(self._gone(one) for one in lost))

    def moved(self, citations: Iterable[Citation], missing: set[str]) -> tuple[Moved, ...]:
        """Those whose passage is missing and whose words still stand."""
        looked = (self._moved(one) for one in citations if one.passage_id in missing)
        return tuple(one for one in looked if one is not None)

    def _moved(self, citation: Citation) -> Moved | None:
        quote = citation.quote.strip()
        holder = next((one for one in self._passages(citation) if quote and quote in one.text), None)
        return None if holder is None else Moved(citation, self._cited(citation, holder, quote))

    def _gone(self, citation: Citation) -> Gone:
        old = self._old.get(citation.passage_id)
        text = old.text if old else citation.quote
        return Gone(citation, text, _nearest(self._passages(citation), citation.heading, text))

    def _passages(self, citation: Citation) -> Sequence[Passage]:
        """Of the document, or of the same page under another name."""
        for path in (citation.source, *citation.aliases):
            if path not in self._documents:
                self._documents[path] = self._content.of_document(path)
            if self._documents[path]:
                return self._documents[path]
        return ()

    def _cited(self, old: Citation, holder: Passage, quote: str) -> Citation:
        revision, _, aliases = self._facts.get(holder.document, (old.revision, None, old.aliases))
        start = holder.start + holder.text.index(quote)
        heading = " > ".join(holder.heading)
        return Citation(holder.id, holder.document, heading, quote, start, start + len(quote), revision, aliases)


def _nearest(passages: Sequence[Passage], heading: str, text: str) -> Passage | None:
    """What stands in its place: of the same section if that is there, the one whose text is most alike."""
    same = [one for one in passages if " > ".join(one.heading) == heading]
    rated = [(_likeness(text, one.text), -at, one) for at, one in enumerate((same or list(passages))[:_COMPARED])]
    return max(rated, key=lambda one: one[:2])[2] if rated else None


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one[:_SHOWN], other[:_SHOWN], autojunk=False).quick_ratio()
