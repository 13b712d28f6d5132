"""The self-test finds what is wrong in a store, explain says why, the matcher asks the embedder only when it must."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router.curated import Entries
from router.errors import Unavailable
from router.types import CuratedEntry, EntryStatus, How
from services.compose import embedder_of
from services.curated.explain import explain
from services.curated.matcher import NEAREST, Matcher, WordingVectors
from services.curated.self_test import Problem, self_test, self_test_of
from services.curated.trying import explained, tried, tried_of
from services.curated.vocabulary import packaged_guards
from services.settings import Settings

if TYPE_CHECKING:
    from router.ports import Vectors

GUARDS = packaged_guards()
STORE = [
    CuratedEntry("restart", "如何重启数据库集群？", "A1", ("集群重启", "集群重启！"), ("如何重启数据库实例？",)),
    CuratedEntry("again", "数据库集群怎么重新启动？", "A2"),
    CuratedEntry("shadow", "请问：集群重启？", "A3"),
    CuratedEntry("silent", "How do I upgrade the client?", "A4", (), ("how can I upgrade the client",)),
    CuratedEntry("empty", "How do I mount a disk?", "A5", ("？？",)),
    CuratedEntry("alone", "闪回表不支持哪些对象？", "A6"),
    CuratedEntry("old", "What is the default port?", "A7", status=EntryStatus.STALE),
]
ENTRIES = Entries.build(STORE, GUARDS, "r7")


def test_the_self_test_lists_every_kind_of_problem() -> None:
    report = self_test(ENTRIES)
    found = {(one.problem, one.entry_id, one.other_id) for one in report.findings}
    assert found == {
        (Problem.DUPLICATE, "restart", ""),
        (Problem.SHADOW, "restart", "shadow"),
        (Problem.NEIGHBOUR, "restart", "again"),
        (Problem.NEIGHBOUR, "again", "restart"),
        (Problem.NEIGHBOUR, "shadow", "again"),
        (Problem.NEGATIVE_ASKED, "silent", ""),
        (Problem.EMPTY, "empty", ""),
    }
    assert not report.passed
    assert json.loads(json.dumps(report.to_json()))["counts"]["duplicate"] == 1
    assert (report.entries, report.live, report.revision) == (7, 6, "r7")


def test_the_self_test_of_one_entry_is_its_part_of_the_whole() -> None:
    assert self_test_of(ENTRIES, "alone").passed
    assert not self_test_of(ENTRIES, "again").passed
    assert self_test_of(ENTRIES, "nowhere").passed
    whole = {(one.problem, one.wording) for one in self_test(ENTRIES).findings}
    assert {(one.problem, one.wording) for one in self_test_of(ENTRIES, "restart").findings} <= whole


def test_after_an_edit_every_wording_of_the_neighbours_is_tried() -> None:
    """The neighbour's own question is far from the edited entry; one of its variants is not."""
    other = CuratedEntry("other", "集群里的数据库不动了怎么办？", "B", ("数据库集群怎么重新启动？",))
    edited = CuratedEntry("edited", "如何重启数据库集群？", "A", negatives=("不动了怎么办？",))
    entries = Entries.build([other, edited], GUARDS, "r")
    found = {(one.entry_id, one.wording) for one in self_test_of(entries, "edited").findings}
    assert ("other", "数据库集群怎么重新启动？") in found
    assert ("other", other.question) not in found


def test_an_edit_beside_very_many_wordings_is_tested_on_those_most_alike() -> None:
    many = tuple(f"how do I watch the queue of worker {n}" for n in range(300))
    other = CuratedEntry("other", "How do I watch the workers?", "B", (*many, "how to restart the cluster of mine"))
    entries = Entries.build([other, CuratedEntry("edited", "How do I restart my cluster?", "A")], GUARDS, "r")
    report = self_test_of(entries, "edited")
    assert report.asked == 201
    assert ("other", "how to restart the cluster of mine") in {(one.entry_id, one.wording) for one in report.findings}


def test_a_store_without_problems_passes() -> None:
    clean = Entries.build([STORE[5], replace(STORE[6], status=EntryStatus.LIVE)], GUARDS, "r")
    assert self_test(clean).passed


