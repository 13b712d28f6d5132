"""The re-ranker: what it sees in a candidate, and what it may do to a list."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import rerank
from indexer.above import Above
from indexer.analysis import analyse, analyse_question, term_id
from indexer.rerank import FEATURES, GROUPS, Asked, Model, Reranker, between
from indexer.version import Arrays
from tests.bench.rerank import Judged, links, taken_over, with_last


def reranker(
    texts: list[list[str]], headings: list[tuple[str, ...]], documents: list[str] | None = None, **coefficients: float
) -> Reranker:
    """texts: the units of each passage; documents: the path of each. The arrays are made as a build makes them."""
    units = [np.unique(ids(analyse(unit))) for text in texts for unit in text]
    empty = np.empty(0, np.float16)
    arrays = Arrays(
        keys=np.arange(len(texts), dtype=np.uint64),
        lengths=np.ones(len(texts), np.int32),
        unit_offsets=np.cumsum([0, *map(len, texts)]),
        unit_terms=np.concatenate([*units, np.empty(0, np.uint32)]),
        unit_term_offsets=np.cumsum([0, *map(len, units)]),
        term_ids=np.empty(0, np.uint32),
        term_counts=np.empty(0, np.int32),
        corpus=empty,
        has_dense=np.zeros(len(texts), bool),
        dense=empty,
        dense_units=empty,
    )
    places = documents or ["docs/a.md"] * len(texts)
    above = Above.of(zip(places, headings, strict=True))
    return Reranker(arrays, above, dict.fromkeys(("en", "zh"), Model(coefficients, {})))


def ids(tokens: list[str]) -> np.ndarray:
    return np.fromiter(map(term_id, tokens), np.uint32)


def asked(text: str, language: str, **idf: float) -> Asked:
    tokens = analyse_question(text)
    weight = {term_id(token): idf.get(token, 1.0) for token in tokens}
    numbers = np.array(sorted(weight), np.uint32)
    return Asked(text, tokens, numbers, np.array([weight[number] for number in numbers.tolist()], np.float32), language)


def features(own: Reranker, question: Asked, count: int) -> list[dict[str, float]]:
    even = np.ones(count, np.float32)
    found = own.features(question, np.arange(count), {"bm25": even, "unit": even}, even)
    return [dict(zip(FEATURES, row, strict=True)) for row in found.round(4).tolist()]


def test_shares_of_the_question_by_level() -> None:
    texts = [["The server listens.", "Port 6379 is open."], ["The server listens on port 6379."], []]
    own = reranker(texts, [("Start",), ("Other",), ("Server port",)])
    apart, together, heading = features(own, asked("server port 6379", "en"), 3)
    assert apart["passage_all"] == together["passage_all"] == together["unit_all"] == 1.0
    assert apart["unit_all"] == pytest.approx(2 / 3, abs=1e-3)
    assert apart["two_all"] == 1.0
    assert apart["passage_numbers"] == pytest.approx(1 / 3, abs=1e-3)
    assert (heading["passage_all"], heading["unit_all"]) == (pytest.approx(2 / 3, abs=1e-3), 0.0)


def test_units_of_two_passages_are_no_neighbours() -> None:
    own = reranker([["server"], ["port"]], [(), ()])
    for found in features(own, asked("server port", "en"), 2):
        assert found["two_all"] == found["unit_all"] == 0.5


def test_words_of_chinese_questions_are_told_apart() -> None:
    question = asked("郑成功从哪里登陆台湾？", "zh")
    own = reranker([["郑成功。"], ["登陆台湾。"], ["陆台"]], [(), (), ()])
    name, landing, accident = features(own, question, 3)
    assert name["passage_names"] > landing["passage_names"] > 0
    assert landing["passage_verbs"] > 0
    assert name["passage_verbs"] == accident["passage_verbs"] == 0
    assert accident["passage_across"] > 0
    assert accident["passage_words"] == 0 < accident["passage_pairs"]


def test_rare_terms_weigh_more() -> None:
    own = reranker([["common"], ["rare"]], [(), ()])
    common, rare = features(own, asked("common rare", "en", rare=3.0), 2)
    assert (common["passage_all"], rare["passage_all"]) == (0.25, 0.75)
    assert rare["passage_sharp"] > rare["passage_all"]


def test_the_better_covered_candidate_comes_first_and_the_rest_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerank, "MOST", 2)
    own = reranker([["server"], ["server port"], ["server port"]], [(), (), ()], passage_all=5.0)
    fused = np.array([0.9, 0.8, 0.7], np.float32)
    even = np.ones(3, np.float32)
    new = own.rank(asked("server port", "en"), np.arange(3), {"bm25": even, "unit": even}, fused)
    assert new.tolist() == pytest.approx([0.8, 0.9, 0.7])


def test_the_words_of_a_path_count_as_headings() -> None:
    own = reranker([["restart it"]] * 2, [(), ()], ["manual/Stack-Operator/Reboot.md", "manual/Daemon/Reboot.md"])
    inside, outside = features(own, asked("restart stack", "en"), 2)
    assert (inside["passage_all"], outside["passage_all"]) == (1.0, 0.5)
    assert inside["unit_all"] == outside["unit_all"] == 0.5
    assert features(own, asked("restart manual", "en"), 2)[0]["passage_all"] == 0.5  # the source's name is no topic


def test_a_page_counts_by_how_many_of_its_passages_are_among_the_best() -> None:
    documents = ["docs/a.md", "docs/b.md", "docs/b.md"]
    own = reranker([["server"]] * 3, [()] * 3, documents, page=1.0)
    question = asked("server", "en")
    assert [one["page"] for one in features(own, question, 3)] == pytest.approx([0.0, np.log(2), np.log(2)], abs=1e-3)
    even = np.ones(3, np.float32)
    new = own.rank(question, np.arange(3), {"bm25": even, "unit": even}, np.array([0.9, 0.8, 0.2], np.float32))
    assert np.argsort(-new, kind="stable").tolist() == [1, 2, 0]


def told(fused: tuple[float, float], page: tuple[float, float]) -> Judged:
    """A question with two candidates, the first of them right."""
    values = np.zeros((2, len(FEATURES)))
    values[:, FEATURES.index("fused")], values[:, FEATURES.index("page")] = fused, page
    return Judged(values, np.array([True, False]), ("a", "b"))


def test_the_page_is_fitted_beside_the_others_which_stay() -> None:
    by_score, with_it, against_it = (
        told((1.0, 0.5), (0.0, 0.0)),
        told((0.8, 0.8), (0.7, 0.0)),
        told((0.9, 0.8), (0.0, 0.7)),
    )
    often = with_last([[by_score] * 4 + [with_it] * 3 + [against_it]], {"fused": 4.0})
    seldom = with_last([[by_score] * 4 + [with_it] + [against_it] * 3], {"fused": 4.0})
    assert often["fused"] == seldom["fused"] == 4.0
    assert often["page"] > seldom["page"] > -1.0


def test_a_link_asks_for_its_page_without_its_words(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "# 备份\n\n把备份数据恢复到一个全新集群的步骤，请参考[恢复指南](/b.md)。见[自己](/a.md)。", "utf-8"
    )
    (tmp_path / "b.md").write_text("# 恢复指南\n", "utf-8")
    assert links("m", tmp_path) == [("把备份数据恢复到一个全新集群的步骤", "m/b.md", "m/a.md")]


def test_without_a_model_for_the_language_nothing_changes() -> None:
    own = reranker([["server"], ["server port"]], [(), ()], passage_all=5.0)
    fused = np.array([0.9, 0.8], np.float32)
    even = np.ones(2, np.float32)
    new = own.rank(asked("server port", "ja"), np.arange(2), {"bm25": even, "unit": even}, fused)
    assert new.tolist() == fused.tolist()


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_scores_stay_in_the_range_of_the_fused_ones(scores: list[float], one: float, other: float) -> None:
    fused = np.linspace(one, other, len(scores), dtype=np.float32)
    own = np.array(scores, np.float32)
    new = between(own, fused)
    assert fused.min() - 1e-5 <= new.min() <= new.max() <= fused.max() + 1e-5
    order = np.argsort(own, kind="stable")
    assert (np.diff(new[order]) >= -1e-5).all()


def test_what_a_page_is_worth_is_taken_over_in_proportion() -> None:
    assert taken_over({"fused": 4.0, "dense": 9.0}, {"fused": 8.0, "page": 1.5}) == {
        "fused": 4.0,
        "dense": 9.0,
        "page": 0.75,
    }


def test_beside_the_text_embedder_a_model_of_its_own_has_the_say() -> None:
    own = reranker([["server"], ["server"]], [(), ()])
    own.models = {"zh": Model({"dense": -1.0}, {}), "zh with dense": Model({"dense": 1.0}, {})}
    even, fused = np.ones(2, np.float32), np.array([0.9, 0.8], np.float32)
    question, scaled = asked("server", "zh"), {"bm25": even, "unit": even}
    nearer = own.rank(question, np.arange(2), {**scaled, "dense": np.array([0.1, 0.9], np.float32)}, fused)
    assert nearer[1] > nearer[0]
    assert own.rank(question, np.arange(2), scaled, fused).tolist() == pytest.approx(
        [0.8, 0.8]
    )  # nothing tells them apart
    own.models.pop("zh with dense")
    assert own.rank(question, np.arange(2), {**scaled, "dense": np.array([0.1, 0.9], np.float32)}, fused).argmax() == 0


def test_the_packaged_models_name_only_features_there_are() -> None:
    raw = json.loads((Path(rerank.__file__).parent / "rerank.json").read_text("utf-8"))
    assert set(raw) == {"zh", "zh with dense", "en"}
    for model in raw.values():
        assert set(model["coefficients"]) <= set(FEATURES)
        assert model["coefficients"]["fused"] > 0
        assert sum(model["data"].values()) > 2000
    assert len(set(FEATURES)) == 3 + 2 * len(GROUPS) + 6
