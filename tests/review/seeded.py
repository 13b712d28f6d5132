"""A seeded review queue: traces whose groups are known, from the question files.

Groups are questions that people labelled as the same (FAQ entries with their paraphrases, Stack Exchange pairs). Near
misses are groups of their own: those written for the FAQ, Stack Exchange pairs labelled different, questions about the
same paragraph with other answers, and questions of which one number, version or opposite was exchanged. Each trace asks
one wording of its group, as it is or as people type it: case, width, script, spacing, politeness.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import opencc

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FOLDERS = ("qa", "paraphrase")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_ASKS = re.compile(r"(?:How|What|Why|When|Where|Which|Who)\b")
_MOST_ASKED = 40  # traces of one group

Random = random.Random


@dataclass(frozen=True, slots=True)
class Trace:
    id: str
    group: str
    origin: str
    wording: int  # which of the group's wordings it varies
    question: str


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    origin: str
    wordings: tuple[str, ...]


def present() -> bool:
    return all((DATA / name).is_dir() for name in FOLDERS)


def rows(name: str) -> list[dict[str, Any]]:
    path = next(DATA / folder / f"{name}.jsonl" for folder in FOLDERS if (DATA / folder / f"{name}.jsonl").exists())
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def groups(rng: Random) -> list[Group]:
    """Every group once; of two in the same words only the first."""
    found = [*_faq(), *_pairs(), *_entries(), *_siblings(rng), *_single()]
    found += [exchanged for group in found for exchanged in _exchanged(group)]
    seen: set[str] = set()
    kept = []
    for group in found:
        words = {re.sub(r"[\W_]+", "", wording).lower() for wording in group.wordings}
        if not words & seen and all(words):
            kept.append(group)
        seen |= words
    return kept


def queue(size: int, seed: int) -> list[Trace]:
    """A few questions are asked far more often than most."""
    rng = Random(seed)
    found = groups(rng)
    shares = [rng.paretovariate(1.5) for _ in found]
    counts: dict[str, int] = defaultdict(int)
    traces: list[Trace] = []
    while len(traces) < size:
        group = rng.choices(found, shares)[0]
        if counts[group.id] < _MOST_ASKED:
            counts[group.id] += 1
            traces.append(_trace(len(traces), group, rng.randrange(len(group.wordings)), rng))
    return traces


def evenly(size: int, seed: int, origins: Sequence[str]) -> list[Trace]:
    """Every wording of these origins as often as any other: the hardest queue, because most pairs of a group with many
    wordings are then pairs of different ones."""
    rng = Random(seed)
    wordings = [(group, at) for group in groups(rng) if group.origin in origins for at in range(len(group.wordings))]
    chosen = [wordings[number % len(wordings)] for number in range(size)]
    rng.shuffle(chosen)
    return [_trace(number, group, at, rng) for number, (group, at) in enumerate(chosen)]


def _trace(number: int, group: Group, wording: int, rng: Random) -> Trace:
    return Trace(f"t{number}", group.id, group.origin, wording, typed(group.wordings[wording], rng))


# --- groups ------------------------------------------------------------------------------------------------------


def _faq() -> Iterator[Group]:
    asked: dict[str, list[str]] = {row["faq_id"]: [row["question"]] for row in rows("polardb_faq")}
    for row in rows("polardb_faq_queries_dev"):
        asked.setdefault(row["gold_faq"] or row["id"], []).append(row["query"])
    for name, wordings in asked.items():
        yield Group(name, "near miss" if name.endswith("-n") else "faq", tuple(wordings))


def _pairs() -> Iterator[Group]:
    """Connected components of the pairs labelled the same; what no pair calls the same stands alone."""
    same: dict[str, set[str]] = defaultdict(set)
    for row in rows("stackexchange_qq_sts2016_en"):
        if row["same"] is not None:
            same[row["a"]].add(row["a"])
            same[row["b"]].add(row["b"])
        if row["same"] == 1:
            same[row["a"]].add(row["b"])
            same[row["b"]].add(row["a"])
    done: set[str] = set()
    for start in same:
        reached, ahead = set(), [start]
        while ahead:
            text = ahead.pop()
            if text not in reached:
                reached.add(text)
                ahead += same[text]
        if start not in done:
            yield Group(f"se-{len(done)}", "stackexchange", tuple(sorted(reached)))
        done |= reached


def _entries() -> Iterator[Group]:
    for name in ("tidb_faq_entries_zh", "covid_faq_entries"):
        yield from (Group(row["id"], name.split("_")[0], (row["question"].strip(),)) for row in rows(name))


def _siblings(rng: Random) -> Iterator[Group]:
    """Questions about the same paragraph, one for each answer."""
    for name in ("squad_v2_dev_half", "cmrc2018_dev"):
        paragraphs: dict[str, dict[str, str]] = defaultdict(dict)
        for row in rows(name):
            if row["answers"]:
                paragraphs[row["context"]].setdefault(row["answers"][0], row["question"])
        for number in rng.sample(range(len(paragraphs)), 60):
            asked = list(paragraphs.values())[number].values()
            yield from (Group(f"{name}-{number}-{at}", "paragraph", (text,)) for at, text in enumerate(asked))


def _single() -> Iterator[Group]:
    """One question per intent: two of one intent may or may not ask the same."""
    for name in ("banking77_train_en", "clinc150_train_val_en"):
        first: dict[str, str] = {}
        for row in rows(name):
            if row["intent"]:
                first.setdefault(row["intent"], row["question"])
        yield from (Group(f"{name}-{intent}", "intent", (text,)) for intent, text in first.items())


_OPPOSITES = (
    "开启 关闭|启动 停止|增加 删除|备份 恢复|导入 导出|上游 下游|扩容 缩容|读写 只读|重启 重建|安装 卸载|最大 最小"
    "|支持 不支持|物理 逻辑|before after|with without|should shouldn't|add remove|open close|buy sell|indoor outdoor"
    "|higher lower|increase decrease|enable disable|first last|north south|mother father|spread treat|buy rent"
)


def _exchanged(group: Group) -> Iterator[Group]:
    """Near misses by one exchange: an opposite, a version, a number."""
    text = group.wordings[0]
    for number, pair in enumerate(_OPPOSITES.split("|")):
        one, other = pair.split()
        found = re.search(one if _HAN.match(one) else rf"\b{one}\b", text)
        if found and other not in text:
            changed = text[: found.start()] + other + text[found.end() :]
            yield Group(f"{group.id}-x{number}", "exchanged", (changed,))
            break
    if digits := re.search(r"\d+", text):
        changed = text[: digits.start()] + str(int(digits[0]) + 1) + text[digits.end() :]
        yield Group(f"{group.id}-n", "exchanged", (changed,))


# --- how people type ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _traditional() -> Any:
    return opencc.OpenCC("s2t")


_ZH: tuple[Callable[[str], str], ...] = (
    lambda text: f"请问{text}",
    lambda text: f"你好，{text}",
    lambda text: f"我想了解一下{text}",
    lambda text: f"{text}谢谢",
    lambda text: text.rstrip("？?。"),
    lambda text: text.replace("？", "?"),
    lambda text: text.replace("如何", "怎么"),
    lambda text: text.replace("怎么", "怎样"),
    lambda text: _traditional().convert(text),
    lambda text: re.sub(r"(?<=[\u4e00-\u9fff])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[\u4e00-\u9fff])", " ", text),
    lambda text: text.lower(),
    lambda text: re.sub(r"[A-Za-z0-9]", lambda found: chr(ord(found[0]) + 0xFEE0), text),
)
_EN: tuple[Callable[[str], str], ...] = (
    lambda text: text.lower(),
    lambda text: text.upper(),
    lambda text: text.rstrip("?. "),
    lambda text: f"{text.rstrip('?. ')} please?",
    lambda text: f"Hi, {text}",
    lambda text: f"{text} Thanks!",
    lambda text: text.replace("How do I", "How can I"),
    lambda text: text.replace("How can I", "How to"),
    lambda text: text.replace("What is", "What's"),
    lambda text: f"Could you tell me {text[:1].lower()}{text[1:]}" if _ASKS.match(text) else text,
    lambda text: text.replace(" ", "  ").replace("?", " ?"),
    lambda text: f"  {text}??",
)


def typed(text: str, rng: Random) -> str:
    """As it is in two of five cases, else with one or two changes that leave the question what it is."""
    if rng.random() < 0.4:
        return text
    for change in rng.sample(_ZH if _HAN.search(text) else _EN, rng.choice((1, 2))):
        text = change(text)
    return text


# --- figures -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pairs:
    """joined: pairs in one item; right: of those, pairs of one group; asked: pairs of one group."""

    joined: int
    right: int
    asked: int

    @property
    def precision(self) -> float:
        return self.right / self.joined if self.joined else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.asked if self.asked else 1.0


def pairs(traces: Sequence[Trace], item_of: dict[str, str]) -> Pairs:
    """Over all pairs of traces."""
    sizes: dict[tuple[str, str], int] = defaultdict(int)
    for trace in traces:
        sizes[item_of[trace.id], trace.group] += 1
    right = sum(size * (size - 1) // 2 for size in sizes.values())
    return Pairs(_within(sizes, 0), right, _within(sizes, 1))


def _within(sizes: dict[tuple[str, str], int], side: int) -> int:
    totals: dict[str, int] = defaultdict(int)
    for names, size in sizes.items():
        totals[names[side]] += size
    return sum(total * (total - 1) // 2 for total in totals.values())


def by_origin(traces: Sequence[Trace], item_of: dict[str, str]) -> dict[str, Pairs]:
    """Pairs that have a trace of this origin on the left, and any on the right, are too many to show: within it."""
    origins = sorted({trace.origin for trace in traces})
    return {origin: pairs([trace for trace in traces if trace.origin == origin], item_of) for origin in origins}


def wrong_joins(traces: Sequence[Trace], item_of: dict[str, str]) -> list[tuple[int, str, str]]:
    """Two groups in one item, with how many pairs that costs; the worst first."""
    items: dict[str, dict[str, list[Trace]]] = defaultdict(lambda: defaultdict(list))
    for trace in traces:
        items[item_of[trace.id]][trace.group].append(trace)
    found = [
        (len(one) * len(other), one[0].question, other[0].question)
        for members in items.values()
        for one, other in combinations(members.values(), 2)
    ]
    return sorted(found, reverse=True)
