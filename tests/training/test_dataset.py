"""A dataset from documents, entries and verdicts: honest rows, no leaks, the same bytes, stable when documents grow."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router import wording
from router.errors import Conflict, InvalidInput, Mismatch
from router.packing import Packed, Tokenizer, Window
from router.prompt import Part, Source, citations_of, render, without_citations
from router.types import Citation, CuratedEntry, EntryStatus, Passage
from services.review.decisions import Decided
from services.training import fitting, jsonl
from services.training.building import SHOWN, Inputs, build
from services.training.cleaning import undo
from services.training.dataset import Budget, check, ledger_of, make
from services.training.exports import export
from services.training.negatives import holds_answer, may_answer
from services.training.records import Context, Example, Made, Rejected, Split

ROOT = Path(__file__).resolve().parents[2]
BUDGET = Budget(Window(1200, 300), Tokenizer(lambda text: max(len(text) // 3, 1)), "three characters")
NAMES = ["wal", "lock", "cache", "pool", "disk", "node", "page", "redo", "undo", "sort", "join", "scan"]


def parameter_page(name: str) -> Passage:
    rows = "".join(
        f"| {name}_{part} | {part} 的大小 | {len(name) * 16 + at}MB |\n" for at, part in enumerate(("size", "limit"))
    )
    text = f"| 参数名 | 说明 | 默认值 |\n|---|---|---|\n{rows}"
    return passage(f"docs/zh/{name}.md", text, "zh", ("参数", name))


def task_page(name: str) -> Passage:
    text = f"1. Stop the {name} service.\n2. Run `{name}-restart --now`.\n3. Start the {name} service."
    return passage(f"docs/en/{name}.md", text, "en", ("Manual", f"Restarting the {name}"))


def passage(path: str, text: str, language: str, heading: tuple[str, ...]) -> Passage:
    identity = f"{abs(hash_of(path + text)):032x}"[-32:]
    return Passage(identity, path, heading, 0, len(text), text, language)


def hash_of(text: str) -> int:
    import hashlib

    return int(hashlib.sha256(text.encode()).hexdigest()[:30], 16)


PASSAGES = [page(name) for name in NAMES for page in (parameter_page, task_page)]
CITED = Citation(PASSAGES[0].id, PASSAGES[0].document, "参数", "x", 0, 1, "r")
ENTRY = CuratedEntry("e1", "日志有多大？", "默认 48MB。", ("日志文件的大小是多少？",), citations=(CITED,))
CORRECTED = Decided(
    "item-1", "How do I restart the wal quickly?", "Run `wal-restart --now`.", "en", "corrected", "anna",
    (PASSAGES[1].id,), ("Reboot the machine.",),
)  # fmt: skip
OUTSIDE = Decided("item-2", "Can it brew tea?", "", "en", "out_of_scope", "anna")


def inputs(**changes: object) -> Inputs:
    return replace(Inputs(PASSAGES, "r1", (ENTRY,), (CORRECTED, OUTSIDE)), **changes)  # type: ignore[arg-type]


def test_the_same_value_of_another_parameter_stands_beside_the_evidence() -> None:
    """As it does in what search shows. Names of one length have the same values here."""
    alike = [parameter_page(f"{first}{second}_lock") for first in "abcd" for second in "abcd"]
    rows = [row for row in build(inputs(passages=alike)).assigned.rows if "_lock_" in row.question]
    answered = [row for row in rows if row.made is Made.RULE]
    assert answered and all(len(row.context) == SHOWN for row in answered)
    for row in answered:
        [name] = NAME.findall(row.question)
        beside = [one for one in row.context if not one.evidence]
        assert not any(name in one.text for one in beside)
        assert any(row.answer in one.text for one in beside)
    missed = [row for row in rows if row.made is Made.RETRIEVAL_MISS]
    assert missed and not any(NAME.findall(row.question)[0] in one.text for row in missed for one in row.context)


NAME = re.compile(r"[a-z]+(?:_[a-z]+)+")


def test_where_the_nearest_pages_may_answer_too_distractors_come_from_further_away() -> None:
    """Every page stands here twice. A row with fewer passages than a refusal gives itself away."""
    again = [replace(one, id=f"{at:032x}", document=f"old/{one.document}") for at, one in enumerate(PASSAGES)]
    made = build(inputs(passages=[*PASSAGES, *again])).assigned.rows
    rows = [row for row in made if not row.refuses and NAME.search(row.question)]
    assert rows and all(len(row.context) == SHOWN for row in rows)
    for row in rows:
        texts = [one.text for one in row.context if not one.evidence]
        assert not any(one.text in texts for one in row.evidence)


@pytest.mark.parametrize(
    ("question", "text", "answers"),
    [
        ("a_size 的默认值是多少？", "| b_size | 48MB |", False),
        ("x.a_size 的默认值是多少？", "| b_size | 48MB |", False),
        ("a_size 的默认值是多少？", "| b_size | 64MB |", False),
        ("a_size 的默认值是多少？", "| b_size | 48MB |\n\n`A-Size` 见上。", True),
        ("a_size 的默认值是多少？", "| a\\_size | 48MB |", True),
        ("x.a_size 的默认值是多少？", "| a_size | 48MB |", True),
        ("a_size 的默认值是多少？", "| 大小 | 48MB |", True),
        ("a_size 的默认值是多少？", "| b_size | 48MB |\n\n所有大小默认都是 48MB。", True),
        ("a_size 的默认值是多少？", "- b_size：48MB", True),
        ("a.conf 里 a_size 的默认值是多少？", "| b_size | 48MB |", True),
        ("PolarDB-X 的默认值是多少？", "| b_size | 48MB |", True),
        ("默认值是多少？", "| b_size | 48MB |", True),
    ],
)
def test_only_rows_of_other_parameters_do_not_answer(question: str, text: str, answers: bool) -> None:
    table = f"| 参数 | 默认值 |\n|---|---|\n{text}"
    shown = [replace(passage(f"docs/{name}.md", table, "zh", ("参数",)), id=name) for name in ("own", "other")]
    evidence, other = (Context(one.id, one.document, "参数", one.text, one.id == "own", 0, 1) for one in shown)
    row = Example("1", question, "48MB", "zh", "c", Made.RULE, (evidence,), method="default")
    assert may_answer(other, row) is answers
    if "48MB" in text:  # the name may stand before the cut, in the path or in the title; a person may ask for anything
        assert may_answer(replace(other, document=evidence.document), row)
        assert may_answer(replace(other, document="docs/a_size.md"), row)
        assert may_answer(replace(other, heading="a_size"), row)
        assert may_answer(other, replace(row, method=""))


def test_rows_say_where_they_come_from() -> None:
    rows = build(inputs()).assigned.rows
    made = {row.made for row in rows}
    assert {Made.CURATED, Made.VERDICT, Made.RULE, Made.VARIANT, Made.FAR, Made.RETRIEVAL_MISS} <= made
    by_id = {row.id: row for row in rows}
    for row in rows:
        decided = row.made in (Made.CURATED, Made.VERDICT) or row.verdict == "out_of_scope"
        assert row.reviewed == (decided and not row.parent)
        if row.parent and row.made is not Made.RETRIEVAL_MISS and row.differences:
            parent = by_id[row.parent]
            assert (row.answer, row.cluster, row.refuses) == (parent.answer, parent.cluster, parent.refuses)
            assert row.made is (parent.made if parent.refuses else Made.VARIANT)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_manual_in_prose_has_its_near_things_and_false_premises(tmp_path: Path, language: str) -> None:
    def page(name: str) -> Passage:
        if language == "zh":
            text = f"1. 断开{name}的电源。\n2. 取下{name}的盖子。\n3. 用清水冲洗。"
            return passage(f"docs/zh/{name}.md", text, "zh", ("手册", f"设置{name}"))
        text = f"1. Unplug the {name}.\n2. Take the lid of the {name} off.\n3. Rinse it."
        return passage(f"docs/en/{name}.md", text, "en", ("Manual", f"Removing the {name}"))

    things = (
        "滤网水箱 磨盘风扇 门锁电池 水泵阀门 面板按键 灯罩底座"
        if language == "zh"
        else "filter tank mill fan lock pump"
    )
    names = [f"{one}{other}" for one in things.split() for other in ("", *(things.split()[:4]))]
    manifest = make(Inputs([page(one) for one in names], "r1"), BUDGET, tmp_path / "a")
    assert manifest["made"]["near_domain"] > 2 and manifest["made"]["false_premise"] > 2
    text = "\n".join(page(one).text for one in names)
    for row in jsonl.read_examples(tmp_path / "a" / "examples.jsonl"):
        if row.made is Made.NEAR_DOMAIN:
            thing = row.question.removeprefix("如何设置").rstrip("？?").split("the ")[-1]
            assert thing and thing not in text
    why = [passage(f"{one}.md", f"{one} is old.", "en", (f"Why does the {one} leak?",)) for one in names]
    none = make(Inputs(why, "r1"), BUDGET, tmp_path / "b")["made"]
    assert none["rule"] and (none["near_domain"], none["false_premise"]) == (0, 0), "what there is none of is said"


def test_the_manifest_says_how_many_questions_have_other_wordings(tmp_path: Path) -> None:
    counts = make(inputs(), BUDGET, tmp_path / "a")["variants"]
    rows = jsonl.read_examples(tmp_path / "a" / "examples.jsonl")
    asked = [row for row in rows if not row.refuses and not row.parent]
    assert sum(counts.values()) == len(asked)
    assert counts["with_two_or_more"] == sum(sum(one.parent == row.id for one in rows) >= 2 for row in asked)
    assert counts["with_two_or_more"] == len(asked) > 0


def test_the_verdict_keeps_the_wrong_answer_as_a_rejected_alternative() -> None:
    rows = [row for row in build(inputs()).assigned.rows if row.verdict == "corrected"]
    assert rows and all(row.rejected == CORRECTED.wrong for row in rows)
    assert all(row.answer not in row.rejected for row in build(inputs()).assigned.rows)
    outside = [row for row in build(inputs()).assigned.rows if row.verdict == "out_of_scope"]
    assert [row.question for row in outside if not row.parent] == [OUTSIDE.question]
    assert len(outside) >= 3 and {(row.answer, row.refuses) for row in outside} == {(wording.REFUSAL["en"], True)}


def test_what_is_shown_beside_a_refusal_or_the_evidence_lacks_the_answer() -> None:
    rows = build(inputs()).assigned.rows
    answers = {row.question: row.answer for row in rows if not row.refuses}
    for row in rows:
        answer = answers.get(row.question) if row.made is Made.RETRIEVAL_MISS else row.answer
        for one in row.context:
            if answer and not one.evidence and not (row.refuses and row.made is not Made.RETRIEVAL_MISS):
                holding = [line for line in one.text.splitlines() if holds_answer(line, answer)]
                names = {found for line in holding for found in NAME.findall(line)}
                assert not holds_answer(one.text, answer) or (names and not names & set(NAME.findall(row.question)))
        assert row.refuses == (row.answer == wording.REFUSAL[row.language])


def test_stale_and_gone_entries_are_left_out_with_the_reason() -> None:
    stale = replace(ENTRY, id="e2", status=EntryStatus.STALE)
    gone = replace(ENTRY, id="e3", citations=(replace(CITED, passage_id="0" * 32),))
    built = build(inputs(curated=(stale, gone)))
    assert not [row for row in built.assigned.rows if row.made is Made.CURATED]
    assert [one.cluster for one in built.rejected if "not in the documents" in one.reason] == ["curated-e3"]


def test_an_entry_without_a_citation_needs_a_passage_that_holds_its_answer() -> None:
    held = CuratedEntry("e4", "How do I restart the disk?", "Run `disk-restart --now`.")
    unheld = CuratedEntry("e5", "Who wrote this?", "A small team in the north of the country.")
    built = build(inputs(curated=(held, unheld)))
    rows = [row for row in built.assigned.rows if row.made is Made.CURATED]
    assert [one.document for row in rows for one in row.evidence] == ["docs/en/disk.md"]
    assert [one.cluster for one in built.rejected if "without evidence" in one.reason] == ["curated-e5"]


@pytest.mark.parametrize("places", [1, 2])
def test_an_answer_that_must_be_inferred_needs_two_cited_places(places: int) -> None:
    """The sizes of the page, 48MB and 49MB, added up: by an entry that cites places of one passage, and by a verdict
    that names passages."""
    spans = tuple(replace(CITED, start=at, end=at + 1) for at in range(places))
    ids = tuple(one.id for one in PASSAGES[:places])
    sum_of = CuratedEntry("e6", "日志一共多大？", "默认 97MB。", ("日志总共有多大？",), citations=spans)
    decided = replace(CORRECTED, cluster="item-6", question="How large is it together?", answer="97 MB.", evidence=ids)
    built = build(inputs(curated=(sum_of, ENTRY), decisions=(decided, CORRECTED)))
    refused = {one.cluster for one in built.rejected if "must be inferred" in one.reason}
    kept = {one.cluster for one in built.assigned.rows if one.reviewed}
    both = {"curated-e6", "item-6"}
    assert (refused, kept & both) == ((both, set()) if places == 1 else (set(), both))
    assert {"curated-e1", "item-1"} <= kept


def test_only_reviewed_rows_their_variants_and_refusals_where_that_is_asked() -> None:
    rows = build(inputs(reviewed=True)).assigned.rows
    parents = {one.id for one in rows if one.reviewed}
    assert parents and all(one.reviewed or one.refuses or one.parent in parents for one in rows)


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = make(inputs(), BUDGET, tmp_path / "a"), make(inputs(), BUDGET, tmp_path / "b")
    assert first == second
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    with pytest.raises(Conflict, match="never overwritten"):
        make(inputs(), BUDGET, tmp_path / "a")


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    """No set may decide an order: Python hashes texts anew in each process."""
    script = (
        "import sys; from pathlib import Path; from services.training.dataset import make;"
        "from tests.training.test_dataset import BUDGET, inputs; make(inputs(), BUDGET, Path(sys.argv[1]))"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", script, tmp_path / seed], check=True, cwd=ROOT, env=environment)
    for path in (tmp_path / "1").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes(), path.name


def test_the_manifest_tells_what_went_in(tmp_path: Path) -> None:
    """Each kind of input by its content, so that two datasets can be told apart, or known to be of the same."""
    first = make(inputs(), BUDGET, tmp_path / "a")
    later = replace(ENTRY, answer="默认 49MB。")
    others = {
        "curated": inputs(curated=(later,)),
        "verdicts": inputs(decisions=(OUTSIDE,)),
        "passages": inputs(passages=[*PASSAGES, task_page("novel")]),
        "previous": inputs(ledger=ledger_of(tmp_path / "a")),
    }
    for at, (name, changed) in enumerate(others.items()):
        lineage = make(changed, BUDGET, tmp_path / str(at))["lineage"]
        assert {key for key in lineage if lineage[key] != first["lineage"][key]} == {name}
    assert first["lineage"]["verdicts"]["count"] == 2
    assert 0 < first["tokens"]["answer_median"] <= first["tokens"]["answer_longest"]


def test_the_rows_are_chats_with_citations_and_the_refusal(tmp_path: Path) -> None:
    make(inputs(), BUDGET, tmp_path / "a")
    seen = 0
    for split in Split:
        for _, row in jsonl.read(tmp_path / "a" / f"{split}.jsonl"):
            *prompt, answer = row["messages"]
            assert [one["role"] for one in prompt] == ["system", "user"]
            refused = answer["content"] in wording.REFUSAL.values()
            assert refused or "[" in answer["content"]
            seen += 1
    assert seen == json.loads((tmp_path / "a" / "manifest.json").read_text("utf-8"))["rows"]


def test_no_test_cluster_moves_when_documents_grow_by_a_tenth(tmp_path: Path) -> None:
    make(inputs(), BUDGET, tmp_path / "a")
    more = [*PASSAGES, parameter_page("fresh"), task_page("novel"), task_page("wal2")]
    make(inputs(passages=more, ledger=ledger_of(tmp_path / "a")), BUDGET, tmp_path / "b")
    before, after = (json.loads((tmp_path / name / "splits.json").read_text("utf-8")) for name in "ab")
    assert all(after[cluster] == split for cluster, split in before.items() if cluster in after)
    assert len(after) > len(before)
    assert check(tmp_path / "b").leaks == ()


def written_by(decided: Decided) -> CuratedEntry:
    """The entry that a verdict writes: the same question, answer and evidence."""
    cited = tuple(Citation(one, "docs", "", "x", 0, 1, "r") for one in decided.evidence)
    return CuratedEntry("q-1", decided.question, decided.answer, decided.variants, citations=cited)


def test_a_verdict_and_the_entry_that_it_wrote_make_one_row_with_its_lineage() -> None:
    decided = replace(CORRECTED, entry_id="q-1")
    built = build(inputs(curated=(written_by(decided),), decisions=(decided,)))
    rows = [row for row in built.assigned.rows if row.question == decided.question and not row.refuses]
    assert [(row.made, row.reviewer, row.verdict) for row in rows] == [(Made.VERDICT, "anna", "corrected")]
    assert rows[0].rejected == decided.wrong
    back = [one for one in undo(built.cleaned) if one.question == decided.question]
    assert {one.cluster for one in back} == {"item-1", "curated-q-1"}


def test_an_entry_that_was_edited_after_its_verdict_takes_its_place() -> None:
    decided = replace(CORRECTED, entry_id="q-1")
    edited = replace(written_by(decided), answer="3. Start the wal service.")
    built = build(inputs(curated=(edited,), decisions=(decided,)))
    rows = [row for row in built.assigned.rows if row.question == decided.question and not row.refuses]
    assert [(row.made, row.answer) for row in rows] == [(Made.CURATED, edited.answer)]
    assert [one.cluster for one in built.rejected if "edited since" in one.reason] == ["item-1"]


@pytest.mark.parametrize("curated", [False, True])
def test_a_new_verdict_cannot_touch_the_test_set(tmp_path: Path, curated: bool) -> None:
    """Also where it wrote an entry, which makes a row too."""
    make(inputs(decisions=()), BUDGET, tmp_path / "a")
    ledger = ledger_of(tmp_path / "a")
    sections = {f"section {one.document}#{' > '.join(one.heading)}": one for one in PASSAGES}
    section, tested = next((key, one) for key, one in sections.items() if key in ledger)
    ledger = {**ledger, section: Split.TEST}
    late = replace(CORRECTED, cluster="item-9", evidence=(tested.id,), entry_id="q-1")
    entries = (written_by(late),) if curated else ()
    built = build(inputs(curated=entries, decisions=(late,), ledger=ledger))
    assert {one.question for one in built.rejected if "new verdict" in one.reason} == {late.question}
    assert not [row for row in built.assigned.rows if row.question == late.question]


@pytest.mark.parametrize("number", range(12))
def test_new_verdicts_that_no_earlier_section_holds_are_trained_on(tmp_path: Path, number: int) -> None:
    """A tenth of them would come into the test set by their hash: pages that are new, and what is out of scope."""
    make(inputs(decisions=()), BUDGET, tmp_path / "a")
    fresh = task_page(f"novel{number}")
    late = replace(
        CORRECTED, cluster=f"item-{number}", question=f"How is novel{number} restarted?", evidence=(fresh.id,)
    )
    outside = replace(OUTSIDE, cluster=f"outside-{number}", question=f"Can it brew tea number {number}?")
    built = build(inputs(passages=[*PASSAGES, fresh], decisions=(late, outside), ledger=ledger_of(tmp_path / "a")))
    assert {built.assigned.splits[one.cluster] for one in (late, outside)} == {Split.TRAIN}


def test_a_question_is_never_asked_in_two_splits() -> None:
    """The same words with another answer, of another page: no cluster, section or passage ties them together."""
    asked = "How do I restart it?"
    entries = [
        CuratedEntry(f"t{at}", asked, f"Run `{name}-restart --now`.", citations=(replace(CITED, passage_id=one.id),))
        for at, (name, one) in enumerate((name, task_page(name)) for name in NAMES)
    ]
    built = build(inputs(curated=tuple(entries)))
    found = {built.assigned.splits[row.cluster] for row in built.assigned.rows if row.question == asked}
    assert len(entries) == 12 and len(found) == 1


def test_a_changed_file_is_found(tmp_path: Path) -> None:
    make(inputs(), BUDGET, tmp_path / "a")
    assert check(tmp_path / "a").leaks == ()
    with (tmp_path / "a" / "test.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(Mismatch, match="changed after the build"):
        check(tmp_path / "a")


def test_text_leaves_test_sections_out(tmp_path: Path) -> None:
    make(inputs(), BUDGET, tmp_path / "a")
    splits = json.loads((tmp_path / "a" / "splits.json").read_text("utf-8"))
    texts = "\n".join(row["text"] for _, row in jsonl.read(tmp_path / "a" / "text.jsonl"))
    for row in jsonl.read_examples(tmp_path / "a" / "examples.jsonl"):
        if splits[row.cluster] == "test":
            assert not any(one.text in texts for one in row.evidence)


def test_each_row_says_what_was_trimmed_and_that_its_support_is_left(tmp_path: Path) -> None:
    """The whole window first, then one that has no room for all distractors."""
    make(inputs(), BUDGET, tmp_path / "a")
    manifest = make(inputs(), replace(BUDGET, window=Window(400, 120)), tmp_path / "b")
    for name, trimmed in (("a", False), ("b", True)):
        fits = [row for _, row in jsonl.read(tmp_path / name / "fits.jsonl")]
        examples = {one.id: one for one in jsonl.read_examples(tmp_path / name / "examples.jsonl")}
        assert {one["id"] for one in fits} == set(examples)
        assert any(one["left_out"] or one["condensed"] for one in fits) is trimmed
        for one in fits:
            evidence = {part.passage_id for part in examples[one["id"]].evidence}
            assert not evidence & set(one["left_out"]) and one["support"] == 1.0
    assert manifest["left_out_context"] + manifest["condensed"] == sum(
        bool(row["left_out"]) + bool(row["condensed"]) for _, row in jsonl.read(tmp_path / "b" / "fits.jsonl")
    )


def test_a_long_answer_is_asked_for_in_parts_that_make_it_whole() -> None:
    """Each part in its window, with its citations, asked for by the renderer; a fence is never cut."""
    code = "```sql\nSELECT 1;\n\nSELECT 2;\n```"
    answer = "\n".join((*(f"{at}. Turn the valve number {at} slowly." for at in range(1, 25)), "", code, "Done."))
    page = passage("docs/en/valves.md", answer, "en", ("Manual", "Valves"))
    context = Context(page.id, page.document, "Manual > Valves", answer, True, 0, len(answer))
    example = Example("1" * 32, "How do I turn the valves?", answer, "en", "c", Made.RULE, (context,))
    tokens = BUDGET.tokenizer.text
    window = Window(1000, 120)
    rows = fitting.fit(example, window, BUDGET.tokenizer)
    assert isinstance(rows, list) and len(rows) > 2
    said = [row.messages[-1]["content"] for row in rows]
    assert "\n".join(without_citations(one).rstrip() for one in said) == answer
    assert all(citations_of(one) == (1,) for one in said) and sum("SELECT" in one for one in said) == 1
    for number, row in enumerate(rows, 1):
        asked = render(example.question, [Source("Manual > Valves", answer)], "en", part=Part(number, len(rows)))
        assert row.messages[:-1] == tuple({"role": one.role, "content": one.content} for one in asked.messages)
        assert row.prompt_hash == asked.hash()
        assert (row.part, row.parts, row.tokens) == (number, len(rows), BUDGET.tokenizer.messages(asked.messages))
        assert row.tokens <= window.prompt and tokens(row.messages[-1]["content"]) <= window.answer
    whole, *more = fitting.fit(example, Window(1000, 400), BUDGET.tokenizer)  # type: ignore[misc]
    assert not more and (whole.part, whole.parts) == (1, 1) and "[Part" not in whole.messages[-2]["content"]
    refused = fitting.fit(replace(example, answer=answer.replace("\n", " ")), window, BUDGET.tokenizer)
    assert isinstance(refused, Rejected) and "a line of its answer is longer" in refused.reason


def test_a_row_whose_support_was_shortened_away_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packer keeps gold; this holds it to that."""
    row = next(one for one in build(inputs()).assigned.rows if one.made is Made.RULE)
    real = fitting.pack

    def lossy(*given: Any) -> Packed:
        packed = real(*given)
        return replace(packed, included=tuple(replace(one, text="nothing of it") for one in packed.included))

    monkeypatch.setattr(fitting, "pack", lossy)
    found = fitting.fit(row, BUDGET.window, BUDGET.tokenizer)
    assert isinstance(found, Rejected) and "supports its answer" in found.reason


