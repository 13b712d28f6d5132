"""The cascade with tiny real parts: what is sent, by which route, and what is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import pytest

from router import confidence, wording
from router.answering import Parts, answer, propose
from router.confidence import VALUE, Calibration
from router.deciding import CURATED_SOURCE
from router.errors import GeneratorUnavailable, IndexUnavailable
from router.policy import Policy, waits
from router.types import (
    Citation,
    CuratedCandidate,
    CuratedEntry,
    CuratedMatch,
    Draft,
    Hit,
    How,
    Passage,
    Question,
    ReviewItem,
    Route,
    SearchResult,
    Trace,
    Turn,
)

ENTRY = CuratedEntry("e1", "How do I restart a node?", "Run `restart-node`, then wait.")
PASSAGE = Passage("0" * 32, "docs/a.md", ("Nodes",), 0, 24, "Add a node with add-node.", "en")
CITED = Citation(PASSAGE.id, PASSAGE.document, "Nodes", PASSAGE.text, 0, 24, "r")


@dataclass
class Approved:
    how: How = How.NONE
    probability: float = 0.0
    asked: list[str] = field(default_factory=list)

    async def match(self, question: str) -> CuratedMatch:
        self.asked.append(question)
        if self.how is How.NONE:
            return CuratedMatch(How.NONE, revision="7")
        near = CuratedCandidate(ENTRY.id, ENTRY.question, 0.8, self.probability, guards=())
        sure = self.how in (How.EXACT, How.NEAR)
        pool = () if sure else (ENTRY,)
        return CuratedMatch(self.how, ENTRY if sure else None, self.probability, 0.3, (near,), pool, "7")


@dataclass
class Shelf:
    down: bool = False
    hits: tuple[Hit, ...] = (Hit(PASSAGE, {"bm25": 3.0}, 0.9),)
    asked: list[str] = field(default_factory=list)

    async def search(self, question: str, limit: int, filters: Mapping[str, str], **_: object) -> SearchResult:  # noqa: ARG002
        self.asked.append(question)
        if self.down:
            raise IndexUnavailable("the folder is missing")
        return SearchResult(self.hits[:limit], {"node": 2.0}, "en", "v1")


@dataclass
class Quotes:
    """Quotes the first passage; support says how sure."""

    name: str = "quotes"
    sure: float = 1.0
    value: float = 1.0
    down: bool = False
    seen: list[Sequence[Hit]] = field(default_factory=list)

    async def generate(self, question: Question, found: SearchResult) -> Draft:  # noqa: ARG002
        if self.down:
            raise GeneratorUnavailable("no route to it")
        self.seen.append(found.hits)
        return Draft(found.hits[0].passage.text, (CITED,), self.name, support={"sure": self.sure, VALUE: self.value})


class Refuses(Quotes):
    """As a model that finds no answer in its passages."""

    async def generate(self, question: Question, found: SearchResult) -> Draft:
        return replace(await Quotes.generate(self, question, found), text="", citations=())


@dataclass
class Book:
    """Keeps what it is told."""

    traces: list[Trace] = field(default_factory=list)
    items: list[ReviewItem] = field(default_factory=list)

    async def record(self, trace: Trace, review: ReviewItem | None) -> str | None:
        self.traces.append(trace)
        if review is None:
            return None
        self.items.append(review)
        return review.id

    async def add_feedback(self, trace_id: str, rating: str, comment: str) -> None:
        raise NotImplementedError


CALIBRATION = Calibration("c", "2026-11-01", {}, ("sure",), (0.5,), (0.5,), (4.0,), 0.0, 0.5)


@pytest.fixture
def parts() -> Parts:
    return Parts(
        curated=Approved(),
        retriever=Shelf(),
        generator=Quotes(),
        quoting=Quotes(),
        calibration=CALIBRATION,
        store=Book(),
        release="r1",
        cite=lambda hits: tuple(replace(CITED, source=hit.passage.document, passage_id=hit.passage.id) for hit in hits),
        new_id=lambda: "t1",
        now=lambda: "2026-11-01T00:00:00Z",
    )


def asked(text: str, parts: Parts) -> tuple[Trace, ReviewItem | None]:
    return asyncio.run(answer(Question(text), parts))


@pytest.mark.parametrize("how", [How.EXACT, How.NEAR])
def test_an_approved_answer_is_sent_word_for_word_and_nothing_is_searched(parts: Parts, how: How) -> None:
    shelf = Shelf()
    trace, item = asked("How to restart a node?", replace(parts, curated=Approved(how, 0.97), retriever=shelf))
    assert (trace.answer.text, trace.answer.route, trace.answer.confidence) == (ENTRY.answer, Route.CURATED, 0.97)
    assert item is None
    assert shelf.asked == []
    assert (trace.curated["how"], trace.curated["entry"], trace.curated["revision"]) == (how.value, "e1", "7")


def test_an_uncertain_entry_joins_the_pool_below_what_fits_better(parts: Parts) -> None:
    quotes = Quotes()
    trace, _ = asked("restart it?? a node", replace(parts, curated=Approved(How.UNSURE, 0.4), generator=quotes))
    assert trace.answer.route is Route.GROUNDED
    assert [hit.passage.document for hit in quotes.seen[0]] == ["docs/a.md", f"{CURATED_SOURCE}/e1"]
    assert trace.features["approved"] == 0.4


def test_the_trace_says_everything_of_the_entries_that_were_considered(parts: Parts) -> None:
    curated = Approved(How.UNSURE, 0.4)
    trace, _ = asked("restart it?? a node", replace(parts, curated=curated))
    match = asyncio.run(curated.match("restart it?? a node"))
    assert match.candidates
    assert trace.curated["candidates"] == [asdict(one) for one in match.candidates]


def test_the_pool_answers_where_the_documents_hold_nothing(parts: Parts) -> None:
    trace, _ = asked("restarting nodes", replace(parts, curated=Approved(How.UNSURE, 0.4), retriever=Shelf(hits=())))
    assert trace.answer.text == ENTRY.answer


def test_where_nothing_can_be_quoted_nobody_is_sure_of_an_answer(parts: Parts) -> None:
    trace, item = asked("How do I add a node?", replace(parts, generator=Refuses()))
    assert (trace.answer.route, trace.answer.confidence) == (Route.ABSTAINED, 0.0)
    assert item is not None and item.cause == "abstained"


def test_not_sure_enough_is_not_sent_and_goes_to_people(parts: Parts) -> None:
    trace, item = asked("How do I add a node?", replace(parts, generator=Quotes(sure=0.0)))
    assert (trace.answer.route, trace.answer.text) == (Route.ABSTAINED, wording.REFUSAL["en"])
    assert item is not None and item.cause == "low_confidence"
    assert [one.source for one in trace.answer.maybe_useful] == ["docs/a.md"]


def test_what_nobody_named_is_asked_for_where_nothing_surely_answers(parts: Parts) -> None:
    trace, item = asked("How do I add this pool?", replace(parts, generator=Quotes(sure=0.0)))
    assert (trace.answer.route, trace.answer.text) == (
        Route.CLARIFY,
        "Which one do you mean by “this pool”? Please name it.",
    )
    assert item is None
    trace, item = asked("How do I add this pool?", parts)
    assert trace.answer.route is Route.GROUNDED


def test_what_people_hold_back_is_not_asked_back(parts: Parts) -> None:
    """They are to see it, and a broken index is no question of the asker's."""
    trace, item = asked("How do I add this pool?", replace(parts, another_deed=lambda *_: "remove / add"))
    assert trace.answer.route is Route.ABSTAINED and item is not None
    trace, item = asked("How do I add this pool?", replace(parts, retriever=Shelf(down=True)))
    assert trace.answer.route is Route.ABSTAINED and item is not None


