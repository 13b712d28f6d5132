"""What is promised of the answers, wherever it is said: the Quality page, /metrics, `doctor`, and over HTTP."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from router.types import Route
from services.calibrations import packaged_calibration
from services.doctor import check_budget
from services.jobs import BUDGET
from services.review import budget as budgets
from services.store.sql import SqlStore
from tests.console.audits import RIGHT, WRONG, audited, release, serve
from tests.console.browsing import Person
from tests.console.conftest import Start
from tests.console.test_pages import Words, keys_of
from tests.live import Live
from tests.store.samples import trace

ZH = {"accept-language": "zh"}


def on_store(here: Live, work: Callable[[SqlStore], Awaitable[object]]) -> None:
    """By another process of the same installation."""

    async def scenario(store: SqlStore) -> None:
        await work(store)

    with SqlStore.open(here.settings.store_url) as store:
        asyncio.run(scenario(store))


def gauges(here: Live) -> dict[str, float]:
    text = here.client.get("/metrics").text
    return {name: float(value) for name, value in re.findall(r"^answerloop_budget_(\w+) (\S+)$", text, re.MULTILINE)}


def soon(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not true() and time.monotonic() < until:
        time.sleep(0.1)
    assert true()


def promised(person: Person) -> str:
    found = re.search(r'id="certificate">([^<]*)<', person.page("/console/quality"))
    assert found
    return found.group(1)


def rows_of(page: str, table: str) -> list[list[str]]:
    found = re.search(rf'<table id="{table}"[^>]*>.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", found.group(1), re.DOTALL) if found else []
    return [[re.sub("<.*?>", "", cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row)] for row in rows]


# The honest state, in every place where people look


def test_before_anything_is_served_nothing_is_promised(here: Live) -> None:
    assert gauges(here) == {"certified": 0, "line": 0, "needed": 0}
    page = Person(here.url).page("/console/quality")
    assert "No certificate has been made yet." in page and "/console/quality/certify" not in page
    assert page.count("No audited answers yet.") == 2
    assert check_budget(here.settings).detail == "no release yet, so nothing is sent"
    assert here.client.get("/review/budget").status_code == 404
    assert here.client.post("/admin/budget/refit").status_code == 404


def test_too_few_verdicts_are_said_to_be_too_few_everywhere(here: Live) -> None:
    on_store(here, lambda store: serve(store, here.settings))
    line = packaged_calibration().line_for("", "")
    soon(lambda: gauges(here) == {"certified": 0, "line": line, "needed": 72})
    on_store(here, lambda store: audited(store, 30, RIGHT))
    on_store(here, lambda store: audited(store, 2, None))
    here.client.get("/review/budget")
    assert gauges(here) == {"certified": 0, "line": line, "needed": 42}
    said = "Not certifiable yet: 42 more audited answers needed at least (30 so far). "
    assert promised(Person(here.url)).startswith(said)
    assert promised(Person(here.url, **ZH)).startswith("暂时无法认证：至少还需抽查 42 个回答（目前 30 个）。")
    page = Person(here.url).page("/console/quality")
    assert "Audited answers: 30." in page and "Drawn, and waiting for a verdict: 2." in page
    check = check_budget(here.settings)
    assert (check.name, check.state) == ("error budget", "info") and check.detail.startswith(said)
    assert check.fix == "decide the 2 drawn answers that wait, then answerloop budget --refit"


def test_what_is_certified_is_certified_everywhere_and_ends_everywhere(here: Live) -> None:
    on_store(here, lambda store: serve(store, here.settings))
    on_store(here, lambda store: release(store, here.settings, "r2", "v2"))
    on_store(here, lambda store: audited(store, 160, RIGHT))
    person = Person(here.url)
    person.page("/console/quality")
    soon(lambda: "certify" in person.page("/console/quality"))
    assert person.send("/console/quality/certify").headers["location"] == "/console/quality?said=certified"
    shown = gauges(here)
    assert (shown["certified"], shown["needed"]) == (1, 0)
    assert shown["line"] == here.client.get("/review/budget").json()["line"]
    said = "Certified: at most 5.0% of the answers sent automatically are wrong, with an assurance of 95.0%"
    assert promised(person).startswith(said) and check_budget(here.settings).state == "ok"
    assert check_budget(here.settings).detail.startswith(said)
    assert promised(Person(here.url, **ZH)).startswith("已认证：自动发送的回答中错误不超过 5.0%")

    person.send("/console/releases/r2/activate", {"force": "yes"})
    assert gauges(here) == {"certified": 0, "line": packaged_calibration().line_for("", ""), "needed": 72}
    said = "No longer certified, because of: index. Not certifiable yet: 72 more"
    assert promised(person).startswith(said)
    assert promised(Person(here.url, **ZH)).startswith("认证已失效，原因：索引。暂时无法认证：至少还需抽查 72 个")
    check = check_budget(here.settings)
    assert check.state == "info" and check.detail.startswith(said)
    page = person.page("/console/quality")
    assert not rows_of(page, "lines"), "lines that hold no more are not shown as if they did"
    assert [row[1:4] for row in rows_of(page, "looks")] == [["local", "r1", "certified"]]


def test_a_certificate_that_later_verdicts_contradict_ends_everywhere(here: Live) -> None:
    on_store(here, lambda store: serve(store, here.settings))
    on_store(here, lambda store: audited(store, 160, RIGHT))
    assert here.client.post("/admin/budget/refit").json()["result"]["state"] == "certified"
    on_store(here, lambda store: audited(store, 25, WRONG))
    asyncio.run(here.system.budget.watch())  # as the server does every minute
    person = Person(here.url)
    soon(lambda: promised(person).startswith("No longer certified, because of:"))
    assert gauges(here)["certified"] == 0 and gauges(here)["line"] >= 0.95
    assert check_budget(here.settings).detail == promised(person)
    assert [row[3] for row in rows_of(person.page("/console/quality"), "looks")] == [
        "invalidated (audit)",
        "certified",
    ]
    assert rows_of(Person(here.url, **ZH).page("/console/quality"), "looks")[0][3] == "已失效 (抽查)"


# The page with audited answers


def test_the_audit_is_drawn(here: Live) -> None:
    on_store(here, lambda store: serve(store, here.settings))
    on_store(here, lambda store: audited(store, 20, RIGHT, confidence=0.97))
    on_store(here, lambda store: audited(store, 12, RIGHT, confidence=0.75, language="en"))
    on_store(here, lambda store: audited(store, 4, WRONG, confidence=0.75, language="en"))
    page = Person(here.url).page("/console/quality")
    assert page.count('<polyline class="line"') == 1 and page.count('<polygon class="band"') == 1
    assert page.count('<circle class="dot"') == 2, "two bins of confidence"
    curve = re.findall(r'<td class="n">(0\.\d\d)</td><td class="n">([\d.%]+)</td><td class="n">([\d.%]+)</td>', page)
    assert curve == [("0.97", "55.6%", "0.0%"), ("0.75", "100.0%", "11.1%")]
    gap = (20 * abs(0.97 - 1) + 16 * abs(0.75 - 12 / 16)) / 36
    assert f"Expected calibration error: {gap:.3f}" in Words.of(page)


def test_days_and_times_are_shown(here: Live) -> None:
    async def fill(store: SqlStore) -> None:
        for day, route, took in (("2026-11-01", Route.CURATED, 1.0), ("2026-11-02", Route.GROUNDED, 40.0)):
            for number in range(20):
                one = replace(trace(f"{day} {number}", route), created=f"{day}T10:00:00.000000Z")
                await store.record(replace(one, timings_ms={"total": took * (10 if number == 19 else 1)}), None)

    on_store(here, fill)
    page = Person(here.url).page("/console/quality")
    assert page.count('<rect class="route-curated"') == 1 and page.count('<rect class="route-grounded"') == 1
    row = '<tr><td>2026-11-02</td><td class="n">0</td><td class="n">20</td>'
    assert row in page
    times = '<td class="n">20</td><td class="n">{} ms</td><td class="n">{} ms</td></tr>'
    assert "<tr><td>curated</td>" + times.format("1.0", "10.0") in page
    assert "<tr><td>grounded</td>" + times.format("40.0", "400.0") in page


def test_languages_and_routes_have_their_lines_on_the_page(start: Start) -> None:
    here = start(max_wrong_rate=0.2)
    on_store(here, lambda store: serve(store, here.settings))
    for language, route in (("en", Route.GROUNDED), ("zh", Route.GROUNDED), ("zh", Route.CURATED)):
        on_store(here, lambda store, one=language, by=route: audited(store, 100, RIGHT, language=one, route=by))
    made = here.client.post("/admin/budget/refit").json()["result"]
    person, reader = Person(here.url), Person(here.url, **ZH)
    lines = rows_of(person.page("/console/quality"), "lines")
    assert {tuple(row[:3]) for row in lines} == {
        ("English", "grounded", "certified"),
        ("中文", "grounded", "certified"),
        ("中文", "curated", "certified"),
    }
    assert sum(int(row[4]) for row in lines) == made["n"]
    assert {(row[5], row[7]) for row in lines} == {("0", "0")}
    assert ["中文", "标准答案", "已认证"] in [row[:3] for row in rows_of(reader.page("/console/quality"), "lines")]


def test_every_look_is_kept_and_shown_newest_first(here: Live) -> None:
    on_store(here, lambda store: serve(store, here.settings))
    on_store(here, lambda store: audited(store, 10, RIGHT))
    here.client.post("/admin/budget/refit")
    on_store(here, lambda store: audited(store, 150, RIGHT))
    here.client.post("/admin/budget/refit")
    looks = rows_of(Person(here.url).page("/console/quality"), "looks")
    assert [row[3] for row in looks] == ["certified", "not certifiable"]
    kept = here.client.get("/review/budget").json()
    assert [row[5] for row in looks] == [str(one["n"]) for one in kept["history"]]
    assert rows_of(Person(here.url, **ZH).page("/console/quality"), "looks")[1][3] == "暂时无法认证"


# Over HTTP, and the form


def test_a_refit_over_http_is_a_job_and_its_certificate_is_in_force(here: Live) -> None:
    on_store(here, lambda store: serve(store, here.settings))
    on_store(here, lambda store: audited(store, 160, RIGHT))
    on_store(here, lambda store: audited(store, 3, None))
    before = here.client.get("/review/budget").json()
    assert (before["state"], before["audited"], before["undecided"]) == ("not_certifiable", 160, 3)
    assert before["certificate"] is None and before["history"] == []
    job = here.client.post("/admin/budget/refit").json()
    assert (job["kind"], job["state"], job["params"]) == (BUDGET, "done", {"who": "local"})
    after = here.client.get("/review/budget").json()
    assert after["certificate"] == job["result"] == after["history"][0]
    assert (after["state"], after["needed"]) == ("certified", 0)
    assert after["line"] == here.system.budget.last.line  # type: ignore[union-attr]
    assert after["stated"]["zh"].startswith("已认证")
    assert [one["n"] for one in after["coverage_risk"]] == [160]
    assert [(one["said"], one["right"]) for one in after["reliability"]] == [(pytest.approx(0.97), 1.0)]


def test_only_an_admin_may_look_at_the_audit(here: Live) -> None:
    """A look costs a part of the assurance."""
    on_store(here, lambda store: serve(store, here.settings))
    keys = keys_of(here)
    reviewer, admin = Person(here.url, keys["reviewer"]), Person(here.url, keys["admin"])
    soon(lambda: "Not certifiable yet" in promised(reviewer))
    assert "/console/quality/certify" not in reviewer.page("/console/quality")
    assert reviewer.send("/console/quality/certify", page="/console/queue").status_code == 403
    assert here.client.post("/admin/budget/refit", headers={"x-api-key": keys["reviewer"]}).status_code == 403
    assert here.client.get("/review/budget", headers={"x-api-key": keys["reviewer"]}).json()["history"] == []
    admin.send("/console/quality/certify")
    looks = rows_of(reviewer.page("/console/quality"), "looks")
    assert [(row[1], row[3]) for row in looks] == [("anna", "not certifiable")]
    assert "state-done" in admin.page("/console/jobs/rows")


def test_a_refit_that_fails_is_a_failed_job(here: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    from router.errors import InvalidInput

    def refuse(*_: object) -> None:
        raise InvalidInput("an impossible probability")

    on_store(here, lambda store: serve(store, here.settings))
    monkeypatch.setattr(budgets, "certify", refuse)
    assert here.client.post("/admin/budget/refit").status_code == 422
    job = here.client.get("/admin/jobs").json()["jobs"][0]
    assert (job["state"], job["message"]) == ("failed", "an impossible probability")


def test_what_the_audit_read_once_is_read_again_when_it_changes(here: Live) -> None:
    def counted() -> tuple[int, int]:
        found = here.client.get("/review/budget").json()
        return found["audited"], found["undecided"]

    on_store(here, lambda store: serve(store, here.settings))
    on_store(here, lambda store: audited(store, 3, RIGHT))
    assert counted() == counted() == (3, 0)
    on_store(here, lambda store: audited(store, 1, None))
    assert counted() == (3, 1)
    person = Person(here.url)
    item = re.findall(r'href="(/console/items/[^"]+)"', person.page("/console/queue"))[0]
    person.send(f"{item}/verdict", {"kind": "correct", "request_key": "k"})
    assert counted() == (4, 0)
    person.send(f"{item}/undo")
    assert counted() == (3, 1)
