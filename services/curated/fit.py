"""Fits the probabilities of near matches, and the lines above which they are sent.

    python -m services.curated.fit --data FOLDER [--vectors FILE.npz] [--out services/curated/near_model.json]

FOLDER holds `qa/` and `paraphrase/`. What is fitted on is named in the model file:
- words (one wording beside another, no embedder): `near_pairs.jsonl`, FAQs of made-up products in both languages with
  paraphrases and near misses written for them; and, as near misses that nobody made up, what people asked about the
  same paragraphs of CMRC, DRCD and SQuAD: every second question is an entry with its sentence as the answer, the
  others are asked, and none has an answer there.
- pair (the same with a cosine): the English ones of these, and Stack Exchange pairs that people judged.
- votes (entries with many wordings): the even intents of BANKING77 and CLINC150, a quarter of them left out of the
  store, and CLINC's out-of-scope training queries.
Odd intents, out-of-scope validation queries and `tests/curated/near_held_out.jsonl` are never read:
`tests/bench/curated.py` reports on them.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from router.curated import Entries
from router.curated_model import Logistic
from router.curated_near import Judged
from router.curated_text import normal_form
from router.guards import Guards
from router.types import CuratedEntry
from services.compose import embedder_of
from services.curated.matcher import WordingVectors
from services.curated.vocabulary import packaged_guards
from services.curated.written import Faq, stores_of, written
from services.settings import Settings

Row = Mapping[str, Any]
CosinesOf = Callable[[str], Mapping[str, float]]

WORDS = ("left_theirs", "lost_theirs", "named", "told", "swapped", "turned", "deed_lost")
PAIR = (*WORDS, "cosine")
VOTES = (
    "nearest",
    "mean3",
    "lead",
    "share",
    "weight",
    "known",
    "kinds_differ",
    "grams",
    "cover_asked",
    "cover_theirs",
    "new_asked",
    "new_theirs",
    "cosine",
)
PER_INTENT = 20
_ASKED = 4_000  # questions of a set that are asked, at most
_MOST = {  # most questions answered wrong in a store of intents, by group
    "known": 0.01,  # their intent is there
    "strange": 0.10,  # of intents that were left out, whose neighbours are there
    "outside": 0.01,  # about other things altogether
}
_WRONG = 0.005  # most other people's questions answered wrong: they are nearer to the entries than what customers ask
_FOLDS = 5
_OTHERS_WEIGHT = 0.3  # of one of their pairs against a written one: they are many, and not about products
_LEAST_LINE = 0.5
_LEAST_MARGIN = 0.2  # two entries this close in probability are one question to the model, whatever it was fitted on
_EMBEDDED_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Example:
    """One pair that no guard forbids. same: whether both ask the same. fold: those of one entry share it. written:
    whether it was written for this; other people's pairs are nearer to each other, and their labels are not certain."""

    features: Mapping[str, float]
    same: bool
    fold: int
    written: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """One question before a store of intents: the entries without a guard; the right one's id, "" if there is none;
    group: "known", "strange" (of an intent that was left out) or "outside"."""

    judged: Sequence[Judged]
    right: str
    group: str


