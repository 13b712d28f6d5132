"""Questions whose answer two pages give differently, made from question files with paragraphs.

From every row whose answer holds a number a second page is made: the sentence of the answer with another number,
between sentences of another paragraph. Which of the two is true is drawn by hash, as nobody could know it. The answers
that show both count four times: once as a reader takes them who believes what comes first, which is true about every
other time, and three times as those do who read both and ask which holds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

from services.evaluation import Asked, Row

_NUMBER = re.compile(r"(?<![\d.,])\d+(?![\d.,])")
_SENTENCES = re.compile(r"[^。！？.!?]*[。！？.!?]+")


def with_twins(rows: Sequence[Row], most: int) -> list[Row]:
    """Rows and their twins in turn: the same question over a page of its own that gives another number."""
    out: list[Row] = []
    texts = [row.context or "" for row in rows]
    for number, row in enumerate(rows):
        twin = _twin(row, texts[number - 1 if number else -1])
        if twin is not None and len(out) < 2 * most:
            out += [row, twin]
    return out


def _twin(row: Row, elsewhere: str) -> Row | None:
    answer = min(row.answers, key=len, default="")
    found, around = _NUMBER.search(answer), _SENTENCES.findall(elsewhere)
    said = next((one for one in _SENTENCES.findall(row.context or "") if answer in one), "")
    if found is None or not said or len(around) < 2 or answer in elsewhere:
        return None
    other = answer[: found.start()] + _another(found.group()) + answer[found.end() :]
    page = around[0] + said.replace(answer, other) + around[1]
    return replace(row, context=page, answers=(other,))


def _another(number: str) -> str:
    return str(int(number) + 1 + _drawn(number) % 7).zfill(len(number))


def disputed(asked: Sequence[Asked]) -> list[Asked]:
    """Of each pair that was asked, the answer to the one that was drawn as true, if it shows both values, as each of
    four readers takes it."""
    pairs: dict[str, list[Asked]] = {}
    for one in asked:
        pairs.setdefault(one.row.question.text, []).append(one)
    out = []
    for text, pair in pairs.items():
        if len(pair) == 2 and pair[0].trace.features.get("undisputed") == 0.0:
            true, false = pair if _drawn(text) % 2 else pair[::-1]
            out += [replace(true, right=_first(true, false)), true, true, true]
    return out


def _first(true: Asked, false: Asked) -> bool:
    """Whether the answer shows the true value, and before the false one if it shows that too."""
    places = [true.trace.answer.text.find(min(one.row.answers, key=len)) for one in (true, false)]
    return places[0] >= 0 and (places[1] < 0 or places[0] < places[1])


def _drawn(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
