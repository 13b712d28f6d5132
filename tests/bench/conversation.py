"""Follow-ups made whole: what it gives the search, and how often it harms questions that need nothing.

    python -m tests.bench.conversation [--search] [--sample 1500]

Prints one JSON object a line: right passage among the first five on the MTRAG rows that have a history, made whole
against the last turn alone (paired bootstrap, by conversation: each row is one), by BM25 in memory and with --search by
the project's own index; the follow-ups of the handmade sets; how often a question that is whole by itself is changed
after turns about something else; and microseconds a message. The rules were written with the even half of the
conversations in view (by the hash of their id); the odd half was not looked at.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from indexer.analysis import analyse, analyse_question
from indexer.search import Request, Searcher
from indexer.sources import Source
from router import followups, phrases
from router.conversation import understand
from router.followups import context_of
from router.types import MessageKind, Question, Turn
from tests.bench.retrieval import index, rows

TOP = 5
ROUNDS = 10_000
HANDMADE = ("polardb_zh_handmade_dev", "redis_en_handmade_dev")
WHOLE = {"squad": "squad_v2_dev_half", "cmrc": "cmrc2018_dev", "faq": "polardb_faq", "tidb_faq": "tidb_faq_entries_zh"}

Row = dict[str, Any]
Finder = Callable[[Sequence[str]], list[set[str]]]
"""Questions to the ids of the passages found first for each."""


def question_of(row: Row) -> Question:
    return Question(row["question"], tuple(Turn(turn["role"], turn["content"]) for turn in row["history"]))


def half_of(row: Row) -> str:
    conversation = row["id"].split("<::>")[0]
    return "odd" if int(hashlib.sha256(conversation.encode()).hexdigest(), 16) % 2 else "even"


def bm25(texts: Sequence[str], ids: Sequence[str]) -> Finder:
    """Plain BM25 over the project's tokens."""
    counted = [Counter(analyse(text)) for text in texts]
    average = statistics.mean(counts.total() for counts in counted)
    postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for number, counts in enumerate(counted):
        norm = 0.9 * (0.4 + 0.6 * counts.total() / average)
        for token, count in counts.items():
            postings[token].append((number, 1.9 * count / (count + norm)))

    def find(question: str) -> set[str]:
        scores: dict[int, float] = defaultdict(float)
        for token in set(analyse_question(question)):
            held = postings.get(token, [])
            idf = math.log1p((len(texts) - len(held) + 0.5) / (len(held) + 0.5))
            for number, weight in held:
                scores[number] += idf * weight
        return {ids[number] for number in sorted(scores, key=lambda one: -scores[one])[:TOP]}

    return lambda questions: [find(question) for question in questions]


def own_search(passages: Sequence[Row], home: Path, seconds: float) -> tuple[Finder, Searcher]:
    """The project's index with each passage a document."""
    texts = home / "texts"
    texts.mkdir(parents=True)
    for number, row in enumerate(passages):
        (texts / f"p{number:05}.txt").write_text(row["text"], "utf-8")
    _, searcher = index(home / "home", [Source("mtrag", str(texts))], seconds)

    def find(questions: Sequence[str]) -> list[set[str]]:
        out = []
        for at in range(0, len(questions), 32):
            for result in searcher.search([Request(text, 40, {}) for text in questions[at : at + 32]]):
                places = [(hit.passage.document, *(p.path for p in hit.passage.also_at)) for hit in result.hits]
                first = list(dict.fromkeys(places))[:TOP]
                out.append({passages[int(Path(path).stem[1:])]["doc_id"] for group in first for path in group})
        return out

    return find, searcher


def interval(differences: Sequence[int]) -> tuple[float, float]:
    """The 95 % interval of the mean, by resampling the rows."""
    source = random.Random(11)
    means = sorted(statistics.fmean(source.choices(differences, k=len(differences))) for _ in range(ROUNDS))
    return round(means[int(ROUNDS * 0.025)], 4), round(means[int(ROUNDS * 0.975)], 4)


def compared(asked: Sequence[Row], find: Finder) -> dict[str, Any]:
    last = [row["question"] for row in asked]
    whole = [understand(question_of(row)).standalone for row in asked]
    gold = [{context["doc_id"] for context in row["context_passages"]} for row in asked]
    before = [bool(found & right) for found, right in zip(find(last), gold, strict=True)]
    after = [bool(found & right) for found, right in zip(find(whole), gold, strict=True)]
    differences = [int(now) - int(then) for then, now in zip(before, after, strict=True)]
    return {
        "rows": len(asked),
        "changed": sum(one != two for one, two in zip(last, whole, strict=True)),
        "last_turn": round(statistics.fmean(before), 4),
        "made_whole": round(statistics.fmean(after), 4),
        "won": differences.count(1),
        "lost": differences.count(-1),
        "difference": round(statistics.fmean(differences), 4),
        "interval": interval(differences),
    }


