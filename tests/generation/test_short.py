"""The few words in front of a quoted unit: which ones, when there are none, and that they are the document's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.kinds import Kind, kinds_of
from services.generation import spans
from services.generation.cutting import LOOKS, Cutter, cut
from services.generation.short import counts, is_value, says_more, tidy, with_unit
from services.generation.span_features import BEGIN, END, INSIDE, asked, inside, places
from tests.generation.test_extractive import ask, front, passage


@pytest.mark.parametrize(
    ("question", "text", "words"),
    [
        ("How long are snapshots kept?", "Snapshots are copies. Snapshots are kept for seven days.", "seven days"),
        ("How large is the cache?", "The cache can be resized. The size of the cache is 64 MB.", "64 MB"),
        ("快照默认保留多久？", "快照是卷的副本。快照默认保留 7 天。卷可以扩容。", "7 天"),
        ("大桥是哪一年建成的？", "大桥由市政府出资，于1945年建成，全长两公里。", "1945年"),
    ],
)
def test_the_words_that_answer_come_first(question: str, text: str, words: str) -> None:
    draft = ask(question, passage(text))
    assert front(draft) == words
    assert words in draft.citations[0].quote
    assert draft.citations[0].quote in text
    sentence = draft.text.split("\n\n")[1].split("\n")[0]
    assert words in sentence and sentence in text  # the sentence follows


@pytest.mark.parametrize(
    ("question", "text", "words"),
    [
        (
            "What is the default of width?",
            "Options:\n\n- `depth`: 5 by default.\n- `width`: wide, 9 by default.\n",
            "9",
        ),
        ("What is the default port?", "The port can be set. The default port is 6379, and few change it.", "6379"),
        ("max_wal 的默认值是多少？", "参数 max_wal 限制日志。max_wal 默认值为 16 GB，可以在线修改。", "16 GB"),
        ("max_wal 的預設值是多少？", "參數 max_wal 限制日誌。max_wal 預設為 16 個週期，可線上修改。", "16 個週期"),
        ("default of width?", "| Name | Default |\n|---|---|\n| depth | 5 |\n| width | 9 |\n", "9"),
        ("Which command sets a timeout on a key?", "The `EXPIRE` command sets a timeout on a key.", "EXPIRE"),
    ],
)
def test_set_forms(question: str, text: str, words: str) -> None:
    assert front(ask(question, passage(text))) == words


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Is the cache shared?", "The cache is shared by 4 workers."),
        ("备库支持写入吗？", "备库不支持写入，主库支持写入。"),
        ("How do I restore a backup?", "To restore a backup, do this:\n\n1. Stop the server.\n2. Copy the files.\n"),
        ("What is a cache?", "A cache is memory that answers again."),
        ("default of width?", "| Name | Default | Default of width |\n|---|---|---|\n| depth | 5 | 6 |\n"),
        ("What is the default?", "The default of a is 1. The default is 4 or, on Windows, the default is 5."),
        ("Which user exists by default?", "To stay compatible, users are granted permission by default."),
    ],
)
def test_the_unit_itself_answers(question: str, text: str) -> None:
    draft = ask(question, passage(text))
    assert draft.text
    assert front(draft) == ""


@pytest.mark.parametrize(
    ("question", "text", "words"),
    [
        ("增量备份保留几天？", "全量备份默认保留 14 天，增量备份默认保留 3 天。", "3 天"),
        ("全量备份保留几天？", "全量备份默认保留 14 天，增量备份默认保留 3 天。", "14 天"),
        ("How many seats does the team edition have?", "The free one has 5 seats, the team edition 25 seats.", "25"),
        ("How many seats does the free edition have?", "The free edition has 5 seats, the team one 25 seats.", "5"),
    ],
)
def test_of_two_values_in_one_sentence_it_is_the_one_that_is_asked_for(question: str, text: str, words: str) -> None:
    assert front(ask(question, passage(text))) in (words, f"{words} seats")


def test_a_cell_that_the_question_says_is_no_answer() -> None:
    table = (
        "| port | used for | default |\n|---|---|---|\n| admin | the admin page | 7401 |\n| peer | copies | 7402 |\n"
    )
    draft = ask("which port is the admin page on", passage(table))
    assert front(draft) == "" and "7401" in draft.text


def test_the_reading_chooses_the_sentence() -> None:
    """The first sentence has more of the question's words, and no year."""
    text = "The bridge over the river was built by the city of Ulm. The bridge was built in 1945 by prisoners."
    draft = ask("In what year was the bridge built by the city?", passage(text))
    assert front(draft).endswith("1945")
    assert draft.text.split("\n\n")[1].startswith("The bridge was built in 1945")
    assert draft.support["short_sure"] > 0.5
    assert draft.support["short_here"] > 0.5


