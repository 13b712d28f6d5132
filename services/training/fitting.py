"""Rows into the model's window, by its own tokenizer: distractors go first, then context, then the row is rejected.

Gold evidence and answers are never cut. A long answer is split at its lines into rows whose prompts ask for one part
each, as `router.prompt` renders it; the parts joined by line breaks are the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from indexer.analysis import analyse, analyse_question
from router.packing import DoesNotFit, Packed, Tokenizer, Wanted, Window, pack
from router.prompt import Part, Shot
from router.survival import Survived
from router.types import Hit, Passage
from services.training import metrics
from services.training.records import Context, Example, Rejected

Message = Mapping[str, str]

KEPT = 0.8
"""Of what supports an answer, the share that must be left after shortening; below it the row teaches guessing."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """One training row. messages: prompt and answer. tokens: of the prompt. cited: passage numbers in the answer.
    condensed: ids of the passages that were shortened, with what is left of them. left_out: of those that found no
    room. part, parts: 1 and 1 for most. seen: title and text of each passage as the model sees it. support: see
    `supported`."""

    example: Example
    messages: tuple[Message, ...]
    tokens: int
    cited: tuple[int, ...]
    condensed: Mapping[str, Survived]
    left_out: tuple[str, ...]
    prompt_hash: str
    part: int = 1
    parts: int = 1
    seen: tuple[str, ...] = ()
    support: float = 1.0


def fit(
    example: Example, window: Window, tokenizer: Tokenizer, shots: tuple[Shot, ...] = ()
) -> list[Fitted] | Rejected:
    pieces = _parts(example.answer, window.answer, tokenizer)
    if pieces is None:
        reason = f"a line of its answer is longer than the {window.answer} tokens reserved for answers"
        return Rejected(example.question, example.cluster, reason)
    rows: list[Fitted] = []
    for number, piece in enumerate(pieces, 1):
        part = Part(number, len(pieces))
        try:
            packed = pack(
                _wanted(example, shots, part), [_hit(one) for one in example.context], window, tokenizer, analyse
            )
        except DoesNotFit as error:
            return Rejected(example.question, example.cluster, str(error))
        kept = supported(example, packed)
        if kept < KEPT:
            reason = f"shortening left {kept:.0%} of what supports its answer"
            return Rejected(example.question, example.cluster, reason)
        rows.append(_row(example, packed, piece, part, kept))
    return rows


def supported(example: Example, packed: Packed) -> float:
    """Share, 0..1, of the answer's words and facts in its evidence that are left in what the model sees of it."""
    own = {one.passage_id for one in example.evidence}
    whole = _words("\n".join(one.text for one in example.evidence))
    shown = _words("\n".join(one.text for one in packed.included if one.passage.id in own))
    wanted = _words(example.answer) & whole
    return len(wanted & shown) / len(wanted) if wanted else 1.0


def _words(text: str) -> set[str]:
    return {*metrics.tokens(text), *metrics.facts(text)}


def _wanted(example: Example, shots: tuple[Shot, ...], part: Part) -> Wanted:
    keep = {one.passage_id: ((one.start, one.end),) for one in example.evidence}
    terms = dict.fromkeys(analyse_question(example.question), 1.0)  # no index says how rare a word is
    return Wanted(example.question, example.language, terms, shots, keep, part if part.of > 1 else None)


def _hit(one: Context) -> Hit:
    heading = tuple(one.heading.split(" > ")) if one.heading else ()
    return Hit(Passage(one.passage_id, one.document, heading, 0, len(one.text), one.text, ""), {}, 0.0)


def _row(example: Example, packed: Packed, answer: str, part: Part, support: float) -> Fitted:
    evidence = {one.passage_id for one in example.evidence}
    cited = tuple(one.number for one in packed.included if one.passage.id in evidence)
    marks = "".join(f"[{number}]" for number in cited)
    messages = [{"role": one.role, "content": one.content} for one in packed.prompt.messages]
    said = f"{answer}{_glue(answer)}{marks}" if marks else answer
    return Fitted(
        example=example,
        messages=(*messages, {"role": "assistant", "content": said}),
        tokens=packed.tokens,
        cited=cited,
        condensed={one.passage.id: one.survived for one in packed.included if one.survived},
        left_out=packed.left_out,
        prompt_hash=packed.prompt.hash(),
        part=part.number,
        parts=part.of,
        seen=tuple(f"{_title(one.passage)}\n{one.text}" for one in packed.included),
        support=support,
    )


def _title(passage: Passage) -> str:
    return " > ".join(passage.heading) or passage.document


def _glue(answer: str) -> str:
    """Citations stand on a line of their own after code, a table or a list."""
    last = answer.rstrip().rpartition("\n")[2].lstrip()
    return "\n" if last.startswith(("```", "~~~", "|", "-", "*", "+")) or last[:1].isdigit() else " "


def _parts(answer: str, budget: int, tokenizer: Tokenizer) -> list[str] | None:
    """The answer whole, or cut at its lines; None when one line alone is too long. A fence is never cut: code that
    does not fit is one line."""
    if tokenizer.text(answer) + _MARKS <= budget:
        return [answer]
    parts: list[str] = []
    for block in _blocks(answer):
        whole = f"{parts[-1]}\n{block}" if parts else block
        if parts and tokenizer.text(whole) + _MARKS <= budget:
            parts[-1] = whole
        elif tokenizer.text(block) + _MARKS <= budget:
            parts.append(block)
        else:
            return None
    return parts


_MARKS = 24  # tokens for citations and the end


def _blocks(answer: str) -> Sequence[str]:
    """Lines, a fenced block being one, and an empty line part of what is above it: no part of an answer is empty."""
    out: list[str] = []
    open_fence = False
    for line in answer.split("\n"):
        fence = line.lstrip().startswith(("```", "~~~"))
        if open_fence or (out and not line.strip()):
            out[-1] += f"\n{line}"
        else:
            out.append(line)
        open_fence ^= fence
    return out