def mtrag(finder: str, find: Finder) -> Iterable[dict[str, Any]]:
    asked = [row for row in rows("mtrag_un_dev_en") if row["history"] and row["context_passages"]]
    for half in ("even", "odd", "all"):
        chosen = [row for row in asked if half in ("all", half_of(row))]
        yield {"task": "mtrag", "search": finder, "half": half, **compared(chosen, find)}


def handmade() -> Iterable[dict[str, Any]]:
    for name in HANDMADE:
        for row in rows(name):
            if row["history"]:
                made = understand(question_of(row))
                yield {"task": "handmade", "question": row["question"], "made_whole": made.standalone}


def false_carries(name: str, file: str, sample: int) -> dict[str, Any]:
    """Whole questions after one or two others of another subject: how many are changed or not seen as questions."""
    source = random.Random(7)
    every = [row for row in rows(file) if not row.get("history")]
    changed, misjudged = [], []
    asked = source.sample(every, min(sample, len(every)))
    for row in asked:
        others = [other for other in source.sample(every, 12) if subject(other) != subject(row)][
            : source.choice((1, 2))
        ]
        turns = [turn for other in others for turn in (Turn("user", other["question"]), Turn("assistant", said(other)))]
        made = understand(Question(row["question"], tuple(turns)))
        if made.standalone != row["question"]:
            changed.append((row["question"], made.standalone))
        if (
            made.kind is not MessageKind.QUESTION
            or understand(Question(row["question"])).kind is not MessageKind.QUESTION
        ):
            misjudged.append(row["question"])
    return {
        "task": "false_carry",
        "set": name,
        "questions": len(asked),
        "changed": round(len(changed) / len(asked), 4),
        "not_seen_as_question": len(misjudged),
        "examples": changed[:8] + misjudged[:5],
    }


def subject(row: Row) -> str:
    return str(row.get("title") or row.get("context") or row.get("doc_id") or row["question"])


def said(row: Row) -> str:
    answers = row.get("answers") or [row.get("answer") or "I do not know."]
    return str(answers[0] if answers else "I do not know.")


def timings() -> dict[str, Any]:
    """Microseconds of CPU time: without history, with a history seen for the first time, and with one whose turns were
    the messages before (their phrases are still in memory)."""
    asked = [question_of(row) for row in rows("mtrag_un_dev_en")]
    later = [question for question in asked if question.history]
    out: dict[str, Any] = {"task": "microseconds"}
    for name, questions in (("alone", asked), ("history_first_seen", later), ("history", later)):
        taken = []
        for question in questions:
            _forget()
            if name == "history":
                context_of(question.history)
            one = Question(question.text) if name == "alone" else question
            begun = time.thread_time_ns()
            understand(one)
            taken.append((time.thread_time_ns() - begun) / 1e3)
        cuts = statistics.quantiles(taken, n=20)
        out[name] = {"p50": round(cuts[9], 1), "p95": round(cuts[18], 1)}
    return out


def _forget() -> None:
    for kept in (phrases.phrases, phrases.stems, followups._after):
        kept.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--search", action="store_true", help="also measure with the project's own index")
    parser.add_argument("--seconds", type=float, default=30.0, help="most time for the corpus embedder")
    parser.add_argument("--sample", type=int, default=1500, help="questions of each set for the false carries")
    arguments = parser.parse_args()
    passages = rows("mtrag_passages_en")
    report(mtrag("bm25", bm25([row["text"] for row in passages], [row["doc_id"] for row in passages])))
    report(handmade())
    report(false_carries(name, file, arguments.sample) for name, file in WHOLE.items())
    report(false_carries(name, name, arguments.sample) for name in HANDMADE)
    report([timings()])
    if arguments.search:
        with tempfile.TemporaryDirectory() as folder:
            find, searcher = own_search(passages, Path(folder), arguments.seconds)
            report(mtrag("own", find))
            searcher.close()


def report(objects: Iterable[dict[str, Any]]) -> None:
    for one in objects:
        print(json.dumps(one, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
