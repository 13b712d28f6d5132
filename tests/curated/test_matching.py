"""Curated matching: the same words always, other words only when nothing that matters differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import opencc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.curated import Entries
from router.curated_text import normal_form
from router.guards import another_deed, contradictions, doubts, facts_of
from router.types import CuratedEntry, EntryStatus, How
from services.curated import vocabulary
from services.curated.vocabulary import packaged_guards
from services.curated.written import Faq, stores_of, written

GUARDS = packaged_guards()
QUESTIONS = {
    "restart-cluster": "如何重启整个数据库集群？",
    "rebuild-cluster": "如何完整重建数据库集群？",
    "enable-cache": "怎么开启查询缓存功能？",
    "install-3": "如何安装 pgvector 0.7 插件？",
    "log-5": "怎么查询最近 5 天的慢日志？",
    "add-ro": "如何增加一个 RO 节点？",
    "en-enable": "How do I enable query caching for a table?",
    "en-restore": "How can I restore a backup from before the upgrade?",
    "en-limit": "What is the maximum size of an attachment in MB?",
    "en-flag": "What does --max-len do?",
    "en-convert": "How do I convert euros to dollars?",
}
ENTRIES = Entries.build((CuratedEntry(name, text, f"A {name}") for name, text in QUESTIONS.items()), GUARDS, "r1")

PIECES = st.sampled_from(
    "如何 怎么 重启 重建 集群 实例 ？ ， 。 请问 你好 谢谢 呢 RO rw v1.2 1.2 5 GB 10gb --max-len /etc/hosts a_b how "
    "do i the what's don't can't please thanks "
    " hi ' ’ - _ . [x](y) ( ) * % $ 臺 檔 ① Ａ Straße ﬁ İ ß 后 後 乾 干 的 步骤".split()
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES | st.text(max_size=6), max_size=14).map("".join) | st.lists(PIECES, max_size=14).map(" ".join))
def test_the_normal_form_of_a_normal_form_is_itself(text: str) -> None:
    once = normal_form(text, GUARDS.wording)
    assert normal_form(once, GUARDS.wording) == once


@pytest.mark.parametrize("text", QUESTIONS.values())
@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.lower,
        lambda text: text.rstrip("?？"),
        lambda text: f"  {text}!! ",
        lambda text: text.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)}),
        lambda text: opencc.OpenCC("s2t").convert(text),
        lambda text: f"你好，请问{text}谢谢！" if text[0] > "\u3000" else f"Hi there, {text} Thanks!",
    ],
)
def test_the_same_words_find_their_entry(text: str, change: Callable[[str], str]) -> None:
    match = ENTRIES.match(change(text))
    assert match.how is How.EXACT
    assert match.entry is not None
    assert match.entry.question == text


@pytest.mark.parametrize(
    ("asked", "guard"),
    [
        ("如何重载整个数据库集群？", "action"),
        ("如何重启整个数据库实例？", "object"),
        ("怎么关闭查询缓存功能？", "action"),
        ("如何安装 pgvector 0.8 插件？", "version"),
        ("如何卸载 pgvector 0.7 插件？", "action"),
        ("怎么查询最近 6 天的慢日志？", "number"),
        ("怎么查询最近 5 小时的慢日志？", "number"),
        ("如何增加一个 RW 节点？", "opposite"),
        ("为什么增加一个 RO 节点？", "kind"),
        ("增加一个 RO 节点要多久？", "kind"),
        ("增加一个 RO 节点会不会有影响？", "kind"),
        ("How do I disable query caching for a table?", "action"),
        ("Why do I enable query caching for a table?", "kind"),
        ("How do I not enable query caching for a table?", "negation"),
        ("How do I enable query caching for an index?", "object"),
        ("How can I restore a backup from after the upgrade?", "opposite"),
        ("How can I restore a backup from before the downgrade?", "action"),
        ("What is the minimum size of an attachment in MB?", "opposite"),
        ("What is the maximum size of an attachment in GB?", "unit"),
        ("What does --min-len do?", "name"),
        ("How do I convert dollars to euros?", "direction"),
    ],
)
def test_one_word_that_matters_is_never_near(asked: str, guard: str) -> None:
    assert ENTRIES.match(asked).entry is None
    certain = {form.key: 0.999 for form in ENTRIES.forms.values()}  # not even with an embedder that is sure
    match = ENTRIES.match(asked, certain)
    assert match.entry is None
    assert any(one.startswith(guard) for candidate in match.candidates for one in candidate.guards)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("数据库集群整个怎么重启", "restart-cluster"),
        ("整个数据库集群如何进行重新启动", "restart-cluster"),
        ("查询缓存功能怎么启用", "enable-cache"),
        ("how to turn on query caching on my table", "en-enable"),
    ],
)
def test_other_words_for_the_same_thing_are_near(asked: str, name: str) -> None:
    match = ENTRIES.match(asked)
    assert match.how is How.NEAR
    assert match.entry is not None
    assert match.entry.id == name
    assert match.margin >= GUARDS.near.margin


WRITTEN = [*written(), *written(Path(__file__).parent / "near_held_out.jsonl")]


def _sent(faqs: list[Faq], texts: Callable[[Faq], tuple[str, ...]]) -> list[tuple[str, str, str]]:
    """What is answered near, as (question, the entry it is about, the entry that answers)."""
    found = []
    for store in stores_of(faqs).values():
        entries = Entries.build((CuratedEntry(one.id, one.question, one.answer) for one in store), GUARDS, "w")
        matches = [(text, one.id, entries.match(text)) for one in store for text in texts(one)]
        found += [(text, name, m.entry.id) for text, name, m in matches if m.how is How.NEAR and m.entry]
    return found


def test_no_written_near_miss_is_answered() -> None:
    assert _sent(WRITTEN, lambda faq: faq.other) == []


def test_a_quarter_of_the_written_paraphrases_is_answered_and_each_by_its_own_entry() -> None:
    sent = _sent(WRITTEN, lambda faq: faq.same)
    assert [one for one in sent if one[1] != one[2]] == []
    assert len(sent) >= sum(len(faq.same) for faq in WRITTEN) / 4


STATED = [
    CuratedEntry("retry", "操作失败、状态变为 Interrupt 后如何重试？", "把 interrupt.recover 由 F 改为 T。"),
    CuratedEntry("cod", "支持货到付款吗？", "不支持，可以用银行卡。"),
    CuratedEntry("drop", "如何删除实例集群？", "执行 kubectl delete mpdcluster。"),
    CuratedEntry("move", "如何把数据从 MySQL 迁移过来？", "使用 DTS 建一个迁移任务。"),
    CuratedEntry("opens", "窗口几点开始办理？", "早上九点。"),
]


@pytest.mark.parametrize(
    ("asked", "name", "guard"),
    [
        ("interrupt.recover 应该改成什么", "retry", ""),
        ("货到付款要手续费吗", "cod", "word: 手续费"),
        ("如何删除实例", "drop", "object: none / 集群"),
        ("如何把数据迁移到 MySQL？", "move", "direction"),
        ("货到付款怎么收费", "cod", "aspect"),
        ("什么时候开始窗口办理？", "opens", ""),
        ("几点钟窗口开始办理", "opens", ""),
        ("窗口几点结束办理？", "opens", "opposite"),
    ],
)
def test_every_word_is_accounted_for(asked: str, name: str, guard: str) -> None:
    match = Entries.build(STATED, GUARDS, "s").match(asked)
    assert (match.entry.id if match.entry else "") == ("" if guard else name)
    reasons = [one for candidate in match.candidates if candidate.entry_id == name for one in candidate.guards]
    assert not guard or any(one.startswith(guard) for one in reasons)


def test_one_wording_of_many_does_not_speak_for_its_entry_where_an_embedder_sees_the_others_far_away() -> None:
    wordings = ("查询缓存怎么打开", "缓存如何启用", "怎样启用查询的缓存", "打开缓存的办法")
    entries = Entries.build([CuratedEntry("many", "怎么开启查询缓存功能？", "A", wordings)], GUARDS, "v")
    asked = "我想要开启查询缓存功能"
    alone = entries.match(asked, {normal_form("怎么开启查询缓存功能？", GUARDS.wording): 0.95})
    assert (alone.entry, entries.match(asked).how) == (None, How.NEAR)
    assert any(one.startswith("votes") for one in alone.candidates[0].guards)


def test_an_entry_is_found_by_what_its_answer_names_until_the_answer_changes() -> None:
    entries = Entries.build(STATED, GUARDS, "s")
    edited = entries.replaced([CuratedEntry("retry", STATED[0].question, "联系管理员。")], (), "t")
    assert [edited.match("interrupt.recover 应该改成什么").entry, "interrupt.recover" in edited.named] == [None, False]


SWAPS = [
    ("重启", "重建"), ("开启", "关闭"), ("启动", "停止"), ("安装", "卸载"), ("读写", "只读"), ("5", "7"),
    ("v2.1", "v2.2"),
    ("enable", "disable"), ("upgrade", "downgrade"), ("grant", "revoke"), ("before", "after"), ("10 GB", "10 MB"),
    ("集群", "实例"), ("add", "remove"), ("max", "min"), ("start", "stop"), ("create", "drop"),
]  # fmt: skip
FRAMES = [
    "如何{} 当前系统",
    "想要{}的话应该怎么做",
    "{}数据库里的表",
    "how do I {} the service",
    "what about {} in my cluster",
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SWAPS), st.sampled_from(FRAMES), st.booleans(), st.floats(0.9, 1.0))
def test_a_swapped_word_never_matches(pair: tuple[str, str], frame: str, back: bool, cosine: float) -> None:
    ours, theirs = reversed(pair) if back else pair
    stored = frame.format(ours)
    entries = Entries.build([CuratedEntry("one", stored, "A")], GUARDS, "r")
    match = entries.match(frame.format(theirs), {normal_form(stored, GUARDS.wording): cosine})
    assert match.entry is None


TEXTS = st.lists(
    st.sampled_from([*QUESTIONS.values(), "数据库集群整个怎么重启", "turn on query caching", "怎么重启实例"]),
    max_size=4,
)
STORE = st.lists(
    st.builds(
        CuratedEntry,
        id=st.sampled_from(["a", "b", "c", "d", "e"]),
        question=st.sampled_from(list(QUESTIONS.values())),
        answer=st.just("A"),
        variants=TEXTS.map(tuple),
        negatives=TEXTS.map(lambda texts: tuple(texts[:1])),
        status=st.sampled_from(list(EntryStatus)),
    ),
    max_size=6,
    unique_by=lambda entry: entry.id,
)
COSINES = st.dictionaries(
    st.sampled_from([normal_form(text, GUARDS.wording) for text in QUESTIONS.values()]), st.floats(-1, 1)
)


@settings(max_examples=250, deadline=None)
@given(STORE, st.sampled_from([*QUESTIONS.values(), "数据库集群整个怎么重启", "turn on query caching", ""]), COSINES)
def test_only_live_entries_without_a_guard_answer(
    stored: list[CuratedEntry], asked: str, cosines: Mapping[str, float]
) -> None:
    entries = Entries.build(stored, GUARDS, "r")
    match = entries.match(asked, cosines)
    retired = {entry.id for entry in stored if entry.status is EntryStatus.RETIRED}
    assert retired.isdisjoint(candidate.entry_id for candidate in match.candidates)
    assert all(entry.status is EntryStatus.LIVE for entry in match.pool)
    assert (match.entry is not None) == (match.how in (How.EXACT, How.NEAR))
    if match.entry is not None:
        assert match.entry.status is EntryStatus.LIVE
        assert any(one.entry_id == match.entry.id and not one.guards for one in match.candidates)


@settings(max_examples=150, deadline=None)
@given(STORE)
def test_every_wording_finds_its_entry_unless_another_has_the_same(stored: list[CuratedEntry]) -> None:
    entries = Entries.build(stored, GUARDS, "r")
    for form in entries.forms.values():
        sharing = [entries.forms[number] for number in entries.keys[form.key]]
        if form.negative or entries.entries[form.entry_id].status is not EntryStatus.LIVE or len(sharing) > 1:
            continue
        match = entries.match(form.text)
        assert match.how is How.EXACT
        assert match.entry is entries.entries[form.entry_id]


@settings(max_examples=100, deadline=None)
@given(STORE, STORE, st.lists(st.sampled_from(["a", "b", "z"]), max_size=2))
def test_an_edit_gives_what_building_anew_gives(
    before: list[CuratedEntry], changed: list[CuratedEntry], removed: list[str]
) -> None:
    first = Entries.build(before, GUARDS, "r1")
    untouched = [first.match(text) for text in QUESTIONS.values()]
    edited = first.replaced(changed, removed, "r2")
    left = {entry.id: entry for entry in before if entry.id not in removed} | {entry.id: entry for entry in changed}
    anew = Entries.build(left.values(), GUARDS, "r2")
    decided = [(match.how, match.entry) for match in map(edited.match, QUESTIONS.values())]
    assert decided == [(match.how, match.entry) for match in map(anew.match, QUESTIONS.values())]
    assert [first.match(text) for text in QUESTIONS.values()] == untouched
    assert edited.idf == anew.idf
    assert set(edited.written) <= {form.text for form in edited.forms.values()}
    assert all(edited.key_of(form.text) == form.key for form in edited.forms.values())


def test_a_negative_is_not_answered_in_the_same_or_in_near_words() -> None:
    negative = "测试环境如何重启数据库集群？"
    entry = CuratedEntry("one", "如何重启数据库集群？", "A", variants=("集群重启",), negatives=(negative,))
    entries = Entries.build([entry], GUARDS, "r")
    assert entries.match("测试环境如何重启数据库集群").entry is None
    near = entries.match("数据库集群在测试环境怎么重启")
    assert near.entry is None
    assert any("negative" in one for one in near.candidates[0].guards)


def fired(ours: str, theirs: str) -> tuple[str, ...]:
    first, second = facts_of(ours, GUARDS), facts_of(theirs, GUARDS)
    return contradictions(first, second) + doubts(first, second)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("pgvector 怎么装", "如何安装 pgvector"),
        ("Is 10GB enough?", "Is 10 GB enough?"),
        ("保留三天的备份", "保留 3 天的备份"),
        ("重启集群的步骤是什么", "怎么重启集群"),
    ],
)
def test_nothing_fires_between_two_wordings_of_one_question(ours: str, theirs: str) -> None:
    assert fired(ours, theirs) == ()


def test_another_language_is_another_question() -> None:
    assert fired("怎么备份", "how do I back up")[0].startswith("language")


def test_a_surface_belongs_to_one_concept() -> None:
    """One that stood for two would make two actions equal, or not, by the order of the file."""
    data = json.loads(vocabulary._DATA.read_text("utf-8"))
    concepts = [*data["objects"], *(side for group in data["states"] for side in group if side), *data["actions"]]
    surfaces = [surface for words in concepts for surface in set(map(vocabulary._surface, words))]
    assert not sorted({surface for surface in surfaces if surfaces.count(surface) > 1})


PAGE = "Change restartCluster to true; 需要重启集群。 restart the cluster"


@pytest.mark.parametrize(
    ("question", "heading", "text", "differs"),
    [
        ("如何停止整个集群？", "重启集群", PAGE, "停止/stop / 重启/restart"),
        ("How do I stop the cluster?", "Restart a cluster", PAGE, "停止/stop / 重启/restart"),
        ("整个集群重建要多久？", "重启集群", PAGE, "重建/rebuild / 重启/restart"),
        ("如何不重启集群就生效？", "重启集群", PAGE, "not 重启/restart / 重启/restart"),
        ("如何不重启集群就生效？", "重启集群", f"{PAGE} 修改参数不需要重启。", ""),
        ("可以不重启集群吗？", "重启集群", PAGE, ""),
        ("怎么重启集群？", "重启集群", PAGE, ""),
        ("如何停止集群？", "重启集群", f"{PAGE} 先停止再启动。", ""),
        ("pgvector 怎么装？", "使用方法", "CREATE EXTENSION vector;", ""),  # a general heading
        ("如何设置用户名？", "创建用户", "用户名写在第一行。", ""),  # a general action
        ("集群有多少个节点？", "重启集群", PAGE, ""),
    ],
)
def test_a_page_about_another_action_answers_another_question(
    question: str, heading: str, text: str, differs: str
) -> None:
    assert another_deed(question, (heading,), text, GUARDS) == differs


@pytest.mark.parametrize(
    ("question", "headings", "differs"),
    [
        ("怎么卸载插件？", ("安装与卸载插件", "安装"), "卸载/uninstall / 安装/install"),
        ("怎么安装插件？", ("安装与卸载插件", "安装"), ""),
        ("How do I stop a node?", ("Start and stop nodes", "Start a node"), "停止/stop / 启动/start"),
        ("How do I stop a node?", ("Stopping nodes", "Before a restart"), ""),  # what it is about stands above
        ("How do I stop a node?", ("Start and stop nodes", "Examples"), ""),
        ("How do I stop a node?", (), ""),
    ],
)
def test_a_section_on_one_of_two_actions_is_not_about_the_other(
    question: str, headings: tuple[str, ...], differs: str
) -> None:
    assert another_deed(question, headings, "systemctl …", GUARDS) == differs


def test_guards_name_a_concept_in_both_languages() -> None:
    found = contradictions(facts_of("how do I stop the cluster", GUARDS), facts_of("restart the cluster", GUARDS))
    assert found == ("action: 停止/stop / 重启/restart",)


@pytest.mark.parametrize(
    ("polite", "plain"),
    [
        ("谢谢，那怎么重启整个数据库集群？", "怎么重启整个数据库集群？"),
        ("好的，请问如何重启集群", "如何重启集群"),
        ("那如何重启集群？", "如何重启集群"),
        ("Thanks, but how do I restart it?", "How do I restart it?"),
        ("ok, so how do I restart it?", "How do I restart it?"),
    ],
)
def test_thanks_before_a_question_are_not_part_of_it(polite: str, plain: str) -> None:
    assert normal_form(polite, GUARDS.wording) == normal_form(plain, GUARDS.wording)


@pytest.mark.parametrize(
    "text", ["谢谢参与活动怎么写", "那个插件怎么装", "好的方案如何选择", "thanks page: how to edit"]
)
def test_thanks_that_are_asked_about_stay(text: str) -> None:
    assert normal_form(text, GUARDS.wording)[:2] == text[:2]
