"""Questions and other wordings that a model proposes. It is believed in nothing: what does not survive a round trip is
listed with the reason, and what does enters as unreviewed.

A question survives when its answer stands in the passage word for word, and when asking it finds that passage again.
Another wording survives when the guards see no difference (`services.training.variants`) and it finds the passage that
its question rests on.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from router import asides, prompt, wording
from router.prompt import Message, Source
from router.types import Passage
from services.training import metrics
from services.training.neighbours import Neighbours
from services.training.questions import LONGEST, Candidate
from services.training.records import Example, Rejected

FOUND = 4  # passages among which the own one must be: as many as a row shows
TOKENS = 160  # of what it writes about one passage
_WORDS_WANTED = 3  # tokens of a question; "What is it?" names nothing
_REPLY = re.compile(r"^\s*Q\s*[:：](?P<q>.+?)\n\s*A\s*[:：](?P<a>.+)", re.DOTALL)

Writer = Callable[[Sequence[Sequence[Mapping[str, str]]], int], Sequence[str]]
"""(chats, most tokens of a reply) → the model's replies, in their order. Greedy: a dataset can be built again."""


def propose(passages: Sequence[Passage], near: Neighbours, write: Writer) -> tuple[list[Candidate], list[Rejected]]:
    """One question a passage, or the reason why there is none."""
    chats = [_chat(asides.proposed_question(_source(one), one.language)) for one in passages]
    kept: dict[str, Candidate] = {}
    refused = []
    for passage, reply in zip(passages, write(chats, TOKENS), strict=True):
        found = _read(prompt.unescape(reply), passage)
        why = found if isinstance(found, str) else _lost(found, near)
        if isinstance(found, Candidate) and not why:
            kept.setdefault(wording.normalise(found.question), found)
        else:
            said = found.question if isinstance(found, Candidate) else reply.strip()[:200]
            refused.append(Rejected(said, f"proposed-{passage.id}", why))
    return list(kept.values()), refused


def _read(reply: str, passage: Passage) -> Candidate | str:
    """What the model proposes, or why that is no candidate."""
    if not (parts := _REPLY.match(reply)):
        return "the model's reply is not a question and an answer"
    question, answer = " ".join(parts["q"].split()), parts["a"].strip()
    at = passage.text.find(answer)
    if at < 0 or not answer or len(answer) > LONGEST:
        return "its answer does not stand in the passage word for word"
    if len(metrics.tokens(question)) < _WORDS_WANTED or question[-1] not in "?？":
        return "it is no whole question"
    if wording.language_of(question) != passage.language:
        return "it is not in the language of its passage"
    return Candidate(question, answer, passage, at, at + len(answer), "model")


def _lost(one: Candidate, near: Neighbours) -> str:
    held = {found.id for found in near.nearest(one.question, FOUND)}
    return "" if one.passage.id in held else "asking it does not find its passage again"


def reword(rows: Sequence[Example], near: Neighbours, write: Writer) -> dict[str, str]:
    """Row id → another wording of its question, where that finds the row's evidence."""
    chats = [_chat(asides.other_wording(row.question, row.language)) for row in rows]
    said = (prompt.unescape(reply).strip().partition("\n")[0].strip() for reply in write(chats, TOKENS))
    return {row.id: text for row, text in zip(rows, said, strict=True) if text and _finds(text, row, near)}


def _finds(question: str, row: Example, near: Neighbours) -> bool:
    held = {found.id for found in near.nearest(question, FOUND)}
    return wording.language_of(question) == row.language and any(one.passage_id in held for one in row.evidence)


def changed(before: str, after: str) -> tuple[str, ...]:
    """What was put for what, as "old → new"."""
    ours, theirs = metrics.tokens(before), metrics.tokens(after)
    found = difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
    return tuple(f"{_said(ours[a:b])} → {_said(theirs[c:d])}" for kind, a, b, c, d in found if kind != "equal")


def _said(tokens: Iterable[str]) -> str:
    return " ".join(tokens) or "nothing"


def _source(one: Passage) -> Source:
    return Source(" > ".join(one.heading) or one.document, one.text)


def _chat(messages: Iterable[Message]) -> list[dict[str, str]]:
    return [{"role": one.role, "content": one.content} for one in messages]
