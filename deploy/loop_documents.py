"""The documents of `make loop-demo`: a small product's parameter manual in both languages, the same on every machine.

The last word of a name decides its default, as in a house with conventions; a page has what a reader would look up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

PARTS = (
    "wal", "lock", "cache", "pool", "disk", "node", "page", "redo", "undo", "sort", "join", "scan", "log", "proxy",
    "route", "queue", "shard", "lease", "block", "batch", "trace", "audit", "index", "token", "heap", "stack", "fetch",
    "merge", "flush", "vacuum", "backup", "replica",
)  # fmt: skip
KINDS = {
    "timeout": ("30s", "最长等待时间", "how long it waits"),
    "size": ("128MB", "占用的内存", "memory that it takes"),
    "retries": ("3", "失败后重试的次数", "tries after a failure"),
    "level": ("info", "日志的详细程度", "how much it logs"),
    "interval": ("10min", "两次运行的间隔", "time between two runs"),
    "mode": ("strict", "检查的方式", "how it checks"),
}
NEW_PAGE = "zh/coffee.md"
NEW_TEXT = "# 咖啡机\n\n办公室的咖啡机每天早上七点自动开启，晚上八点自动关闭。\n"
EDITED_TEXT = "# 咖啡机\n\n办公室的咖啡机每天早上九点自动开启，晚上六点自动关闭。\n"


def write(folder: Path, parts: Sequence[str] = PARTS) -> int:
    """Two pages a part, one in each language. Returns how many."""
    for language in ("zh", "en"):
        (folder / language).mkdir(parents=True, exist_ok=True)
        for at, part in enumerate(parts):
            kinds = [*KINDS][at % 2 :: 2] if language == "zh" else [*KINDS][1 - at % 2 :: 2]
            (folder / language / f"{part}.md").write_text(_page(part, kinds, language), "utf-8")
    return 2 * len(parts)


def _page(part: str, kinds: Sequence[str], language: str) -> str:
    zh = language == "zh"
    title = f"# {part} 的参数" if zh else f"# Parameters of {part}"
    columns = "| 参数 | 默认值 | 说明 |" if zh else "| Name | Default | About |"
    rows = "".join(f"| {part}_{kind} | {KINDS[kind][0]} | {KINDS[kind][1 if zh else 2]} |\n" for kind in kinds)
    return f"{title}\n\n{columns}\n|---|---|---|\n{rows}"
