"""How surely and how fast approved answers follow their sources.

    python -m tests.bench.provenance [--pages 50] [--entries 2000] [--seed 2026]

Cuts `tidb_docs_cn`, writes entries that each cite one sentence, and for each a verdict on the same sentence, edits some
pages as people do, and follows. Prints one JSON object: entries that had to go stale, that had to move and that had to
stay, what went otherwise, and seconds. What had to happen is told from the pages' text, without passages: stale when
the sentence is not in its page any more. Exits with 1 when an affected entry was missed, an unaffected one went stale,
or it took longer than the bar.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from router.types import CuratedEntry, EntryStatus
from services.review.following import follow
from services.store import verdicts
from services.store.curated import Wanted
from services.store.records import now
from services.store.review_records import ItemFilter, Judgement, Verdict, VerdictKind, VerdictState
from services.store.sql import SqlStore
from tests.review import pages

BAR_S = 2.0


def measure(edited: int, count: int, seed: int, home: Path) -> dict[str, Any]:
    before = [(page, pages.cut(page)) for page in pages.read()]
    old = pages.make_version(home / "v1", None, before)
    made = pages.entries(before, count, seed)
    rng = random.Random(seed)
    cited = {one.citations[0].source for one in made}
    chosen = set(rng.sample(sorted(cited), edited))
    changed = {page.path: pages.edited(page, rng) for page, _ in before if page.path in chosen}
    after = [(there, pages.cut(there)) if (there := changed.get(page.path)) else (page, cut) for page, cut in before]
    new = pages.make_version(home / "v2", old.name, after)
    texts = {page.path: page.text for page, _ in after}
    held = {passage.id for _, cut in after for passage in cut}
    lost = {one.id for one in made if one.citations[0].quote not in texts[one.citations[0].source]}
    gone = {one.id for one in made if one.citations[0].passage_id not in held}
    with SqlStore.open(f"sqlite:///{home}/store.db") as store:
        return asyncio.run(_follow(store, made, new, lost & gone, gone - lost))


async def _follow(store: SqlStore, made: Any, new: Path, stale: set[str], moved: set[str]) -> dict[str, Any]:
    await store.curated.edit(lambda _: Wanted(put=tuple(made)), "bench", "import")
    for one in made:
        await store.write(partial(verdicts.put, verdict=_verdict(one)))
    began, cpu = time.perf_counter(), time.process_time()
    done = await follow(store, new)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    there = {one.id: one for one in (await store.curated.entries_at()).changed}
    not_live = {id for id, one in there.items() if one.status is EntryStatus.STALE}
    items = (await store.reviews.find(ItemFilter(cause="stale_source", limit=1_000))).total
    again = await follow(store, new)
    return {
        "entries": len(made),
        "must_be_stale": len(stale),
        "must_move": len(moved),
        "missed": sorted(stale - not_live),
        "unaffected_but_stale": sorted(not_live - stale - moved),
        "moved": len(set(done.moved) & moved),
        "verdicts_moved": len(set(done.verdicts) & moved),
        "stale_though_the_words_stand": sorted(not_live & moved),
        "items_opened": items,
        "again": len(again.stale) + len(again.moved) + len(again.verdicts),
        "seconds": round(seconds, 3),
        "cpu_s": round(cpu_s, 3),
    }


def _verdict(entry: CuratedEntry) -> Verdict:
    said = Judgement(VerdictKind.CORRECTED, entry.answer, entry.citations)
    about = (entry.question, "zh", entry.answer, entry.citations)
    return Verdict(entry.id, f"item-{entry.id}", entry.id, VerdictState.FINAL, "bench", now(), said, *about)


def broken(found: Mapping[str, Any], bar_s: float = BAR_S) -> list[str]:
    """What is not as it has to be, in words."""
    slow = [f"{found['seconds']} s are more than {bar_s} s"] if found["seconds"] > bar_s else []
    wrong = [f"{name}: {', '.join(found[name])}" for name in ("missed", "unaffected_but_stale") if found[name]]
    return wrong + slow


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--entries", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    if not pages.CORPUS.is_dir():
        raise SystemExit("the corpora of ../shared/data are not here")
    with tempfile.TemporaryDirectory() as home:
        found = measure(options.pages, options.entries, options.seed, Path(home))
    print(json.dumps(found, ensure_ascii=False, indent=2))
    for problem in broken(found):
        print(problem, file=sys.stderr)
    return 1 if broken(found) else 0


if __name__ == "__main__":
    sys.exit(main())
