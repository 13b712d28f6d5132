"""Variants keep what is asked; negatives refuse with one text and never show the answer."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from router import wording
from services.training import negatives
from services.training.cleaning import clean
from services.training.guarding import differences
from services.training.records import Context, Example, Made
from services.training.variants import FEWEST, MOST, Variant, variants


@pytest.mark.parametrize(
    ("question", "language", "one_of"),
    [
        ("如何创建只读节点？", "zh", "只读节点要怎么创建？"),
        ("什么是 PolarFS？", "zh", "PolarFS是什么？"),
        ("wal_size 的默认值是多少？", "zh", "wal_size 默认是多少？"),
        ("How do I create a user?", "en", "How is a user created?"),
        ("What is the default of wal_size?", "en", "What is wal_size by default?"),
    ],
)
def test_the_same_question_in_other_words(question: str, language: str, one_of: str) -> None:
    kept, refused = variants(question, language, lambda _one, _other: ())
    assert 1 <= len(kept) <= MOST and not refused
    every = {one.question for at in range(40) for one in variants(question, language, lambda _a, _b: ())[0]}
    assert len(every) == len(kept)  # the same each time
    from services.training.variants import _all

    assert one_of in {one.question for one in _all(question, language)}


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("主节点挂了之后备库多久能接管", "zh"),
        ("主节点和只读节点的数据是否一致？", "zh"),
        ("为何查询 pg_stat 报错 ERROR 42P01？", "zh"),
        ("Does the replica lag behind when I run VACUUM?", "en"),
        ("max_connections on a standby - which value wins?", "en"),
        ("Which port does the proxy listen on, and can it be changed?", "en"),
    ],
)
def test_what_fits_no_rule_is_asked_in_other_manners(question: str, language: str) -> None:
    kept, refused = variants(question, language, differences)
    assert FEWEST <= len(kept) <= MOST and not refused
    assert any(one.method == "manner" for one in kept)
    texts = (question, *(one.question for one in kept))
    rows = [replace(example(text, "a"), cluster="c") for text in texts]
    assert len(clean(rows, differences).rows) == len(rows), "and none is taken for a copy"
    plenty, _ = variants("如何创建只读节点？", "zh", differences)
    assert not any(one.method == "manner" for one in plenty), "only where rules know too few"


@pytest.mark.parametrize(
    ("question", "language", "refused", "why"),
    [
        ("如何删除用户？", "zh", "如何移除用户？", "删除/delete / 移除/remove"),
        ("wal_size 的默认值是多少？", "zh", "不设置 wal_size 时，它的默认值是多少？", "negation"),
        ("How do I delete a user?", "en", "How do I remove a user?", "删除/delete / 移除/remove"),
        ("Why is it off by default?", "en", "Why is it off unless set?", "negation"),
    ],
)
def test_a_variant_that_changes_what_is_asked_is_refused_with_the_reason(
    question: str, language: str, refused: str, why: str
) -> None:
    kept, out = variants(question, language, differences)
    assert kept and refused not in {one.question for one in kept}
    assert [(one.question, why in said) for one, said in out] == [(refused, True)]


@pytest.mark.parametrize(
    "said",
    ["如何卸载节点？", "如何重置 3 个节点？", "如何不重置节点？", "如何重置集群 pg_2 的节点？", "重置节点需要多久？"],
)
def test_what_a_model_says_otherwise_goes_through_the_same_gate(said: str) -> None:
    kept, refused = variants("如何重置节点？", "zh", differences, [Variant(said, "model", ())])
    assert said not in {one.question for one in kept}
    assert [one.question for one, why in refused if why] == [said]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("如何重置节点？", "如何卸载节点？"),
        ("如何重启集群？", "如何重建集群？"),
        ("连接数能设为 100 吗？", "连接数能设为 200 吗？"),
        ("Can I enable it?", "Can I disable it?"),
        ("Does 2.1 support it?", "Does 2.2 support it?"),
        ("可以删除用户吗？", "不可以删除用户吗？"),
        ("Why does it restart?", "Why does it not restart?"),
    ],
)
def test_the_gate_sees_another_verb_number_or_object(one: str, other: str) -> None:
    assert differences(one, other)


def example(question: str, answer: str, language: str = "en", method: str = "default") -> Example:
    shown = (Context("p1", "d", "h", f"It says {answer}.", True, 8, 8 + len(answer)),)
    return Example(f"id-{question}", question, answer, language, f"c-{question}", Made.RULE, shown, method=method)


ASKED = example("What is the default of wal_size?", "64MB")
OTHER = Context("p2", "e", "h", "The log is kept for a week.")


def test_a_withheld_passage_makes_a_refusal_of_the_same_cluster() -> None:
    row = negatives.retrieval_miss(ASKED, [OTHER])
    assert row is not None
    assert (row.answer, row.cluster, row.evidence) == (wording.REFUSAL["en"], ASKED.cluster, ())
    assert negatives.retrieval_miss(ASKED, [Context("p3", "e", "h", "wal_size: 64 MB")]) is None


def test_a_name_that_no_document_knows() -> None:
    row = negatives.near_domain(ASKED, lambda name: name == "wal_size", lambda _question: [OTHER])
    assert row is not None and row.question == "What is the default of wal_ratio?"
    assert negatives.near_domain(ASKED, lambda _name: True, lambda _question: []) is None
    assert negatives.near_domain(example("What is it?", "x"), lambda _name: False, lambda _question: []) is None


PROSE = [
    ("What is a primary node?", "en", "primary node"),
    ("How do I clean the filter?", "en", "clean the filter"),
    ("什么是主节点？", "zh", "主节点"),
    ("如何清洗滤网？", "zh", "清洗滤网"),
]


@pytest.mark.parametrize(("question", "language", "about"), PROSE)
def test_prose_has_things_that_no_document_knows(question: str, language: str, about: str) -> None:
    asked: list[str] = []

    def known(name: str) -> bool:
        asked.append(name)
        return len(asked) < 3

    row = negatives.near_domain(example(question, "x", language), known, lambda _question: [OTHER])
    assert row is not None and len(asked) == 3, "what the documents know is passed over"
    assert asked[2] in row.question and about not in row.question
    assert (row.made, row.answer) == (Made.NEAR_DOMAIN, wording.REFUSAL[language])
    assert negatives.near_domain(example(question, "x", language), lambda _name: True, lambda _question: []) is None


@pytest.mark.parametrize(("question", "language", "about"), [*PROSE, ("wal_size 的默认值是多少？", "zh", "wal_size")])
def test_a_false_premise_is_one_of_several_and_in_no_passage_shown(question: str, language: str, about: str) -> None:
    alike = [question.replace(about, f"{about}{at}") for at in range(20)]
    rows = [negatives.false_premise(example(one, "x", language), [OTHER]) for one in alike]
    assert all(row and about in row.question and row.answer == wording.REFUSAL[language] for row in rows)
    shapes = {re.sub(rf"{about}\d+", "X", row.question) for row in rows if row}
    assert len(shapes) >= 3, "not one sentence that can be known by heart"
    every = Context("p4", "e", "h", "leap year sunday ounce midnight observatory loud moon nine years twins sing")
    chinese = Context("p5", "e", "h", "闰年 星期天 盎司 午夜 天文台 念出来 月相 满月 九年 双胞胎 唱歌")
    assert negatives.false_premise(example(question, "x", language), [OTHER, every, chinese]) is None
    but_one = [OTHER, every, replace(chinese, text=chinese.text.replace("天文台", "")), every]
    if language == "zh":
        row = negatives.false_premise(example(question, "x", language), but_one)
        assert row and "天文台" in row.question


@pytest.mark.parametrize("question", ["Is it safe?", "What is it?", "它安全吗？", "为什么要这样？"])
def test_what_names_neither_thing_nor_task_gets_no_premise(question: str) -> None:
    made = example(question, "x", wording.language_of(question))
    assert negatives.false_premise(made, [OTHER]) is None
    assert negatives.near_domain(made, lambda _name: False, lambda _question: [OTHER]) is None


@pytest.mark.parametrize("language", ["zh", "en"])
def test_all_refusals_say_the_same(language: str) -> None:
    rows = negatives.far(language, lambda _question: [OTHER])
    assert len(rows) >= 10
    assert {row.answer for row in rows} == {wording.REFUSAL[language]}
    assert len({row.cluster for row in rows}) == len(rows)


def test_wrong_answers_are_alternatives_and_never_the_right_one() -> None:
    others = [
        example(f"What is the default of {name}?", value)
        for name, value in [("a_b", "64 mb"), ("c_d", "8"), ("e_f", "9")]
    ]
    assert set(negatives.rejected_alternatives(ASKED, others)) == {"8", "9"}
