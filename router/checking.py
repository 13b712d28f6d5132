"""A model's draft is checked before it is sent: each statement must be supported by a passage that it cites.

- A statement that cites is held against the passages it cites, taken together. If those do not support it but another
  passage does, its citation is mended to that one (and counted).
- A statement that cites nothing is held against each passage; the best one that supports it becomes its citation.
- What no passage supports is left out, and so is what contradicts its passage: another number, a name or flag that is
  not there, a negation more or less, an opposite, two things that changed places, the value of another thing than the
  question names.
- A heading, "Yes.", or a sentence that ends in a colon claims little by itself: it stays when what follows it stays,
  as long as it contradicts nothing.

What is left has its citations counted from 1 again. Nothing left means: abstain.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

from router import facts, prompt, units, wording
from router.binding import of_another
from router.claims import Evidence, Weight, contradictions, features, nearest, tokens_of, weight_of
from router.ports import Analyser
from router.types import UnitKind


class Entailment(Protocol):
    """A model that says how probable it is, 0..1, that `hypothesis` is true where `premise` is. Called once or twice a
    statement that nothing contradicts, with the units nearest to it; its word then replaces that of the features. None:
    both are more than it can read, and the features decide. Called on several threads at a time. Raises
    `GeneratorUnavailable`."""

    def __call__(self, premise: str, hypothesis: str) -> float | None: ...


@dataclass(frozen=True, slots=True)
class SupportModel:
    """Features of a statement (`router.claims.MEANING`) → the probability that its passages support it.

    Fitted by `python -m tests.bench.checking --fit`. line: statements below it are not sent. data, quality: what it was
    fitted on, and its figures on the half that it did not see.
    """

    names: tuple[str, ...]
    coefficients: tuple[float, ...]
    intercept: float
    line: float
    data: Mapping[str, int] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)

    def probability(self, values: Mapping[str, float]) -> float:
        rows = zip(self.names, self.coefficients, strict=True)
        odds = self.intercept + sum(weight * values[name] for name, weight in rows)
        return 1.0 / (1.0 + math.exp(-max(min(odds, 30.0), -30.0)))

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> SupportModel:
        """Raises KeyError or TypeError when `raw` is not one."""
        return cls(**{**raw, "names": tuple(raw["names"]), "coefficients": tuple(raw["coefficients"])})


class Verdict(StrEnum):
    SUPPORTED = "supported"
    MENDED = "mended"  # supported, but by another passage than it cited
    FRAME = "frame"  # claims little by itself
    UNSUPPORTED = "unsupported"
    CONTRADICTED = "contradicted"


MEANING = {
    "claims_supported": "share of what the draft claims that its passages support",
    "claims_weakest": "how sure the least sure statement that was kept is",
    "claims_mean": "how sure the statements that were kept are, their mean",
    "claims_as_cited": "share of the claims that are supported by the very passages that the model cited for them",
}
"""What each support feature of a checked draft says; all are in 0..1."""

COUNTED = {
    "citations_invented": "citations of passages that there are not, taken out of the draft",
    "citations_mended": "sentences that another passage supports than they cited; they cite that one now",
}
"""What was put right in a draft, in numbers: for the trace and for who watches a model, not for the confidence."""
ENTAILED = 0.5  # probability from which an entailment model's word counts as yes
_WIDE = "\u2e80"  # where the scripts that are written without spaces begin
_STANDS = frozenset({Verdict.SUPPORTED, Verdict.MENDED})


@dataclass(frozen=True, slots=True)
class Statement:
    """A piece of a draft. text: without markup and citations. cited: numbers as the draft has them, invented ones left
    out. frame: claims little by itself. step: an item of a numbered list. code: nothing can be written into it."""

    start: int
    end: int
    text: str
    cited: tuple[int, ...]
    frame: bool
    step: bool
    code: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """One statement's verdict. cited: the passages that support it, as the draft numbers them. probability: that they
    do, 0..1. against: what contradicts (see `router.claims.contradictions`; "of another": see `router.binding`)."""

    statement: Statement
    verdict: Verdict
    cited: tuple[int, ...]
    probability: float
    against: tuple[str, ...] = ()
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """text: what may be sent, its citations counted from 1; "" when nothing may be, or when the draft is a refusal.

    passages: for citation n of `text`, the number (from 1) of the passage in the prompt, at n - 1.
    invented: citations of passages that there are not. refused: the draft is the canonical refusal.
    support: features for `router.confidence`, see `MEANING`; empty where nothing is claimed.
    """

    text: str
    statements: tuple[Checked, ...]
    passages: tuple[int, ...]
    invented: int
    refused: bool
    support: Mapping[str, float]


def check(
    draft: str,
    passages: Sequence[str],
    analyse: Analyser,
    model: SupportModel,
    entails: Entailment | None = None,
    weight: Weight = weight_of,
    question: str = "",
) -> Result:
    """passages: as the model saw them, in the order of their numbers. weight: how much a token says, for example its
    idf in the index. question: what the draft answers; without it nobody knows whose value a bare value is."""
    if is_refusal(draft):
        return Result("", (), (), 0, True, {})
    clean, invented = prompt.without_invented(draft, len(passages))
    evidence = [Evidence.of(passage, analyse) for passage in passages]
    asked = frozenset(tokens_of(question, analyse))
    judge = _Judge(evidence, analyse, model, entails, weight, question, asked)
    judged = [judge.of(statement) for statement in statements(clean)]
    judged = [replace(one, kept=kept) for one, kept in zip(judged, _kept(judged), strict=True)]
    text, numbers = _assembled(clean, judged)
    return Result(text, tuple(judged), numbers, invented, False, _support(judged))


def counts(result: Result) -> dict[str, float]:
    """By the names of `COUNTED`."""
    mended = sum(one.verdict is Verdict.MENDED for one in result.statements)
    return {"citations_invented": float(result.invented), "citations_mended": float(mended)}


def is_refusal(draft: str) -> bool:
    """Whether a draft says the canonical refusal, in either language, and nothing else; citations and the marks at its
    ends apart."""
    said = wording.normalise(prompt.without_citations(draft).strip(" \t\n\"'“”「」`*"))
    return any(said == wording.normalise(refusal) for refusal in wording.REFUSAL.values())


# --- the statements of a draft ----------------------------------------------------------------------------------------

_MARKERS = re.compile(rf"[ \t]*(?:{prompt.CITATION}[ \t]*)+[.。;；,，]?")
_STOP_AND_MARKERS = re.compile(rf"[.!?](?:[ \t]*{prompt.CITATION})+(?=\s)")
_NUMBERED = re.compile(r"\d{1,3}[.)、]")
_ANNOUNCES = (":", "：")
_BARE_ANSWER = re.compile(r"\W*(?:yes|no|sure|是的?|不是的?|可以|不可以|能|不能|会|不会|对|没有)?\W*", re.IGNORECASE)


def statements(draft: str) -> list[Statement]:
    """The sentences, items and code blocks of a draft, in order; a table is one statement. Citations behind a full
    stop belong to the sentence that it ends."""
    return [_statement(draft, kind, start, end) for kind, start, end in _pieces(draft)]


def _pieces(draft: str) -> Iterator[tuple[UnitKind, int, int]]:
    waiting: tuple[UnitKind, int, int] | None = None
    for kind, start, end in _cut(draft):
        leading = _MARKERS.match(draft, start, end)
        if leading and waiting and kind is not UnitKind.ROW:
            waiting = (waiting[0], waiting[1], start + len(leading[0].rstrip()))
            start = leading.end()
        if start >= end:
            continue
        if waiting and kind is waiting[0] is UnitKind.ROW:
            waiting = (kind, waiting[1], end)
            continue
        if waiting:
            yield waiting
        waiting = (kind, start, end)
    if waiting:
        yield waiting


def _cut(draft: str) -> Iterator[tuple[UnitKind, int, int]]:
    """The units of a draft, its sentences also cut behind "stop.[1] "."""
    for part, start, end in units.parts(draft):
        kind = part or UnitKind.ROW  # the header of a table
        if kind is UnitKind.SENTENCE:
            for found in _STOP_AND_MARKERS.finditer(draft, start, end):
                yield kind, start, found.end()
                start = found.end() + len(draft[found.end() : end]) - len(draft[found.end() : end].lstrip())
        if start < end:
            yield kind, start, end


def _statement(draft: str, kind: UnitKind, start: int, end: int) -> Statement:
    raw = draft[start:end]
    text = units.plain(prompt.without_citations(raw)).strip()
    frame = kind is UnitKind.HEADING or text.endswith(_ANNOUNCES) or bool(_BARE_ANSWER.fullmatch(text))
    step = kind is UnitKind.ITEM and _NUMBERED.match(text)
    if step:
        text = text[step.end() :].lstrip()
    return Statement(start, end, text, prompt.citations_of(raw), frame, bool(step), kind is UnitKind.CODE)


# --- the verdicts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Judge:
    evidence: Sequence[Evidence]
    analyse: Analyser
    model: SupportModel
    entails: Entailment | None
    weight: Weight
    question: str
    asked: frozenset[str]

    def of(self, statement: Statement) -> Checked:
        if statement.frame:
            return self._frame(statement)
        tokens = tokens_of(statement.text, self.analyse)
        first = self._confirmed(self._held(statement, tokens, statement.cited)) if statement.cited else None
        if first and first.verdict is Verdict.SUPPORTED:
            return first
        alone = ((number,) for number in range(1, len(self.evidence) + 1))
        held = [self._held(statement, tokens, numbers) for numbers in alone if numbers != statement.cited]
        best = max(held, key=lambda one: (one.verdict is Verdict.SUPPORTED, one.probability), default=None)
        best = self._confirmed(best) if best else None
        if best and best.verdict is Verdict.SUPPORTED:
            return replace(best, verdict=Verdict.MENDED) if first else best
        return self._explained(first or best or Checked(statement, Verdict.UNSUPPORTED, (), 0.0), tokens)

    def _explained(self, checked: Checked, tokens: Sequence[str]) -> Checked:
        """What is not supported is also looked at for what contradicts, to be able to say why."""
        if checked.verdict is not Verdict.UNSUPPORTED or not checked.cited:
            return checked
        against = self._against(checked.statement, tokens, self._evidence(checked.cited))
        return replace(checked, verdict=Verdict.CONTRADICTED, against=against) if against else checked

    def _frame(self, statement: Statement) -> Checked:
        """Its numbers must stand somewhere all the same."""
        known = frozenset().union(*(one.quantities for one in self.evidence))
        if facts.missing_quantities(facts.quantities(statement.text), known):
            return Checked(statement, Verdict.CONTRADICTED, (), 0.0, ("number",))
        return Checked(statement, Verdict.FRAME, (), 1.0)

    def _held(self, statement: Statement, tokens: Sequence[str], numbers: tuple[int, ...]) -> Checked:
        """The statement beside these passages together, by its words."""
        evidence = self._evidence(numbers)
        likely = self.model.probability(features(statement.text, tokens, evidence, self.weight))
        if likely < self.model.line and self.entails is None:
            return Checked(statement, Verdict.UNSUPPORTED, numbers, likely)
        against = self._against(statement, tokens, evidence)
        if against:
            return Checked(statement, Verdict.CONTRADICTED, numbers, likely, against)
        verdict = Verdict.SUPPORTED if likely >= self.model.line else Verdict.UNSUPPORTED
        return Checked(statement, verdict, numbers, likely)

    def _against(self, statement: Statement, tokens: Sequence[str], evidence: Evidence) -> tuple[str, ...]:
        found = contradictions(statement.text, tokens, evidence, self.analyse, self.weight)
        other = self.question and of_another(self.question, statement.text, tokens, self.asked, evidence)
        return (*found, "of another") if other else found

    def _confirmed(self, checked: Checked) -> Checked:
        """The entailment model's word instead, where there is one and nothing contradicts."""
        if self.entails is None or checked.verdict is Verdict.CONTRADICTED:
            return checked
        evidence, text = self._evidence(checked.cited), checked.statement.text
        weights = {token: self.weight(token) for token in tokens_of(text, self.analyse)}
        premise = "\n".join(evidence.units[place] for place in sorted(nearest(weights, evidence)))
        likely = self.entails(premise, text)
        if likely is None:
            return checked
        verdict = Verdict.SUPPORTED if likely >= ENTAILED else Verdict.UNSUPPORTED
        return replace(checked, verdict=verdict, probability=likely)

    def _evidence(self, numbers: tuple[int, ...]) -> Evidence:
        return Evidence.together([self.evidence[number - 1] for number in numbers])