def test_what_a_turn_before_names_needs_no_asking_back(parts: Parts) -> None:
    before = (Turn("user", "How large may a pool be?"), Turn("assistant", "A pool may hold 9 nodes."))
    question = Question("How do I add nodes to this pool?", before)
    trace, _ = asyncio.run(answer(question, replace(parts, generator=Quotes(sure=0.0))))
    assert trace.answer.route is Route.ABSTAINED


def test_what_may_be_useful_names_each_section_once(parts: Parts) -> None:
    sections = ("Nodes", "Nodes", "Pools", "Nodes", "Regions", "Quotas")
    hits = tuple(
        Hit(replace(PASSAGE, id=f"{at:032}", heading=(name,)), {}, 0.9 - at / 10) for at, name in enumerate(sections)
    )
    trace, _ = asked("How do I add a node?", replace(parts, retriever=Shelf(hits=hits), generator=Quotes(sure=0.0)))
    assert [one.passage_id for one in trace.answer.maybe_useful] == [f"{at:032}" for at in (0, 2, 4)]


def test_what_may_be_useful_is_in_the_askers_language_first(parts: Parts) -> None:
    hits = tuple(
        Hit(replace(PASSAGE, id=f"{at:032}", heading=(str(at),), language=language), {}, 0.9 - at / 10)
        for at, language in enumerate(("zh", "en", "zh", "en"))
    )
    trace, _ = asked("How do I add a node?", replace(parts, retriever=Shelf(hits=hits), generator=Quotes(sure=0.0)))
    assert [one.passage_id for one in trace.answer.maybe_useful] == [f"{at:032}" for at in (1, 3, 0)]


