"""Several entries that are asked in the very same words: one answers, and the margin says whether it stood alone."""

from __future__ import annotations

import pytest

from router.curated import Entries
from router.types import CuratedEntry, EntryStatus, How
from services.curated.explain import explain
from services.curated.vocabulary import packaged_guards

GUARDS = packaged_guards()
ASKED = "如何重启数据库集群？"


@pytest.mark.parametrize(
    ("others", "margin"),
    [
        ((), 1.0),
        ((CuratedEntry("b", ASKED, "B"),), 0.0),
        ((CuratedEntry("b", "集群重启", "B", (ASKED,)),), 0.0),
        ((CuratedEntry("b", ASKED, "B", status=EntryStatus.STALE),), 1.0),
        ((CuratedEntry("b", ASKED, "B", negatives=(ASKED,)),), 1.0),
        ((CuratedEntry("b", "重启集群中的实例", "B"),), 1.0),
    ],
    ids=["alone", "its question", "its variant", "stale", "its negative", "other words"],
)
def test_an_exact_match_is_ahead_of_the_next_only_where_it_alone_could_answer(
    others: tuple[CuratedEntry, ...], margin: float
) -> None:
    first = CuratedEntry("a", ASKED, "A", ("请问如何重启数据库集群",))
    match = Entries.build((*others, first), GUARDS, "r").match(ASKED)
    assert (match.how, match.entry, match.probability, match.margin) == (How.EXACT, first, 1.0, margin)


def test_explain_says_that_another_entry_has_the_same_words() -> None:
    entries = Entries.build([CuratedEntry(name, ASKED, name) for name in "ab"], GUARDS, "r")
    found = explain(entries, ASKED)
    assert (found.entry_id, found.margin) == ("a", 0.0)
    assert found.candidates[1].why == "the same words, but another entry answers first"
