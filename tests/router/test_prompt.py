"""One renderer: the same bytes for the same data, data that cannot leave its tags, windows that are kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Tokenizers
from tokenizers import models, pre_tokenizers, trainers

from indexer.analysis import analyse
from router import prompt
from router.packing import DoesNotFit, Form, Included, Packed, Tokenizer, Wanted, Window, counts, pack
from router.prompt import TEMPLATES, Message, Part, Shot, Source
from router.types import Hit, Passage
from router.wording import REFUSAL

HOSTILE = ["</passage>", "<passage>", "< /PASSAGE >", "</question>", "<\\/passage>", "<|im_end|>", "<|im_start|>system"]
HOSTILE += ["<", "\\", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<｜User｜>", "<end_of_turn>", "[1]", "\n", "x", "令"]
hostile = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=5), max_size=12).map("".join)
CONTROL = re.compile(r"<\s*/?\s*(?:passage|question)\b|<[|｜]|</?s>|\[/?INST\]|<</?SYS>>|<end_of_turn>", re.IGNORECASE)


def contents(made: prompt.Prompt) -> str:
    return "\n".join(message.content for message in made.messages)


# --- rendering --------------------------------------------------------------------------------------------------------


@given(hostile, hostile, hostile, st.sampled_from(["en", "zh"]))
@settings(max_examples=300, deadline=None)
def test_data_cannot_leave_its_tags(title: str, text: str, question: str, language: str) -> None:
    user = prompt.render(question, [Source(title, text)], language).messages[-1].content
    tags = [found[0] for found in CONTROL.finditer(user)]
    assert tags == ["<passage", "</passage", "<question", "</question"]


@given(hostile)
@settings(max_examples=300, deadline=None)
def test_escaping_can_be_undone(text: str) -> None:
    assert prompt.unescape(prompt.escape(text)) == text


@pytest.mark.parametrize(
    "code", ["a < b && c > d", "<script>x[1]</script>", "Map<String, Passage>", "if x <= 3:", r"C:\<x>"]
)
def test_code_is_not_touched(code: str) -> None:
    assert prompt.escape(code) == code


@given(hostile, st.sampled_from(["en", "zh", "und", "fr"]))
def test_rendering_is_deterministic(text: str, language: str) -> None:
    first, again = (prompt.render(text, [Source("a", text)], language, [Shot("q", (), "a")]) for _ in range(2))
    assert first == again
    assert first.hash() == again.hash()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_refusal_is_the_canonical_one(language: str) -> None:
    made = prompt.render("q", [], language)
    assert made.refusal == REFUSAL[language]
    assert REFUSAL[language] in made.messages[0].content
    assert TEMPLATES[language].nothing in made.messages[-1].content


def test_examples_are_turns_of_the_same_form() -> None:
    made = prompt.render("q2", [Source("t", "p2")], "en", [Shot("q1", (Source("t", "p1"),), "a1 [1].")])
    assert [message.role for message in made.messages] == ["system", "user", "assistant", "user"]
    assert made.messages[1].content.replace("q1", "q2").replace("p1", "p2") == made.messages[3].content


def test_passages_are_numbered_as_they_are_cited() -> None:
    user = prompt.render("q", [Source("a", "x"), Source("b\nc", "y")], "en").messages[-1].content
    assert "<passage>\n[1] a\nx\n</passage>\n<passage>\n[2] b c\ny\n</passage>" in user


@pytest.mark.parametrize("language", list(TEMPLATES))
@pytest.mark.parametrize("name", [field.name for field in fields(prompt.Templates)])
def test_the_hash_changes_with_every_template(language: str, name: str) -> None:
    words = getattr(TEMPLATES[language], name)
    changed = {**TEMPLATES, language: replace(TEMPLATES[language], **{name: words + " "})}
    assert prompt.prompt_hash(changed) != prompt.prompt_hash()


def test_the_hash_changes_with_the_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    before = prompt.prompt_hash()
    assert before == prompt.prompt_hash()
    monkeypatch.setattr(prompt, "block", lambda number, source: f"({number}) {source.text}")
    assert prompt.prompt_hash() != before


def test_a_part_of_a_long_answer_is_asked_for_after_the_question() -> None:
    whole, part = (prompt.render("q", [Source("t", "p")], "zh", part=one) for one in (None, Part(2, 3)))
    assert part.messages[-1].content == whole.messages[-1].content + "\n[Part 2/3]"
    assert part.messages[:-1] == whole.messages[:-1]


def test_the_hash_changes_with_the_way_parts_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    before = prompt.prompt_hash()
    real = prompt.render
    monkeypatch.setattr(prompt, "render", lambda *given: real(*given[:5]))
    assert prompt.prompt_hash() != before


def test_the_hash_changes_with_the_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = prompt.prompt_hash()
    monkeypatch.setitem(REFUSAL, "zh", REFUSAL["zh"] + "。")
    assert prompt.prompt_hash() != before


# --- citations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("A [1]. B [2][3].", (1, 2, 3)),
        ("重启[2]。检查【1】。", (2, 1)),
        ("Both [1, 3].", (1, 3)),
        ("Again [1] and [1].", (1,)),
        ("`x[1]` and\n```\ny[2]\n```\nand ``z[3]``", ()),
        ("[1](http://example.org) is a link", ()),
        ("array [x] and [1234]", ()),
        ("", ()),
    ],
)
def test_citations(text: str, numbers: tuple[int, ...]) -> None:
    assert prompt.citations_of(text) == numbers


def test_invented_citations_are_removed_and_counted() -> None:
    assert prompt.without_invented("A [1]. B [7][2]. C [0] `x[9]`.", 2) == ("A [1]. B [2]. C `x[9]`.", 2)
    assert prompt.without_invented("甲[1, 4]。", 3) == ("甲[1]。", 1)


def test_renumbering() -> None:
    assert prompt.renumbered("A [3]. B [1][3].", {3: 1, 1: 2}) == ("A [1]. B [2][1].", 0)


# --- packing ----------------------------------------------------------------------------------------------------------


def tokens(text: str) -> int:
    """Roughly what a subword tokenizer does: not additive, since joined words are cut elsewhere."""
    return sum(1 + len(word) // 5 for word in re.findall(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+|\n", text))


CONTROL_TOKENS = ["<|im_start|>", "<|im_end|>", "</s>", "<s>", "[INST]", "[/INST]", "<end_of_turn>", "<|eot_id|>"]


@cache
def real() -> Tokenizers:
    """A byte-level BPE made on the spot, with the control tokens of several families."""
    model = Tokenizers(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, special_tokens=CONTROL_TOKENS)
    model.train_from_iterator([LONG, SHORT, *(words.system for words in TEMPLATES.values())], trainer)
    return model


def real_count(text: str) -> int:
    return len(real().encode(text).ids)


def chatml(messages: Sequence[Message]) -> str:
    turns = "".join(f"<|im_start|>{one.role}\n{one.content}<|im_end|>\n" for one in messages)
    return turns + "<|im_start|>assistant\n"


@given(hostile, hostile)
@settings(max_examples=100, deadline=None)
def test_data_never_becomes_a_control_token(text: str, question: str) -> None:
    shots = [Shot(text, (Source(text, question),), "A [1].")]
    made = prompt.render(question, [Source(text, text)], "en", shots)
    control = {real().token_to_id(token) for token in CONTROL_TOKENS}
    for message in made.messages[1:]:
        assert not control & set(real().encode(message.content).ids)


@pytest.mark.parametrize("window", range(200, 1400, 50))
def test_a_real_tokenizer_and_chat_template_keep_the_window(window: int) -> None:
    wanted = Wanted("What is the limit?", "en", dict.fromkeys(analyse("the limit"), 1.0))
    model = Tokenizer(real_count, lambda messages: real_count(chatml(messages)))
    hits = [hit(number, text) for number, text in enumerate(TEXTS)]
    try:
        made = pack(wanted, hits, Window(window, 64), model, analyse)
    except DoesNotFit:
        assert model.messages(prompt.render(wanted.question, (), "en").messages) > window - 64
        return
    assert made.tokens == real_count(chatml(made.prompt.messages)) <= window - 64


def chat(messages: object) -> int:
    return sum(tokens(message.content) + 4 for message in messages) + 3  # type: ignore[attr-defined]


def hit(number: int, text: str, preamble: str = "") -> Hit:
    passage = Passage(f"{number:032x}", "docs/a.md", ("A", "B"), 1000, 1000 + len(text), text, "en", preamble)
    return Hit(passage, {"bm25": 1.0}, 1.0 / (number + 1))


SHORT = "The port is 5432. It can be changed with --port."
LONG = "The tool has a long story that nobody needs. " * 20 + "The limit is 64 MB. " + "More stories follow here. " * 20
TEXTS = [SHORT, LONG, "默认端口为 5432。" * 12, "- one item\n- two items\n", "| a | b |\n|---|---|\n| 1 | 2 |\n" * 5]
MODEL = Tokenizer(tokens, chat)


def packed(texts: list[str], window: int, question: str = "What is the limit?", **more: object) -> Packed:
    wanted = Wanted(question, "en", dict.fromkeys(analyse(question), 1.0), **more)  # type: ignore[arg-type]
    hits = [hit(number, text) for number, text in enumerate(texts)]
    return pack(wanted, hits, Window(window, 50), MODEL, analyse)


@given(st.lists(st.sampled_from(TEXTS) | hostile.filter(str.strip), max_size=6), st.integers(0, 1200))
@settings(max_examples=200, deadline=None)
def test_the_window_is_kept(texts: list[str], window: int) -> None:
    try:
        made = packed(texts, window)
    except DoesNotFit:
        assert chat(prompt.render("What is the limit?", (), "en").messages) > window - 50
        return
    assert made.tokens == chat(made.prompt.messages) <= window - 50
    assert [one.number for one in made.included] == list(range(1, len(made.included) + 1))
    assert len(made.included) + len(made.left_out) == len(texts)
    assert made.prompt.sources == len(made.included)


def test_whole_passages_first_then_condensed_ones() -> None:
    base = chat(prompt.render("What is the limit?", (), "en").messages)
    made = packed([SHORT, LONG, SHORT + " x"], base + 50 + 2 * tokens(SHORT) + 100)
    assert [one.form for one in made.included] == [Form.WHOLE, Form.CONDENSED, Form.WHOLE]
    assert "The limit is 64 MB." in made.included[1].text
    left = made.included[1].survived
    assert left and (left.numbers, left.lost) == (1.0, ()) and made.included[0].survived is None
    assert counts(made.included) == {"passages_condensed": 1.0, "numbers_lost": 0.0}
    everything = packed([SHORT, LONG], 5000)
    assert [one.form for one in everything.included] == [Form.WHOLE, Form.WHOLE]
    assert everything.left_out == ()


def test_what_a_chat_template_adds_is_counted() -> None:
    """Here it adds 40 tokens for each passage, which no count of a piece of text shows."""
    model = Tokenizer(tokens, lambda messages: chat(messages) + 40 * messages[-1].content.count("<passage>"))
    window = Window(chat(prompt.render("q", (), "en").messages) + 50 + 3 * tokens(SHORT) + 90, 50)
    made = pack(Wanted("q", "en"), [hit(number, SHORT) for number in range(3)], window, model, analyse)
    assert made.tokens == model.messages(made.prompt.messages) <= window.prompt
    assert [one.passage.id for one in made.included] == [f"{number:032x}" for number in range(len(made.included))]
    assert 0 < len(made.included) < 3
    assert made.left_out


def test_an_over_long_best_passage_is_not_crowded_out() -> None:
    base = chat(prompt.render("What is the limit?", (), "en").messages)
    made = packed([LONG, *[SHORT] * 20], base + 50 + 200)
    assert made.included[0].passage.text == LONG
    assert "The limit is 64 MB." in made.included[0].text
    assert len(made.included) > 1


def test_spans_point_into_the_document() -> None:
    base = chat(prompt.render("What is the limit?", (), "en").messages)
    included = packed([LONG], base + 50 + 80).included[0]
    quotes = [LONG[start - 1000 : end - 1000] for start, end in included.spans]
    assert "The limit is 64 MB." in quotes
    assert packed([SHORT], 5000).included[0].spans == ((1000, 1000 + len(SHORT)),)


def test_a_cut_table_gets_its_columns() -> None:
    rows = "".join(f"| s{n} | {n} MB |\n" for n in range(40))
    one = hit(0, rows, "| name | size |\n|---|---|")
    wanted = Wanted("What is the size of s7?", "en", dict.fromkeys(analyse("size of s7"), 1.0))
    base = chat(prompt.render(wanted.question, (), "en").messages)
    made = pack(wanted, [one], Window(base + 50 + 40, 50), MODEL, analyse).included[0]
    assert "name: s7; size: 7 MB" in made.text
    assert any(rows[start - 1000 : end - 1000].startswith("| s7 ") for start, end in made.spans)
    whole = pack(wanted, [one], Window(5000, 50), MODEL, analyse).included[0]
    assert counts([made])["numbers_lost"] == 2 * (40 - made.text.count("MB"))  # s3 and 3 MB
    assert counts([made, Included(2, one.passage, Form.WHOLE, rows, ())])["numbers_lost"] == 0  # it saw them there
    assert whole.text.startswith("| name | size |")
    assert whole.spans == ((1000, 1000 + len(rows)),)


def test_what_must_be_kept_is_kept_or_said() -> None:
    base = chat(prompt.render("What is the limit?", (), "en").messages)
    gold = f"{1:032x}"
    start = LONG.index("The limit is")
    span = (start, start + len("The limit is 64 MB."))
    made = packed([SHORT, LONG], base + 50 + 60, must_keep={gold: (span,)})
    assert made.included[-1].passage.id == gold
    assert "The limit is 64 MB." in made.included[-1].text
    with pytest.raises(DoesNotFit, match=gold):
        packed([SHORT, LONG], base + 50 + 60, must_keep={gold: ()})
    with pytest.raises(DoesNotFit, match=gold):
        packed([SHORT, LONG], base + 50 + 60, must_keep={gold: ((0, len(LONG)),)})
    assert packed([SHORT, LONG], 5000, must_keep={gold: ()}).included[-1].form is Form.WHOLE


@given(st.permutations([0, 1, 2, 3]), st.integers(150, 900))
@settings(max_examples=50, deadline=None)
def test_gold_evidence_is_never_lost_silently(order: list[int], window: int) -> None:
    texts = [(SHORT, LONG, SHORT, SHORT)[at] for at in order]
    place = order.index(1)
    start = LONG.index("The limit is")
    span = (start, start + len("The limit is 64 MB."))
    try:
        made = packed(texts, window, must_keep={f"{place:032x}": (span,)})
    except DoesNotFit:
        return
    assert any("The limit is 64 MB." in one.text for one in made.included)


def test_a_question_longer_than_the_window_is_refused() -> None:
    with pytest.raises(DoesNotFit, match="longer than the window"):
        packed([SHORT], 100, "why " * 500)


def test_without_a_chat_counter_the_contents_are_counted() -> None:
    assert Tokenizer(len).messages((Message("user", "abc"), Message("system", "de"))) == 5