def test_a_dead_model_quotes_and_says_so(parts: Parts) -> None:
    trace, _ = asked("How do I add a node?", replace(parts, generator=Quotes(down=True)))
    assert trace.answer.route is Route.GROUNDED
    assert "model is not available (no route to it)" in trace.answer.reason


def test_a_dead_index_still_gives_approved_answers(parts: Parts) -> None:
    down = replace(parts, retriever=Shelf(down=True))
    trace, _ = asked("How do I add a node?", down)
    assert trace.answer.route is Route.ABSTAINED
    assert "the folder is missing" in trace.answer.reason
    trace, _ = asked("How do I restart a node?", replace(down, curated=Approved(How.EXACT, 1.0)))
    assert trace.answer.route is Route.CURATED


def test_proposing_records_nothing(parts: Parts) -> None:
    book = Book()
    trace, _ = asyncio.run(propose(Question("How do I add a node?"), replace(parts, store=book)))
    assert trace.answer.route is Route.GROUNDED
    assert book.traces == []


def test_a_page_about_another_action_is_no_answer_however_sure_it_looks(parts: Parts) -> None:
    differing: list[tuple[str, str]] = []

    def another(question: str, passage: Passage) -> str:
        differing.append((question, passage.id))
        return "remove / add"

    trace, item = asked("How do I remove a node?", replace(parts, another_deed=another))
    assert (trace.answer.route, trace.answer.text) == (Route.ABSTAINED, wording.REFUSAL["en"])
    assert trace.answer.reason == "The passage found is about another action than the question: remove / add."
    assert differing == [("How do I remove a node?", PASSAGE.id)]
    assert item is not None


def test_a_quote_without_the_figure_that_is_asked_for_is_not_sent_however_sure_it_looks(parts: Parts) -> None:
    without = replace(parts, generator=Quotes(value=0.0))
    trace, item = asked("How many nodes may there be?", without)
    assert (trace.answer.route, trace.answer.text) == (Route.ABSTAINED, wording.REFUSAL["en"])
    assert (trace.answer.confidence, trace.answer.reason) == (0.0, wording.reason("no value", "en"))
    assert item is not None
    trace, _ = asked("How many nodes may this pool have?", without)
    assert trace.answer.route is Route.CLARIFY  # who asked can say which


