"""What the store promises, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from sqlalchemy import update

from router.errors import Conflict, InvalidInput, NotFound
from router.ports import Store
from router.types import Route
from services.store import tables, traces
from services.store.records import JobState, Role
from services.store.sql import SqlStore
from tests.store.samples import release, review, trace


def test_it_is_the_port(store: SqlStore) -> None:
    port: Store = store  # mypy checks the signatures
    one = trace()
    assert asyncio.run(port.record(one, None)) is None
    assert asyncio.run(store.get_trace(one.id)) == one  # another event loop, the same store


async def _listing(store: SqlStore) -> None:
    sent = [trace(f"q{n}", Route.CURATED if n % 2 else Route.GROUNDED) for n in range(5)]
    for one in sent:
        await store.record(one, None)
    first = await store.list_traces(2)
    rest = await store.list_traces(10, before=first[-1].seq)
    assert [line.id for line in first + rest] == [one.id for one in reversed(sent)]
    assert [line.question for line in await store.list_traces(10, route="curated")] == ["q3", "q1"]
    assert first[0].session_id == "session-1"


def test_traces_are_listed_newest_first_page_by_page(store: SqlStore) -> None:
    asyncio.run(_listing(store))


def test_a_trace_id_is_taken_once(store: SqlStore) -> None:
    async def scenario() -> None:
        one = trace()
        await store.record(one, None)
        with pytest.raises(Conflict):
            await store.record(replace(one, language="en"), None)
        assert (await store.get_trace(one.id)).language == "zh"
        with pytest.raises(NotFound):
            await store.get_trace("nobody")

    asyncio.run(scenario())


@pytest.mark.parametrize("text", ["a\x00b", "x" * 200_000, "表情 🙂 \u2028 'quoted\" %s :name ?", ""])
def test_any_question_is_kept_as_it_was(store: SqlStore, text: str) -> None:
    async def scenario() -> None:
        one = trace(text)
        item_id = await store.record(one, review(one))
        assert await store.get_trace(one.id) == one
        (queued,) = await store.list_review_items()
        assert queued.item.id == item_id
        assert queued.item.question == text.replace("\x00", "\ufffd")

    asyncio.run(scenario())


def test_text_that_is_no_text_is_refused_and_harms_nobody(store: SqlStore) -> None:
    async def scenario() -> None:
        one = trace()
        await store.record(one, None)
        for write in (
            store.add_feedback(one.id, "up", "\ud800"),
            store.audit("\ud800", "x"),
            store.get_trace("\ud800"),
        ):
            with pytest.raises(InvalidInput):
                await write
        with pytest.raises((InvalidInput, NotFound)):
            await store.get_trace("a\x00b")
        assert await store.get_trace(one.id) == one

    asyncio.run(scenario())


def test_the_same_question_joins_the_open_item(store: SqlStore) -> None:
    async def scenario() -> None:
        first, second, other = trace("same"), trace("same"), trace("other")
        item_id = await store.record(first, review(first))
        assert await store.record(other, review(other)) != item_id
        assert await store.record(second, review(second)) == item_id
        same, alone = await store.list_review_items()
        assert (same.item.id, same.asks, alone.asks) == (item_id, 2, 1)
        assert same.item.trace_id == first.id
        assert set(await store.list_review_traces(item_id or "")) == {first.id, second.id}
        assert await store.count_review_items() == 2

    asyncio.run(scenario())


def test_a_decided_item_is_closed_to_newcomers(store: SqlStore) -> None:
    async def scenario() -> None:
        first, second = trace("same"), trace("same")
        item_id = await store.record(first, review(first))
        await store.write(lambda c: c.execute(update(tables.review_items).values(state="decided")).rowcount)
        assert await store.record(second, review(second)) != item_id
        assert await store.count_review_items("decided") == 1
        assert await store.count_review_items("pending") == 1

    asyncio.run(scenario())


def test_feedback(store: SqlStore) -> None:
    async def scenario() -> None:
        fine, bad = trace("fine"), trace("bad")
        for one in (fine, bad):
            await store.record(one, None)
        await store.add_feedback(fine.id, "up", "thanks")
        assert await store.list_review_items() == []
        await store.add_feedback(bad.id, "down", "wrong port\x00")
        await store.add_feedback(bad.id, "down", "still wrong")  # the same trace: one ask
        (queued,) = await store.list_review_items()
        assert (queued.item.cause, queued.item.trace_id, queued.asks) == ("thumbs_down", bad.id, 1)
        with pytest.raises(NotFound):
            await store.add_feedback("nobody", "up", "")
        with pytest.raises(InvalidInput):
            await store.add_feedback(fine.id, "sideways", "")

    asyncio.run(scenario())


def test_answers_that_helped_are_those_that_nobody_called_bad(store: SqlStore) -> None:
    async def scenario() -> None:
        good, doubted, silent = (trace(f"q{at}", Route.GROUNDED) for at in range(3))
        away = trace("q4", Route.ABSTAINED)
        for one in (good, doubted, silent, away):
            await store.record(one, None)
        for one in (good, doubted, away):
            await store.add_feedback(one.id, "up", "")
        await store.add_feedback(doubted.id, "down", "")
        found = await store.read(lambda c: traces.liked(c, 10))
        assert [one.id for one in found] == [good.id]

    asyncio.run(scenario())


def test_feedback_on_an_abstained_trace_stays_one_ask(store: SqlStore) -> None:
    async def scenario() -> None:
        one = trace(route=Route.ABSTAINED)
        item_id = await store.record(one, review(one))
        await store.add_feedback(one.id, "down", "")
        (queued,) = await store.list_review_items()
        assert (queued.item.id, queued.item.cause, queued.asks) == (item_id, "abstained", 1)

    asyncio.run(scenario())


def test_two_replicas_asking_the_same_in_opposite_order_lose_nothing(url: str) -> None:
    questions = [f"question {n}" for n in range(20)]

    async def ask(store: SqlStore, order: list[str]) -> None:
        asked = [trace(text) for text in order for _ in range(5)]
        await asyncio.gather(*(store.record(one, review(one)) for one in asked))

    async def scenario() -> None:
        with SqlStore.open(url) as left, SqlStore.open(url) as right:
            await asyncio.gather(ask(left, questions), ask(right, questions[::-1]))
            queued = await left.list_review_items()
            assert sorted(one.item.question for one in queued) == sorted(questions)
            assert {one.asks for one in queued} == {10}

    asyncio.run(scenario())


def test_keys(store: SqlStore) -> None:
    async def scenario() -> None:
        assert await store.count_live_keys() == 0
        key_id, key = await store.create_key("ci", "reviewer", "anna")
        assert key.startswith("al_")
        assert len(key) >= 35
        for _ in range(2):  # from the database, then from memory
            info = await store.verify_key(key)
            assert info is not None
            assert (info.id, info.name, info.role) == (key_id, "ci", Role.REVIEWER)
        assert await store.verify_key(key + "x") is None
        assert await store.verify_key("") is None
        assert await store.verify_key("\ud800") is None
        assert key not in repr(await store.list_keys())
        await store.revoke_key(key_id, "anna")
        await store.revoke_key(key_id, "anna")
        assert await store.verify_key(key) is None
        assert await store.count_live_keys() == 0
        (listed,) = await store.list_keys()
        assert listed.revoked is not None
        assert [line.what for line in await store.list_audit()] == ["key.revoke", "key.create"]
        with pytest.raises(NotFound):
            await store.revoke_key("nobody")
        for name, role in (("x", "owner"), ("", "admin"), ("x" * 201, "admin")):
            with pytest.raises(InvalidInput):
                await store.create_key(name, role)

    asyncio.run(scenario())


def test_a_key_revoked_elsewhere_stops_working_in_seconds(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.store.sql._KEY_SECONDS", 0.05)

    async def scenario() -> None:
        with SqlStore.open(url) as here, SqlStore.open(url) as there:
            key_id, key = await here.create_key("ci", "asker")
            assert await here.verify_key(key) is not None
            await there.revoke_key(key_id)
            await asyncio.sleep(0.06)
            assert await here.verify_key(key) is None

    asyncio.run(scenario())


def test_roles_are_ordered() -> None:
    assert [[a.allows(b) for b in Role] for a in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_a_job_only_goes_forward(store: SqlStore) -> None:
    async def scenario() -> None:
        job = await store.create_job("reindex", {"full": True})
        assert (job.state, job.params, job.pid) == (JobState.QUEUED, {"full": True}, os.getpid())
        running = await store.update_job(job.id, state=JobState.RUNNING, stage="embed", done=5, total=10)
        assert running.started is not None
        late = await store.update_job(job.id, stage="embed", done=3, state=JobState.QUEUED)
        assert (late.state, late.done) == (JobState.RUNNING, 5)
        assert (await store.update_job(job.id, done=4)).done == 5
        assert (await store.update_job(job.id, stage="write")).done == 0
        done = await store.update_job(job.id, state=JobState.DONE, result={"passages": 12}, message="ready")
        assert done.finished is not None
        after = await store.update_job(job.id, state=JobState.FAILED, message="too late")
        assert after == done == await store.get_job(job.id)
        assert await store.list_jobs(kind="reindex") == [done]
        assert await store.list_jobs(kind="train") == []
        with pytest.raises(NotFound):
            await store.update_job("nobody", done=1)
        with pytest.raises(NotFound):
            await store.get_job("nobody")

    asyncio.run(scenario())


def test_a_job_of_a_dead_process_is_interrupted(store: SqlStore) -> None:
    async def scenario(child: subprocess.Popen[bytes]) -> None:
        mine, theirs = await store.create_job("a", {}), await store.create_job("b", {})
        await store.update_job(theirs.id, pid=child.pid, state=JobState.RUNNING)
        assert await store.interrupt_dead_jobs() == []
        child.kill()
        while not await store.interrupt_dead_jobs():  # killed, and not even reaped by its parent
            assert time.monotonic() < deadline
        assert (await store.get_job(theirs.id)).state is JobState.INTERRUPTED
        assert (await store.get_job(mine.id)).state is JobState.QUEUED

    deadline = time.monotonic() + 10
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        asyncio.run(scenario(process))


def test_a_process_id_used_again_is_not_taken_for_the_old_process(store: SqlStore) -> None:
    async def scenario() -> None:
        job = await store.create_job("a", {})
        await store.write(lambda c: c.execute(update(tables.jobs).values(pid_started="another boot:1")).rowcount)
        assert [dead.id for dead in await store.interrupt_dead_jobs()] == [job.id]

    asyncio.run(scenario())


def test_a_job_on_another_machine(store: SqlStore, url: str) -> None:
    async def scenario() -> None:
        await store.create_job("a", {})
        await store.write(lambda c: c.execute(update(tables.jobs).values(host="elsewhere")).rowcount)
        assert await store.interrupt_dead_jobs() == []
        silent = await store.interrupt_dead_jobs(silent_after=0)
        # A SQLite file moves with its one machine, which may have got a new name: there the process decides.
        assert len(silent) == (0 if url.startswith("sqlite") else 1)

    asyncio.run(scenario())


def test_releases(store: SqlStore) -> None:
    async def scenario() -> None:
        assert await store.active_release() is None
        one, two = release("one"), release("two")
        await store.add_release(one)
        await store.add_release(two)
        with pytest.raises(Conflict):
            await store.add_release(one)
        assert await store.list_releases() == [two, one]
        for name in ("one", "two", "one"):
            assert (await store.activate_release(name, "anna")).id == name
        assert await store.active_release() == one
        assert [(line.release_id, line.who) for line in await store.list_activations()] == [
            ("one", "anna"),
            ("two", "anna"),
            ("one", "anna"),
        ]
        newest = (await store.list_audit())[0]
        assert (newest.what, newest.before, newest.after) == ("release.activate", "two", "one")
        with pytest.raises(NotFound):
            await store.activate_release("three", "anna")
        assert await store.active_release() == await store.get_release("one")

    asyncio.run(scenario())


def test_calibrations(store: SqlStore) -> None:
    async def scenario() -> None:
        assert await store.latest_calibration() is None
        first = await store.put_calibration({"line": 0.7, "weights": {"a": 1.5}})
        second = await store.put_calibration({"line": 0.8})
        latest = await store.latest_calibration()
        assert latest is not None
        assert (latest.id, latest.payload) == (second, {"line": 0.8})
        assert await store.put_calibration({"weights": {"a": 1.5}, "line": 0.7}) == first
        again = await store.latest_calibration()
        assert again is not None
        assert again.id == first
        assert (await store.get_calibration(second)).payload == {"line": 0.8}
        with pytest.raises(NotFound):
            await store.get_calibration("nobody")

    asyncio.run(scenario())


def test_audit(store: SqlStore) -> None:
    async def scenario() -> None:
        await store.audit("anna", "document.delete", {"path": "a.md"})
        await store.audit("ben", "document.upload", None, ["b.md"])
        newest, oldest = await store.list_audit()
        assert (newest.who, newest.what, newest.before, newest.after) == ("ben", "document.upload", None, ["b.md"])
        assert oldest.before == {"path": "a.md"}
        with pytest.raises(InvalidInput):
            await store.audit("anna", "x", object())

    asyncio.run(scenario())


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_pages_are_bounded(store: SqlStore, limit: int) -> None:
    async def scenario() -> None:
        for listing in (store.list_traces, store.list_jobs, store.list_releases, store.list_activations):
            with pytest.raises(InvalidInput):
                await listing(limit)
        with pytest.raises(InvalidInput):
            await store.list_review_items("pending", limit)
        with pytest.raises(InvalidInput):
            await store.list_review_items("lost")
        with pytest.raises(InvalidInput):
            await store.list_review_items("pending", 5, -1)
        with pytest.raises(InvalidInput):
            await store.list_traces(5, before=2**64)

    asyncio.run(scenario())
