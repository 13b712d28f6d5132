"""What is cited around a quoted unit: its paragraph, its neighbours, and what the passages beside it say."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.types import Citation, Draft, Hit, Passage, SearchResult
from services.generation.blocks import Beside, Block, nothing_beside
from services.generation.context import SECTION, antecedent, in_context, in_section
from services.generation.extractive import quote
from services.generation.reading import read
from tests.generation.test_extractive import passage


def ask(question: str, one: Passage, beside: Beside = nothing_beside) -> Draft:
    found = SearchResult((Hit(one, {"bm25": 9.0}, 1.0),), {}, "en", "v1")
    return quote(question, found, lambda _: {}, beside)


def first(question: str, text: str) -> str:
    return ask(question, passage(text)).citations[0].quote


def cut(*texts: str, headings: tuple[tuple[str, ...], ...] = ()) -> list[Passage]:
    """Neighbouring passages of one document."""
    out, start = [], 0
    for number, text in enumerate(texts):
        out.append(passage(text, heading=headings[number] if headings else ("Manual",), start=start))
        start += len(text)
    return out


def beside_of(passages: list[Passage]) -> Beside:
    before = {two.start: one for one, two in pairwise(passages)}
    after = {one.start: two for one, two in pairwise(passages)}
    return lambda one: (before.get(one.start), after.get(one.start))


def block(one: Passage, number: int = 0) -> Block:
    return Block(one, (number,))


def test_the_neighbouring_paragraphs_are_cited_too() -> None:
    text = "Only B-trees are supported.\n\nOther indexes are not.\nAsk us for more.\n\nSee the roadmap."
    draft = ask("Are other indexes supported?", passage(text))
    assert draft.citations[0].quote == text
    assert len(draft.citations) == 1  # what is cited already is not cited again


def test_another_section_is_not() -> None:
    text = "## Before\n\nTrees grow.\n\n## Indexes\n\nOther indexes are not supported.\n\n## After\n\nBye."
    assert first("Are other indexes supported?", text) == "Other indexes are not supported."


def test_what_a_paragraph_announces_is_cited_with_it() -> None:
    text = "There are three modes. A mode is chosen by load:\n\n- Native: one.\n- Shared: many."
    assert first("How many modes are there?", text) == text


def test_the_code_inside_an_item_is_cited_with_it() -> None:
    long = "".join(f"- Copies of region {number} are kept in the house of its people.\n" for number in range(20))
    text = f"{long}- The function that changes the key:\n\n  ```sql\n  select renew();\n  ```\n"
    found = first("Which function changes the key?", text)
    assert "- The function" in found and found.endswith("select renew();\n  ```") and len(found) <= SECTION


def test_a_long_paragraph_is_not_cited_whole() -> None:
    text = " ".join(f"Region {number} keeps its copies in the house of its people." for number in range(40))
    found = first("What does region 20 keep?", text)
    assert "Region 20 keeps" in found and len(found) <= SECTION


def test_a_row_is_cited_alone() -> None:
    table = "| Name | Default |\n|---|---|\n| depth | 5 |\n| width | 9 |\n"
    assert first("What is the default of width?", f"The names are these.\n\n{table}\nBye.") == "| width | 9 |"


def test_the_answer_is_cited_with_what_the_next_passage_of_its_section_says() -> None:
    own, after = cut("A command may fail after EXEC.\n\n", "All the other commands are still processed.")
    draft = ask("May a command fail after EXEC?", own, beside_of([own, after]))
    assert [(one.passage_id, one.quote) for one in draft.citations] == [
        (own.id, "A command may fail after EXEC."),
        (after.id, "All the other commands are still processed."),
    ]


def test_a_passage_of_another_section_is_not_cited() -> None:
    own, after = cut("Commands may fail.\n\n", "Keys expire.", headings=(("Manual", "Errors"), ("Manual", "Keys")))
    assert len(ask("May commands fail?", own, beside_of([own, after])).citations) == 1


def test_text_that_both_passages_hold_is_not_cited_twice() -> None:
    own = passage("Commands may fail. The others go on.", start=0)
    after = passage("The others go on. So do scripts.", start=len("Commands may fail. "))
    assert len(ask("May commands fail?", own, beside_of([own, after])).citations) == 1


def test_what_because_of_this_refers_to_begins_the_answer() -> None:
    before, own = cut("- Expired keys are not in the copy.\n\n", "Because of this, a replica may show fewer keys.")
    draft = ask("Why does a replica show fewer keys?", own, beside_of([before, own]))
    assert draft.text.endswith("- Expired keys are not in the copy.\nBecause of this, a replica may show fewer keys.")
    assert [one.passage_id for one in draft.citations] == [own.id, before.id]  # the answer's own comes first


def test_nothing_is_put_before_an_answer_that_stands_by_itself() -> None:
    before, own = cut("- Expired keys are not in the copy.\n\n", "A replica may show fewer keys.")
    assert antecedent(block(own), beside_of([before, own])) == []
    assert antecedent(block(own), nothing_beside) == []


_TEXTS = st.lists(
    st.sampled_from(
        ["Keys expire.", "- An item.", "- Another one:", "```\nGET a\n```", "## Head", "| a | b |", "Why?"]
    ),
    min_size=1,
    max_size=12,
).map(lambda parts: "\n\n".join(parts) + "\n\n")


@settings(max_examples=200)
@given(st.lists(_TEXTS, min_size=1, max_size=3), st.data())
def test_a_context_holds_its_block_is_bounded_and_in_order(texts: list[str], data: st.DataObject) -> None:
    passages = cut(*texts)
    own = data.draw(st.sampled_from(passages))
    pieces = read(own).pieces
    number = data.draw(st.integers(0, max(len(pieces) - 1, 0)))
    if not pieces or not pieces[number].quotable:
        return
    chosen = block(own, number)
    assert number in in_context(chosen).numbers
    found = in_section(chosen, beside_of(passages))
    assert found[0].passage is own and number in found[0].numbers
    assert len({one.passage.start for one in found}) == len(found)
    extents = [one.pieces[-1].end - one.pieces[0].start for one in found]
    assert sum(extents) <= max(SECTION, extents[0])


def test_citations_are_slices_of_their_passages() -> None:
    own, after = cut("A command may fail.\n\nIt is logged.\n\n", "The others go on.\n\nAlways.")
    for one in ask("May a command fail?", own, beside_of([own, after])).citations:
        assert one.quote == _slice({own.id: own, after.id: after}[one.passage_id], one)


def _slice(source: Passage, one: Citation) -> str:
    return source.text[one.start - source.start : one.end - source.start]


@pytest.mark.parametrize(
    ("after", "heading", "witness"),
    [("The rest.", ("Harbour", "Boats"), 1.0), ("The rest.", ("Harbour",), 0.0), ("", (), 0.0)],
)
def test_what_stands_before_the_first_section_of_a_page_is_no_running_text(
    after: str, heading: tuple[str, ...], witness: float
) -> None:
    texts = ("The harbour was dug by monks in a cold winter. It froze twice.", after)
    passages = cut(*filter(None, texts), headings=(("Harbour",), heading))
    draft = ask("Who dug the harbour?", passages[0], beside_of(passages))
    assert draft.citations and draft.support["beyond_words"] == witness