# --- what is left -----------------------------------------------------------------------------------------------------


def _kept(judged: Sequence[Checked]) -> list[bool]:
    """A numbered list is kept whole or left out whole: steps with one missing are worse than none. A frame stays with
    what it frames."""
    kept = [one.verdict in _STANDS for one in judged]
    for first, last in _lists(judged):
        kept[first:last] = [all(kept[first:last])] * (last - first)
    for at in range(len(judged) - 1, -1, -1):
        if judged[at].verdict is Verdict.FRAME:
            kept[at] = any(kept[at + 1 : at + 1 + _framed(judged, at)])
    return kept


def _lists(judged: Sequence[Checked]) -> Iterator[tuple[int, int]]:
    """Runs of numbered items, each as its first place and the one after its last."""
    first = None
    for at, one in enumerate(judged):
        if one.statement.step and first is None:
            first = at
        elif not one.statement.step and first is not None:
            yield first, at
            first = None
    if first is not None:
        yield first, len(judged)


def _framed(judged: Sequence[Checked], at: int) -> int:
    """How many of the following statements a frame speaks of: up to the next frame, at least one; "Yes." one."""
    if _BARE_ANSWER.fullmatch(judged[at].statement.text):
        return 1
    following = 0
    for one in judged[at + 1 :]:
        if one.verdict is Verdict.FRAME:
            break
        following += 1
    return max(following, 1)