def test_a_reason_shows_enough_digits_to_be_true(parts: Parts) -> None:
    just_below = replace(
        parts, calibration=replace(CALIBRATION, intercept=-4.0, line=0.502), generator=Quotes(sure=1.0)
    )
    trace, _ = asked("How do I add a node?", just_below)
    assert trace.answer.reason == "Not sure enough: confidence 0.500 is below the line 0.502."


@pytest.mark.parametrize(
    ("witness", "line", "sent"), [(0.0, 0.99, False), (0.0, 0.98, True), (1.0, 0.99, True), (None, 0.99, True)]
)
def test_what_words_alone_speak_for_has_a_line_of_its_own(
    parts: Parts, witness: float | None, line: float, sent: bool
) -> None:
    """The draft has a probability of 0.982, its language a line of 0.5."""

    class Seen(Quotes):
        async def generate(self, question: Question, found: SearchResult) -> Draft:
            draft = await Quotes.generate(self, question, found)
            known = {} if witness is None else {confidence.WITNESS: witness}
            return replace(draft, support={**draft.support, **known})

    strict = replace(parts, generator=Seen(), calibration=replace(CALIBRATION, by_words={"en": line}))
    trace, item = asked("Who adds a node?", strict)
    assert trace.answer.route is (Route.GROUNDED if sent else Route.ABSTAINED)
    if not sent:
        assert trace.answer.reason == (
            "The passage found has the question's words, and nothing else says that it answers: "
            "confidence 0.98 is below the line 0.99 for that."
        )
        assert waits(item) and trace.answer.maybe_useful
        unsure = replace(strict, calibration=replace(strict.calibration, line=0.985))
        assert asked("Who adds a node?", unsure)[0].answer.reason.startswith("Not sure enough")


def test_a_conversation_about_the_same_is_a_witness_too(parts: Parts) -> None:
    class ByWords(Quotes):
        async def generate(self, question: Question, found: SearchResult) -> Draft:
            return replace(await Quotes.generate(self, question, found), support={"sure": 1.0, confidence.WITNESS: 0.0})

    strict = replace(parts, generator=ByWords(), calibration=replace(CALIBRATION, by_words={"en": 0.99}))

    def after(*said: str, text: str = "Who should do it?") -> Trace:
        history = tuple(Turn(("user", "assistant")[at % 2], text) for at, text in enumerate(said))
        return asyncio.run(answer(Question(text, history), strict))[0]

    about_it = after("How do I add a node with add-node?", "Run add-node.")
    assert (about_it.answer.route, about_it.features[confidence.WITNESS]) == (Route.GROUNDED, 1.0)
    assert after("How do I bake bread at home?", "Knead the dough.").features[confidence.WITNESS] == 0.0
    again = after("Who adds a node?", "I found no reliable answer in the documents.", text="Who adds a node?")
    assert again.features[confidence.WITNESS] == 0.0


def test_a_reason_says_that_only_a_part_was_searched(parts: Parts) -> None:
    question = Question("How do I add a node?", filters={"source": "nowhere"})
    trace, _ = asyncio.run(answer(question, replace(parts, retriever=Shelf(hits=()))))
    assert trace.answer.reason == "No passage within the filters has a word of the question."


@dataclass
class Citing(Approved):
    sources: tuple[str, ...] = ()

    async def match(self, question: str) -> CuratedMatch:
        match = await Approved.match(self, question)
        citing = replace(ENTRY, citations=tuple(replace(CITED, source=source) for source in self.sources))
        return replace(match, entry=match.entry and citing, pool=match.pool and (citing,))


