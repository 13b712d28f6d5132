"""What every engine must do, whatever it is made of."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.errors import IndexUnavailable
from router.ports import EnginePoint, EngineQuery, Engines, Found

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")  # in the stand-in for a server
DIMENSIONS = {"dense": 4, "corpus": 3}
NOTHING: tuple[list[int], list[float]] = ([], [])


def vector(*numbers: float) -> np.ndarray:
    array = np.array(numbers, np.float32)
    return array / max(float(np.linalg.norm(array)), 1e-9)


def point(
    key: int,
    terms: Mapping[int, float] | None = None,
    dense: np.ndarray | None = None,
    corpus: np.ndarray | None = None,
    document: str = "docs/a.md",
    language: str = "en",
) -> EnginePoint:
    given = {"dense": dense, "corpus": corpus}
    vectors = {name: value for name, value in given.items() if value is not None}
    payload = {"source": [document.split("/")[0]], "document": [document], "language": [language]}
    sparse = (list((terms or {}).keys()), list((terms or {}).values()))
    return EnginePoint(key, sparse, vectors, payload)


def query(
    terms: Sequence[int] = (),
    dense: np.ndarray | None = None,
    filters: Mapping[str, str] | None = None,
    **others: np.ndarray,
) -> EngineQuery:
    vectors = others if dense is None else {"dense": dense, **others}
    return EngineQuery((list(terms), [1.0] * len(terms)), vectors, filters or {})


def keys(found: Found, channel: str) -> list[int]:
    return list(found.get(channel, NOTHING)[0])


POINTS = [
    point(2**62 + 7, {1: 1.0, 2: 1.0}, vector(1, 0, 0, 0), vector(1, 0, 0), "docs/a.md"),
    point(12, {2: 1.5}, vector(1, 1, 0, 0), vector(0, 1, 0), "docs/b.md"),
    point(13, {3: 1.0}, None, vector(0, 0, 1), "wiki/c.md", "zh"),
]


def filled(engines: Engines, folder: Path, points: Sequence[EnginePoint] = POINTS):
    index = engines.create(folder, DIMENSIONS)
    index.upsert(points)
    index.finish()
    return index


def test_each_channel_answers_best_first(engines: Engines, tmp_path: Path) -> None:
    index = filled(engines, tmp_path / "e")
    (found,) = index.candidates([query([2], vector(1, 0.2, 0, 0), corpus=vector(0.1, 1, 0.2))], 10)
    assert keys(found, "bm25") == [12, 2**62 + 7]
    assert keys(found, "dense") == [2**62 + 7, 12]
    assert keys(found, "corpus") == [12, 13, 2**62 + 7]
    idf = math.log1p((3 - 2 + 0.5) / (2 + 0.5))
    assert found["bm25"][1] == pytest.approx([1.5 * idf, idf], rel=1e-5)
    assert found["dense"][1][0] == pytest.approx(1 / math.hypot(1, 0.2), abs=1e-3)  # stored as float16
    index.close()


def test_a_limit_is_per_channel_and_per_question(engines: Engines, tmp_path: Path) -> None:
    index = filled(engines, tmp_path / "e", [point(n, {7: float(n)}, vector(1, n, 0, 0)) for n in range(1, 30)])
    both = index.candidates([query([7], vector(0, 1, 0, 0)), query([7])], 5)
    assert [len(keys(found, channel)) for found in both for channel in found] == [5, 5, 5]
    assert keys(both[1], "bm25") == [29, 28, 27, 26, 25]
    index.close()


def test_filters_must_all_match(engines: Engines, tmp_path: Path) -> None:
    index = filled(engines, tmp_path / "e")
    asked = [
        query([2, 3], vector(1, 0, 0, 0), {"document": "docs/b.md"}),
        query([2, 3], vector(1, 0, 0, 0), {"source": "wiki", "language": "zh"}),
        query([2, 3], vector(1, 0, 0, 0), {"source": "wiki", "language": "en"}),
        query([2, 3], vector(1, 0, 0, 0), {"source": "nowhere"}),
    ]
    one, two, three, four = index.candidates(asked, 10)
    assert keys(one, "bm25") == [12] and keys(one, "dense") == [12]
    assert keys(two, "bm25") == [13] and keys(two, "dense") == []
    assert not any(keys(found, channel) for found in (three, four) for channel in found)
    index.close()


def test_a_filter_matches_any_of_a_passages_places(engines: Engines, tmp_path: Path) -> None:
    places = {"source": ["v1", "v2"], "document": ["v1/a.md", "v2/a.md"], "language": ["en"]}
    index = filled(engines, tmp_path / "e", [EnginePoint(5, ([1], [1.0]), {}, places), point(6, {1: 1.0})])
    found = index.candidates([query([1], None, {"source": name}) for name in ("v1", "v2", "docs", "v3")], 5)
    assert [keys(one, "bm25") for one in found] == [[5], [5], [6], []]
    index.close()


def test_a_channel_or_question_without_anything_to_ask_is_not_asked(engines: Engines, tmp_path: Path) -> None:
    index = filled(engines, tmp_path / "e")
    empty, unknown, term = index.candidates([query(), query(elsewhere=vector(1, 0)), query([99])], 5)
    assert empty == {} and unknown == {}
    assert keys(term, "bm25") == []
    assert index.candidates([], 5) == []
    index.close()


def test_an_empty_engine_finds_nothing(engines: Engines, tmp_path: Path) -> None:
    index = engines.create(tmp_path / "e", DIMENSIONS)
    index.upsert([])
    index.delete([])
    index.finish()
    (found,) = index.candidates([query([1], vector(1, 0, 0, 0))], 5)
    assert not any(keys(found, channel) for channel in found)
    index.close()


def test_a_passage_without_words_is_held(engines: Engines, tmp_path: Path) -> None:
    index = filled(engines, tmp_path / "e", [point(5, {}, vector(1, 0, 0, 0)), point(6, {1: 1.0})])
    (found,) = index.candidates([query([1], vector(1, 0, 0, 0))], 5)
    assert keys(found, "bm25") == [6] and keys(found, "dense") == [5]
    index.close()


def test_words_only_need_no_vectors(engines: Engines, tmp_path: Path) -> None:
    index = engines.create(tmp_path / "e", {})
    index.upsert([point(5, {1: 1.0})])
    index.finish()
    index.close()
    again = engines.open(tmp_path / "e", {})
    assert keys(again.candidates([query([1], vector(1, 0, 0, 0))], 5)[0], "bm25") == [5]
    again.close()


@pytest.mark.parametrize(
    "bad",
    [
        point(9, {1: 1.0}, np.array([1, math.nan, 0, 0], np.float32)),
        point(9, {1: 1.0}, np.array([1, math.inf, 0, 0], np.float32)),
        point(9, {1: math.nan}),
        point(9, {1: 1.0}, vector(1, 0, 0)),
        EnginePoint(9, ([1, 2], [1.0]), {}, {}),
        EnginePoint(9, NOTHING, {"elsewhere": vector(1, 0)}, {}),
    ],
    ids=["nan", "inf", "nan word", "short", "uneven", "unknown channel"],
)
def test_bad_numbers_are_refused_and_nothing_of_the_batch_is_written(
    engines: Engines, tmp_path: Path, bad: EnginePoint
) -> None:
    index = filled(engines, tmp_path / "e")
    with pytest.raises(ValueError, match="passage 9"):
        index.upsert([point(8, {1: 1.0}), bad])
    assert keys(index.candidates([query([1])], 5)[0], "bm25") == [2**62 + 7]
    index.close()


def test_writing_again_replaces_and_deleting_deletes(engines: Engines, tmp_path: Path) -> None:
    index = filled(engines, tmp_path / "e")
    index.upsert([point(12, {3: 1.0}, vector(0, 0, 0, 1), None, "docs/moved.md")])
    index.delete([13, 4711])
    index.finish()
    words, place, corpus = index.candidates(
        [query([2, 3]), query([3], None, {"document": "docs/moved.md"}), query(corpus=vector(1, 1, 1))], 10
    )
    assert set(keys(words, "bm25")) == {12, 2**62 + 7}
    assert keys(place, "bm25") == [12]
    assert keys(corpus, "corpus") == [2**62 + 7]  # the new point 12 has no such vector
    index.close()


def test_what_was_finished_is_there_when_opened_again(engines: Engines, tmp_path: Path) -> None:
    index = filled(engines, tmp_path / "building")
    asked = [query([1, 2], vector(1, 0.5, 0, 0), corpus=vector(0, 1, 1))]
    before = index.candidates(asked, 10)
    index.close()
    (tmp_path / "building").rename(tmp_path / "v1")
    again = engines.open(tmp_path / "v1", DIMENSIONS)
    assert again.candidates(asked, 10) == before
    again.close()


def test_two_versions_side_by_side_do_not_mix(engines: Engines, tmp_path: Path) -> None:
    one = filled(engines, tmp_path / "v1")
    two = filled(engines, tmp_path / "v2", [point(12, {1: 1.0}, vector(0, 1, 0, 0))])
    assert keys(one.candidates([query([1])], 10)[0], "bm25") == [2**62 + 7]
    assert keys(two.candidates([query([1])], 10)[0], "bm25") == [12]
    one.close()
    two.close()


def test_a_derived_engine_starts_with_the_parents_points_and_leaves_the_parent_alone(
    engines: Engines, tmp_path: Path
) -> None:
    many = [point(100 + n, {5: 1.0 + n}, vector(1, n, 0, 0), document=f"docs/{n}.md") for n in range(600)]
    filled(engines, tmp_path / "v1", [*POINTS, *many]).close()
    asked = [
        query([1, 2, 5], vector(1, 0.5, 0, 0), corpus=vector(0, 1, 1)),
        query([5], None, {"document": "docs/7.md"}),
    ]
    parent = engines.open(tmp_path / "v1", DIMENSIONS)
    before = parent.candidates(asked, 1000)
    parent.close()
    child = engines.derive(tmp_path / "v1", tmp_path / "v2", DIMENSIONS)
    assert alike(child.candidates(asked, 1000), before)
    child.delete([12, *(100 + n for n in range(599))])
    child.upsert([point(77, {1: 9.0}, vector(1, 0.5, 0, 0))])
    child.finish()
    child.close()
    child, parent = engines.open(tmp_path / "v2", DIMENSIONS), engines.open(tmp_path / "v1", DIMENSIONS)
    assert alike(parent.candidates(asked, 1000), before)
    assert keys(child.candidates(asked, 1000)[0], "dense") == [77, 2**62 + 7, 699]
    child.close()
    parent.close()


def alike(one: Sequence[Found], other: Sequence[Found]) -> bool:
    """The same passages with the same scores; equal scores in any order."""
    return [scores(found) for found in one] == [scores(found) for found in other]


def scores(found: Found) -> dict[str, dict[int, float]]:
    return {
        channel: dict(zip(at, (round(value, 5) for value in values), strict=True))
        for channel, (at, values) in found.items()
    }


def test_what_cannot_be_opened_says_so(engines: Engines, tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable, match="nowhere"):
        engines.open(tmp_path / "nowhere", DIMENSIONS)
    with pytest.raises(IndexUnavailable, match="nowhere"):
        engines.derive(tmp_path / "nowhere", tmp_path / "new", DIMENSIONS)
    filled(engines, tmp_path / "e").close()
    for path in (tmp_path / "e").rglob("*.json"):
        path.write_text("{")
    with pytest.raises(IndexUnavailable):
        engines.open(tmp_path / "e", DIMENSIONS)


def test_dropping_and_deleting_leaves_the_others(engines: Engines, tmp_path: Path) -> None:
    filled(engines, tmp_path / "v1").close()
    filled(engines, tmp_path / "v2").close()
    for name in ("v1", "never-made"):
        engines.drop(tmp_path / name)
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    with pytest.raises(IndexUnavailable):
        engines.open(tmp_path / "v1", DIMENSIONS)
    left = engines.open(tmp_path / "v2", DIMENSIONS)
    assert keys(left.candidates([query([1])], 10)[0], "bm25") == [2**62 + 7]
    left.close()


TERMS = st.dictionaries(st.integers(0, 6), st.floats(0.125, 4, width=16), min_size=1, max_size=4)
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "remove"]), st.integers(1, 8), TERMS, st.sampled_from(["d/a", "d/b"])),
    max_size=14,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, terms=st.sets(st.integers(0, 6), min_size=1), wanted=st.sampled_from([{}, {"document": "d/b"}]))
def test_any_writes_and_deletes_leave_what_a_dictionary_would_hold(
    engines: Engines, tmp_path_factory: pytest.TempPathFactory, steps, terms, wanted
) -> None:
    """Asked after opening anew, as a version is: until then Edge's idf still counts what was deleted. Points without
    any word are left out here: Edge's idf does not count them."""
    folder = tmp_path_factory.mktemp("engines") / "e"
    index = engines.create(folder, {})
    held: dict[int, tuple[dict[int, float], str]] = {}
    for what, key, words, document in steps:
        if what == "put":
            index.upsert([point(key, words, document=document)])
            held[key] = (words, document)
        else:
            index.delete([key])
            held.pop(key, None)
    index.finish()
    index.close()
    index = engines.open(folder, {})
    (found,) = index.candidates([query(sorted(terms), None, wanted)], 100)
    assert scores(found).get("bm25", {}) == pytest.approx(expected(held, terms, wanted), abs=1e-4)
    index.close()


def expected(
    held: Mapping[int, tuple[Mapping[int, float], str]], terms: set[int], wanted: Mapping[str, str]
) -> dict[int, float]:
    """Lucene's BM25 on what is held; the idf is that of the whole index, filters or not."""
    counts = {term: sum(term in words for words, _ in held.values()) for term in terms}
    idf = {term: math.log1p((len(held) - count + 0.5) / (count + 0.5)) for term, count in counts.items()}
    allowed = {key: words for key, (words, document) in held.items() if wanted.get("document", document) == document}
    sums = {
        key: [value * idf[term] for term, value in words.items() if term in terms] for key, words in allowed.items()
    }
    return {key: sum(parts) for key, parts in sums.items() if parts}
