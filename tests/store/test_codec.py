"""A trace comes back exactly as it was written."""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import InvalidInput
from router.types import Answer, Citation, Question, Route, Trace, Turn
from services.store.codec import decode_trace, encode_trace
from tests.store.samples import TRACE

words = st.text(st.characters(codec="utf-8"), max_size=20)  # everything but lone surrogates
numbers = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
positions = st.integers(0, 10**9)
citations = st.builds(
    Citation, words, words, words, words, positions, positions, words, st.lists(words, max_size=2).map(tuple)
)
questions = st.builds(
    Question,
    words,
    st.lists(st.builds(Turn, words, words), max_size=3).map(tuple),
    st.none() | words,
    st.dictionaries(words, words, max_size=3),
)
some_citations = st.lists(citations, max_size=2).map(tuple)
answers = st.builds(Answer, words, st.sampled_from(Route), numbers, some_citations, words, words, some_citations)
traces = st.builds(
    Trace,
    id=words,
    created=words,
    question=questions,
    normalised=words,
    language=words,
    answer=answers,
    candidates=st.lists(st.dictionaries(words, json_values, max_size=4), max_size=3).map(tuple),
    features=st.dictionaries(words, numbers, max_size=4),
    guards=st.lists(words, max_size=3).map(tuple),
    release=words,
    timings_ms=st.dictionaries(words, numbers, max_size=4),
)


@given(traces)
def test_round_trip(trace: Trace) -> None:
    back = decode_trace(encode_trace(trace))
    assert back == trace
    assert type(back.answer.route) is Route
    assert encode_trace(back) == encode_trace(trace)


def test_a_trace_without_newer_fields_still_opens() -> None:
    text = encode_trace(TRACE).replace(',"aliases":["docs/old.md"]', "").replace(',"maybe_useful":[]', "")
    assert "aliases" not in text
    assert "maybe_useful" not in text
    (citation,) = decode_trace(text).answer.citations
    assert citation == replace(TRACE.answer.citations[0], aliases=())


def test_numbers_that_json_lacks_become_nan() -> None:
    back = decode_trace(encode_trace(replace(TRACE, features={"a": math.nan, "b": math.inf, "c": 1.5})))
    assert math.isnan(back.features["a"])
    assert math.isnan(back.features["b"])
    assert back.features["c"] == 1.5


def test_numpy_numbers_and_read_only_mappings_are_accepted() -> None:
    odd = replace(TRACE, features=MappingProxyType({"a": cast(float, np.float32(0.25)), "b": np.float64(0.1)}))
    assert decode_trace(encode_trace(odd)).features == {"a": 0.25, "b": 0.1}


@pytest.mark.parametrize("bad", [{"a": object()}, {"a": "\ud800"}, {"a": 2**64}, {1: "a"}])
def test_what_json_cannot_hold_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="cannot be stored as JSON"):
        encode_trace(replace(TRACE, candidates=(bad,)))