@pytest.mark.parametrize(
    ("sources", "filters", "sent"),
    [
        (("docs/a.md",), {}, True),
        (("docs/a.md",), {"source": "docs"}, True),
        (("docs/a.md",), {"source": "faq"}, False),
        (("docs/a.md", "faq/b.md"), {"source": "faq"}, True),
        (("docs/a.md",), {"document": "docs/b.md"}, False),
        (("docs/a.md", "faq/b.md"), {"source": "faq", "document": "docs/a.md"}, False),
        ((), {"source": "faq"}, True),
        (("docs/a.md",), {"language": "zh"}, False),
        (("docs/a.md",), {"language": "en"}, True),
    ],
)
def test_an_approved_answer_keeps_to_the_part_that_is_searched(
    parts: Parts, sources: tuple[str, ...], filters: dict[str, str], sent: bool
) -> None:
    question = Question("How do I restart a node?", filters=filters)
    trace, _ = asyncio.run(answer(question, replace(parts, curated=Citing(How.EXACT, 1.0, sources=sources))))
    assert (trace.answer.route is Route.CURATED) == sent
    quotes = Quotes()
    unsure = replace(parts, curated=Citing(How.UNSURE, 0.4, sources=sources), generator=quotes)
    asyncio.run(answer(question, unsure))
    assert (len(quotes.seen[0]) == 2) == sent, "nor does it join what was found"


@dataclass
class AskedOtherwise(Approved):
    async def match(self, question: str) -> CuratedMatch:
        match = await Approved.match(self, question)
        why = replace(match.candidates[0], guards=("kind: why / how_to",))
        return replace(match, candidates=(why,))


@dataclass
class QuotesLast(Quotes):
    async def generate(self, question: Question, found: SearchResult) -> Draft:
        draft = await Quotes.generate(self, question, found)
        last = found.hits[-1].passage
        return replace(draft, citations=(replace(CITED, passage_id=last.id, source=last.document),))


def test_an_approved_how_is_no_why_by_way_of_the_pool(parts: Parts) -> None:
    quoting_it = replace(parts, curated=AskedOtherwise(How.UNSURE, 0.4), generator=QuotesLast())
    trace, _ = asked("Why do I restart a node?", quoting_it)
    assert trace.answer.route is Route.ABSTAINED
    assert trace.answer.reason == "The approved answer found is to another kind of question (kind: why / how_to)."
    alike, _ = asked("Restart a node?", replace(quoting_it, curated=Approved(How.UNSURE, 0.4)))
    assert alike.answer.route is Route.GROUNDED


@pytest.mark.parametrize(
    ("curated", "generator", "cause"),
    [
        (Approved(How.UNSURE, 0.6), Quotes(), "disagreement"),
        (Approved(How.UNSURE, 0.4), Quotes(), ""),
        (Approved(How.UNSURE, 0.6), QuotesLast(), ""),
        (AskedOtherwise(How.UNSURE, 0.6), Quotes(), ""),
        (Approved(How.UNSURE, 0.6), Quotes(sure=0.0), "low_confidence"),
    ],
    ids=["another answer", "hardly the same question", "the entry itself", "guarded", "nothing was sent"],
)
def test_two_sources_that_differ_go_to_people_though_the_answer_was_sent(
    parts: Parts, curated: Approved, generator: Quotes, cause: str
) -> None:
    """An approved entry that probably asks the same, and an answer from somewhere else."""
    trace, item = asked("Restart a node?", replace(parts, curated=curated, generator=generator))
    assert (trace.answer.route is Route.GROUNDED) == (cause != "low_confidence")
    assert (item.cause if item else "") == cause
    if item is not None:
        assert waits(item) == (cause == "low_confidence"), "the asker has an answer"


