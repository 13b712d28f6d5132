"""Documents, curated entries and verdicts to examples: READ FIRST of the dataset.

Everything is decided by content and hashes, so the same inputs give the same rows in the same order, bytes included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from router import facts, wording
from router.prompt import without_citations
from router.types import CuratedEntry, EntryStatus, Passage, Trace
from services.review.decisions import Decided
from services.training import negatives, questions
from services.training.cleaning import Cleaned, clean
from services.training.guarding import differences
from services.training.neighbours import Neighbours
from services.training.proposing import Writer, changed, propose, reword
from services.training.records import Context, Example, Made, Rejected, Split
from services.training.splits import Assigned, assign, keys_of
from services.training.variants import Variant, variants

SHOWN = 4  # passages a row shows, evidence and distractors
_LOOKED_AT = 48  # nearest passages among which distractors are looked for: in a manual, many hold the same values
MISSES = 0.25
"""Share of questions that also get a row with their passage withheld: refusing must stay the rarer thing. The gates of
promotion look at both sides."""

SPANS = 2
EDITED = "the entry that it wrote has been edited since, and is in the dataset in its place"
INFERRED = f"it has a number that must be inferred, because no passage says it, and cites fewer than {SPANS} places"


@dataclass(frozen=True, slots=True)
class Inputs:
    """revision: of the documents. ledger: of the dataset before, see `splits.assign`. liked: answers that were sent and
    whose askers said that they helped. writer: a model that proposes questions and wordings, where there is one.
    reviewed: only what people approved or decided, with its variants and the refusals."""

    passages: Sequence[Passage]
    revision: str
    curated: Sequence[CuratedEntry] = ()
    decisions: Sequence[Decided] = ()
    ledger: Mapping[str, Split] = field(default_factory=dict)
    liked: Sequence[Trace] = ()
    writer: Writer | None = None
    reviewed: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """rejected: rows that are not in it. refused: variants that would have asked something else."""

    assigned: Assigned
    cleaned: Cleaned
    rejected: tuple[Rejected, ...]
    refused: tuple[Rejected, ...]


def build(inputs: Inputs) -> Built:
    maker = _Maker(inputs)
    asked = [*maker.curated(), *maker.decided()]
    if not inputs.reviewed:
        asked += [*maker.conversations(), *maker.rules(), *maker.proposed()]
    varied = [*asked, *maker.variants(asked)]
    cleaned = clean(varied, differences)
    rows = [maker.beside(one) for one in cleaned.rows]
    rows = [replace(one, rejected=one.rejected or negatives.rejected_alternatives(one, rows)) for one in rows]
    late = _late(rows, inputs)
    early = [one for one in rows if one.cluster not in late]
    early += [*maker.far(early), *maker.negatives(early)]
    known = {one.cluster for one in early}
    fresh = [one for one in rows if one.cluster in late]
    fresh += [one for one in maker.negatives(fresh) if one.cluster not in known]
    held = _quarantined(fresh, inputs.ledger)
    kept = [one for one in fresh if one.cluster not in held]
    assigned = assign([*early, *kept], {**inputs.ledger, **_trained(kept, inputs.ledger)})
    return Built(assigned, cleaned, (*assigned.rejected, *maker.rejected, *held.values()), tuple(maker.refused))


def _late(rows: Iterable[Example], inputs: Inputs) -> frozenset[str]:
    """Clusters that people decided after the dataset before: their verdicts, and the entries that these wrote."""
    if not inputs.ledger:
        return frozenset()
    asked = {wording.normalise(text) for one in inputs.decisions for text in (one.question, *one.variants)}
    decided = {
        one.cluster for one in rows if one.reviewer or (one.reviewed and wording.normalise(one.question) in asked)
    }
    return frozenset(one for one in decided if f"cluster {one}" not in inputs.ledger)


def _quarantined(fresh: Iterable[Example], ledger: Mapping[str, Split]) -> dict[str, Rejected]:
    """New verdicts that rest on what the current test set rests on: they may not touch it, nor be trained on."""
    return {
        one.cluster: Rejected(one.question, one.cluster, "a new verdict about a section of the test set")
        for one in sorted(fresh, key=lambda one: not one.parent)  # named by its first asking, not by a variant
        if any(ledger.get(key) is Split.TEST for key in keys_of(one))
    }


def _trained(fresh: Iterable[Example], ledger: Mapping[str, Split]) -> dict[str, Split]:
    """The others are trained on, where no earlier dataset says what becomes of what they rest on: no hash may put them
    into the current test set."""
    tied = {one.cluster for one in fresh for key in keys_of(one) if key in ledger}
    return {f"cluster {one.cluster}": Split.TRAIN for one in fresh if one.cluster not in tied}


class _Maker:
    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._passages = {one.id: one for one in inputs.passages}
        self._near = Neighbours(inputs.passages)
        self.rejected: list[Rejected] = []
        self.refused: list[Rejected] = []

    def curated(self) -> Iterator[Example]:
        for entry in self._inputs.curated:
            if entry.status is EntryStatus.LIVE:
                ids = tuple(dict.fromkeys(citation.passage_id for citation in entry.citations))
                yield from self._reviewed(entry.question, entry, ids)

    def _reviewed(self, question: str, entry: CuratedEntry, ids: Sequence[str]) -> Iterator[Example]:
        cluster = f"curated-{entry.id}"
        language = wording.language_of(question)
        evidence = self._evidence(ids or self._found(question, entry.answer), entry.answer)
        if not evidence:
            gone = "a passage that it cites is not in the documents any more"
            nowhere = "it cites no passage, and none holds its answer: it would teach answering without evidence"
            self.rejected.append(Rejected(question, cluster, nowhere if evidence is not None else gone))
            return
        cited = {(one.passage_id, one.start, one.end) for one in entry.citations}
        if must_be_inferred(entry.answer, evidence) and len(cited) < SPANS:
            self.rejected.append(Rejected(question, cluster, INFERRED))
            return
        for asked in (question, *entry.variants):
            made = _example(asked, entry.answer, language, cluster, Made.CURATED, evidence, self._inputs.revision)
            yield replace(made, reviewed=True, verdict="approved")

    def decided(self) -> Iterator[Example]:
        answers = {one.id: one.answer for one in self._inputs.curated}
        for one in self._inputs.decisions:
            if one.answer and answers.get(one.entry_id, one.answer) != one.answer:
                self.rejected.append(Rejected(one.question, one.cluster, EDITED))
                continue
            evidence = self._evidence(one.evidence, one.answer)
            if evidence is None or (one.answer and not evidence):
                why = "its evidence is not in the documents any more" if one.evidence else "it names no evidence"
                self.rejected.append(Rejected(one.question, one.cluster, why))
                continue
            if must_be_inferred(one.answer, evidence) and len(evidence) < SPANS:
                self.rejected.append(Rejected(one.question, one.cluster, INFERRED))
                continue
            for asked in (one.question, *one.variants):
                yield self._decided(one, asked, evidence)

    def _decided(self, one: Decided, asked: str, evidence: tuple[Context, ...]) -> Example:
        if not one.answer:
            row = negatives.refusal(asked, one.language, Made.NEAR_DOMAIN, one.cluster, self._shown(asked))
        else:
            row = _example(asked, one.answer, one.language, one.cluster, Made.VERDICT, evidence, self._inputs.revision)
        own = _identity(row.id, one.cluster, ())  # the entry that it wrote makes a row of the same content
        return replace(row, id=own, reviewed=True, verdict=one.verdict, reviewer=one.reviewer, rejected=one.wrong)

    def conversations(self) -> Iterator[Example]:
        """Whole questions of conversations, with the last answer that an asker said helped; those that people decided
        are theirs. Unreviewed: askers seldom know what is right, so the answer must also stand in what it cites."""
        asked = {wording.normalise(one.standalone or one.question.text): one for one in self._inputs.liked}
        for key in sorted(asked.keys() - self._settled()):
            trace = asked[key]
            question, answer = trace.standalone or trace.question.text, without_citations(trace.answer.text).strip()
            cluster = "conversation-" + sha256(key.encode()).hexdigest()[:16]
            evidence = self._evidence(tuple(dict.fromkeys(one.passage_id for one in trace.answer.citations)), answer)
            if not evidence or not any(negatives.holds_answer(one.text, answer) for one in evidence):
                reason = "what it cites is not in the documents any more, or does not hold its answer"
                self.rejected.append(Rejected(question, cluster, reason))
                continue
            yield _example(
                question, answer, trace.language, cluster, Made.CONVERSATION, evidence, self._inputs.revision
            )

    def _settled(self) -> set[str]:
        """Questions that people answered."""
        people = [(one.question, one.variants) for one in self._inputs.curated]
        people += [(one.question, one.variants) for one in self._inputs.decisions]
        return {wording.normalise(text) for question, variants in people for text in (question, *variants)}

    def rules(self) -> Iterator[Example]:
        return self._from_documents(questions.from_passages(self._inputs.passages), Made.RULE)

    def proposed(self) -> Iterator[Example]:
        if self._inputs.writer is None:
            return iter(())
        found, refused = propose(self._inputs.passages, self._near, self._inputs.writer)
        self.rejected += refused
        return self._from_documents(found, Made.MODEL)

    def _from_documents(self, found: Iterable[questions.Candidate], made: Made) -> Iterator[Example]:
        for one in found:
            evidence = (_context(one.passage, one.start, one.end),)
            cluster = f"{made}-" + sha256(f"{one.passage.id}\n{one.question}".encode()).hexdigest()[:16]
            row = _example(
                one.question, one.answer, one.passage.language, cluster, made, evidence, self._inputs.revision
            )
            yield replace(row, method=one.rule)

    def variants(self, asked: Iterable[Example]) -> Iterator[Example]:
        rows = list(asked)
        written = (
            reword([one for one in rows if not one.refuses], self._near, writer)
            if (writer := self._inputs.writer)
            else {}
        )
        for parent in rows:
            said = written.get(parent.id)
            more = [Variant(said, "model", changed(parent.question, said))] if said else []
            kept, refused = variants(parent.question, parent.language, differences, more)
            self.refused += [Rejected(one.question, parent.cluster, why) for one, why in refused]
            for one in kept:
                identity = _identity(one.question, parent.answer, parent.context)
                yield replace(
                    parent,
                    id=identity,
                    question=one.question,
                    made=parent.made if parent.refuses else Made.VARIANT,  # another wording of a refusal refuses
                    reviewed=False,
                    parent=parent.id,
                    method=parent.method,
                    differences=(one.method, *one.differences),
                )

    def beside(self, row: Example) -> Example:
        """With distractors that provably lack the answer, and the evidence at a place that a hash decides. As many as a
        refusal has, or a model would learn to refuse by counting."""
        if row.refuses:
            return row
        own = {one.passage_id for one in row.context}
        others = [one for one in self._shown(row.question, _LOOKED_AT) if one.passage_id not in own]
        lacking = [one for one in others if not negatives.may_answer(one, row)]
        shown = [*row.context, *lacking[: max(SHOWN - len(row.context), 0)]]
        shown.sort(key=lambda one: sha256(f"{row.id}\n{one.passage_id}".encode()).digest())
        return replace(row, context=tuple(shown))

    def far(self, rows: Iterable[Example]) -> list[Example]:
        """Of the languages that the rows are in."""
        languages = sorted({one.language for one in rows})
        return [row for language in languages for row in negatives.far(language, self._shown)]

    def negatives(self, rows: Iterable[Example]) -> list[Example]:
        """From first askings only: their variants would be negatives of each other."""
        out: list[Example] = []
        for row in rows:
            if row.parent or row.refuses or not _chosen(row, MISSES):
                continue
            without = [one for one in row.context if not one.evidence]
            found = (
                negatives.retrieval_miss(row, without),
                negatives.near_domain(row, self._near.knows, self._shown),
                negatives.false_premise(row, self._shown(row.question)),
            )
            out += [one for one in found if one]
        return list({one.id: one for one in out}.values())

    def _shown(self, question: str, limit: int = SHOWN) -> list[Context]:
        return [_context(passage, 0, 0) for passage in self._near.nearest(question, limit)]

    def _found(self, question: str, answer: str) -> tuple[str, ...]:
        """The passage that holds the answer of an entry that cites none."""
        near = self._near.nearest(f"{question} {answer}", SHOWN * 2)
        return tuple(one.id for one in near if negatives.holds_answer(one.text, answer))[:1]

    def _evidence(self, ids: Sequence[str], answer: str) -> tuple[Context, ...] | None:
        """None when one of the passages is gone."""
        if any(one not in self._passages for one in ids):
            return None
        return tuple(_context(self._passages[one], *_span(self._passages[one].text, answer)) for one in ids)


def must_be_inferred(answer: str, evidence: Iterable[Context]) -> bool:
    """Whether the answer has a number that stands nowhere in its evidence: it was added up, or converted. That much of
    an inference can be told without reading; rules and models quote, so only what people decided can be one."""
    known = facts.quantities("\n".join(f"{one.heading}\n{one.text}" for one in evidence))
    return bool(facts.missing_quantities(facts.quantities(answer), known))


def _span(text: str, answer: str) -> tuple[int, int]:
    """Where the answer stands word for word, else the whole passage."""
    at = text.find(answer)
    return (at, at + len(answer)) if answer and at >= 0 else (0, len(text))


def _context(passage: Passage, start: int, end: int) -> Context:
    heading = " > ".join(passage.heading)
    return Context(passage.id, passage.document, heading, passage.text, end > start, start, end)


def _example(
    question: str,
    answer: str,
    language: str,
    cluster: str,
    made: Made,
    context: tuple[Context, ...],
    revision: str,
) -> Example:
    identity = _identity(question, answer, context)
    return Example(identity, question, answer, language, cluster, made, context, revision=revision)


def _identity(question: str, answer: str, context: Sequence[Context]) -> str:
    parts = [question, answer, *(one.passage_id for one in context)]
    return sha256("\n".join(parts).encode()).hexdigest()[:32]


def _chosen(row: Example, share: float) -> bool:
    return int.from_bytes(sha256(f"miss {row.cluster}".encode()).digest()[:4], "big") < share * 2**32
