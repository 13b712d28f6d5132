"""Splits: nothing that belongs together is parted, and nothing moves when documents grow."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from services.training.records import Context, Example, Made, Split
from services.training.splits import assign, certify


def row(cluster: str, *sections: str, number: int = 0, passage: str = "") -> Example:
    shown = tuple(
        Context(passage or f"p-{section}", section, "h", f"text of {section}", True, 0, 4) for section in sections
    )
    return Example(f"{cluster}/{number}", f"q {cluster} {number}", "a", "en", cluster, Made.RULE, shown)


names = st.integers(0, 30).map(str)
rows_of = st.lists(
    st.builds(lambda c, s, n: row(c, *s, number=n), names, st.lists(names, max_size=3), st.integers(0, 9)), max_size=60
)


@given(rows_of)
def test_no_key_stands_in_two_splits(rows: list[Example]) -> None:
    splits = assign(rows).splits
    assert certify(rows, splits).leaks == ()


@given(rows_of, st.randoms())
def test_the_order_of_rows_does_not_matter(rows: list[Example], chance: random.Random) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert assign(rows).splits == assign(shuffled).splits


@given(rows_of, rows_of)
def test_nothing_moves_and_nothing_leaks_when_documents_grow(before: list[Example], more: list[Example]) -> None:
    first = assign(before)
    grown = assign([*before, *more], first.ledger)
    assert all(grown.splits[cluster] is split for cluster, split in first.splits.items())
    assert certify(grown.rows, grown.splits).leaks == ()
    rejected = {(one.question, one.cluster) for one in grown.rejected}
    assert not rejected & {(one.question, one.cluster) for one in before} - {
        (one.question, one.cluster) for one in more
    }


def test_shares_are_eighty_ten_ten_after_calibration() -> None:
    rows = [row(str(number), f"s{number}") for number in range(5000)]
    counts = certify(rows, assign(rows).splits).counts
    assert 210 <= counts["calibration"] <= 290
    assert 3700 <= counts["train"] <= 3900
    assert 420 <= counts["valid"] <= 530
    assert 420 <= counts["test"] <= 530


def test_a_shared_passage_keeps_pages_together() -> None:
    rows = [row("a", "zh/page", passage="same"), row("b", "en/page", passage="same")]
    splits = assign(rows).splits
    assert splits["a"] is splits["b"]


def test_a_leak_is_found() -> None:
    rows = [row("a", "s"), row("b", "s")]
    leaks = certify(rows, {"a": Split.TRAIN, "b": Split.TEST}).leaks
    assert leaks == ("passage p-s", "section s#h")