def test_nothing_that_looks_like_an_answer_is_unsure() -> None:
    sure = ask("How many keys are kept?", passage("The server keeps 500 keys."))
    unsure = ask("How many keys are kept?", passage("The keys are kept, as ever, on the shelf beside the door."))
    assert unsure.support["short_sure"] < sure.support["short_sure"]


def test_on_pages_with_sections_the_words_have_to_be_surer() -> None:
    question, text = "Who built the bridge?", "The bridge over the river was built by the city of Ulm."
    in_running_text, in_a_manual = (ask(question, passage(text, heading=one)) for one in (("M",), ("M", "Bridges")))
    assert front(in_running_text) == "city of Ulm" and front(in_a_manual) == ""
    assert in_a_manual.text == text
    sure = ask("How large is the cache?", passage("The size of the cache is 64 MB.", heading=("M", "Caches")))
    assert front(sure) == "64 MB"


def test_a_name_of_capitals_has_to_be_code() -> None:
    question, text = "Which command removes old logs?", "Old logs are removed by {} when they are closed."
    plain, code = (ask(question, passage(text.format(one), heading=("M", "Logs"))) for one in ("PITR", "`TRIM`"))
    assert front(plain) == "" and front(code) == "TRIM"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, True) for text in ("9", "yes", "ON", "16 GB", "'r+'", "max_wal", "空")],
        *[(text, False) for text in ("permission", "Sentinels", "that", "")],
    ],
)
def test_a_default_looks_like_a_value(text: str, value: bool) -> None:
    assert is_value(text) is value


@pytest.mark.parametrize(
    ("text", "tidied"), [("《三国", "三国"), ("《三国》", "《三国》"), ("a (b", "a (b"), ("b)", "b")]
)
def test_no_lone_brackets_at_the_edges(text: str, tidied: str) -> None:
    assert tidy(text) == tidied


def test_a_number_keeps_its_unit() -> None:
    assert with_unit("at most 64 MB of it", 8, 10) == "64 MB"
    assert with_unit("at most 64 Mbeans", 8, 10) == "64"
    assert with_unit("保留 7 天。", 3, 4) == "7 天"


def test_how_many_wants_a_number() -> None:
    assert counts("7 天", [Kind.COUNT])
    assert counts("two messages", [Kind.COUNT])
    assert not counts("the cache", [Kind.COUNT])
    assert counts("the cache", [Kind.WHO])


def test_words_of_the_question_say_nothing() -> None:
    assert not says_more("in the cache", {"cach": 2.0})
    assert says_more("the disk cache", {"cach": 2.0})


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(max_size=80), min_size=1, max_size=3), st.sampled_from(["how many keys", "哪一年建成", "", "why"])
)
def test_any_text_gives_a_span_inside_it(texts: list[str], question: str) -> None:
    for model in spans.packaged().values():
        span = model.best(asked(question, {"key": 1.0, "建成": 2.0}, kinds_of(question)), texts, [0.0] * len(texts))
        if span is not None:
            assert texts[span.text][span.start : span.end].strip()
            assert 0.0 <= span.sure <= 1.0
            assert sum(span.here) <= 1.0 + 1e-5


def test_every_feature_has_a_row() -> None:
    question = asked("Who built the red bridge?", {"built": 1.0, "red": 1.0, "bridg": 1.0}, kinds_of("Who built it?"))
    found = places([cut(text, {}) for text in ("The red bridge was built by Ada.", "哪里？")], question)
    first = last = found.edges[:-1]
    features = inside(found, first, last, spans.prior([1.0, 0.5]))
    assert (found.begin.shape[1], found.end.shape[1], features.shape[1]) == (len(BEGIN), len(END), len(INSIDE))
    assert features[:, INSIDE.index("best")].tolist() == [1.0, 0.0]
    assert found.begin[1, BEGIN.index("asked")] == 1.0  # "red"
    assert found.end[3, END.index("near")] == pytest.approx(0.75 / 3)  # "was", with "built" right after it


def test_what_is_kept_of_a_token_does_not_depend_on_where_it_stood_first() -> None:
    vocabulary = {name: row for row, name in enumerate(("<^", "[The", "]red", ">^", "<,", "[~Aa"), 1)}
    cutter, capital = Cutter(vocabulary), LOOKS.index("capital")
    for text in ("The bridge (red), 红色的桥", "red The, 桥红", "", "The"):
        kept, anew = cutter(text), cut(text, vocabulary)
        assert (kept.spans, kept.words, kept.stems) == (anew.spans, anew.words, anew.stems)
        for name in ("looks", "opens", "closes", "before", "after", "pairs"):
            assert np.array_equal(getattr(kept, name), getattr(anew, name)), (text, name)
    assert [cutter(text).looks[:, capital].tolist() for text in ("The red", "red The")] == [[0, 0], [0, 1]]
    assert [cutter("The red").before[0, 0], cutter("red The").after[-1, 1]] == [vocabulary["<^"], vocabulary[">^"]]
