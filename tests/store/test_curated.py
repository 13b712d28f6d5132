"""Curated answers in the store, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from router.errors import Conflict, InvalidInput, NotFound
from router.types import Citation, CuratedEntry, EntryStatus
from services.store.codec import decode_entry, dumps
from services.store.curated import Wanted
from services.store.records import CuratedVersion
from services.store.sql import SqlStore
from tests.store.samples import release

RESTART = CuratedEntry(
    "restart",
    "如何重启集群？",
    "执行 `restart`。\n\n等两分钟。",
    variants=("集群怎么重启", "restart the cluster"),
    negatives=("如何重建集群？",),
    citations=(Citation("p1", "docs/zh/ops.md", "运维 > 重启", "执行 `restart`", 3, 15, "r1", ("docs/old.md",)),),
)
REBUILD = CuratedEntry("rebuild", "How do I rebuild the cluster?", "Run `rebuild`.", status=EntryStatus.STALE)


def put(*entries: CuratedEntry, delete: tuple[str, ...] = ()) -> object:
    def plan(_there: Mapping[str, CuratedVersion]) -> Wanted:
        return Wanted(entries, delete)

    return plan


async def content(store: SqlStore, revision: int | None = None) -> dict[str, CuratedEntry]:
    return {entry.id: entry for entry in (await store.curated.entries_at(revision)).changed}


def test_an_entry_and_its_history(store: SqlStore) -> None:
    async def scenario() -> None:
        curated = store.curated
        assert await curated.head() == 0
        assert (await curated.create(RESTART, "anna")).revision == 1
        first = await curated.get("restart")
        assert (first.entry, first.version, first.revision, first.who) == (RESTART, 1, 1, "anna")
        better = replace(RESTART, answer="执行 `restart --now`。", status=EntryStatus.STALE)
        edit = await curated.update(better, 1, "ben")
        assert [(c.before, c.after.version) for c in edit.changes] == [(first, 2)]
        assert (await curated.delete("restart", "anna", 2)).revision == 3
        with pytest.raises(NotFound):
            await curated.get("restart")
        versions = await curated.history("restart")
        assert [(v.version, v.who, v.deleted, v.entry) for v in versions] == [
            (3, "anna", True, better),
            (2, "ben", False, better),
            (1, "anna", False, RESTART),
        ]
        assert [v.version for v in await curated.history("restart", 1, 1)] == [2]
        again = await curated.create(RESTART, "anna")
        assert (again.changes[0].before, again.changes[0].after.version) == (None, 4)

    asyncio.run(scenario())


def test_nobody_overwrites_what_they_have_not_seen(store: SqlStore) -> None:
    async def scenario() -> None:
        curated = store.curated
        await curated.create(RESTART, "anna")
        with pytest.raises(Conflict, match="already"):
            await curated.create(RESTART, "ben")
        drafts = [replace(RESTART, answer=f"answer {n}") for n in range(8)]
        outcomes = await asyncio.gather(*(curated.update(draft, 1, "ben") for draft in drafts), return_exceptions=True)
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 7
        assert await curated.head() == 2
        with pytest.raises(Conflict, match="version 2"):
            await curated.delete("restart", "ben", 1)
        await curated.delete("restart", "ben")
        for write in (curated.update(RESTART, 3, "ben"), curated.delete("restart", "ben"), curated.history("nobody")):
            with pytest.raises(NotFound):
                await write

    asyncio.run(scenario())


def test_many_changes_are_one_revision_or_none(store: SqlStore) -> None:
    async def scenario() -> None:
        curated = store.curated
        many = [CuratedEntry(f"e{n}", f"question {n}", f"answer {n}") for n in range(1_200)]
        edit = await curated.edit(put(*many), "anna", "import")  # type: ignore[arg-type]
        assert (edit.revision, len(edit.changes)) == (1, 1_200)
        assert (await curated.edit(put(*many), "anna", "import")).changes == ()  # type: ignore[arg-type]
        assert await curated.head() == 1
        line, *_ = await store.list_audit()
        assert (line.who, line.what, line.after["changed"]) == ("anna", "curated.import", 1_200)

        def bad(_there: Mapping[str, CuratedVersion]) -> Wanted:
            raise InvalidInput("changed my mind")

        with pytest.raises(InvalidInput):
            await curated.edit(bad, "anna", "import")
        with pytest.raises(InvalidInput):  # half way: the second row cannot be stored
            await curated.edit(put(REBUILD, replace(REBUILD, id="\ud800")), "anna", "import")  # type: ignore[arg-type]
        assert await curated.head() == 1
        assert "rebuild" not in await content(store)
        changed = replace(many[3], answer="another")
        edit = await curated.edit(put(*many[:3], changed, delete=("e7", "nobody")), "ben", "import")  # type: ignore[arg-type]
        assert [c.after.entry.id for c in edit.changes] == ["e3", "e7"]

    asyncio.run(scenario())


def test_every_edit_has_its_line_in_the_audit_log(store: SqlStore) -> None:
    async def scenario() -> None:
        await store.curated.create(REBUILD, "anna")
        await store.curated.update(replace(REBUILD, answer="Run it."), 1, "ben")
        await store.curated.delete("rebuild", "cleo")
        gone, changed, made = await store.list_audit()
        assert [(line.who, line.what) for line in (made, changed, gone)] == [
            ("anna", "curated.create"),
            ("ben", "curated.update"),
            ("cleo", "curated.delete"),
        ]
        assert (made.before, made.after["entry"]["question"]) == (None, REBUILD.question)
        assert (changed.before["answer"], changed.after["entry"]["answer"]) == ("Run `rebuild`.", "Run it.")
        assert (gone.before["answer"], gone.after) == ("Run it.", {"revision": 3})

    asyncio.run(scenario())


def test_any_revision_can_be_read_and_gone_back_to(store: SqlStore) -> None:
    async def scenario() -> None:
        curated = store.curated
        states: list[dict[str, CuratedEntry]] = [{}]
        for step in (
            put(RESTART),
            put(REBUILD),
            put(replace(RESTART, answer="new")),
            put(delete=("restart",)),
            put(RESTART, delete=("rebuild",)),
        ):
            await curated.edit(step, "anna", "import")  # type: ignore[arg-type]
            states.append(await content(store))
        for revision, state in enumerate(states):
            assert await content(store, revision) == state
        for target in (2, 0, 5, 3):
            edit = await curated.revert(target, "ben")
            assert await content(store) == states[target]
            assert edit.revision == await curated.head()
            assert (await curated.revert(target, "ben")).changes == ()
        assert [len(states[n]) for n in range(6)] == [0, 1, 2, 2, 1, 1]
        for revision in (-1, 99):
            with pytest.raises(NotFound):
                await curated.revert(revision, "ben")
            with pytest.raises(NotFound):
                await curated.entries_at(revision)

    asyncio.run(scenario())


def test_what_a_newer_program_wrote_is_read_as_far_as_it_is_known() -> None:
    raw = json.loads(dumps(RESTART))
    raw["owner"] = raw["citations"][0]["page"] = "anna"
    assert decode_entry(json.dumps(raw)) == RESTART
    assert decode_entry('{"id": "x", "question": "q", "answer": "a"}') == CuratedEntry("x", "q", "a")


def test_the_difference_between_revisions(store: SqlStore) -> None:
    async def scenario() -> None:
        curated = store.curated
        await curated.create(RESTART, "anna")
        await curated.create(REBUILD, "anna")
        await curated.update(replace(REBUILD, answer="new"), 1, "anna")
        await curated.delete("restart", "anna")
        delta = await curated.since(1)
        assert (delta.revision, [e.answer for e in delta.changed], delta.removed) == (4, ["new"], ("restart",))
        assert (await curated.since(4)).changed == ()

    asyncio.run(scenario())


def test_pages_and_searching(store: SqlStore) -> None:
    async def scenario() -> None:
        curated = store.curated
        await curated.create(RESTART, "anna")
        await curated.create(REBUILD, "anna")
        await curated.create(replace(REBUILD, id="gone"), "anna")
        await curated.delete("gone", "anna")

        async def ids(text: str = "", **more: object) -> list[str]:
            return [v.entry.id for v in (await curated.page(text, **more)).versions]  # type: ignore[arg-type]

        assert await ids() == ["rebuild", "restart"]
        assert await ids("ＲＥＳＴＡＲＴ the") == ["restart"]  # any case and width, in variants too
        assert await ids("重启") == ["restart"]
        assert await ids("%") == await ids("_uild the") == await ids("\\") == []
        assert await ids(status="stale") == ["rebuild"]
        second = await curated.page(limit=1, offset=1)
        assert ([v.entry.id for v in second.versions], second.total, second.revision) == (["restart"], 2, 4)
        with pytest.raises(InvalidInput, match="none of live"):
            await ids(status="dead")

    asyncio.run(scenario())


def test_curated_answers_go_back_with_their_release(store: SqlStore) -> None:
    async def scenario() -> None:
        curated = store.curated
        await store.add_release(release("one"))
        await curated.create(RESTART, "anna")
        assert (await store.activate_release("one", "anna")).curated_revision == "1"  # takes what is there
        await curated.create(REBUILD, "anna")
        await store.add_release(replace(release("two"), curated_revision="0"))  # as the release it was copied from
        assert (await store.activate_release("two", "anna")).curated_revision == "2"
        await curated.update(replace(RESTART, answer="worse"), 1, "ben")
        await curated.delete("rebuild", "ben")

        back = await store.activate_release("one", "anna")
        assert await content(store) == {"restart": RESTART, "rebuild": REBUILD}
        assert (await curated.history("restart"))[0].version == 3
        assert back.curated_revision == str(await curated.head()) == "5"
        assert (await store.get_release("two")).curated_revision == "4"
        assert "curated.revert" in [line.what for line in await store.list_audit()]

        await store.activate_release("two", "anna")  # and forward again
        assert await content(store) == {"restart": replace(RESTART, answer="worse")}
        await store.activate_release("one", "anna", keep_curated=True)
        assert await content(store) == {"restart": replace(RESTART, answer="worse")}
        head = await curated.head()
        await store.activate_release("one", "anna")  # active already: nothing to go back to
        assert await curated.head() == head

    asyncio.run(scenario())


def test_a_release_of_before_curated_answers_leaves_them_alone(store: SqlStore) -> None:
    async def scenario() -> None:
        for name in ("old", "new"):
            await store.add_release(replace(release(name), curated_revision="none"))
            await store.activate_release(name, "anna")
        await store.write(lambda c: c.exec_driver_sql("UPDATE releases SET curated_revision = 'none'").rowcount)
        await store.curated.create(RESTART, "anna")
        assert (await store.activate_release("old", "anna")).curated_revision == "1"
        assert await content(store) == {"restart": RESTART}

    asyncio.run(scenario())
