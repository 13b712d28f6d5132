"""What a draft may say: hand-written drafts in both languages, and what no draft can get past the check."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from indexer.analysis import analyse
from router import facts, prompt
from router.checking import MEANING, SupportModel, Verdict, check, is_refusal, statements
from router.wording import REFUSAL
from services.generation.checking import PACKAGED, packaged_model

ZH = (
    "部署需要 3 个节点，默认端口为 5432，可以通过参数 port 修改。重启主节点不会丢失数据。数据从主节点复制到备节点。"
    "备节点是只读的。"
)
EN = (
    "Replicas are read-only by default. Data is copied from the primary to the standby. The limit is 512 MB, and it "
    "can be changed with --max-memory. Snapshots are not supported on ARM. The first version was written by Salvatore "
    "Sanfilippo in the year 2009 for a small company."
)
STEPS = "1. Run `redis-cli shutdown`.\n2. Edit redis.conf.\n3. Run `redis-server redis.conf`.\n"
PASSAGES = [ZH, EN, STEPS]
MODEL = packaged_model()


def checked(draft: str, passages: list[str] = PASSAGES):
    return check(draft, passages, analyse, MODEL)


@pytest.mark.parametrize(
    "draft",
    [
        "默认端口为 5432[1]。",
        "默认端口是 5432，可以用参数 port 修改[1]。",
        "部署需要三个节点[1]。重启主节点不会丢失数据[1]。",
        "Replicas are read-only by default [1].",
        "By default, replicas are read-only. [1]",
        "The limit is 512MB [1]. It can be changed with `--max-memory` [1].",
        "In 2009, Salvatore Sanfilippo wrote the first version [1].",
        "On ARM, snapshots are not supported [1].",
        "read-only [1]",
        "Sanfilippo [1]",
    ],
)
def test_what_the_passage_says_is_sent_as_it_is(draft: str) -> None:
    passages = [ZH if "\u4e00" <= draft[0] <= "\u9fff" else EN]
    assert checked(draft, passages).text == draft


@pytest.mark.parametrize(
    ("draft", "why"),
    [
        ("默认端口为 6432[1]。", "number"),
        ("部署需要五个节点[1]。", "number"),
        ("重启主节点会丢失数据[1]。", "negation"),
        ("备节点不是只读的[1]。", "negation"),
        ("数据从备节点复制到主节点[1]。", "swap"),
        ("备节点是读写的[1]。", "opposite"),
        ("默认端口为 5432，可以通过参数 listen_port 修改[1]。", "identifier"),
        ("The limit is 512 KB [2].", "number"),
        ("The limit is 256 MB, and it can be changed with --max-memory [2].", "number"),
        ("It can be changed with --max-clients [2].", "identifier"),
        ("Replicas are not read-only by default [2].", "negation"),
        ("Snapshots are supported on ARM [2].", "negation"),
        ("Data is copied from the standby to the primary [2].", "swap"),
        ("The first version was written by Antonio Rossi in the year 2009 for a small company [2].", "substitution"),
    ],
)
def test_one_thing_made_wrong_is_not_sent(draft: str, why: str) -> None:
    found = checked(draft)
    assert found.text == ""
    assert [one.verdict for one in found.statements] == [Verdict.CONTRADICTED]
    assert why in found.statements[0].against


@pytest.mark.parametrize(
    "draft",
    [
        "香蕉是黄色的，味道很甜[1]。",
        "Bananas are yellow and sweet [2].",
        "天气很好。",
        "Paris is in France.",
        "bananas [2]",
        "The bananas [2]",
        "香蕉 [1]",
    ],
)
def test_what_no_passage_says_is_not_sent(draft: str) -> None:
    found = checked(draft)
    assert found.text == ""
    assert found.support["claims_supported"] == 0.0


def test_only_the_unsupported_sentence_goes() -> None:
    found = checked("部署需要 3 个节点[1]。默认端口是 6432[1]。备节点是只读的[1]。")
    assert found.text == "部署需要 3 个节点[1]。备节点是只读的[1]。"
    assert found.support["claims_supported"] == pytest.approx(2 / 3)


def test_a_sentence_that_cites_nothing_gets_its_citation() -> None:
    found = checked("默认端口为 5432。Replicas are read-only by default.")
    assert found.text == "默认端口为 5432 [1]。Replicas are read-only by default [2]."
    assert found.passages == (1, 2)
    assert found.support["claims_as_cited"] == 0.0


def test_a_wrong_citation_is_mended_and_counted() -> None:
    found = checked("Replicas are read-only by default [1].")
    assert found.text == "Replicas are read-only by default [1]."
    assert found.passages == (2,)
    assert found.statements[0].verdict is Verdict.MENDED
    assert found.support["claims_as_cited"] == 0.0
    assert checked("Replicas are read-only by default [2].").support["claims_as_cited"] == 1.0


def test_citations_are_counted_anew() -> None:
    found = checked("Run `redis-cli shutdown` [3]. Bananas are sweet [1]. Replicas are read-only by default [2][3].")
    assert found.text == "Run `redis-cli shutdown` [1]. Replicas are read-only by default [2][1]."
    assert found.passages == (3, 2)


def test_invented_citations_are_removed_and_counted() -> None:
    found = checked("Replicas are read-only by default [2][9]. The limit is 512 MB [14].")
    assert found.invented == 2
    assert found.text == "Replicas are read-only by default [1]. The limit is 512 MB [1]."


def test_yes_stays_with_its_reason_only() -> None:
    assert checked("Yes. Replicas are read-only by default [2].").text.startswith("Yes. Replicas")
    assert checked("Yes. Bananas are yellow [2]. The limit is 512 MB [2].").text == "The limit is 512 MB [1]."
    assert checked("是的。备节点是只读的[1]。").text == "是的。备节点是只读的[1]。"
    assert checked("Yes.").text == ""


def test_steps_are_sent_whole_or_not_at_all() -> None:
    draft = (
        "Do this:\n\n1. Run `redis-cli shutdown` [3].\n2. Edit redis.conf [3].\n3. Run `redis-server redis.conf` [3]."
    )
    assert checked(draft).text == draft.replace("[3]", "[1]")
    assert checked(draft.replace("Edit redis.conf", "Drink a cup of coffee")).text == ""


def test_the_number_of_a_step_is_no_claim() -> None:
    draft = "1. Edit redis.conf [3].\n2. Run `redis-server redis.conf` [3]."
    assert checked(draft).text == draft.replace("[3]", "[1]")


def test_a_number_from_elsewhere_in_the_passage_is_not_this_one() -> None:
    source = ["The cache holds 64 entries for each user by default. A request may take 10 seconds at most."]
    assert checked("The cache holds 64 entries for each user by default [1].", source).text
    assert not checked("The cache holds 10 entries for each user by default [1].", source).text


def test_code_and_tables() -> None:
    draft = "Run this [3]:\n\n```sh\nredis-server redis.conf\n```"
    assert checked(draft).text == draft.replace(" [3]", "")
    assert checked(draft.replace("redis-server", "rm -rf --no-preserve-root")).text == ""
    table = "| name | default |\n|---|---|\n| port | 5432 |"
    source = ["Settings have a name and a default. The default of port is 5432."]
    assert checked(table, source).text == table + "\n\n[1]"
    assert checked(table.replace("5432", "5433"), source).text == ""


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_refusal_is_known(language: str) -> None:
    for draft in (REFUSAL[language], f' "{REFUSAL[language]}"\n', REFUSAL[language] + " [1]"):
        assert is_refusal(draft)
        assert checked(draft).refused
        assert checked(draft).text == ""
    assert not is_refusal(REFUSAL[language] + " But I think it is 5.")
    assert not is_refusal("")


def test_citations_behind_the_full_stop_belong_to_the_sentence_before() -> None:
    found = statements("First one. [1] Second one.[2][3] Third 句。[2]第四句。\n\n[1]")
    assert [(one.text, one.cited) for one in found] == [
        ("First one.", (1,)),
        ("Second one.", (2, 3)),
        ("Third 句。", (2,)),
        ("第四句。", (1,)),
    ]


def test_an_entailment_model_has_the_word_but_not_over_facts() -> None:
    asked: list[tuple[str, str]] = []

    def entails(premise: str, hypothesis: str) -> float:
        asked.append((premise, hypothesis))
        return 0.9 if "writable" in hypothesis or "512" in hypothesis else 0.1

    said = "Nothing is writable there [2]. Replicas are read-only by default [2]. The limit is 512 KB [2]."
    found = check(said, PASSAGES, analyse, MODEL, entails)
    assert [one.verdict for one in found.statements] == [
        Verdict.SUPPORTED,
        Verdict.UNSUPPORTED,
        Verdict.CONTRADICTED,
    ]
    assert found.text == "Nothing is writable there [1]."
    assert all("512 KB" not in hypothesis for _, hypothesis in asked)
    assert any("Replicas are read-only" in premise for premise, _ in asked)


def test_the_features_decide_what_an_entailment_model_cannot_read() -> None:
    found = check("Replicas are read-only by default [2]. Bananas grow there [2].", PASSAGES, analyse, MODEL, _unread)
    assert [one.verdict for one in found.statements] == [Verdict.SUPPORTED, Verdict.UNSUPPORTED]
    assert found.text == "Replicas are read-only by default [1]."


def _unread(_premise: str, _hypothesis: str) -> None:
    return None


PIECES = [
    "默认端口为 5432",
    "Replicas are read-only",
    "Yes.",
    "Bananas",
    "。",
    ". ",
    "\n",
    "\n- ",
    "\n1. ",
    "[1]",
    "[2]",
]
PIECES += ["[8]", "```\ncode\n```", "| a | 5432 |\n", "# T\n", "not ", "不", "端口:", "`", "**", " "]
pieces = st.sampled_from(PIECES)


@given(st.lists(pieces | st.text(max_size=4), max_size=15).map("".join), st.integers(0, 3))
@example("默认端口为 5432```\ncode\n```[2]\n默认端口为 5432", 2)
@settings(max_examples=300, deadline=None)
def test_every_sent_citation_is_of_a_passage(draft: str, many: int) -> None:
    found = checked(draft, PASSAGES[:many])
    assert set(prompt.citations_of(found.text)) <= set(range(1, len(found.passages) + 1))
    assert set(found.passages) <= set(range(1, many + 1))
    assert set(found.support) in (set(), set(MEANING))
    assert all(0.0 <= value <= 1.0 for value in found.support.values())
    if not any(one.kept for one in found.statements):
        assert found.text == ""


def test_without_passages_nothing_is_sent() -> None:
    assert checked("Replicas are read-only [1].", []).text == ""


def test_the_packaged_model_says_where_it_is_from() -> None:
    raw = json.loads(PACKAGED.read_text("utf-8"))
    assert SupportModel.from_json(raw) == MODEL
    assert set(MODEL.data) == {"mtrag_human_labels_en", "halueval_qa_en"}
    assert MODEL.quality["mtrag"]["auc"] > MODEL.quality["mtrag"]["auc_overlap"]


# --- facts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "known", "missing"),
    [
        ("64MB", "最多 64 MB", 0),
        ("64 MB", "64 KB", 1),
        ("1,000 rows", "1000", 0),
        ("three nodes", "部署 3 个节点", 0),
        ("三个节点", "3 nodes", 0),
        ("10 秒", "10 seconds", 0),
        ("10 秒", "10 分钟", 1),
        ("百分之20", "20%", 0),
        ("3.0", "3", 0),
        ("v1.2.3", "version 1.2.3", 0),
        ("1.2.4", "1.2.3", 1),
        ("1. first\n2. second", "nothing", 0),
        ("a population of 6,960", "6,960.", 0),
        ("最多64个", "64", 0),
        ("三十天", "30 天", 0),
        ("三十天", "10 天", 1),
        ("二十四小时", "24 h", 0),
        ("一百零五个", "105", 0),
        ("二〇二四年", "2024 年", 0),
        ("三" * 5000 + "个", "3" * 5000, 0),
        ("一天，第三个，几十个，数十台", "nothing", 0),
        ("twenty-four hours", "24 h", 0),
        ("fifteen nodes", "15 nodes", 0),
        ("the port: 443.", "nothing", 1),
        ("Steps: 1. open it.", "nothing", 0),
    ],
)
def test_quantities(text: str, known: str, missing: int) -> None:
    assert len(facts.missing_quantities(facts.quantities(text), facts.quantities(known))) == missing


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("it is not supported", True),
        ("It isn’t supported", True),
        ("不支持", True),
        ("不仅支持", False),
        ("不同的节点", False),
        ("No, it is supported", False),
        ("不，支持", False),
        ("not impossible without it", False),
        ("无需重启", True),
        ("it is supported", False),
    ],
)
def test_denials(text: str, denied: bool) -> None:
    assert facts.denies(text) is denied


def test_names_are_not_the_words_that_begin_sentences() -> None:
    assert facts.names("The port of Redis. Another one by Ada Lovelace's team") == {"redis", "ada", "lovelace"}


@pytest.mark.parametrize("letter", ["1", "[1]", "不", "|", "<", "`", "- ", "[", "1.", "A ", ". [1]", "\\"])
def test_hostile_drafts_take_no_time(letter: str) -> None:
    begun = time.process_time()
    draft = letter * 5_000
    facts.quantities(draft), facts.names(draft), facts.denies(draft), prompt.escape(draft), statements(draft)
    assert time.process_time() - begun < 2
