"""Passages as evidence: what a page offers to pick, and what its form sends back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from router.errors import IndexUnavailable, InvalidInput
from router.types import Citation
from services.api.state import Shared

SHOWN = 8  # passages of one search
LONGEST_QUOTE = 1_000  # characters; it keeps pages small, and a longer quote proves no more


@dataclass(frozen=True, slots=True)
class Found:
    """A passage to pick. scores: by channel, as text. picked: a tick is in it already."""

    citation: Citation
    scores: str
    picked: bool = False


async def passages(here: Shared, question: str, picked: Sequence[str] = ()) -> tuple[list[Found], str]:
    """The best passages for a question, and why there are none. picked: passage ids."""
    if not question.strip():
        return [], ""
    try:
        found = await here.system.search(question.strip()[: here.settings.max_question_chars], SHOWN, {})
    except IndexUnavailable as error:
        return [], str(error)
    cited = here.system.cite(found.hits)
    scores = ["  ".join(f"{name} {score:.3f}" for name, score in hit.scores.items()) for hit in found.hits]
    rows = [Found(_cut(one), score, one.passage_id in picked) for one, score in zip(cited, scores, strict=True)]
    return rows, ""


def _cut(citation: Citation) -> Citation:
    quote = citation.quote[:LONGEST_QUOTE]
    return replace(citation, quote=quote, end=citation.start + len(quote)) if quote != citation.quote else citation


def read(values: Sequence[Any]) -> tuple[Citation, ...]:
    """Citations as `view.citation_value` wrote them, each passage once. Raises `InvalidInput`."""
    cited = [_read_one(value) for value in values]
    return tuple({(one.passage_id, one.source, one.start): one for one in cited}.values())


def _read_one(value: Any) -> Citation:
    texts = ("passage_id", "source", "heading", "quote", "revision")
    try:
        raw = json.loads(value)
    except (TypeError, ValueError) as exc:
        raise InvalidInput("a passage in the form cannot be read; load the page again") from exc
    known = isinstance(raw, Mapping) and all(isinstance(raw.get(name), str) for name in texts)
    if not known or not all(type(raw.get(name)) is int and 0 <= raw[name] < 2**31 for name in ("start", "end")):
        raise InvalidInput("a passage in the form lacks what a citation needs; load the page again")
    return Citation(**{name: raw[name] for name in (*texts, "start", "end")})