def _assembled(draft: str, judged: Sequence[Checked]) -> tuple[str, tuple[int, ...]]:
    """The text of what is kept, and the passages it cites, in the order of their new numbers."""
    places = [at for at, one in enumerate(judged) if one.kept]
    cited = tuple(dict.fromkeys(number for at in places for number in judged[at].cited))
    numbers = {number: at for at, number in enumerate(cited, 1)}
    out: list[str] = []
    for before, at in zip([None, *places], places, strict=False):
        if before is not None:
            out.append(_between(draft, judged, before, at))
        out.append(_shown(draft, judged[at], numbers))
    return _without_strays("".join(out).strip(), len(cited)), cited


def _without_strays(text: str, passages: int) -> str:
    """What was code in the draft may read as a citation once its neighbours are gone: none names what is not cited."""
    gone = 1
    while gone:  # taking one away can make another
        text, gone = prompt.without_invented(text, passages)
    return text


def _between(draft: str, judged: Sequence[Checked], before: int, at: int) -> str:
    between = draft[judged[before].statement.end : judged[at].statement.start]
    if at == before + 1 and not between.strip():
        return between
    wide = judged[at].statement.text[:1] >= _WIDE
    return "\n" if "\n" in between else "" if wide else " "


def _shown(draft: str, one: Checked, numbers: Mapping[int, int]) -> str:
    """A statement with the citations it ended up with, in front of its full stop if the draft has none."""
    raw = draft[one.statement.start : one.statement.end]
    if one.cited == one.statement.cited or one.statement.code:
        return prompt.renumbered(raw, numbers)[0]
    bare = prompt.without_citations(raw).rstrip()
    marks = "".join(f"[{numbers[number]}]" for number in one.cited)
    if not marks:
        return bare
    if bare.endswith("|"):  # a table: the line below it
        return f"{bare}\n\n{marks}"
    stop = len(bare) - len(bare.rstrip(".。!！?？;；"))
    body, end = (bare[:-stop], bare[-stop:]) if stop else (bare, "")
    return f"{body}{'' if body[-1:] >= _WIDE else ' '}{marks}{end}"


def _support(judged: Sequence[Checked]) -> dict[str, float]:
    claims = [one for one in judged if not one.statement.frame]
    if not claims:
        return {}
    likely = [one.probability for one in judged if one.kept and one.verdict in _STANDS]
    return {
        "claims_supported": sum(one.verdict in _STANDS for one in claims) / len(claims),
        "claims_weakest": min(likely, default=0.0),
        "claims_mean": sum(likely) / len(likely) if likely else 0.0,
        "claims_as_cited": sum(one.verdict is Verdict.SUPPORTED and bool(one.statement.cited) for one in claims)
        / len(claims),
    }
