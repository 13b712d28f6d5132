"""The other end of `services.generation.quoting_process`: one JSON line in, one out, until there are no more.

python -P -m services.generation.quoting_worker FOLDER      FOLDER: of an index version
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from router.types import Citation, Draft, Hit, Location, Passage, SearchResult
from services.generation.quoting import Quoting

_Quote = Callable[[str, SearchResult], Draft]


def main(folder: Path, asked: BinaryIO, replies: BinaryIO) -> None:
    """Raises OSError where the reader of the replies is gone."""
    quoting = Quoting.open(folder)
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)  # as `services.server` does
    replies.write(b"\n")  # ready
    replies.flush()
    for line in asked:
        replies.write(reply(line, quoting.quote))
        replies.flush()


def request(number: int, question: str, found: SearchResult) -> bytes:
    """What quoting looks at, as one line."""
    return orjson.dumps((number, question, found.hits, found.terms, found.language)) + b"\n"


def reply(line: bytes, quote: _Quote) -> bytes:
    """One line: the draft, or null in its place where quoting failed, which whoever asked will then see for himself."""
    number, question, hits, terms, language = orjson.loads(line)
    try:
        draft = quote(question, SearchResult(tuple(map(_hit, hits)), terms, language, ""))
        said = (draft.text, draft.citations, draft.support)
    except Exception:  # noqa: BLE001 -- the next question has nothing to do with it
        said = None
    return orjson.dumps((number, said)) + b"\n"


def replied(line: bytes) -> tuple[int, Draft | None]:
    number, said = orjson.loads(line)
    if said is None:
        return number, None
    text, citations, support = said
    return number, Draft(text, tuple(map(_citation, citations)), Quoting.name, support=support)


def _hit(raw: Mapping[str, Any]) -> Hit:
    return Hit(_passage(raw["passage"]), raw["scores"], raw["fused"], raw["best_unit"], tuple(raw["unit_cosines"]))


def _passage(raw: Mapping[str, Any]) -> Passage:
    also_at = tuple(Location(**place) for place in raw["also_at"])
    return Passage(**{**raw, "heading": tuple(raw["heading"]), "also_at": also_at})


def _citation(raw: Mapping[str, Any]) -> Citation:
    return Citation(**{**raw, "aliases": tuple(raw["aliases"])})


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which answers what is open first
    main(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