@pytest.mark.parametrize("drawn", [0.0, 0.25])
def test_whatever_else_brings_a_drawn_answer_it_keeps_its_probability(parts: Parts, drawn: float) -> None:
    drawing = replace(parts, policy=Policy(drawn=lambda _trace_id: drawn))
    _, item = asked("Restart a node?", replace(drawing, curated=Approved(How.UNSURE, 0.6)))
    assert item is not None and (item.cause, item.probability) == ("disagreement", drawn)
    _, item = asked("How do I add a node?", drawing)
    assert ((item.cause, item.probability) if item else None) == (("audit", drawn) if drawn else None)
    _, item = asked("How do I add a node?", replace(drawing, generator=Quotes(sure=0.0)))
    assert item is not None and item.probability == 0.0, "what was not sent is no part of the audit"


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        ({}, Route.CURATED),
        ({"/": 0.9}, Route.ABSTAINED),
        ({"en/": 0.9}, Route.ABSTAINED),
        ({"zh/": 0.9}, Route.CURATED),
        ({"/": 0.9, "en/curated": 0.7}, Route.CURATED),
        ({"en/curated": 0.9}, Route.GROUNDED),
        ({"en/curated": 0.9, "en/grounded": 0.9}, Route.ABSTAINED),
        ({"en/grounded": 0.9}, Route.CURATED),
    ],
)
def test_each_route_has_the_line_that_the_error_budget_set_for_it(
    parts: Parts, lines: dict[str, float], sent: Route
) -> None:
    """A near match of 0.8, and a draft of about 0.73. Without a budget matching has a line of its own."""
    near, draft = Approved(How.NEAR, 0.8), Quotes(sure=0.625)
    budgeted = replace(parts, curated=near, generator=draft, calibration=replace(CALIBRATION, lines=lines))
    trace, item = asked("How to restart a node?", budgeted)
    assert trace.answer.route is sent
    assert waits(item) == (sent is Route.ABSTAINED)
    exact, _ = asked("How to restart a node?", replace(budgeted, curated=Approved(How.EXACT, 1.0)))
    assert exact.answer.route is Route.CURATED


def test_why_is_said_in_the_askers_language(parts: Parts) -> None:
    trace, _ = asked("怎么添加节点？", replace(parts, generator=Quotes(sure=0.0)))
    assert trace.answer.reason.startswith("把握不够：置信度")
    trace, _ = asked("怎么重启节点？", replace(parts, curated=Approved(How.EXACT, 1.0)))
    assert trace.answer.reason == wording.REASON["exact"]["zh"]
    trace, _ = asked("你好", parts)
    assert (trace.answer.route, trace.answer.reason) == (Route.SMALLTALK, wording.REASON["greeting"]["zh"])


def test_a_follow_up_is_matched_and_searched_made_whole(parts: Parts) -> None:
    before = (Turn("user", "How do I install the client on Linux?"), Turn("assistant", "Use yum."))
    curated, shelf = Approved(), Shelf()
    here = replace(parts, curated=curated, retriever=shelf)
    trace, _ = asyncio.run(answer(Question("What about Windows?", before), here))
    whole = "How do I install the client on Windows?"
    assert (curated.asked, shelf.asked) == ([whole], [whole])
    assert (trace.standalone, trace.question.text) == (whole, "What about Windows?")
    alone, _ = asked(whole, here)
    assert alone.normalised == trace.normalised


@pytest.mark.parametrize(
    ("text", "before", "route"),
    [
        ("你好", (), Route.SMALLTALK),
        ("Thanks!", (), Route.SMALLTALK),
        ("Bye", (), Route.SMALLTALK),
        ("Thanks!", (Turn("user", "How do I add a node?"), Turn("assistant", "Run it.")), Route.SMALLTALK),
        ("转人工", (), Route.HANDOFF),
        ("I want to talk to a person", (), Route.HANDOFF),
        ("它呢？", (), Route.CLARIFY),
        ("What about it?", (), Route.CLARIFY),
        ("How do I add a node?", (), Route.GROUNDED),
    ],
)
def test_what_is_no_question_is_not_searched(parts: Parts, text: str, before: tuple[Turn, ...], route: Route) -> None:
    """Not even a near entry answers it."""
    shelf, quotes, book = Shelf(), Quotes(), Book()
    near = Approved(How.NONE if route is Route.GROUNDED else How.NEAR, 0.99)
    here = replace(parts, curated=near, retriever=shelf, generator=quotes, store=book)
    trace, _ = asyncio.run(answer(Question(text, before), here))
    assert trace.answer.route is route
    assert bool(shelf.asked) == bool(quotes.seen) == bool(trace.candidates) == (route is Route.GROUNDED)
    assert book.traces == [trace]
