"""The queue and its verdicts, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from router.errors import Conflict, InvalidInput, NotFound
from router.types import Citation, CuratedEntry, EntryStatus, Route, Trace
from services.review.writing import entry_of
from services.store import certificates, tables
from services.store.records import now
from services.store.review_records import ItemFilter, Judgement, Stands, Verdict, VerdictKind, VerdictState
from services.store.sql import SqlStore
from services.store.verdicts import Rules
from tests.store.samples import review, trace

RULES = Rules()
CITED = Citation("p9", "docs/zh/ports.md", "端口", "改 PORT=1", 0, 8, "r1")
RIGHT = Judgement(VerdictKind.CORRECTED, "设 PORT=1。", (CITED,))


async def asked(store: SqlStore, text: str, route: Route = Route.ABSTAINED, cause: str = "abstained") -> Trace:
    one = trace(text, route)
    await store.record(one, review(one, cause))
    return one


async def item_of(store: SqlStore, one: Trace) -> str:
    return (await store.reviews.standing(one.id)).item_id


async def decide(
    store: SqlStore, item_id: str, judgement: Judgement = RIGHT, who: str = "anna", **more: str
) -> Verdict:
    key = more.get("key", f"{item_id}-{who}-{judgement.kind}")
    return await store.reviews.decide(item_id, judgement, who, key, RULES, entry_of)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


def test_what_is_out_of_scope_does_not_come_back_by_being_asked_again(store: SqlStore) -> None:
    async def scenario() -> None:
        first = await asked(store, "今天天气怎么样")
        item_id = await item_of(store, first)
        await decide(store, item_id, Judgement(VerdictKind.OUT_OF_SCOPE))
        again = await asked(store, "今天天气怎么样", cause="low_confidence")
        assert (await store.reviews.find(ItemFilter())).total == 0, "nobody has to say it twice"
        standing = await store.reviews.standing(again.id)
        assert (standing.state, standing.item_id) == (Stands.RESOLVED, item_id)
        assert (await store.get_review_item(item_id)).asks == 2
        unhappy = await asked(store, "今天天气怎么样", cause="handoff")  # asks for a person: that is another matter
        assert await item_of(store, unhappy) != item_id
        joined = await asked(store, "今天天气怎么样")
        assert await item_of(store, joined) == await item_of(store, unhappy)

    run(scenario)


def test_undone_it_is_open_again(store: SqlStore) -> None:
    async def scenario() -> None:
        item_id = await item_of(store, await asked(store, "今天天气怎么样"))
        await decide(store, item_id, Judgement(VerdictKind.OUT_OF_SCOPE))
        await asked(store, "今天天气怎么样")
        await store.reviews.undo(item_id, "anna")
        page = await store.reviews.find(ItemFilter())
        assert [(one.item.id, one.asks) for one in page.items] == [(item_id, 2)]

    run(scenario)


def test_one_verdict_writes_the_entry_and_resolves_everybody(store: SqlStore) -> None:
    async def scenario() -> None:
        first, second = await asked(store, "怎么改端口"), await asked(store, "怎么改端口")
        item_id = await item_of(store, first)
        assert (await store.reviews.standing(second.id)).state is Stands.WAITING
        verdict = await decide(store, item_id)
        entry = (await store.curated.get(verdict.entry_id)).entry
        assert (entry.question, entry.answer, entry.citations) == ("怎么改端口", RIGHT.answer, (CITED,))
        for one in (first, second):
            standing = await store.reviews.standing(one.id)
            assert (standing.state, standing.verdict and standing.verdict.answer) == (Stands.RESOLVED, RIGHT.answer)
        (event,) = await store.reviews.take_events()
        assert event.event == "item.resolved"
        assert {one["id"] for one in event.payload["traces"]} == {first.id, second.id}
        assert await store.reviews.take_events() == []
        assert [line.what for line in (await store.reviews.view(item_id)).history] == ["review.verdict"]

    run(scenario)


def test_askers_are_told_when_what_people_decided_does_not_hold_any_more(store: SqlStore) -> None:
    async def scenario() -> None:
        one = await asked(store, "q")
        made = await decide(store, await item_of(store, one))

        async def current() -> bool:
            standing = await store.reviews.standing(one.id)
            assert standing.state is Stands.RESOLVED
            return standing.current

        assert await current()

        async def changed(**changes: Any) -> None:
            there = await store.curated.get(made.entry_id)
            await store.curated.update(replace(there.entry, **changes), there.version, "ben")

        await changed(status=EntryStatus.STALE)
        assert not await current()
        await changed(status=EntryStatus.LIVE, variants=("q2",))
        assert await current(), "the same answer, confirmed"
        await changed(answer="PORT=2")
        assert not await current()

    run(scenario)


def test_a_claim_holds_until_its_lease_ends(store: SqlStore) -> None:
    async def scenario() -> None:
        item_id = await item_of(store, await asked(store, "q"))
        claimed = await store.reviews.claim(item_id, "anna", RULES)
        assert (claimed.item.state, claimed.claimed_by) == ("claimed", "anna")
        assert (await store.reviews.find(ItemFilter())).items == ()
        for attempt in (store.reviews.claim(item_id, "ben", RULES), store.reviews.release(item_id, "ben")):
            with pytest.raises(Conflict, match="anna works on"):
                await attempt
        with pytest.raises(Conflict):
            await decide(store, item_id, who="ben")
        await store.reviews.claim(item_id, "anna", Rules(lease_s=-1))
        assert [one.item.state for one in (await store.reviews.find(ItemFilter())).items] == ["pending"]
        assert await store.count_review_items("pending") == 1
        assert (await store.reviews.claim(item_id, "ben", RULES)).claimed_by == "ben"
        await decide(store, item_id, who="ben")
        with pytest.raises(Conflict, match="decided already"):
            await decide(store, item_id, who="anna")

    run(scenario)


def test_a_request_that_comes_twice_is_done_once(store: SqlStore) -> None:
    async def scenario() -> None:
        item_id = await item_of(store, await asked(store, "q"))
        first = await decide(store, item_id, key="k")
        assert await decide(store, item_id, key="k") == first
        assert len(await store.reviews.final_verdicts()) == await store.curated.head() == 1
        other = await item_of(store, await asked(store, "other"))
        with pytest.raises(Conflict, match="request key"):
            await decide(store, other, key="k")

    run(scenario)


def test_undo_takes_everything_back(store: SqlStore) -> None:
    async def scenario() -> None:
        old = CuratedEntry("e1", "怎么改端口", "旧的", (), (), (), EntryStatus.LIVE)
        await store.curated.create(old, "anna")
        first = await asked(store, "怎么改端口")
        item_id = await item_of(store, first)
        await decide(store, item_id, replace(RIGHT, entry_id="e1"))
        assert (await store.curated.get("e1")).entry.answer == RIGHT.answer
        undone = await store.reviews.undo(item_id, "ben")
        assert undone.state is VerdictState.UNDONE
        assert (await store.curated.get("e1")).entry == old
        assert (await store.reviews.standing(first.id)).state is Stands.WAITING
        with pytest.raises(NotFound):
            await store.reviews.undo(item_id, "ben")
        verdict = await decide(store, item_id, key="again")
        with pytest.raises(NotFound):
            await store.curated.get("nobody")
        await store.reviews.undo(item_id, "ben")
        with pytest.raises(NotFound):
            await store.curated.get(verdict.entry_id)  # it was made by the verdict, so it went with it

    run(scenario)


def test_undo_never_overwrites_a_later_edit(store: SqlStore) -> None:
    async def scenario() -> None:
        item_id = await item_of(store, await asked(store, "q"))
        verdict = await decide(store, item_id)
        there = await store.curated.get(verdict.entry_id)
        await store.curated.update(replace(there.entry, answer="newer"), there.version, "ben")
        with pytest.raises(Conflict, match="changed after"):
            await store.reviews.undo(item_id, "anna")
        assert (await store.reviews.view(item_id)).item.item.state == "decided"

    run(scenario)


def test_undo_takes_in_what_was_asked_meanwhile(store: SqlStore) -> None:
    async def scenario() -> None:
        first = await asked(store, "q")
        item_id = await item_of(store, first)
        await decide(store, item_id, Judgement(VerdictKind.WRONG))
        later = await asked(store, "q")
        assert await item_of(store, later) != item_id
        for _ in range(2):
            await store.reviews.undo(item_id, "anna")
            assert await item_of(store, later) == item_id
            assert (await store.reviews.view(item_id)).item.asks == 2
            assert await store.count_review_items() == 1
            await decide(store, item_id, Judgement(VerdictKind.WRONG), key=f"again {_}")
            assert (await store.reviews.standing(later.id)).state is Stands.RESOLVED

    run(scenario)


def test_merge_and_split(store: SqlStore) -> None:
    async def scenario() -> None:
        traces = [await asked(store, text) for text in ("a", "b", "c", "b")]
        a, b, c = [await item_of(store, one) for one in traces[:3]]
        assert await store.reviews.merge(a, [b, c], "anna") == a
        view = await store.reviews.view(b)
        assert (view.item.item.id, view.item.asks, [one.asks for one in view.wordings]) == (a, 4, [1, 2, 1])
        assert (await store.reviews.find(ItemFilter())).total == 1
        again = await asked(store, "b")  # the same words go straight to the item
        assert await item_of(store, again) == a
        with pytest.raises(InvalidInput):
            await store.reviews.split(a, [a, b, c], "anna")
        assert await store.reviews.split(a, [a, c], "anna") == b  # the item keeps its id
        assert [await item_of(store, one) for one in traces] == [a, b, a, b]
        asks = {one.item.id: one.asks for one in (await store.reviews.find(ItemFilter())).items}
        assert asks == {a: 2, b: 3}
        await decide(store, a)
        assert (await store.reviews.standing(traces[2].id)).state is Stands.RESOLVED
        assert (await store.reviews.standing(traces[1].id)).state is Stands.WAITING
        _, pairs, _ = await store.reviews.open_wordings(0)
        assert ("a", "b", True) in pairs
        assert ("b", "c", False) in pairs or ("c", "b", False) in pairs

    run(scenario)


def test_the_queue_is_ordered_by_askers_risk_and_age(store: SqlStore) -> None:
    async def scenario() -> None:
        old, often, risky = [await item_of(store, await asked(store, text)) for text in ("old", "often", "risky")]
        for _ in range(2):
            await asked(store, "often")
        bad = await asked(store, "risky", Route.GROUNDED, "audit")
        await store.add_feedback(bad.id, "down", "")
        await store.write(
            lambda c: c.execute(update(tables.review_items).values(opened=tables.review_items.c.opened - 3600)).rowcount
        )
        found = (await store.reviews.find(ItemFilter())).items
        assert [one.item.id for one in found] == [risky, often, old]  # 2 × 3, 3 × 1, 1 × 1
        assert found[0].item.cause == "thumbs_down"
        assert [round(one.worth) for one in found] == [6, 3, 1]
        oldest = update(tables.review_items).where(tables.review_items.c.id == old)
        await store.write(lambda c: c.execute(oldest.values(opened=tables.review_items.c.opened - 36_000)).rowcount)
        assert (await store.reviews.find(ItemFilter())).items[0].item.id == old
        gaps_first = (await store.reviews.find(ItemFilter(order="gaps"))).items
        assert [one.item.id for one in gaps_first] == [old, often, risky]
        assert (await store.reviews.find(ItemFilter(gaps=True))).total == 2
        assert [one.item.id for one in (await store.reviews.find(ItemFilter(text="OFT"))).items] == [often]

    run(scenario)


def test_risky_items_need_two(store: SqlStore) -> None:
    async def scenario() -> None:
        rules = Rules(second_from=2.0)
        item_id = await item_of(store, await asked(store, "q", Route.HANDOFF, "handoff"))
        proposed = await store.reviews.decide(item_id, RIGHT, "anna", "k1", rules, entry_of)
        assert proposed.state is VerdictState.PROPOSED
        assert await store.curated.head() == 0
        with pytest.raises(Conflict, match="somebody else"):
            await store.reviews.confirm(item_id, "anna", rules, entry_of)
        with pytest.raises(Conflict):
            await store.reviews.decide(item_id, RIGHT, "anna", "k2", rules, entry_of)
        done = await store.reviews.confirm(item_id, "ben", rules, entry_of)
        assert (done.id, done.state, done.who, done.second) == (proposed.id, VerdictState.FINAL, "anna", "ben")
        assert (await store.curated.get(done.entry_id)).who == "ben"
        plain = await item_of(store, await asked(store, "plain"))
        assert (await store.reviews.decide(plain, RIGHT, "anna", "k3", rules, entry_of)).state is VerdictState.FINAL

    run(scenario)


def test_a_wrong_answer_is_called_back(store: SqlStore) -> None:
    async def scenario() -> None:
        sent = [trace(text, Route.GROUNDED) for text in ("a", "a", "b")]
        for one in sent:
            await store.record(one, None)
        answer = sent[0].answer.text
        await store.curated.create(CuratedEntry("says-it", "x", answer), "anna")
        made = await store.reviews.retract(sent[0].id, "anna", "there is no PORT")
        assert made == await store.reviews.retract(sent[2].id, "ben", "again")  # known already
        assert (made.recipients, made.entries) == (3, ("says-it",))
        assert {one.trace_id for one in await store.reviews.recipients(made.id)} == {one.id for one in sent}
        assert (await store.curated.get("says-it")).entry.status is EntryStatus.RETIRED
        assert (await store.reviews.standing(sent[1].id)).state is Stands.RETRACTED
        assert len((await store.reviews.blocked())[1]) == 1
        (event,) = await store.reviews.take_events()
        assert (event.event, len(event.payload["traces"])) == ("answer.retracted", 3)
        found = await store.reviews.find(ItemFilter(cause="retracted"))
        assert sorted(one.asks for one in found.items) == [1, 2]
        await decide(store, await item_of(store, sent[0]))
        standing = await store.reviews.standing(sent[1].id)
        assert (standing.state, standing.verdict and standing.verdict.answer) == (Stands.RESOLVED, RIGHT.answer)
        await store.reviews.lift(made.id, "anna")
        assert (await store.reviews.blocked())[1] == frozenset()
        assert (await store.curated.get("says-it")).entry.status is EntryStatus.LIVE

    run(scenario)


def test_who_got_it_after_it_was_called_back_is_told_too(store: SqlStore) -> None:
    """Another process sends it until it hears of the recall."""

    async def scenario() -> None:
        first, late, other = (replace(trace(text, Route.GROUNDED), created=now()) for text in ("a", "b", "c"))
        await store.record(first, None)
        made = await store.reviews.retract(first.id, "anna", "wrong")
        assert await store.reviews.tell_late() == 0
        await store.record(late, None)
        await store.record(replace(other, answer=replace(other.answer, text="something else")), None)
        assert await store.reviews.tell_late() == 1
        assert await store.reviews.tell_late() == 0, "each is told once"
        events = await store.reviews.take_events()
        assert [[one["id"] for one in event.payload["traces"]] for event in events] == [[first.id], [late.id]]
        assert {(one.event, one.payload["retraction_id"]) for one in events} == {("answer.retracted", made.id)}
        (known,) = await store.reviews.retractions()
        assert known.recipients == 2
        found = await store.reviews.find(ItemFilter(cause="retracted"))
        assert sorted(one.item.question for one in found.items) == ["a", "b"]
        await store.reviews.lift(made.id, "anna")
        await store.record(replace(trace("d", Route.GROUNDED), created=now()), None)
        assert await store.reviews.tell_late() == 0, "it may be sent again"

    run(scenario)


def test_late_askers_of_what_a_verdict_called_back_do_not_open_it_again(store: SqlStore) -> None:
    async def scenario() -> None:
        sent = replace(trace("a", Route.GROUNDED), created=now())
        await store.record(sent, review(sent, "audit"))
        await decide(store, await item_of(store, sent), replace(RIGHT, retract=True))
        await store.record(replace(sent, id="late"), None)
        assert await store.reviews.tell_late() == 1
        assert (await store.reviews.find(ItemFilter())).total == 0

    run(scenario)


def test_a_verdict_may_call_back_and_correct_in_one(store: SqlStore) -> None:
    async def scenario() -> None:
        sent = await asked(store, "a", Route.GROUNDED, "audit")
        item_id = await item_of(store, sent)
        verdict = await decide(store, item_id, replace(RIGHT, retract=True))
        assert verdict.judged == (sent.answer.text,)
        assert (await store.reviews.standing(sent.id)).state is Stands.RESOLVED
        assert len((await store.reviews.blocked())[1]) == 1
        await store.reviews.undo(item_id, "anna")
        assert (await store.reviews.blocked())[1] == frozenset()

    run(scenario)


def test_a_drawn_answer_says_who_wrote_it_and_with_which_prompts(store: SqlStore) -> None:
    async def scenario() -> None:
        quoted = trace("\x00 \u0000 \ud7ff", Route.GROUNDED)
        written = trace("q", Route.GROUNDED)
        written = replace(written, answer=replace(written.answer, model="tuned-1"), prompt="p1")
        for one in (quoted, written):
            await store.record(one, replace(review(one, "audit"), probability=0.5))
        found, _ = await store.reviews.drawn_answers(["r1"])
        assert [(one.trace_id, one.model, one.prompt, one.probability) for one in found] == [
            (quoted.id, "extractive", "", 0.5),
            (written.id, "tuned-1", "p1", 0.5),
        ]
        older = '{"answer": {"model": "extractive"}}'  # as a program before this one kept it
        await store.write(lambda c: c.execute(update(tables.traces).values(payload=older)))
        found = await store.read(lambda c: certificates.drawn(c, ["r1"]))
        assert {(one.model, one.prompt) for one in found} == {("extractive", "")}

    run(scenario)


@pytest.mark.parametrize("decided", [False, True])
def test_a_thumb_down_leaves_a_drawn_answer_its_probability(store: SqlStore, decided: bool) -> None:
    async def scenario() -> None:
        one = trace("q", Route.GROUNDED)
        item_id = await store.record(one, replace(review(one, "audit"), probability=0.05))
        if decided:
            await decide(store, item_id or "", Judgement(VerdictKind.CORRECT))
        await store.add_feedback(one.id, "down", "no")
        (found,), _ = await store.reviews.drawn_answers(["r1"])
        assert (found.item_id, found.probability, found.decided) == (item_id, 0.05, decided)
        (queued,) = (await store.reviews.find(ItemFilter())).items
        assert (queued.item.cause, queued.asks, queued.item.id == item_id) == ("thumbs_down", 1, not decided)

    run(scenario)


async def answered_by(store: SqlStore, how: str = "exact") -> Trace:
    """Somebody is unhappy with what the entry "e1" answered."""
    entry = CuratedEntry("e1", "How long?", "Seven days.", ("For how long?",), citations=(CITED,))
    await store.curated.create(entry, "anna")
    one = trace("For how long?", Route.CURATED)
    one = replace(one, answer=replace(one.answer, text="Seven days."), curated={"how": how, "entry": "e1"})
    await store.record(one, review(one, "thumbs_down"))
    return one


@pytest.mark.parametrize(
    "judgement",
    [
        Judgement(VerdictKind.STALE_SOURCE),
        Judgement(VerdictKind.WRONG),
        replace(RIGHT, curate=False),
    ],
)
def test_an_approved_answer_that_is_called_wrong_or_out_of_date_is_not_certain_any_more(
    store: SqlStore, judgement: Judgement
) -> None:
    async def scenario() -> None:
        item_id = await item_of(store, await answered_by(store))
        before = (await store.curated.get("e1")).entry
        verdict = await decide(store, item_id, judgement)
        assert (await store.curated.get("e1")).entry == replace(before, status=EntryStatus.STALE)
        assert [one.entry_id for one in verdict.doubted] == ["e1"]
        assert (await store.reviews.view(item_id)).verdicts == (verdict,), "as it is read back"
        await store.reviews.undo(item_id, "anna")
        assert (await store.curated.get("e1")).entry == before

    run(scenario)


def test_what_an_entry_said_before_is_no_doubt_of_what_it_says_now(store: SqlStore) -> None:
    async def scenario() -> None:
        item_id = await item_of(store, await answered_by(store))
        there = await store.curated.get("e1")
        await store.curated.update(replace(there.entry, answer="Nine days."), there.version, "ben")
        assert (await decide(store, item_id, Judgement(VerdictKind.WRONG))).doubted == ()
        assert (await store.curated.get("e1")).entry.status is EntryStatus.LIVE

    run(scenario)


def test_an_entry_that_a_verdict_names_is_doubted_and_a_later_edit_is_not_undone(store: SqlStore) -> None:
    async def scenario() -> None:
        await store.curated.create(CuratedEntry("e1", "How long?", "Seven days."), "anna")
        item_id = await item_of(store, await asked(store, "How many days?"))
        await decide(store, item_id, Judgement(VerdictKind.STALE_SOURCE, entry_id="e1"))
        there = await store.curated.get("e1")
        assert there.entry.status is EntryStatus.STALE
        await store.curated.update(replace(there.entry, answer="Nine days."), there.version, "ben")
        with pytest.raises(Conflict, match="was changed after this verdict"):
            await store.reviews.undo(item_id, "anna")

    run(scenario)


@pytest.mark.parametrize("kind", [VerdictKind.CORRECTED, VerdictKind.INCOMPLETE])
@pytest.mark.parametrize("retract", [False, True])
def test_the_entry_that_answered_is_the_one_that_is_corrected(
    store: SqlStore, kind: VerdictKind, retract: bool
) -> None:
    async def scenario() -> None:
        item_id = await item_of(store, await answered_by(store))
        before = (await store.curated.get("e1")).entry
        verdict = await decide(store, item_id, replace(RIGHT, kind=kind, retract=retract))
        there = (await store.curated.get("e1")).entry
        assert (verdict.entry_id, there.answer, there.status) == ("e1", RIGHT.answer, EntryStatus.LIVE)
        assert (there.question, there.variants) == (before.question, before.variants), "for all its wordings"
        await store.reviews.undo(item_id, "anna")
        assert (await store.curated.get("e1")).entry == before

    run(scenario)


def test_an_entry_that_was_only_near_keeps_its_answer_when_another_question_is_corrected(store: SqlStore) -> None:
    async def scenario() -> None:
        item_id = await item_of(store, await answered_by(store, "near"))
        verdict = await decide(store, item_id)
        assert verdict.entry_id != "e1" and verdict.doubted == ()
        assert (await store.curated.get("e1")).entry.answer == "Seven days."

    run(scenario)


def test_an_incomplete_answer_is_made_whole(store: SqlStore) -> None:
    async def scenario() -> None:
        sent = await asked(store, "怎么改端口", Route.GROUNDED, "audit")
        item_id = await item_of(store, sent)
        verdict = await decide(store, item_id, replace(RIGHT, kind=VerdictKind.INCOMPLETE))
        entry = (await store.curated.get(verdict.entry_id)).entry
        assert (entry.question, entry.answer, entry.citations) == ("怎么改端口", RIGHT.answer, (CITED,))
        assert (await store.reviews.standing(sent.id)).state is Stands.RESOLVED
        await store.reviews.undo(item_id, "anna")
        with pytest.raises(NotFound):
            await store.curated.get(verdict.entry_id)

    run(scenario)


def test_a_duplicate_teaches_its_entry_the_words(store: SqlStore) -> None:
    async def scenario() -> None:
        await store.curated.create(CuratedEntry("e1", "How?", "So."), "anna")
        one = await asked(store, "In which way")
        verdict = await decide(store, await item_of(store, one), Judgement(VerdictKind.DUPLICATE, entry_id="e1"))
        assert (await store.curated.get("e1")).entry.variants == ("In which way",)
        assert verdict.answer == "So."
        for bad, error in (
            (Judgement(VerdictKind.DUPLICATE), InvalidInput),
            (Judgement(VerdictKind.DUPLICATE, entry_id="no"), NotFound),
        ):
            other = await item_of(store, await asked(store, f"other {error}"))
            with pytest.raises(error):
                await decide(store, other, bad)

    run(scenario)