def test_a_tiny_window_rejects_with_the_reason_and_never_cuts_gold(tmp_path: Path) -> None:
    tight = replace(BUDGET, window=Window(640, 120))
    manifest = make(inputs(), tight, tmp_path / "a")
    for row in jsonl.read_examples(tmp_path / "a" / "examples.jsonl"):
        for one in row.evidence:
            assert one.text[one.start : one.end]
    assert manifest["tokens"]["prompt_longest"] <= 520
    with pytest.raises(InvalidInput, match="no rows"):
        make(inputs(), replace(BUDGET, window=Window(40, 30)), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def exported(folder: Path, format: str) -> tuple[dict[str, list[dict[str, Any]]], list[dict[str, Any]]]:
    """File → its rows as another tool reads them; and the dataset's own training rows."""
    make(inputs(), BUDGET, folder / "a")
    written = export(folder / "a", format, folder / "out", batch=1)
    files = {one.name: [row for _, row in jsonl.read(one)] for one in written if one.suffix == ".jsonl"}
    return files, [row for _, row in jsonl.read(folder / "a" / "train.jsonl")]


def test_an_export_to_mlx_is_three_files_of_chats(tmp_path: Path) -> None:
    files, own = exported(tmp_path, "mlx")
    assert files.keys() == {"train.jsonl", "valid.jsonl", "test.jsonl"} and all(files.values())
    assert files["train.jsonl"] == own
    for row in (row for some in files.values() for row in some):
        assert row.keys() == {"messages"}
        assert [one["role"] for one in row["messages"]] == ["system", "user", "assistant"]
        assert all(one.keys() == {"role", "content"} for one in row["messages"])
    (tmp_path / "out" / "train.jsonl").read_bytes().decode("utf-8")


def test_an_export_to_trl_has_the_answer_alone_as_completion(tmp_path: Path) -> None:
    files, own = exported(tmp_path, "trl")
    assert files.keys() == {"train.jsonl", "valid.jsonl", "test.jsonl"}
    assert all(row.keys() == {"prompt", "completion"} for some in files.values() for row in some)
    for row, chat in zip(files["train.jsonl"], own, strict=True):
        assert [*row["prompt"], *row["completion"]] == chat["messages"]
        assert [one["role"] for one in row["completion"]] == ["assistant"]


def test_an_export_to_llama_factory_is_registered_under_the_tags_that_its_rows_use(tmp_path: Path) -> None:
    files, own = exported(tmp_path, "llama-factory")
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_text("utf-8"))
    assert {one["file_name"] for one in info.values()} == files.keys()
    assert files[info["answerloop_train"]["file_name"]] == own
    for one in info.values():
        assert one["formatting"] == "sharegpt" and one["columns"] == {"messages": "messages"}
        tags = one["tags"]
        known = {tags["system_tag"], tags["user_tag"], tags["assistant_tag"]}
        for row in files[one["file_name"]]:
            for message in row[one["columns"]["messages"]]:
                assert message.keys() == {tags["role_tag"], tags["content_tag"]}
                assert message[tags["role_tag"]] in known


def test_an_export_with_too_few_rows_says_so(tmp_path: Path) -> None:
    make(inputs(), BUDGET, tmp_path / "a")
    with pytest.raises(InvalidInput, match="fewer than the batch"):
        export(tmp_path / "a", "mlx", tmp_path / "out", batch=10_000)
    with pytest.raises(InvalidInput, match="not a format"):
        export(tmp_path / "a", "csv", tmp_path / "out")