def test_explain_says_why_not() -> None:
    different = explain(ENTRIES, "闪回表支持哪些对象？")
    assert different.how != "near"
    assert any("negation" in guard for one in different.candidates for guard in one.guards)
    stale = explain(ENTRIES, "what is the DEFAULT port")
    assert (stale.how, stale.candidates[0].guards) == ("unsure", ("stale",))
    exact = explain(ENTRIES, "闪回表不支持哪些对象")
    assert (exact.how, exact.entry_id) == ("exact", "alone")
    unknown = explain(ENTRIES, "煮咖啡")
    assert (unknown.how, unknown.candidates) == ("none", ())
    assert json.loads(json.dumps(different.to_json()))["normal"] == "闪回表支持哪些对象"


class Recorded:
    """The packaged embedder, and what it was asked."""

    def __init__(self, home: Path) -> None:
        self.asked: list[Sequence[str]] = []
        self.down: Exception | None = None
        self._embedder = embedder_of(Settings(home=home))()

    async def __call__(self, texts: Sequence[str]) -> Vectors:
        self.asked.append(list(texts))
        if self.down:
            raise self.down
        return self._embedder.embed_questions(texts)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedder")


CARD = ("I lost my card", "my card is gone", "somebody stole my card", "my wallet was stolen with the card in it",
        "where did I put my card", "I cannot find my card anywhere", "my card has disappeared")  # fmt: skip
RATE = ("what is the exchange rate today", "which exchange rate do you use", "how are exchange rates calculated",
        "is the exchange rate good", "where do your exchange rates come from", "exchange rate for euros")  # fmt: skip
INTENTS = [CuratedEntry("card", CARD[0], "C", CARD[1:]), CuratedEntry("rate", RATE[0], "R", RATE[1:])]


def test_exact_and_chinese_questions_are_not_embedded(home: Path) -> None:
    embed = Recorded(home)
    matcher = Matcher(lambda: ENTRIES, embed)
    assert asyncio.run(matcher.match("How do I mount a disk")).how is How.EXACT
    asyncio.run(matcher.match("集群怎么扩容"))
    assert embed.asked == []


def test_votes_of_many_wordings_match_other_words(home: Path) -> None:
    embed = Recorded(home)
    entries = Entries.build(INTENTS, GUARDS, "r")
    matcher = Matcher(lambda: entries, embed)
    match = asyncio.run(matcher.match("someone has stolen the card from me"))
    assert (match.how, match.entry) == (How.NEAR, INTENTS[0])
    assert match.candidates[0].cosine is not None
    assert entries.match("someone has stolen the card from me").entry is None  # words alone are not sure
    asyncio.run(matcher.match("my card may have been stolen"))
    assert [len(texts) for texts in embed.asked] == [1 + len(CARD) + len(RATE), 1]


THIEF = "someone has stolen the card from me"


def test_the_self_test_lists_what_only_votes_would_answer(home: Path) -> None:
    embed = Recorded(home)
    made = [INTENTS[0], replace(INTENTS[1], negatives=("my card may have been stolen",))]
    entries = Entries.build([*made, CuratedEntry("thief", THIEF, "T"), STORE[5]], GUARDS, "r")
    matcher = Matcher(lambda: entries, embed)
    assert self_test(entries).passed, "words alone find nothing"
    report = asyncio.run(tried(matcher, entries))
    found = {(one.problem, one.entry_id, one.wording, one.other_id) for one in report.findings}
    neighbour = (Problem.NEIGHBOUR, "thief", THIEF, "card")
    assert {neighbour, (Problem.NEGATIVE_ANSWERED, "rate", "my card may have been stolen", "card")} <= found
    assert report.words_alone == ""
    (alone,) = asyncio.run(tried_of(matcher, entries, ["thief"]))
    assert {(one.problem, one.entry_id, one.wording, one.other_id) for one in alone.findings} <= found
    assert neighbour in {(one.problem, one.entry_id, one.wording, one.other_id) for one in alone.findings}
    assert len(embed.asked) == 1, "the vectors of the wordings are made once"


def test_a_table_of_cosines_says_what_each_wording_alone_would(home: Path) -> None:
    keys = tuple(f"what does parameter number {n} do" for n in range(130))
    vectors = WordingVectors(keys, embedder_of(Settings(home=home))().embed_questions(keys))
    for block in (1, 64):
        table = vectors.table(block)
        for row in (0, 63, 64, 129):
            alone, found = vectors.nearest(vectors.rows[row]), table(keys[row])
            assert len(found) == NEAREST
            assert sorted(found.values()) == pytest.approx(sorted(alone.values()), abs=1e-5)
        assert table("嗯") == {}


