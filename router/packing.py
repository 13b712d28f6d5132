"""Which passages go into a prompt, whole or condensed, counted by the model's own tokenizer.

First the template, the question and the answer are reserved; then passages go in whole, the best first; then what did
not fit goes in condensed, the best first. An over-long best passage has half of the room set aside for it. Passages
that must be there (a training row's gold) never lose evidence silently: `DoesNotFit` says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from router import facts
from router.condense import Condensed, Count, Span, condense, holds
from router.errors import InvalidInput
from router.ports import Analyser
from router.prompt import Message, Part, Prompt, Shot, Source, block, render
from router.survival import Survived, survived
from router.types import Hit, Passage

ChatCount = Callable[[Sequence[Message]], int]
"""Messages to the length of the whole prompt: the model's chat template and the opening of the reply included."""


class DoesNotFit(InvalidInput):
    """What must be in the prompt is longer than the window."""

    code = "does_not_fit"


COUNTED = {
    "passages_condensed": "passages that the model saw shortened, to fit into its window",
    "numbers_lost": "numbers of those passages that it did not see, in none that it was shown",
}
"""What a prompt had to do without, in numbers: for the trace, not for the confidence."""


class Form(StrEnum):
    WHOLE = "whole"
    CONDENSED = "condensed"


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """How the model counts. text: tokens of a piece of text. chat: of all messages; without it, the sum over their
    contents, which leaves out what a chat template adds."""

    text: Count
    chat: ChatCount | None = None

    def messages(self, messages: Sequence[Message]) -> int:
        return self.chat(messages) if self.chat else sum(self.text(message.content) for message in messages)


@dataclass(frozen=True, slots=True)
class Window:
    """tokens: prompt and answer together. answer: how many of them are reserved for the answer."""

    tokens: int
    answer: int

    @property
    def prompt(self) -> int:
        return self.tokens - self.answer


