"""Where the votes of many wordings decide, another kind of question is another question all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router.curated import Entries
from router.types import CuratedEntry, How
from services.compose import embedder_of
from services.curated.matcher import Matcher
from services.curated.vocabulary import packaged_guards
from services.settings import Settings

if TYPE_CHECKING:
    from router.ports import Vectors

HOW = (
    "How do I reset my password?", "how can I reset the password", "how to reset a password", "reset my password",
    "what are the steps to reset my password", "how do I get a new password", "changing my password, how?",
)  # fmt: skip
ENTRY = CuratedEntry("reset", HOW[0], "Open the settings.", HOW[1:])
OTHER = CuratedEntry("card", "I lost my card", "C", ("my card is gone", "my card has disappeared"))


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    return made([ENTRY, OTHER], tmp_path_factory.mktemp("embedder"))


def made(entries: Sequence[CuratedEntry], home: Path) -> Matcher:
    embedder = embedder_of(Settings(home=home))()
    built = Entries.build(entries, packaged_guards(), "r")

    async def embed(texts: Sequence[str]) -> Vectors:
        return embedder.embed_questions(texts)

    return Matcher(lambda: built, embed)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Why do I have to reset my password?", "why"),
        ("When do I have to reset my password?", "when"),
        ("Who can reset my password?", "who"),
        ("How many times can I reset my password?", "count"),
    ],
)
def test_a_kind_that_none_of_its_wordings_asks_is_not_answered(matcher: Matcher, question: str, kind: str) -> None:
    match = asyncio.run(matcher.match(question))
    assert match.entry is None
    (candidate,) = (one for one in match.candidates if one.entry_id == "reset")
    assert candidate.cosine is not None and f"kind: {kind} / " in " ".join(candidate.guards)


def test_a_when_that_asks_nothing_is_no_kind(matcher: Matcher) -> None:
    match = asyncio.run(matcher.match("My password was lost when I changed the phone"))
    (candidate,) = (one for one in match.candidates if one.entry_id == "reset")
    assert "kind" not in " ".join(candidate.guards)


def test_a_kind_that_one_of_its_wordings_asks_is(matcher: Matcher, tmp_path: Path) -> None:
    same = "How would I reset the password of mine?"
    assert asyncio.run(matcher.match(same)).how is How.NEAR
    where = CuratedEntry("reset", HOW[0], "Open the settings.", (*HOW[1:], "where can I reset the password"))
    match = asyncio.run(made([where, OTHER], tmp_path).match("Where do I reset my password?"))
    assert "kind" not in " ".join(guard for one in match.candidates for guard in one.guards)
