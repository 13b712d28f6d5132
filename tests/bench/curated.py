"""Curated matching against the bars, on the data beside the checkout. Prints one JSON line for each task.

    python -m tests.bench.curated [faq] [held_out] [variants] [banking] [clinc] [scale] [--vectors FILE.npz]

faq: PolarDB's entries with paraphrases and near misses (words alone: the packaged embedder knows no Chinese), all, and
the half of the entries that nobody looked at while the matching was built. held_out: FAQs of made-up products in both
languages, written for this and not fitted on; English with the packaged embedder.
variants: every entry of three FAQ lists asked with other case, width, spacing, punctuation, script and polite words.
banking, clinc: one entry per intent with 20 rows as variants; asked are rows of intents that were not fitted on, and
CLINC's out-of-scope validation queries. scale: 10,000 entries; milliseconds of processor time, seconds by the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import opencc

from router.curated import Entries
from router.curated_text import HAN, normal_form
from router.types import CuratedEntry, How
from services.compose import near_embedder_of
from services.curated.embedding import TogetherEmbedder
from services.curated.fit import PER_INTENT, Data, Row, cosines_of, embedded, half, intents
from services.curated.matcher import Matcher
from services.curated.self_test import SelfTest, self_test
from services.curated.trying import tried
from services.curated.vocabulary import packaged_guards
from services.curated.written import stores_of, written
from services.settings import Settings

DATA = Data(Path(__file__).resolve().parents[2] / ".." / "shared" / "data")
FAQS = {"qa/polardb_faq": "faq_id", "qa/tidb_faq_entries_zh": "id", "qa/covid_faq_entries": "id"}


def main() -> None:
    tasks: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "faq": faq,
        "held_out": held_out,
        "variants": variants,
        "banking": banking,
        "clinc": clinc,
        "scale": scale,
    }
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=list(tasks))
    parser.add_argument("--vectors", type=Path, help="keep the vectors here")
    parser.add_argument("--home", type=Path, default=Path("var"), help="where an embedder of your own is looked for")
    parser.add_argument("--queries", type=int, default=1_500)
    parser.add_argument("--show", action="store_true", help="print what was answered wrong")
    arguments = parser.parse_args()
    for task in arguments.tasks:
        print(json.dumps({"task": task, **tasks[task](arguments)}, ensure_ascii=False), flush=True)


def entries_of(name: str) -> list[CuratedEntry]:
    return [CuratedEntry(str(row[FAQS[name]]), row["question"], row["answer"]) for row in DATA.rows(name)]


def faq(_arguments: argparse.Namespace) -> dict[str, Any]:
    entries = Entries.build(entries_of("qa/polardb_faq"), packaged_guards(), "bench")
    rows = DATA.rows("qa/polardb_faq_queries_dev")
    about = [row["gold_faq"] or row["confusable_with"] for row in rows]
    unseen = set(sorted(set(about))[1::2])
    counts: dict[str, Counter[str]] = {"all": Counter(), "unseen half": Counter()}
    for row, entry_id in zip(rows, about, strict=True):
        match = entries.match(row["query"])
        right = match.entry is not None and match.entry.id == row["gold_faq"]
        sent = "silent" if match.entry is None else "right" if right else "wrong"
        for name in ("all", "unseen half") if entry_id in unseen else ("all",):
            counts[name][f"{row['type']} {sent}"] += 1
            counts[name][f"{row['type']} pooled"] += row["gold_faq"] in [entry.id for entry in match.pool]
    return {name: dict(sorted(found.items())) for name, found in counts.items()}


def held_out(arguments: argparse.Namespace) -> dict[str, Any]:
    faqs = written(Path(__file__).parents[1] / "curated" / "near_held_out.jsonl")
    table, _ = embedded(
        [normal_form(text, packaged_guards().wording) for faq in faqs for text in faq.texts], arguments.vectors
    )
    counts: Counter[str] = Counter()
    for name, store in stores_of(faqs).items():
        made = (CuratedEntry(one.id, one.question, one.answer) for one in store)
        entries = Entries.build(made, packaged_guards(), "bench")
        near = cosines_of(entries, table if name.startswith("en") else None)
        for one in store:
            for text in (*one.same, *one.other):
                match = entries.match(text, near(normal_form(text, entries.guards.wording)))
                right = match.entry is not None and match.entry.id == one.id and text in one.same
                sent = "silent" if match.entry is None else "right" if right else "wrong"
                counts[f"{name[:2]} {'paraphrase' if text in one.same else 'near_miss'} {sent}"] += 1
    return dict(sorted(counts.items()))


def variants(_arguments: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name in FAQS:
        entries = Entries.build(entries_of(name), packaged_guards(), "bench")
        tried: Counter[str] = Counter()
        exact: Counter[str] = Counter()
        for form in entries.forms.values():
            for kind, text in variations(form.text):
                match = entries.match(text)
                same = match.entry is not None and normal_form(match.entry.question, entries.guards.wording) == form.key
                tried[kind] += 1
                exact[kind] += match.how is How.EXACT and same
        total = {"asked": tried.total(), "matched": exact.total()}
        figures[name] = {**total, "missed": {kind: n - exact[kind] for kind, n in tried.items() if n > exact[kind]}}
    return figures


_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_BETWEEN = re.compile(r"(?<=[\u4e00-\u9fff])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[\u4e00-\u9fff])")
_POLITE_ZH = (
    "请问{}",
    "你好，请问{}",
    "请问一下，{}",
    "您好！{}谢谢！",
    "麻烦问一下{}",
    "我想知道{}",
    "想请教一下，{}",
)
_POLITE_EN = (
    "Hi, {}",
    "Hello! {} Thanks!",
    "Excuse me, {}",
    "{} please",
    "Hi there, {} Thank you.",
    "Good morning, {}",
)


def variations(text: str) -> Iterator[tuple[str, str]]:
    """The same question as other people would type it."""
    bare = text.strip().rstrip("?？。.!！ ")
    yield "upper", text.upper()
    yield "lower", text.lower()
    yield "wide", text.translate(_WIDE)
    yield "spacing", f"  {bare.replace(' ', '   ')} "
    yield "no mark", bare
    yield "other marks", f"{bare}？？！"
    yield "comma", text.replace("，", ", ").replace("、", ",").replace("；", ";")
    if HAN.search(text):
        yield "traditional", opencc.OpenCC("s2t").convert(text)
        yield "spaced", _BETWEEN.sub(" ", text)
        yield "close", re.sub(r"(?<=[\u4e00-\u9fff]) (?=\S)|(?<=\S) (?=[\u4e00-\u9fff])", "", text)
    for number, frame in enumerate(_POLITE_ZH if HAN.search(text) else _POLITE_EN):
        yield f"polite {number}", frame.format(text.strip())


def banking(arguments: argparse.Namespace) -> dict[str, Any]:
    rows = DATA.banking()
    return _intents(rows, half(rows, 1), (), arguments)


def clinc(arguments: argparse.Namespace) -> dict[str, Any]:
    rows = DATA.clinc()
    outside = [row["question"] for row in DATA.clinc("oos_val")]
    return {
        "20 wordings": _intents(rows, half(rows, 1), outside, arguments),
        "all wordings": _intents(rows, half(DATA.clinc("val"), 1), outside, arguments, per_intent=len(rows)),
    }


def _intents(
    rows: Sequence[Row],
    unseen: Sequence[Row],
    outside: Sequence[str],
    arguments: argparse.Namespace,
    per_intent: int = PER_INTENT,
) -> dict[str, Any]:
    stored, left = intents(rows, per_intent)
    entries = Entries.build(stored, packaged_guards(), "bench")
    names = {row["intent"] for row in unseen}
    asked = [row for row in left if row["intent"] in names] or list(unseen)
    asked = random.Random(2).sample(asked, min(arguments.queries, len(asked)))
    texts = [*(form.key for form in entries.forms.values()), *(row["question"] for row in asked), *outside]
    table, _ = embedded([normal_form(text, entries.guards.wording) for text in texts], arguments.vectors)
    near = cosines_of(entries, table)
    counts: Counter[str] = Counter()
    for text, right in [*((row["question"], row["intent"]) for row in asked), *((text, "") for text in outside)]:
        match = entries.match(text, near(normal_form(text, entries.guards.wording)))
        sent = match.entry.id if match.entry else ""
        counts[
            "outside answered" if not right else "silent" if not sent else "right" if sent == right else "wrong"
        ] += bool(right or sent)
        if arguments.show and sent and sent != right:
            print("  ", right or "outside", sent, "|", text, "|", match.candidates[0].asked)
    shares = {name: round(counts[name] / len(asked), 4) for name in ("right", "wrong", "silent")}
    figures = {"entries": len(stored), "wordings": len(entries.forms), "asked": len(asked), **shares}
    return figures | ({"outside answered": round(counts["outside answered"] / len(outside), 4)} if outside else {})


def scale(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("qa/banking77_train_en", "qa/clinc150_train_val_en", *FAQS)
    texts = list(dict.fromkeys(row["question"] for name in names for row in DATA.rows(name)))
    random.Random(0).shuffle(texts)
    made = [CuratedEntry(f"e{number}", text, "answer") for number, text in enumerate(texts[:10_000])]
    build, entries = _timed(lambda: Entries.build(made, packaged_guards(), "bench"))
    edit = CuratedEntry("e1", "How do I change the colour of the card?", "answer")
    replaced, _ = _timed(lambda: entries.replaced([edit], ["e2"], "next"))
    for text in texts[10_000:10_300]:
        entries.match(text)
    near = sorted(_timed(partial(entries.match, text))[0] for text in texts[10_300:11_300])
    exact = sorted(_timed(partial(entries.match, text))[0] for text in texts[:1_000])
    report = self_test(entries)
    vectors, with_cosines = asyncio.run(_tested_as_served(entries, arguments.home))
    return {
        "entries": len(entries.entries),
        "build_ms": round(build),
        "replaced_ms": round(replaced, 1),
        "near_ms": {"p50": round(near[500], 2), "p90": round(near[900], 2), "p99": round(near[990], 2)},
        "exact_ms": {"p50": round(exact[500], 3), "p99": round(exact[990], 3)},
        "self_test_s": report.seconds,
        "self_test": report.to_json()["counts"],
        "vectors_s": vectors,
        "self_test_with_cosines_s": with_cosines.seconds,
        "self_test_with_cosines": with_cosines.to_json()["counts"],
    }


async def _tested_as_served(entries: Entries, home: Path) -> tuple[float, SelfTest]:
    """Seconds for the vectors of all wordings, which a server has already; and the test with them."""
    matcher = Matcher(lambda: entries, TogetherEmbedder(near_embedder_of(Settings(home=home))))
    begun = time.perf_counter()
    await matcher.ready()
    return round(time.perf_counter() - begun, 1), await tried(matcher, entries)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds of processor time, and what came of it."""
    begun = time.process_time()
    result = work()
    return (time.process_time() - begun) * 1e3, result


if __name__ == "__main__":
    main()
