"""What survives when a text is condensed: gold answers, numbers, names, negations and qualifiers.

    python -m tests.bench.condense [--share 0.5] [--sample 0] [--half odd|even|all] [NAME …]

NAME: covidqa (whole scientific articles), window (the 3,000 characters of such an article around the answer), squad,
cmrc (paragraphs). Prints one JSON object a line, each without and with the question. The weights were chosen on the
even documents; report the odd ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from indexer.analysis import analyse, analyse_question
from router.condense import Condensed, condense, holds
from router.survival import survived
from tests.bench.retrieval import PARAGRAPHS, rows

WINDOW = 3_000


class Case(NamedTuple):
    """span: of the gold answer in the text."""

    document: str
    question: str
    text: str
    span: tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=["covidqa", "window", "squad", "cmrc"])
    parser.add_argument("--share", type=float, default=0.5, help="length to keep, as a share of the characters")
    parser.add_argument("--sample", type=int, default=0, help="cases of each task; 0 for all")
    parser.add_argument("--half", choices=("even", "odd", "all"), default="odd")
    arguments = parser.parse_args()
    for name in arguments.names:
        chosen = [case for case in cases(name) if in_half(case, arguments.half, name)]
        step = max(1, len(chosen) // arguments.sample) if arguments.sample else 1
        for aware in (False, True):
            figures = measure(chosen[::step], arguments.share, aware)
            print(json.dumps({"task": name, "half": arguments.half, "question_known": aware, **figures}), flush=True)


def cases(name: str) -> Iterator[Case]:
    if name in PARAGRAPHS:
        for row in rows(PARAGRAPHS[name]):
            start = row["context"].find(row["answers"][0]) if row.get("answerable", True) else -1
            if start >= 0:
                span = (start, start + len(row["answers"][0]))
                yield Case(row["context"], row["question"], row["context"], span)
        return
    texts = {row["doc_id"]: row["text"] for row in rows("covidqa_longdoc_docs_en")}
    for row in rows("covidqa_longdoc_en"):
        text, start = texts[row["doc_id"]], row["answer_start"][0]
        case = Case(row["doc_id"], row["question"], text, (start, start + len(row["answers"][0])))
        yield windowed(case) if name == "window" else case


def windowed(case: Case) -> Case:
    """The piece of the text, cut at multiples of a third of the window, that holds the answer nearest to its middle."""
    middle = sum(case.span) // 2
    start = max(0, round((middle - WINDOW / 2) / (WINDOW / 3)) * (WINDOW // 3))
    start = min(start, case.span[0])
    return case._replace(
        text=case.text[start : max(start + WINDOW, case.span[1])], span=(case.span[0] - start, case.span[1] - start)
    )


def in_half(case: Case, half: str, name: str) -> bool:
    """By document: the order of covidqa's ids is that of their hashes."""
    if half == "all":
        return True
    order = _order(name)
    return (order[case.document] % 2 == 0) == (half == "even")


_orders: dict[str, dict[str, int]] = {}


def _order(name: str) -> dict[str, int]:
    if name not in _orders:
        documents = sorted({case.document for case in cases(name)})
        _orders[name] = {document: number for number, document in enumerate(documents)}
    return _orders[name]


def measure(chosen: Sequence[Case], share: float, aware: bool) -> dict[str, float]:
    """support_kept: share of questions all of whose gold answer's units were kept. token_recall: share of the gold
    answer's words in the condensed text, mean. numbers, names, numbered, denials, qualified, length: see
    `router.survival.Survived`, means over the texts that have any."""
    flags, recalls, kept, spent = [], [], [], 0.0
    once: dict[str, Condensed] = {}
    for case in chosen:
        begun = time.process_time()
        made = once.get(case.text)
        if made is None or aware:
            asked = dict.fromkeys(analyse_question(case.question), 1.0) if aware else None
            made = condense(case.text, int(share * len(case.text)), len, analyse, asked)
            spent += time.process_time() - begun
            kept.append(survived(case.text, made))
        once[case.text] = made
        flags.append(holds(made, case.span))
        recalls.append(recall(case.text[slice(*case.span)], made.text))
    names = ("numbers", "names", "numbered", "denials", "qualified", "length")
    means = {name: mean(getattr(one, name) for one in kept) for name in names}
    return {
        "questions": len(flags),
        "support_kept": mean(flags),
        "token_recall": mean(recalls),
        **means,
        "ms": round(spent / max(len(kept), 1) * 1e3, 2),
    }


def mean(values: Iterable[float | None]) -> float:
    return round(statistics.fmean(value for value in values if value is not None), 3)


def recall(answer: str, text: str) -> float:
    wanted = set(analyse(answer))
    return len(wanted & set(analyse(text))) / max(len(wanted), 1)


if __name__ == "__main__":
    main()
