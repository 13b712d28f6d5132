"""What a model proposes, and what askers said helped: both enter unreviewed, and only what survives a round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from router.types import Answer, Citation, Question, Route, Trace
from services.training.building import build
from services.training.neighbours import Neighbours
from services.training.proposing import changed, propose
from services.training.records import Made
from tests.training.test_dataset import ENTRY, PASSAGES, inputs, passage

POOL = passage("docs/en/pools.md", "The pool holds 40 connections. It grows on demand.", "en", ("Manual", "Pools"))
GOOD = "Q: How many connections does the pool hold?\nA: The pool holds 40 connections."


def by_rote(replies: Mapping[str, str], otherwise: str = "") -> object:
    """A writer that knows what to say by a word of the user's message."""

    def write(chats: Sequence[Sequence[Mapping[str, str]]], _most: int) -> list[str]:
        asked = [chat[-1]["content"] for chat in chats]
        return [next((said for word, said in replies.items() if word in one), otherwise) for one in asked]

    return write


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("I cannot do that.", "not a question and an answer"),
        ("Q: How many connections does the pool hold?\nA: It holds 41 connections.", "word for word"),
        ("Q: How many?\nA: The pool holds 40 connections.", "no whole question"),
        ("Q: The pool holds connections\nA: The pool holds 40 connections.", "no whole question"),
        ("Q: 连接池有多少个连接？\nA: The pool holds 40 connections.", "not in the language"),
        ("Q: How do I restart the wal service?\nA: The pool holds 40 connections.", "does not find its passage again"),
    ],
)
def test_what_does_not_survive_the_round_trip_is_listed_with_the_reason(reply: str, why: str) -> None:
    near = Neighbours([*PASSAGES, POOL])
    kept, refused = propose([POOL], near, by_rote({"pool": reply}))  # type: ignore[arg-type]
    assert not kept and len(refused) == 1 and why in refused[0].reason


def test_what_survives_is_an_unreviewed_row_with_its_span() -> None:
    given = inputs(passages=[*PASSAGES, POOL], writer=by_rote({"The pool": GOOD}))
    built = build(given)
    (row,) = [one for one in built.assigned.rows if one.made is Made.MODEL]
    assert (row.question, row.answer, row.reviewed) == (
        "How many connections does the pool hold?", "The pool holds 40 connections.", False,
    )  # fmt: skip
    (evidence,) = row.evidence
    assert evidence.text[evidence.start : evidence.end] == row.answer
    assert any("not a question and an answer" in one.reason for one in built.rejected), "of the other passages"
    assert build(given).assigned.rows == built.assigned.rows


def test_another_wording_of_a_model_goes_through_the_gate() -> None:
    """One that asks the same enters with its parent; one with another verb, and one that finds another page, do not."""
    wordings = {"Restarting the lock": GOOD, "restart the lock": "What must be done to restart the lock?"}
    wordings |= {"restart the pool": "How do I remove the pool?", "restart the disk": "How do I brew coffee?"}
    built = build(inputs(writer=by_rote(wordings)))
    written = [one for one in built.assigned.rows if one.differences[:1] == ("model",)]
    assert [one.question for one in written] == ["What must be done to restart the lock?"]
    assert written[0].parent and not written[0].reviewed
    assert any(one.question == "How do I remove the pool?" for one in built.refused)


def test_the_slots_that_differ_are_named() -> None:
    assert changed("How do I restart it?", "How can I restart it now?") == ("do → can", "nothing → now")


def helped(question: str, answer: str, at: int = 0, standalone: str = "") -> Trace:
    source = PASSAGES[at]
    cited = Citation(source.id, source.document, "", answer, 0, 1, "r")
    sent = Answer(answer, Route.GROUNDED, 0.9, (cited,), "", "extractive")
    where = ("t", "2026-01-01T00:00:00.000000Z", Question(question), question, "en", sent, (), {}, (), "r1", {})
    return Trace(*where, standalone=standalone)


def test_an_answer_that_helped_is_an_unreviewed_row_of_the_whole_question() -> None:
    steps = "Run `wal-restart --now`."
    rows = build(inputs(liked=[helped("And how?", steps, 1, "How do I bring the wal back up?")])).assigned.rows
    (row,) = [one for one in rows if one.made is Made.CONVERSATION]
    assert (row.question, row.answer, row.reviewed) == ("How do I bring the wal back up?", steps, False)
    assert [one.passage_id for one in row.evidence] == [PASSAGES[1].id]


def test_what_people_decided_and_what_its_source_does_not_hold_is_no_row() -> None:
    liked = [helped(ENTRY.question, "默认 48MB。"), helped("How many nodes are there?", "There are nine of them.", 1)]
    built = build(inputs(liked=liked))
    assert not [one for one in built.assigned.rows if one.made is Made.CONVERSATION]
    assert any("does not hold its answer" in one.reason for one in built.rejected)
