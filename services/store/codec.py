"""Traces to JSON text and back, exactly.

Numbers that JSON cannot hold (NaN, infinities) are written as null and read back as NaN where the record
says float: a broken diagnostic must not keep an answer from being sent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from router.errors import InvalidInput
from router.types import Answer, Citation, CuratedEntry, EntryStatus, Question, Route, Trace, Turn


def dumps(value: object) -> str:
    """JSON text; records and numpy scalars included. Raises `InvalidInput` for what JSON cannot hold."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    except TypeError as exc:  # orjson's error for wrong types, lone surrogates and numbers over 64 bits
        raise InvalidInput(f"a value cannot be stored as JSON: {exc}") from exc


def loads(text: str) -> Any:
    return orjson.loads(text)


def encode_trace(trace: Trace) -> str:
    """Raises `InvalidInput` when `candidates`, `features` or `timings_ms` hold what JSON cannot."""
    return dumps(trace)


def decode_trace(text: str) -> Trace:
    """Fields that have a default may be missing: the text may be older than they are."""
    raw = loads(text)
    question, answer = raw["question"], raw["answer"]
    question["history"] = tuple(Turn(**turn) for turn in question.get("history", ()))
    answer["route"] = Route(answer["route"])
    answer["confidence"] = _number(answer["confidence"])
    answer["citations"] = decode_citations(answer["citations"])
    answer["maybe_useful"] = decode_citations(answer.get("maybe_useful", []))
    raw["question"], raw["answer"] = Question(**question), Answer(**answer)
    raw["candidates"], raw["guards"] = tuple(raw["candidates"]), tuple(raw["guards"])
    raw["features"], raw["timings_ms"] = _numbers(raw["features"]), _numbers(raw["timings_ms"])
    return Trace(**raw)


def decode_entry(text: str) -> CuratedEntry:
    """What `dumps` made of an entry. Fields that have a default may be missing, and a newer program, which runs beside
    this one during an upgrade, may have written others."""
    raw = _known(loads(text), CuratedEntry)
    raw["variants"], raw["negatives"] = tuple(raw.get("variants", ())), tuple(raw.get("negatives", ()))
    raw["citations"], raw["status"] = decode_citations(raw.get("citations", [])), EntryStatus(raw.get("status", "live"))
    return CuratedEntry(**raw)


def decode_citations(raw: list[dict[str, Any]]) -> tuple[Citation, ...]:
    found = (_known(citation, Citation) for citation in raw)
    return tuple(Citation(**{**citation, "aliases": tuple(citation.get("aliases", ()))}) for citation in found)


def _known(raw: Mapping[str, Any], record: type[Citation] | type[CuratedEntry]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name in record.__slots__}


def _numbers(raw: Mapping[str, float | None]) -> dict[str, float]:
    return {name: _number(value) for name, value in raw.items()}


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _plain(value: object) -> object:
    """What orjson does not know by itself: read-only mappings."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON-ready")
