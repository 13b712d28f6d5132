"""An index brought up to date, step by step, is the index that a build from nothing would make."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from indexer import build as building
from indexer import engine
from indexer.content import Content
from indexer.lexical import Bm25
from indexer.search import Request
from indexer.version import Arrays, read_manifest
from router.types import SearchResult
from tests.indexer.small import Place, fixed_learning, page

STEP = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 6), st.integers(0, 40)),
    st.tuples(st.just("append"), st.integers(0, 6), st.integers(0, 40)),
    st.tuples(st.just("delete"), st.integers(0, 6), st.just(0)),
    st.tuples(st.just("rename"), st.integers(0, 6), st.integers(0, 12)),
    st.tuples(st.just("copy"), st.integers(0, 6), st.integers(0, 12)),
    st.tuples(st.just("share"), st.integers(0, 6), st.integers(0, 3)),
    st.tuples(st.just("break"), st.integers(0, 2), st.just(0)),
)
ROUNDS = st.lists(st.lists(STEP, min_size=1, max_size=4), min_size=1, max_size=3)
QUESTIONS = ("node cluster backup restore", "snapshot timeout retry", "节点 集群 备份", "manual licence code", "手册")


def apply(folder: Path, step: tuple[str, int, int]) -> None:
    what, number, other = step
    path = folder / f"p{number}.md"
    if what == "write":
        path.write_text(page(other, 2), "utf-8")
    elif what == "break":
        (folder / f"b{number}.pdf").write_bytes(b"no PDF")
    elif not path.exists():
        return
    elif what == "append":
        path.write_text(path.read_text("utf-8") + f"\n## Added {other}\n\n{page(other, 1)}", "utf-8")
    elif what == "share":  # the same passage on several pages, of any language
        path.write_text(path.read_text("utf-8") + f"\n# Shared\n\n## Licence\n\n```\nrun {other} --all\n```\n", "utf-8")
    elif what == "delete":
        path.unlink()
    elif what == "rename":
        path.rename(folder / f"p{other}.md")
    elif what == "copy":
        (folder / f"p{other}.md").write_text(path.read_text("utf-8") + "\n", "utf-8")


@pytest.mark.slow
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example takes a second: shrinking would take minutes
)
@given(rounds=ROUNDS)
def test_any_edits_lead_to_what_a_full_build_gives(rounds: Sequence[Sequence[tuple[str, int, int]]]) -> None:
    check_rounds(rounds)


@pytest.mark.parametrize(
    "rounds",
    [
        [[("write", 0, 1), ("share", 0, 0), ("break", 1, 0)], [("rename", 2, 9), ("share", 1, 0)]],
        [[("delete", 0, 0), ("copy", 4, 0), ("rename", 3, 7)], [("delete", 4, 0), ("append", 1, 20), ("write", 5, 30)]],
        [[("delete", number, 0) for number in range(5)], [("write", 6, 3), ("share", 6, 1)]],
        [[("append", 1, 35), ("rename", 2, 4), ("delete", 4, 0)], [("write", 0, 1)], [("delete", 0, 0)]],
    ],
    ids=["shared and broken", "copies and renames", "everything deleted", "shared by pages of two languages"],
)
def test_some_edits_lead_to_what_a_full_build_gives(rounds: Sequence[Sequence[tuple[str, int, int]]]) -> None:
    check_rounds(rounds)


def check_rounds(rounds: Sequence[Sequence[tuple[str, int, int]]]) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "learn", fixed_learning())
        # Both with one average length: an index brought up to date keeps its own while it drifts by less than 5 %.
        patch.setattr(engine, "Bm25", lambda _: Bm25(40.0))
        place = Place(Path(name))
        for number in range(5):
            place.write(f"p{number}.md", page(number, 2))
        place.build()
        for steps in rounds:
            for step in steps:
                apply(place.pages, step)
            place.build()
        step_by_step, found = place.folder, answers(place)
        place.build(full=True)
        same_content(step_by_step, place.folder)
        same_arrays(Arrays.load(step_by_step / "arrays"), place.arrays())
        same_answers(found, answers(place))


NEARLY = 2e-3


def answers(place: Place) -> list[SearchResult]:
    """To every question, without a filter and for every page by name."""
    filters: list[dict[str, str]] = [{}, *({"document": f"docs/p{number}.md"} for number in range(13))]
    searcher = place.searcher()
    found = searcher.search([Request(question, 10, only) for question in QUESTIONS for only in filters])
    searcher.close()
    return found


def same_answers(one: Sequence[SearchResult], other: Sequence[SearchResult]) -> None:
    """Vectors are halves, and made in other batches: what is ahead by less than that may change places."""
    for mine, theirs in zip(one, other, strict=True):
        found = {hit.passage: hit for hit in mine.hits}
        assert found.keys() == {hit.passage for hit in theirs.hits}
        assert mine.terms == theirs.terms
        in_order = [found[hit.passage].fused for hit in theirs.hits]
        assert all(before >= after - NEARLY for before, after in pairwise(in_order))
        for hit in theirs.hits:
            assert found[hit.passage].best_unit == hit.best_unit
            assert dict(found[hit.passage].scores) == pytest.approx(dict(hit.scores), abs=NEARLY)


def same_content(one: Path, other: Path) -> None:
    contents = Content(one / "content.db"), Content(other / "content.db")
    assert [*contents[0].all_passages()] == [*contents[1].all_passages()]
    assert [*contents[0].stored()] == [*contents[1].stored()]
    assert contents[0].skipped() == contents[1].skipped()
    assert contents[0].unreadable() == contents[1].unreadable()
    assert read_manifest(one).dimensions == read_manifest(other).dimensions
    for content in contents:
        content.close()


def same_arrays(one: Arrays, other: Arrays) -> None:
    for name in Arrays.__dataclass_fields__:
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine.dtype == theirs.dtype and mine.shape == theirs.shape, name
        if mine.dtype == np.float16:
            np.testing.assert_allclose(mine.astype(np.float32), theirs.astype(np.float32), atol=1e-3, err_msg=name)
        else:
            np.testing.assert_array_equal(mine, theirs, err_msg=name)