@dataclass(frozen=True, slots=True)
class Included:
    """A passage in the prompt. number: as it is cited. text: as the model sees it, before escaping. spans: what of the
    document it shows, as offsets in the document. survived: what is left of a condensed passage; None for a whole one.
    """

    number: int
    passage: Passage
    form: Form
    text: str
    spans: tuple[Span, ...]
    survived: Survived | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """tokens: of the prompt, at most `Window.prompt`. left_out: ids of the passages that found no room."""

    prompt: Prompt
    included: tuple[Included, ...]
    left_out: tuple[str, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked, and how. terms: the question's tokens with their idf, as in `SearchResult`. must_keep: passage id
    → spans of its text that the prompt must hold; no spans mean the whole passage. part: of a long answer."""

    question: str
    language: str
    terms: Mapping[str, float] = field(default_factory=dict)
    shots: tuple[Shot, ...] = ()
    must_keep: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    part: Part | None = None

    def rendered(self, sources: Sequence[Source]) -> Prompt:
        return render(self.question, sources, self.language, self.shots, part=self.part)


def pack(wanted: Wanted, hits: Sequence[Hit], window: Window, tokenizer: Tokenizer, analyse: Analyser) -> Packed:
    """A prompt of at most `window.prompt` tokens, passages numbered in the order of `hits`.

    No passage is included where none finds room. Raises `DoesNotFit` when the template and the question are too long
    by themselves, or when what must be kept is.
    """
    empty = wanted.rendered(())
    room = window.prompt - tokenizer.messages(empty.messages)
    if room < 0:
        raise DoesNotFit(f"the template and the question are {-room} tokens longer than the window of {window.prompt}")
    packer = _Packer(wanted, hits, tokenizer, analyse, room)
    packer.fill()
    return packer.rendered(window.prompt)


def counts(included: Sequence[Included]) -> dict[str, float]:
    """By the names of `COUNTED`."""
    reports = [one.survived for one in included if one.survived]
    lost = {number for one in reports for number in one.lost}.difference(*(facts.figures(one.text) for one in included))
    return {"passages_condensed": float(len(reports)), "numbers_lost": float(len(lost))}


class _Packer:
    """room: tokens left. shown: hit's place → its text in the prompt, whole where it is a passage's own text."""

    def __init__(self, wanted: Wanted, hits: Sequence[Hit], tokenizer: Tokenizer, analyse: Analyser, room: int) -> None:
        self.wanted, self.tokenizer, self.analyse, self.room = wanted, tokenizer, analyse, room
        self.passages = [hit.passage for hit in hits]
        self.texts = [_text(passage) for passage in self.passages]
        self.shown: dict[int, Condensed] = {}
        self.needed = [place for place, passage in enumerate(self.passages) if passage.id in wanted.must_keep]

    def fill(self) -> None:
        self._keep()
        rest = [place for place in range(len(self.passages)) if place not in self.shown]
        costs = {place: self._cost(place, self.texts[place]) for place in rest}
        aside = self.room // 2 if rest and not self.shown and costs[rest[0]] > self.room else 0
        for place in rest:
            if costs[place] <= self.room - aside:
                self._show(place, _whole(self.texts[place]), costs[place])
        for place in rest:
            if place not in self.shown:
                self._condense(place, self.room)

    def _keep(self) -> None:
        """What must be kept: whole if all of it fits, else each condensed into an equal part of the room."""
        costs = [self._cost(place, self.texts[place]) for place in self.needed]
        fits = sum(costs) <= self.room
        for at, (place, cost) in enumerate(zip(self.needed, costs, strict=True)):
            part = self.room // (len(self.needed) - at)
            if fits or cost <= part:
                self._show(place, _whole(self.texts[place]), cost)
            else:
                self._condense(place, part)
                self._check(place, part)

    def _check(self, place: int, part: int) -> None:
        passage, made = self.passages[place], self.shown.get(place)
        spans = self._evidence(place) or ((0, len(self.texts[place])),)
        if made is None or not all(holds(made, span) for span in spans):
            raise DoesNotFit(f"passage {passage.id} ({passage.document}): its evidence is longer than {part} tokens")

    def _evidence(self, place: int) -> tuple[Span, ...]:
        """Spans to keep, in the text as it is shown."""
        shift = _shift(self.passages[place])
        spans = self.wanted.must_keep.get(self.passages[place].id, ())
        return tuple((start + shift, end + shift) for start, end in spans)

    def _condense(self, place: int, room: int) -> None:
        budget = room - self._cost(place, "")
        if budget <= 0:
            return
        made = condense(
            self.texts[place], budget, self.tokenizer.text, self.analyse, self.wanted.terms, self._evidence(place)
        )
        if made.text:
            self._show(place, made, self._cost(place, made.text))

    def _show(self, place: int, made: Condensed, cost: int) -> None:
        self.shown[place] = made
        self.room -= cost

    def _cost(self, place: int, text: str) -> int:
        """Tokens of the passage's block, with the longest number that it may get."""
        return self.tokenizer.text(block(len(self.passages), Source(_title(self.passages[place]), text)) + "\n")

    def rendered(self, limit: int) -> Packed:
        """Counted whole: pieces together may be longer than the sum of their lengths. Then the last one goes."""
        while True:
            places = sorted(self.shown)
            sources = [Source(_title(self.passages[place]), self.shown[place].text) for place in places]
            prompt = self.wanted.rendered(sources)
            tokens = self.tokenizer.messages(prompt.messages)
            if tokens <= limit:
                return Packed(prompt, self._included(places), self._left_out(), tokens)
            spare = [place for place in places if place not in self.needed]
            if not spare:
                raise DoesNotFit(f"what must be kept makes a prompt of {tokens} tokens in a window of {limit}")
            del self.shown[spare[-1]]

    def _included(self, places: Sequence[int]) -> tuple[Included, ...]:
        return tuple(
            _included(number, self.passages[place], self.texts[place], self.shown[place])
            for number, place in enumerate(places, 1)
        )

    def _left_out(self) -> tuple[str, ...]:
        return tuple(passage.id for place, passage in enumerate(self.passages) if place not in self.shown)


def _included(number: int, passage: Passage, text: str, made: Condensed) -> Included:
    form = Form.CONDENSED if made.dropped or made.text != text else Form.WHOLE
    move = passage.start - _shift(passage)
    spans = ((max(start + move, passage.start), end + move) for start, end in made.kept)
    left = survived(text, made) if form is Form.CONDENSED else None
    return Included(number, passage, form, made.text, tuple(span for span in spans if span[1] > passage.start), left)


def _whole(text: str) -> Condensed:
    return Condensed(text, ((0, len(text)),), ())


def _text(passage: Passage) -> str:
    """With the header of a table that was cut by rows."""
    return f"{passage.preamble}\n{passage.text}" if passage.preamble else passage.text


def _shift(passage: Passage) -> int:
    return len(passage.preamble) + 1 if passage.preamble else 0


def _title(passage: Passage) -> str:
    return " > ".join(passage.heading) or passage.document