@dataclass(frozen=True, slots=True)
class Data:
    """The folder with the question files."""

    folder: Path

    def rows(self, name: str) -> list[Row]:
        text = (self.folder / f"{name}.jsonl").read_text("utf-8")
        return [json.loads(line) for line in text.splitlines() if line.strip()]

    def banking(self) -> list[Row]:
        return self.rows("qa/banking77_train_en")

    def clinc(self, split: str = "train") -> list[Row]:
        return [row for row in self.rows("qa/clinc150_train_val_en") if row["split"] == split]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vectors", type=Path, help="keep the vectors here")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "near_model.json")
    arguments = parser.parse_args()
    model = fit(Data(arguments.data), arguments.vectors, packaged_guards())
    arguments.out.write_text(json.dumps(model, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(json.dumps(model, ensure_ascii=False))


def fit(data: Data, vectors: Path | None, guards: Guards) -> dict[str, Any]:
    banking, clinc = half(data.banking(), 0), half(data.clinc(), 0)
    validation = half(data.clinc("val"), 0)
    judged = data.rows("paraphrase/stackexchange_qq_sts2016_en")
    outside = [row["question"] for row in data.clinc("oos_train")]
    faqs = written()
    english = [faq for faq in faqs if faq.store.startswith("en")]
    reading = {name: data.rows(f"qa/{name}") for name in _READING}
    texts = [row["question"] for row in (*banking, *clinc, *validation, *reading["squad_v2_dev_half"])]
    texts += outside + [row[side] for row in judged for side in "ab"] + [text for faq in english for text in faq.texts]
    table, fingerprint = embedded([normal_form(text, guards.wording) for text in texts], vectors)
    words = [*pairs(faqs, guards, None), *(one for rows in reading.values() for one in foreign(rows, guards, None))]
    paired = [*pairs(english, guards, table), *labelled(judged, guards, table)]
    paired += foreign(reading["squad_v2_dev_half"], guards, table)
    stores = [
        voting(banking, (), guards, table),
        voting(clinc, outside, guards, table),
        voting([*clinc, *validation], outside, guards, table, len(clinc) // len({row["intent"] for row in clinc})),
    ]
    asked = sum(len(rows) // 2 for rows in reading.values())
    return {
        "words": fitted(words, WORDS, asked),
        "pair": fitted(paired, PAIR, len(reading["squad_v2_dev_half"]) // 2 + len(judged)),
        "votes": voted([list(asked) for asked in stores]),
        "margin": _LEAST_MARGIN,
        "data": _SOURCES,
        "embedder": fingerprint,
        "created": datetime.now(UTC).date().isoformat(),
    }


_READING = ("cmrc2018_dev", "drcd_dev", "squad_v2_dev_half")
_SOURCES = [
    "near_pairs.jsonl",
    "cmrc2018_dev, drcd_dev, squad_v2_dev_half: other questions about the same paragraphs",
    "stackexchange_qq_sts2016_en",
    "banking77_train_en, even intents",
    "clinc150_train_val_en, train and val, even intents and oos_train",
]


def pairs(faqs: Iterable[Faq], guards: Guards, table: WordingVectors | None) -> Iterator[Example]:
    """Each paraphrase and near miss beside the entries of its FAQ."""
    for store in stores_of(faqs).values():
        entries = Entries.build((CuratedEntry(faq.id, faq.question, faq.answer) for faq in store), guards, "")
        near = cosines_of(entries, table)
        for fold, faq in enumerate(store):
            for text in (*faq.same, *faq.other):
                for one in _free(entries, text, near):
                    yield Example(
                        one.features, text in faq.same and one.candidate.entry_id == faq.id, fold % _FOLDS, written=True
                    )


def foreign(rows: Sequence[Row], guards: Guards, table: WordingVectors | None) -> Iterator[Example]:
    """Every second question beside the others as entries. Where both have the same answer they may ask the same."""
    stored = [CuratedEntry(str(at), row["question"], _sentence(row)) for at, row in enumerate(rows) if at % 2 == 0]
    entries = Entries.build(stored, guards, "")
    near = cosines_of(entries, table)
    for at, row in enumerate(rows[1::2]):
        for one in _free(entries, row["question"], near):
            if _answer(rows[int(one.candidate.entry_id)]) != _answer(row):
                yield Example(one.features, False, at % _FOLDS, written=False)


def _answer(row: Row) -> str:
    return next(iter(row["answers"]), "")


def _sentence(row: Row) -> str:
    """What an entry for this question would say: the sentence of the paragraph that holds the answer."""
    return next((part for part in _SENTENCES.split(row["context"]) if _answer(row) and _answer(row) in part), "")


_SENTENCES = re.compile(r"(?<=[。！？\n])|(?<=[.!?]) ")


def half(rows: Sequence[Row], which: int) -> list[Row]:
    """The rows of every other intent, by name: 0 for fitting, 1 for reporting."""
    names = sorted({row["intent"] for row in rows})[which::2]
    return [row for row in rows if row["intent"] in names]


def intents(rows: Iterable[Row], per_intent: int) -> tuple[list[CuratedEntry], list[Row]]:
    """One entry per intent with its first rows as variants, and the rows that are left."""
    taken: dict[str, list[str]] = {}
    left = []
    for row in rows:
        mine = taken.setdefault(row["intent"], [])
        if len(mine) < per_intent:
            mine.append(row["question"])
        else:
            left.append(row)
    return [CuratedEntry(name, asked[0], name, tuple(asked[1:])) for name, asked in taken.items()], left


def embedded(keys: Iterable[str], kept: Path | None) -> tuple[WordingVectors, str]:
    """Vectors of the normal forms, read from `kept` where they are there."""
    embedder = embedder_of(Settings.from_env())()
    if kept and kept.exists():
        stored = np.load(kept)
        have = WordingVectors(tuple(str(key) for key in stored["keys"]), stored["rows"])
    else:
        have = WordingVectors((), np.zeros((0, embedder.dimension), np.float32))
    missing = sorted(set(keys) - set(have.keys) - {""}, key=len)
    steps = range(0, len(missing), _EMBEDDED_AT_ONCE)
    made = [embedder.embed_questions(missing[at : at + _EMBEDDED_AT_ONCE]) for at in steps]
    table = have.with_more(missing, np.vstack(made)) if made else have
    if kept and made:
        np.savez(kept, keys=np.array(table.keys), rows=table.rows)
    return table, embedder.fingerprint


def cosines_of(entries: Entries, table: WordingVectors | None) -> CosinesOf:
    """From a table that also holds the questions; none without a table."""
    if table is None:
        return lambda _key: {}
    rows = {key: row for row, key in enumerate(table.keys)}
    stored = table.without(entries.keys)
    return lambda key: stored.nearest(table.rows[rows[key]]) if key in rows else {}


def labelled(rows: Sequence[Row], guards: Guards, table: WordingVectors | None) -> Iterator[Example]:
    """Pairs that people judged; those they were of two minds about are left out."""
    free = _store([row["b"] for row in rows], guards, table)
    for number, row in enumerate(rows):
        for one in free(row["a"]):
            if row["same"] is not None and one.candidate.entry_id == str(number):
                yield Example(one.features, bool(row["same"]), number % _FOLDS, written=False)


def _store(questions: Sequence[str], guards: Guards, table: WordingVectors | None) -> Callable[[str], Sequence[Judged]]:
    """Every question an entry of its own. Asked, it gives the entries that no guard forbids."""
    entries = Entries.build((CuratedEntry(str(n), text, "") for n, text in enumerate(questions)), guards, "")
    near = cosines_of(entries, table)
    return lambda question: _free(entries, question, near)


def _free(entries: Entries, question: str, near: Callable[[str], Mapping[str, float]]) -> Sequence[Judged]:
    key = normal_form(question, entries.guards.wording)
    if key in entries.keys:
        return ()  # the same words need no probability
    return [one for one in entries.judged(key, near(key)) if not one.candidate.guards]


def voting(
    rows: Sequence[Row], outside: Sequence[str], guards: Guards, table: WordingVectors, per_intent: int = PER_INTENT
) -> Iterator[Asked]:
    """Three of four intents with many wordings each; the questions of the fourth have no right answer."""
    names = sorted({row["intent"] for row in rows})
    known = {name for number, name in enumerate(names) if number % 4}
    stored, left = intents([row for row in rows if row["intent"] in known], per_intent)
    strange = [row["question"] for row in rows if row["intent"] not in known]
    entries = Entries.build(stored, guards, "")
    near = cosines_of(entries, table)
    asked = [(row["question"], row["intent"], "known") for row in left] + [(text, "", "strange") for text in strange]
    for text, right, group in random.Random(0).sample(asked, min(_ASKED, len(asked))):
        yield Asked([one for one in _free(entries, text, near) if one.case == "votes"], right, group)
    for text in outside:
        yield Asked([one for one in _free(entries, text, near) if one.case == "votes"], "", "outside")


def fitted(examples: Sequence[Example], names: Sequence[str], asked: int) -> dict[str, Any]:
    """The least line at which, fitted without their fold, no written near miss and few of the `asked` other questions
    are answered wrong."""
    weights = [1.0 if one.written else _OTHERS_WEIGHT for one in examples]
    model, _ = _logistic([(one.features, one.same) for one in examples], names, weights)
    held_out = list(zip(_held_out(examples, names, weights), examples, strict=True))
    missed = [p for p, one in held_out if not one.same and one.written]
    others = sorted((p for p, one in held_out if not one.same and not one.written), reverse=True)
    allowed = int(_WRONG * asked)
    line = round(max([0.0, *missed, *others[allowed : allowed + 1]]) + 1e-4, 4)
    sent = [one for p, one in held_out if p >= line and one.written]
    wrong = sum(p >= line for p in others)
    return {
        **model,
        "line": line,
        "written": {"same": sum(one.same and one.written for one in examples), "sent": len(sent)},
        "others": {"asked": asked, "sent_wrong": wrong},
    }


def _held_out(examples: Sequence[Example], names: Sequence[str], weights: Sequence[float]) -> list[float]:
    """The probability of each example by a model that was fitted on the other folds."""
    found = [0.0] * len(examples)
    for fold in range(_FOLDS):
        rest = [at for at, one in enumerate(examples) if one.fold != fold]
        fit = [(examples[at].features, examples[at].same) for at in rest]
        model, _ = _logistic(fit, names, [weights[at] for at in rest])
        logistic = Logistic(model["intercept"], model["weights"], 0.0)
        for at, one in enumerate(examples):
            if one.fold == fold:
                found[at] = logistic.probability(one.features)
    return found


def voted(stores: Sequence[Sequence[Asked]]) -> dict[str, Any]:
    """The least line at which no store answers more than `_MOST` of any group wrong."""
    asked = [each for store in stores for each in store]
    pairs = [(one.features, one.candidate.entry_id == each.right) for each in asked for one in each.judged[:3]]
    model, probabilities = _logistic(pairs, VOTES)
    drawn = iter(probabilities)
    tops = [list(_tops(store, drawn)) for store in stores]
    sizes = [Counter(each.group for each in store) for store in stores]
    for line in map(float, np.arange(_LEAST_LINE, 1.0, 0.005)):
        shares = [_shares(each, size, line) for each, size in zip(tops, sizes, strict=True)]
        if all(share.get(group, 0.0) <= most for share in shares for group, most in _MOST.items()):
            break
    return {**model, "line": round(line, 3), "stores_in_fit": shares}


def _shares(tops: Sequence[Top], sizes: Counter[str], line: float) -> dict[str, float]:
    """Of the questions of each group: those answered wrong; "right": of the known ones, those answered right."""
    sent = [top for top in tops if top.probability >= line and top.lead >= _LEAST_MARGIN]
    wrong = {group: sum(top.group == group and not top.right for top in sent) / size for group, size in sizes.items()}
    shares = {**wrong, "right": sum(top.right for top in sent) / sizes["known"]}
    return {name: round(share, 4) for name, share in shares.items()}


@dataclass(frozen=True, slots=True)
class Top:
    """The most probable entry for a question. lead: over the next one."""

    group: str
    probability: float
    lead: float
    right: bool


def _tops(asked: Iterable[Asked], probabilities: Iterator[float]) -> Iterator[Top]:
    for each in asked:
        mine = sorted(((next(probabilities), one) for one in each.judged[:3]), key=lambda pair: -pair[0])
        if mine:
            second = mine[1][0] if len(mine) > 1 else 0.0
            right = mine[0][1].candidate.entry_id == each.right
            yield Top(each.group, mine[0][0], mine[0][0] - second, right)


def _logistic(
    examples: Sequence[tuple[Mapping[str, float], bool]],
    names: Sequence[str],
    weights: Sequence[float] | None = None,
) -> tuple[dict[str, Any], npt.NDArray[np.float64]]:
    """Coefficients, and the probabilities of the examples themselves."""
    rows = np.array([[features.get(name, 0.0) for name in names] for features, _ in examples])
    model = LogisticRegression(C=10.0, max_iter=3_000).fit(rows, [same for _, same in examples], weights)
    found = {name: round(float(weight), 4) for name, weight in zip(names, model.coef_[0], strict=True)}
    payload = {"intercept": round(float(model.intercept_[0]), 4), "weights": found, "pairs": len(examples)}
    return payload, model.predict_proba(rows)[:, 1]


if __name__ == "__main__":
    main()
