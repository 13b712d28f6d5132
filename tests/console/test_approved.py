"""Approved answers on their pages: the search, why a near miss does not answer, what the self-test finds; and jobs."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import httpx
import pytest

from router.errors import InvalidInput
from router.ports import Progress
from router.types import CuratedEntry
from services.jobs import DATASET, TRAINING, run_job
from services.store.curated import Wanted
from services.store.sql import SqlStore
from tests.console.browsing import Person
from tests.live import Live

ENTRIES = (
    CuratedEntry("restart", "How do I restart the cluster?", "With `restart`.", ("Restart a cluster",)),
    CuratedEntry("zh", "怎么重启集群？", "用 `restart`。"),
    CuratedEntry("backup", "How long are backups kept?", "Seven days."),
    CuratedEntry("keeps", "For how many days do we keep logs?", "Nine.", ("Days of logs?",), ("days of logs",)),
    CuratedEntry("twice", "How long are backups kept", "A week."),
)


def put(here: Live, *entries: CuratedEntry) -> None:
    """As an import of old data does: unlike the form, it refuses nothing."""
    wanted = len(here.system.curated.entries.entries) + len(entries)

    async def write(store: SqlStore) -> None:
        await store.curated.edit(lambda _: Wanted(put=entries), "test", "import", [])

    with SqlStore.open(here.settings.store_url) as store:
        asyncio.run(write(store))
    until = time.monotonic() + 10
    while len(here.system.curated.entries.entries) < wanted and time.monotonic() < until:
        time.sleep(0.1)


def listed(page: str) -> list[str]:
    return re.findall(r'class="what" href="/console/curated/([^"]+)"', page)


def test_the_list_is_searched(here: Live) -> None:
    put(here, *ENTRIES)
    person = Person(here.url)
    assert len(listed(person.page("/console/curated"))) == 5
    for wanted, found in (("重启", ["zh"]), ("RESTART THE", ["restart"]), ("nothing such", [])):
        page = person.page(str(httpx.URL("/console/curated", params={"q": wanted})))
        assert listed(page) == found, wanted
        assert f'<span class="count">{len(found)}</span>' in page
    assert listed(person.page("/console/curated?status=retired")) == []


def test_a_near_miss_is_explained(here: Live) -> None:
    put(here, *ENTRIES)
    question = "How do I rebuild the cluster?"
    page = Person(here.url).page(str(httpx.URL("/console/curated", params={"ask": question})))
    assert 'data-how="exact"' not in page and 'data-how="near"' not in page
    assert "The nearest entry does not answer it." in page
    row = re.search(r'<tr><td><a href="/console/curated/restart">.*?</tr>', page, re.DOTALL)
    assert row and '<span class="guard">' in row.group(0) and "not the same question" in row.group(0)
    chinese = Person(here.url, **{"accept-language": "zh"})
    page = chinese.page(str(httpx.URL("/console/curated", params={"ask": "怎么重建集群？"})))
    assert "最接近的条目也不回答这个问题。" in page and "不是同一个问题" in page
    page = chinese.page(str(httpx.URL("/console/curated", params={"ask": "xyzzy"})))
    assert "没有条目和这个问题有共同的词。" in page


def test_the_self_test_says_what_is_wrong_with_which_entry(here: Live) -> None:
    person = Person(here.url)
    put(here, *ENTRIES[:3])
    page = person.page("/console/curated-test")
    assert "4 wordings of 3 entries" in page and "Every wording finds its own entry, and no other." in page
    put(here, *ENTRIES[3:])
    page = person.page("/console/curated-test")
    assert "Every wording finds its own entry" not in page
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr data-row.*?</tr>", page, re.DOTALL)]
    found = {(row[0], re.sub("<.*?>", "", row[1]), re.sub("<.*?>", "", row[3])) for row in rows}
    assert ("shadow", "backup", "twice") in found or ("shadow", "twice", "backup") in found
    assert any(problem == "negative asked" and entry == "keeps" for problem, entry, _ in found)
    entry = person.page("/console/curated/keeps")
    assert "What the self-test found" in entry and "negative asked" in entry
    chinese = Person(here.url, **{"accept-language": "zh"}).page("/console/curated-test")
    assert "反例也是自己的问法" in chinese and "问法相同" in chinese


def test_work_of_the_command_line_is_followed_on_the_page(here: Live) -> None:
    person, seen = Person(here.url), {}

    def work(progress: Progress) -> dict[str, Any]:
        progress("clean", 3, 10)
        seen["while"] = person.page("/console/jobs/rows")
        return {"rows": 5}

    def broken(progress: Progress) -> dict[str, Any]:
        progress("train, loss 1.5", 4, 8)
        raise InvalidInput("the rows do not fit")

    about = {"out": "sets/one", "who": "li"}
    run_job(here.settings, DATASET, about, work, lambda *_: None)
    assert re.search(r"dataset <span class=\"state state-running\">running<", seen["while"])
    assert '<progress max="10" value="3">3/10</progress>' in seen["while"] and "data-running" in seen["while"]
    assert "<span>clean</span>" in seen["while"] and "<span>sets/one</span>" in seen["while"]
    with pytest.raises(InvalidInput):
        run_job(here.settings, TRAINING, {"out": "models/one"}, broken, lambda *_: None, alone=False)
    page = person.page("/console/jobs")
    rows = re.findall(r"<li class=\"row-item\".*?</li>", page, re.DOTALL)
    assert "training" in rows[0] and "state-failed" in rows[0] and "the rows do not fit" in rows[0]
    assert "dataset" in rows[1] and "state-done" in rows[1] and '"rows": 5' in rows[1]
    assert "data-running" not in page and "<progress" not in page
    chinese = Person(here.url, **{"accept-language": "zh"}).page("/console/jobs/rows")
    assert re.search("训练 <span[^>]*>失败<", chinese) and re.search("数据集 <span[^>]*>完成<", chinese)