def test_where_words_alone_decide_the_reports_say_why(home: Path) -> None:
    embed = Recorded(home)
    chinese = Entries.build([STORE[5]], GUARDS, "r")
    said = asyncio.run(tried(Matcher(lambda: chinese, embed), chinese)).words_alone
    assert "language" in said and embed.asked == []
    entries = Entries.build(INTENTS, GUARDS, "r")
    assert "no embedder" in asyncio.run(tried(Matcher(lambda: entries), entries)).words_alone
    matcher = Matcher(lambda: entries, embed)
    assert "language" in asyncio.run(explained(matcher, entries, "卡丢了")).words_alone and embed.asked == []
    embed.down = Unavailable("nobody is at home")
    assert "nobody is at home" in asyncio.run(tried(matcher, entries)).words_alone
    assert "nobody is at home" in asyncio.run(explained(matcher, entries, THIEF, wait=True)).words_alone
    embed.down = None
    near = asyncio.run(explained(matcher, entries, THIEF))
    assert (near.how, near.entry_id, near.candidates[0].case, near.words_alone) == ("near", "card", "votes", "")


def test_nobody_who_edits_waits_for_the_vectors_of_a_whole_store(home: Path) -> None:
    embed = Recorded(home)
    many = (CuratedEntry(f"e{n}", f"what does parameter number {n} of kind {n}x do", "A") for n in range(60))
    entries = Entries.build((*INTENTS, *many), GUARDS, "r")
    matcher = Matcher(lambda: entries, embed)

    async def story() -> tuple[str, str]:
        (early,) = await tried_of(matcher, entries, ["card"])
        await tried(matcher, entries)
        (late,) = await tried_of(matcher, entries, ["card"])
        return early.words_alone, late.words_alone

    early, late = asyncio.run(story())
    assert "being made" in early and late == ""


def test_an_edit_is_matched_at_once_and_a_deleted_entry_takes_no_votes(home: Path) -> None:
    embed = Recorded(home)
    held = [Entries.build(INTENTS, GUARDS, "r1")]
    matcher = Matcher(lambda: held[0], embed)
    question = "someone has stolen the card from me"
    assert asyncio.run(matcher.match(question)).entry is not None
    held[0] = held[0].replaced([], ["card"], "r2")
    assert asyncio.run(matcher.match(question)).entry is None
    held[0] = held[0].replaced([INTENTS[0]], [], "r3")
    assert asyncio.run(matcher.match(question)).entry == INTENTS[0]


@pytest.mark.parametrize("down", [Unavailable("the embedder is down"), RuntimeError("CUDA error: out of memory")])
def test_a_dead_embedder_leaves_the_words(home: Path, down: Exception, caplog: pytest.LogCaptureFixture) -> None:
    embed = Recorded(home)
    embed.down = down
    match = asyncio.run(Matcher(lambda: ENTRIES, embed).match("how to mount the disk of a machine"))
    assert match.entry is None
    assert match.candidates[0].cosine is None
    assert len(caplog.records) == isinstance(down, RuntimeError), "what nobody expected is written down"


def test_an_embedder_that_dies_on_many_new_wordings_is_tried_again(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embed = Recorded(home)
    embed.down = RuntimeError("CUDA error: out of memory")
    many = (CuratedEntry(f"e{n}", f"what does parameter number {n} of kind {n}x do", "A") for n in range(60))
    entries = Entries.build((*INTENTS, *many), GUARDS, "r")
    matcher = Matcher(lambda: entries, embed)

    async def ask() -> How:
        for _ in range(2):
            await matcher.match("someone has stolen the card from me")
            await asyncio.sleep(0)  # the background is at it
            await asyncio.sleep(0)
        embed.down = None
        await matcher.ready()
        return (await matcher.match("someone has stolen the card from me")).how

    assert asyncio.run(ask()) is How.NEAR
    said = [one.getMessage() for one in caplog.records]
    assert said == ["the wordings of the curated store could not be embedded"] * 2


def test_many_new_wordings_are_embedded_in_the_background(home: Path) -> None:
    embed = Recorded(home)
    many = [
        *INTENTS,
        *(CuratedEntry(f"e{n}", f"what does parameter number {n} of kind {n}x do", "A") for n in range(60)),
    ]
    entries = Entries.build(many, GUARDS, "r")
    matcher = Matcher(lambda: entries, embed)

    async def ask() -> tuple[How, How]:
        first = await matcher.match("someone has stolen the card from me")
        await matcher.ready()
        return first.how, (await matcher.match("someone has stolen the card from me")).how

    first, later = asyncio.run(ask())
    assert first is not How.NEAR
    assert later is How.NEAR
    assert max(map(len, embed.asked)) <= 33
