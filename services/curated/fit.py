"""Fits the probabilities of near matches, and the lines above which they are sent.

    python -m services.curated.fit --data FOLDER [--vectors FILE.npz] [--out services/curated/near_model.json]

FOLDER holds `qa/` and `paraphrase/`. What is fitted on is named in the model file:
- words and pair (one wording beside another): Stack Exchange pairs that people judged; FAQ questions in Chinese and
  English, and rows of BANKING77's even intents, beside what rules make of them (the same words in another order: the
  same question; a word put in or left out: another one).
- votes (entries with many wordings): the even intents of BANKING77 and CLINC150, a quarter of them left out of the
  store, and CLINC's out-of-scope training queries.
Odd intents and out-of-scope validation queries are never read: `tests/bench/curated.py` reports on them.
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
from router.curated_near import Judged
from router.curated_text import HAN, normal_form, tokens
from router.guards import Guards, facts_of
from router.types import CuratedEntry
from services.compose import embedder_of
from services.curated.matcher import WordingVectors
from services.curated.vocabulary import packaged_guards
from services.settings import Settings

Row = Mapping[str, Any]
CosinesOf = Callable[[str], Mapping[str, float]]

WORDS = ("new_asked", "new_theirs")
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
    *PAIR,
)
PER_INTENT = 20
_ASKED = 4_000  # questions of a set that are asked, at most
_RULED = 400  # of BANKING77's rows that rules vary
_MOST = {  # most questions answered wrong in a store of intents, by group
    "known": 0.01,  # their intent is there
    "strange": 0.10,  # of intents that were left out, whose neighbours are there
    "outside": 0.01,  # about other things altogether
}
_WRONG_PAIRS = 0.02  # most wrong among the pairs sent: 1.4 % of BANKING77's rows in the same words are of two intents
_ALIKE = 0.6  # score above which two rows of intents are compared as wordings: below, one intent says little
_LEAST_LINE = 0.5
_LEAST_MARGIN = 0.2  # two entries this close in probability are one question to the model, whatever it was fitted on
_EMBEDDED_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Example:
    """One pair that no guard forbids. same: whether both ask the same."""

    features: Mapping[str, float]
    same: bool


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
    pairs = data.rows("paraphrase/stackexchange_qq_sts2016_en")
    outside = [row["question"] for row in data.clinc("oos_train")]
    words_zh = [row["question"] for row in data.rows("qa/tidb_faq_entries_zh")]
    words_en = [row["question"] for row in data.rows("qa/covid_faq_entries")]
    words_en += [row["question"] for row in random.Random(1).sample(banking, _RULED)]
    varied_zh, varied_en = varied(words_zh, guards), varied(words_en, guards)
    texts = (
        [row["question"] for row in (*banking, *clinc, *validation)]
        + outside
        + [row[side] for row in pairs for side in "ab"]
    )
    texts += words_en + [one.text for one in varied_en]
    table, fingerprint = embedded([normal_form(text, guards.wording) for text in texts], vectors)
    chinese = ruled(words_zh, varied_zh, guards, None)
    english = [*ruled(words_en, varied_en, guards, None), *labelled(pairs, guards, None), *alike(banking, guards, None)]
    paired = [
        *ruled(words_en, varied_en, guards, table),
        *labelled(pairs, guards, table),
        *alike(banking, guards, table),
    ]
    stores = [
        voting(banking, (), guards, table),
        voting(clinc, outside, guards, table),
        voting([*clinc, *validation], outside, guards, table, len(clinc) // len({row["intent"] for row in clinc})),
    ]
    votes = voted([list(asked) for asked in stores])
    return {
        "words": fitted([*english, *chinese], WORDS),
        "pair": fitted(paired, PAIR),
        "votes": votes,
        "margin": _LEAST_MARGIN,
        "data": _SOURCES,
        "embedder": fingerprint,
        "created": datetime.now(UTC).date().isoformat(),
    }


_SOURCES = [
    "stackexchange_qq_sts2016_en",
    "banking77_train_en, even intents",
    "clinc150_train_val_en, train and val, even intents and oos_train",
    "tidb_faq_entries_zh, covid_faq_entries: beside rule-made variants and near misses",
]


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
                yield Example(one.features, bool(row["same"]))


def ruled(
    questions: Sequence[str], variations: Iterable[Varied], guards: Guards, table: WordingVectors | None
) -> Iterator[Example]:
    """Whoever stands nearest to a variation is right only if it is what was varied, and harmlessly."""
    free = _store(questions, guards, table)
    for varied in variations:
        for one in free(varied.text)[:2]:
            itself = _same_words(one.candidate.asked, questions[varied.number], guards)
            yield Example(one.features, varied.same and itself)


def alike(rows: Sequence[Row], guards: Guards, table: WordingVectors | None) -> Iterator[Example]:
    """Rows of intents that share most words: of one intent or of two."""
    shuffled = random.Random(0).sample(list(rows), len(rows))
    stored, asked = shuffled[::2], shuffled[1::2]
    free = _store([row["question"] for row in stored], guards, table)
    for row in asked:
        for one in free(row["question"])[:2]:
            if one.candidate.score >= _ALIKE:
                yield Example(one.features, stored[int(one.candidate.entry_id)]["intent"] == row["intent"])


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


@dataclass(frozen=True, slots=True)
class Varied:
    """What a rule made of the question with this number. same: whether it still asks the same."""

    number: int
    text: str
    same: bool


def varied(questions: Sequence[str], guards: Guards) -> list[Varied]:
    """The same words in another order are the same question; one with a word more or less is another one."""
    chance = random.Random(0)
    words = [word for text in questions for word in tokens(normal_form(text, guards.wording), guards.wording)]
    plain = sorted({word for word in words if not word.startswith("=") and not word.isdigit()})
    return [
        Varied(number, text, same)
        for number, question in enumerate(questions)
        for text, same in _variations(question, chance, plain)
        if same or not _same_words(question, text, guards)
    ]


def _same_words(first: str, second: str, guards: Guards) -> bool:
    """What was left out, or put in, said nothing."""
    return facts_of(first, guards).words == facts_of(second, guards).words


_CUT = re.compile(
    r"[，,。；;：:？?]+|(?<=[\u3400-\u9fff])(?:的|在|和|是|把|对)|(?<=[a-z]) (?=for|in|with|from|if|when|on|at)"
)


def _variations(question: str, chance: random.Random, words: Sequence[str]) -> Iterator[tuple[str, bool]]:
    han = bool(HAN.search(question))
    parts = [part.strip() for part in _CUT.split(question) if part.strip()]
    if len(parts) > 1:
        yield ("的" if han else " ").join([*parts[1:], parts[0]]), True
        yield " ".join(parts[1:]), False
        yield " ".join(parts[:-1]), False
    if han:
        yield f"我现在想了解一下{question}应该怎么做", True
    gaps = [0, len(question)] if han else [at for at, char in enumerate(question) if char == " "] or [0]
    at = chance.choice(gaps)
    yield f"{question[:at]} {chance.choice(words)} {question[at:]}", False


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


def fitted(examples: Sequence[Example], names: Sequence[str]) -> dict[str, Any]:
    """The least line at which few of the pairs that would be sent are not the same question."""
    model, probabilities = _logistic([(one.features, one.same) for one in examples], names)
    order = np.argsort(-probabilities)
    wrong = np.cumsum([not examples[at].same for at in order])
    good = np.flatnonzero(wrong <= _WRONG_PAIRS * np.arange(1, len(order) + 1))
    line = float(probabilities[order[good[-1]]]) if len(good) else 1.0
    sent = int(good[-1]) + 1 if len(good) else 0
    return {
        **model,
        "line": round(max(line, _LEAST_LINE), 4),
        "sent_in_fit": sent,
        "same_in_fit": int(sum(e.same for e in examples)),
    }


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
    examples: Sequence[tuple[Mapping[str, float], bool]], names: Sequence[str]
) -> tuple[dict[str, Any], npt.NDArray[np.float64]]:
    """Coefficients, and the probabilities of the examples themselves: a handful of weights on thousands of rows."""
    rows = np.array([[features.get(name, 0.0) for name in names] for features, _ in examples])
    model = LogisticRegression(C=100.0, max_iter=2_000).fit(rows, [same for _, same in examples])
    weights = {name: round(float(weight), 4) for name, weight in zip(names, model.coef_[0], strict=True)}
    payload = {"intercept": round(float(model.intercept_[0]), 4), "weights": weights, "pairs": len(examples)}
    return payload, model.predict_proba(rows)[:, 1]


if __name__ == "__main__":
    main()
