"""The console's pages over HTTP: the door, the forms, the headers, the languages, and what comes out of them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from services.api.app import create_app
from services.console.sessions import LASTS_S, MOST, Sessions
from services.jobs import REINDEX
from services.settings import Settings
from services.store.records import JobState, Role
from tests.console.browsing import HTML, Person, token_of
from tests.live import Live, live

CONSOLE = Path(__file__).resolve().parents[2] / "services" / "console"
PAGES = (
    "/console/ask",
    "/console/queue",
    "/console/curated",
    "/console/curated-test",
    "/console/gaps",
    "/console/quality",
)
ADMIN_PAGES = ("/console/releases", "/console/jobs", "/console/curated-new")
UNKNOWN = "How does one paint the moon?"


def console_routes() -> list[APIRoute]:
    routes = create_app(Settings(), lambda: pytest.fail("not started")).routes
    return [one for one in routes if isinstance(one, APIRoute) and one.path.startswith("/console")]


def keys_of(here: Live) -> dict[str, str]:
    made = {"admin": here.client.post("/admin/keys", json={"name": "anna", "role": "admin"}).json()["key"]}
    headers = {"x-api-key": made["admin"]}
    for role in ("asker", "reviewer"):
        body = {"name": f"{role}-{role}", "role": role}
        made[role] = here.client.post("/admin/keys", json=body, headers=headers).json()["key"]
    return made


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, dict[str, str]]]:
    with live(tmp_path_factory.mktemp("home")) as server:
        server.ask(UNKNOWN)
        yield server, keys_of(server)


@pytest.fixture
def server(shared_server: tuple[Live, dict[str, str]]) -> Live:
    return shared_server[0]


@pytest.fixture
def keys(shared_server: tuple[Live, dict[str, str]]) -> dict[str, str]:
    return shared_server[1]


def an_item(person: Person) -> str:
    found = re.search(r'href="(/console/items/[^"]+)"', person.page("/console/queue"))
    assert found
    return found.group(1)


# The door


def test_without_a_session_every_page_leads_to_the_sign_in(server: Live) -> None:
    for path in (*PAGES, *ADMIN_PAGES, "/console"):
        reply = httpx.get(server.url + path, headers=HTML)
        assert reply.status_code == 303
        assert reply.headers["location"].startswith("/console/login?next=%2Fconsole")
    assert httpx.get(f"{server.url}/console/queue").status_code == 401, "a program is told in the API's way"


def test_signing_in_makes_a_session_that_scripts_and_other_sites_cannot_use(server: Live, keys: dict[str, str]) -> None:
    person = Person(server.url)
    reply = person.sign_in(keys["reviewer"], next="/console/queue?state=decided")
    assert (reply.status_code, reply.headers["location"]) == (303, "/console/queue?state=decided")
    cookie = next(one for one in reply.headers.get_list("set-cookie") if one.startswith("al_console="))
    assert {"HttpOnly", "SameSite=strict", "Path=/console"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert keys["reviewer"] not in cookie
    for path in PAGES:
        person.page(path)


def test_over_https_the_cookie_is_secure(server: Live, keys: dict[str, str]) -> None:
    person = Person(server.url)
    token = token_of(person.get("/console/login"))
    form = {"key": keys["admin"], "csrf": token}
    reply = person.client.post("/console/login", data=form, headers={"x-forwarded-proto": "https"})
    assert all("; Secure" in one for one in reply.headers.get_list("set-cookie") if one.startswith("al_console="))


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/console\\@evil", "/consolex", "/ask", "x"]
)
def test_signing_in_leads_nowhere_else(server: Live, keys: dict[str, str], wanted: str) -> None:
    reply = Person(server.url).sign_in(keys["admin"], next=wanted)
    assert reply.headers["location"] == "/console"
    assert httpx.get(f"{server.url}/console/prefer", params={"next": wanted}).headers["location"] == "/console"


def test_a_wrong_key_an_askers_key_and_a_foreign_form_do_not_sign_in(server: Live, keys: dict[str, str]) -> None:
    person = Person(server.url)
    assert person.sign_in("al_wrong").status_code == 401
    assert person.sign_in(keys["asker"]).status_code == 403
    assert person.sign_in(keys["admin"], csrf="made up").status_code == 403
    assert person.get("/console/queue").status_code == 303


def test_roles(server: Live, keys: dict[str, str]) -> None:
    reviewer, admin = Person(server.url, keys["reviewer"]), Person(server.url, keys["admin"])
    for path in ADMIN_PAGES:
        assert reviewer.get(path).status_code == 403
        admin.page(path)
    assert "/console/releases" not in reviewer.page("/console/queue"), "no link to what is closed"
    refused = reviewer.send("/console/jobs/reindex", page="/console/queue")
    assert refused.status_code == 403


def test_a_program_may_send_its_key_with_each_request(server: Live, keys: dict[str, str]) -> None:
    for role, status in (("asker", 403), ("reviewer", 200)):
        reply = httpx.get(f"{server.url}/console/gaps.csv", headers={"x-api-key": keys[role]})
        assert reply.status_code == status


def test_a_revoked_key_and_signing_out_end_the_session(here: Live) -> None:
    keys = keys_of(here)
    reviewer, admin = Person(here.url, keys["reviewer"]), {"x-api-key": keys["admin"]}
    listed = here.client.get("/admin/keys", headers=admin).json()["keys"]
    revoked = next(key["id"] for key in listed if key["role"] == "reviewer")
    reviewer.page("/console/queue")
    assert here.client.delete(f"/admin/keys/{revoked}", headers=admin).status_code == 204
    assert reviewer.get("/console/queue").status_code == 303
    person = Person(here.url, keys["admin"])
    kept = dict(person.client.cookies)
    assert person.send("/console/logout").status_code == 303
    person.client.cookies.update(kept)
    assert person.get("/console/queue").status_code == 303, "the old cookie is worth nothing"


def test_without_a_key_this_machine_comes_in_and_nobody_else(here: Live) -> None:
    person = Person(here.url)
    for path in (*PAGES, *ADMIN_PAGES):
        person.page(path)
    assert person.send("/console/logout").status_code == 303
    for headers in ({"host": "evil.example"}, {"x-forwarded-for": "10.0.0.1"}, {"origin": "http://evil.example"}):
        assert httpx.get(f"{here.url}/console/queue", headers=HTML | headers).status_code == 403


def test_the_first_key_ends_the_open_door(here: Live) -> None:
    person = Person(here.url)
    person.page("/console/queue")
    keys_of(here)
    assert person.get("/console/queue").status_code == 303


def test_sessions_end_and_are_bounded() -> None:
    moment = [0.0]
    sessions = Sessions(lambda: moment[0])
    value, session = sessions.begin("k")
    assert sessions.find(value) == session
    assert sessions.find(value + "x") is None
    assert value not in repr(vars(sessions)), "only a hash is kept"
    moment[0] = LASTS_S
    assert sessions.find(value) is None
    kept = [sessions.begin("k")[0] for _ in range(MOST + 5)]
    assert len(sessions._open) <= MOST
    assert sessions.find(kept[-1])
    assert sessions.find(kept[0]) is None


# Forms and headers


def test_no_form_is_taken_without_its_token(server: Live, keys: dict[str, str]) -> None:
    person = Person(server.url, keys["admin"])
    posts = [one.path for one in console_routes() if "POST" in (one.methods or ()) and one.path != "/console/login"]
    assert len(posts) > 12
    for path in posts:
        address = re.sub(r"\{.*?\}", "x", path)
        for token in ("", "made-up"):
            reply = person.client.post(address, data={"csrf": token, "question": "q", "answer": "a"})
            assert reply.status_code == 403, (path, reply.status_code)
        by_other = person.client.post(
            address, data={"csrf": token_of(person.get("/console/ask"))}, headers={"origin": "http://evil.example"}
        )
        assert by_other.status_code == 403, path


def test_every_page_carries_a_strict_policy_and_keeps_to_it(server: Live, keys: dict[str, str]) -> None:
    person = Person(server.url, keys["admin"])
    paths = (
        *PAGES,
        *ADMIN_PAGES,
        "/console/login",
        "/console/items/none",
        an_item(person),
        f"/console/ask?question={UNKNOWN}",
    )
    for path in paths:
        reply = person.get(path)
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", reply.text), path


def test_the_files_that_pages_need_are_there_and_no_others(server: Live) -> None:
    for name in ("console.css", "console.js"):
        reply = httpx.get(f"{server.url}/console/static/{name}")
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/")
    for name in ("widget.js", "..%2Fview.py", "zh.json"):
        assert httpx.get(f"{server.url}/console/static/{name}").status_code == 404


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{7*7}} [a](javascript:alert(3)) 怎么办？"


def test_what_people_write_is_shown_and_never_run(here: Live) -> None:
    person = Person(here.url)
    here.ask(HOSTILE)
    fields = {"question": HOSTILE, "answer": HOSTILE, "variants": "v " + HOSTILE, "status": "live"}
    assert person.send("/console/curated-new", fields).status_code == 303
    entry = re.search(r'href="(/console/curated/c-[^"]+)"', person.page("/console/curated"))
    assert entry
    pages = ["/console/queue", an_item(person), "/console/curated", entry.group(1), "/console/gaps"]
    pages += [str(httpx.URL("/console/ask", params={"question": HOSTILE}))]
    pages += [str(httpx.URL("/console/curated", params={"ask": HOSTILE, "q": HOSTILE}))]
    for path in pages:
        text = person.page(path)
        assert "alert(1)" in text or path.endswith("q=")
        assert "<script>alert" not in text
        assert "<img" not in text
        assert 'href="javascript' not in text
        assert "49" not in re.findall(r"&gt; (\S+) \[", text)


def test_errors_are_pages_in_the_readers_language(server: Live, keys: dict[str, str]) -> None:
    person = Person(server.url, keys["reviewer"], **{"accept-language": "zh-CN,zh;q=0.9,en;q=0.5"})
    reply = person.get("/console/items/none")
    assert reply.status_code == 404
    assert "操作没有成功" in reply.text
    assert person.get("/console/queue?state=odd").status_code == 422
    assert person.get("/console/queue?page=0").status_code == 422


# Languages


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.5", "zh-Hans"),
        ("zh-TW", "zh-Hans"),
        ("de,fr", "en"),
        ("en;q=0.2, zh;q=0.8", "zh-Hans"),
        ("", "en"),
        ("zh;q=nonsense,en", "en"),
    ],
)
def test_the_browsers_language_is_taken(server: Live, asked: str, shown: str) -> None:
    reply = httpx.get(f"{server.url}/console/login", headers={"accept-language": asked})
    assert f'<html lang="{shown}"' in reply.text


def test_language_and_theme_can_be_chosen(server: Live, keys: dict[str, str]) -> None:
    person = Person(server.url, keys["reviewer"])
    assert "待处理" not in person.page("/console/queue")
    person.get("/console/prefer?lang=zh&theme=dark&next=/console/queue")
    text = person.page("/console/queue")
    assert "待处理" in text
    assert 'data-theme="dark"' in text
    person.get("/console/prefer?lang=xx&theme=pink")
    assert 'data-theme="dark"' in person.page("/console/queue")


def texts_of_the_code() -> set[str]:
    """Everything that is said through t("…"), in templates and charts; and the codes that they show."""
    from services.console.charts import ROUTES
    from services.console.history import NAMES
    from services.console.view import DONE, SAID
    from services.curated.self_test import Problem
    from services.explaining import MEANING
    from services.jobs import BUDGET, DATASET, REINDEX, REPLAY, TRAINING
    from services.review.budget import State
    from services.store.records import JobState
    from services.store.review_records import RISK, VerdictKind, VerdictState

    said: set[str] = {*SAID.values(), *DONE.values(), *MEANING.values(), *ROUTES, *RISK}
    said |= {name for name, _ in NAMES.values()}
    said |= {REINDEX, REPLAY, DATASET, TRAINING, BUDGET}
    for codes in (Problem, JobState, State, VerdictKind, VerdictState):
        said |= {code.value for code in codes}
    for path in (*(CONSOLE / "templates").glob("*.html"), CONSOLE / "charts.py"):
        text = path.read_text("utf-8")
        said |= set(re.findall(r"""\bt\(\s*"([^"]+)\"""", text)) | set(re.findall(r"""\bt\(\s*'([^']+)'""", text))
    return said


def test_everything_that_is_said_is_said_in_chinese_too() -> None:
    from services.console.view import _chinese

    chinese = _chinese()
    assert len(texts_of_the_code()) > 150
    assert not {text for text in texts_of_the_code() if text not in chinese}
    for text, translated in chinese.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", translated)), text


def test_chinese_pages_hold_no_english_sentence(server: Live, keys: dict[str, str]) -> None:
    person = Person(server.url, keys["admin"], **{"accept-language": "zh"})
    own = {"Answerloop", "Markdown", "English", "Enter", "Ctrl", "Esc"}
    for path in (*PAGES, *ADMIN_PAGES, "/console/login"):
        words = set(re.findall(r"\b[A-Z][a-z]{2,}\b", Words.of(person.page(path))))
        assert words <= own, (path, words - own)


class Words(HTMLParser):
    """The text of the page's own parts: no values that come from data."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.skipped = 0

    @classmethod
    def of(cls, page: str) -> str:
        reader = cls()
        reader.feed(re.sub(r'<(a class="what"|span class="who").*?</(a|span)>', "", page, flags=re.DOTALL))
        return "\n".join(reader.found)

    def handle_data(self, data: str) -> None:
        self.found.append(data)


# The loop, by forms alone


def test_abstain_claim_correct_and_everybody_is_served(here: Live) -> None:
    asked = here.ask(UNKNOWN).json()
    assert asked["route"] == "abstained"
    person = Person(here.url)
    item = an_item(person)
    assert person.send(f"{item}/claim").headers["location"] == f"{item}?said=claimed"
    page = person.page(f"{item}?find=add+a+read-only+node")
    value = re.search(r'name="evidence" value="([^"]+)"', page)
    assert value
    from html import unescape

    fields = {
        "kind": "corrected",
        "answer": "With **silver** paint.",
        "evidence": unescape(value.group(1)),
        "variants": "How do I paint the moon?\n",
        "request_key": "k1",
    }
    done = person.send(f"{item}/verdict", fields)
    assert done.headers["location"] == f"{item}?said=decided"
    shown = person.page(item)
    assert "<strong>silver</strong>" in shown
    row = '<th scope="row">{}</th><td>{}</td><td>{}</td>'
    for change in (("State", "claimed", "decided"), ("Verdict", "–", "corrected"), ("State", "pending", "claimed")):
        assert row.format(*change) in shown, "the history, before and after"
    in_chinese = Person(here.url, **{"accept-language": "zh"}).page(item)
    assert row.format("状态", "已认领", "已有结论") in in_chinese
    assert row.format("结论", "–", "已更正") in in_chinese
    assert here.client.get(f"/ask/{asked['id']}").json()["state"] == "resolved"
    entries = here.client.get("/admin/curated").json()["entries"]
    assert [(one["answer"], one["variants"]) for one in entries] == [
        ("With **silver** paint.", ["How do I paint the moon?"])
    ]
    assert entries[0]["citations"][0]["source"] == "docs/nodes.md"
    assert person.send(f"{item}/verdict", fields).headers["location"], "the same form again changes nothing"
    assert here.client.get("/admin/curated").json()["total"] == 1
    assert person.send(f"{item}/undo").headers["location"].endswith("said=undone")
    assert here.client.get("/admin/curated").json()["total"] == 0


def test_a_verdict_that_lacks_something_says_so_and_decides_nothing(here: Live) -> None:
    here.ask(UNKNOWN)
    person = Person(here.url)
    item = an_item(person)
    for fields in (
        {},
        {"kind": "odd"},
        {"kind": "corrected"},
        {"kind": "duplicate"},
        {"kind": "wrong", "evidence": "{}"},
    ):
        reply = person.send(f"{item}/verdict", fields)
        assert reply.status_code == 422, fields
    assert 'data-state="pending"' in person.page(item)


def test_an_answer_is_called_back_and_allowed_again(here: Live) -> None:
    person = Person(here.url)
    sent = [here.ask("add a read-only node", session_id=f"chat-{number}").json() for number in range(2)]
    trace = f"/console/traces/{sent[0]['id']}"
    person.send(f"{trace}/recall", {"reason": "the wrong node"})
    page = person.page(trace)
    assert "the wrong node" in page
    assert all(f"/console/traces/{one['id']}" in page for one in sent), "who got it"
    assert "chat-0" in page
    assert f"{trace}/recall" not in page
    assert person.send(f"{trace}/lift", page=trace).headers["location"].endswith("said=lifted")
    assert f"{trace}/recall" in person.page(trace)
    assert person.send(f"{trace}/lift", page=trace).status_code == 404


def test_an_entry_is_edited_and_a_late_editor_is_told(here: Live) -> None:
    person = Person(here.url)
    person.send("/console/curated-new", {"id": "moon", "question": UNKNOWN, "answer": "Silver."})
    fields = {"question": UNKNOWN, "answer": "Gold.", "version": "1", "status": "live"}
    assert person.send("/console/curated/moon", fields).headers["location"].endswith("said=saved")
    late = person.send("/console/curated/moon", {**fields, "answer": "Blue."})
    assert late.status_code == 409
    page = person.page("/console/curated/moon")
    assert "Gold." in page
    assert "Silver." in page, "the history"
    assert here.ask(UNKNOWN).json()["route"] in {"curated", "abstained"}
    explained = person.page(str(httpx.URL("/console/curated", params={"ask": UNKNOWN})))
    assert 'data-how="exact"' in explained
    assert person.send("/console/curated/moon/delete", {"version": "2"}).status_code == 303
    assert "moon" not in person.page("/console/curated")


def test_a_changed_source_is_shown_old_beside_new(here: Live) -> None:
    import asyncio

    from router.types import ReviewItem
    from services.store import reviews
    from services.store.records import now
    from services.store.sql import SqlStore

    person = Person(here.url)
    person.send("/console/curated-new", {"id": "moon", "question": UNKNOWN, "answer": "Silver."})
    changed = {"source": "docs/a.md", "heading": "Moon", "quote": "silver", "old": "Use <silver>.", "new": "Use gold."}
    item = ReviewItem("i1", "", UNKNOWN, "en", "stale_source", "pending", now(), entry_id="moon")
    with SqlStore.open(here.settings.store_url) as store:
        asyncio.run(store.write(lambda c: reviews.attach(c, item, UNKNOWN, {"changed": [changed]})))
    page = person.page("/console/items/i1")
    assert "Use &lt;silver&gt;." in page
    assert "Use gold." in page
    assert ">Silver.</textarea>" in page, "the entry's answer is where a corrected one begins"
    assert 'href="/console/curated/moon"' in page


def test_gaps_are_exported_for_people_and_spreadsheets(here: Live) -> None:
    for question in ("=HYPERLINK(1) moon?", "What | is <b>this</b>?", "月亮怎么刷漆？"):
        here.ask(question)
    person = Person(here.url)
    table, report = person.get("/console/gaps.csv"), person.get("/console/gaps.md")
    assert "attachment" in table.headers["content-disposition"]
    assert "'=HYPERLINK" in table.text
    assert "月亮怎么刷漆？" in table.text
    assert "What \\| is \\<b\\>this\\</b\\>?" in report.text
    assert person.get("/console/gaps.exe").status_code == 404


def test_releases_are_compared_and_activated(here: Live) -> None:
    import asyncio
    from dataclasses import replace

    from router.types import Release
    from services.store.sql import SqlStore

    first = Release("r-one", "2026-11-01T00:00:00.000000Z", "v1", "0", "extractive", "none", "c1")
    with SqlStore.open(here.settings.store_url) as store:
        asyncio.run(store.add_release(first))
        asyncio.run(store.add_release(replace(first, id="r-two", index_version="v2")))
    person = Person(here.url)
    page = person.page("/console/releases?left=r-one&right=r-two")
    assert re.search(r"<td>v1</td>\s*<td>v2</td>", page)
    assert 'href="/console/releases/r-two"' in page
    assert person.send("/console/releases/r-two/activate").headers["location"].endswith("said=activated")
    assert here.system.release == "r-two"
    assert person.send("/console/releases/none/activate").status_code == 404


def test_what_changes_is_shown_before_a_release_is_served(here: Live) -> None:
    import asyncio

    from tests.api.test_replay import RESULT, releases, replayed

    asyncio.run(releases(here.system.store))
    here.ask()
    person = Person(here.url)
    page = person.page("/console/releases/r2")
    assert 'name="force"' in page and "data-replay" not in page
    assert person.send("/console/releases/r2/activate").status_code == 409
    asyncio.run(replayed(here.system.store))
    page = person.page("/console/releases/r2")
    assert 'data-replay="fresh"' in page and 'name="force"' not in page
    assert re.search(r'data-count="wrong_again">\s*1<', page) and RESULT["counts"]["lost"] == 1  # type: ignore[index]
    assert 'name="seen" value="yes" required' in page, "what is worse is read before it is served"
    assert person.send("/console/releases/r2/activate").headers["location"].endswith("said=activated")
    assert "served now" in person.page("/console/releases/r2")
    forced = person.send("/console/releases/r1/activate", {"force": "yes"})
    assert forced.headers["location"].endswith("said=activated") and here.system.release == "r1"


def test_a_reindex_is_started_and_followed(here: Live) -> None:
    (here.settings.home / "steps").write_text("3")
    person = Person(here.url)
    assert person.send("/console/jobs/reindex").headers["location"].endswith("said=started")
    until = time.monotonic() + 30
    while "state-done" not in person.page("/console/jobs/rows") and time.monotonic() < until:
        time.sleep(0.2)
    assert "state-done" in person.page("/console/jobs")


def test_a_release_that_waits_for_a_word_is_named_where_it_was_made(here: Live) -> None:
    import asyncio

    from tests.api.test_replay import releases

    async def reindexed() -> None:
        job = await here.system.store.create_job(REINDEX, {"who": "test"})
        result = {"release": "r2", "served": False, "waits": "4 of 8 past questions"}
        await here.system.store.update_job(job.id, state=JobState.DONE, result=result)

    asyncio.run(reindexed())
    person = Person(here.url)
    page = person.page("/console/jobs")
    assert 'href="/console/releases/r2"' in page and "It is not served by itself." in page
    asyncio.run(releases(here.system.store))
    asyncio.run(here.system.store.activate_release("r2", "test"))
    assert "It is not served by itself." not in person.page("/console/jobs")


# Ten thousand items


@pytest.mark.slow
def test_pages_with_ten_thousand_items_are_fast_and_small(start: object, tmp_path: Path) -> None:
    """The best of nine, by this process's own clock: server, database and client are all in it, and nothing waits, so
    it is the server's time and a little more, whatever else the machine does. See `tests.console.many` for what is
    there."""
    subprocess.run([sys.executable, "-m", "tests.console.many", str(tmp_path / "home")], check=True)
    here: Live = start()  # type: ignore[operator]
    person = Person(here.url)
    slow = {}
    for path in pages_of_many(person):
        person.page(path)
        times = []
        for _ in range(9):
            begun = time.process_time()
            reply = person.get(path)
            times.append((time.process_time() - begun) * 1e3)
        slow[path] = (round(min(times), 1), len(reply.content))
    print("\n".join(f"{path}: {took} ms, {size} bytes" for path, (took, size) in slow.items()))
    assert max(took for took, _ in slow.values()) <= 100, slow
    assert max(size for _, size in slow.values()) <= 200_000, slow


def pages_of_many(person: Person) -> list[str]:
    """Every page, and those that are one of many; each holds what it is measured for."""
    item = an_item(person)
    found = re.search(r'href="(/console/traces/[^"]+)"', person.page(item))
    assert found
    quality = person.page("/console/quality")
    assert "Audited answers: 2000." in quality and 'class="band"' in quality and 'id="looks"' in quality
    assert person.page("/console/jobs").count("data-row") == 50
    assert "2000 wordings of 2000 entries" in person.page("/console/curated-test")
    listed = ("queue?page=150", "queue?text=question&order=newest", "queue?order=gaps", "queue?state=decided")
    one_of_many = ("curated/e7", "releases/r2", "jobs/rows", "curated?q=entry7&ask=Word8+entry8+kept")
    more = [f"/console/{path}" for path in (*listed, *one_of_many)]
    decided = re.search(r'href="(/console/items/[^"]+)"', person.page("/console/queue?state=decided"))
    assert decided
    return [*PAGES, *ADMIN_PAGES, item, f"{item}/opinion", decided.group(1), found.group(1), *more]


# The widget


def test_the_widget_is_served_and_only_to_sites_that_are_named(start: object) -> None:
    here: Live = start(widget_origins="https://www.example.org")  # type: ignore[operator]
    script = httpx.get(f"{here.url}/widget.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "innerHTML" not in script.text
    keys, good, bad = keys_of(here), {"origin": "https://www.example.org"}, {"origin": "https://evil.example"}
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    preflight = here.client.options("/ask", headers=good | asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://www.example.org"
    assert "access-control-allow-credentials" not in preflight.headers
    assert here.client.options("/ask", headers=bad | asked).status_code == 405
    assert here.client.options("/admin/keys", headers=good | asked).status_code == 405
    body = {"question": "add a read-only node", "stream": True}
    reply = here.client.post("/ask", json=body, headers=good | {"x-api-key": keys["asker"]})
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == "https://www.example.org"
    for role in ("reviewer", "admin"):
        refused = here.client.post("/ask", json=body, headers=good | {"x-api-key": keys[role]})
        assert (refused.status_code, refused.json()["code"]) == (403, "key_too_strong")
    assert here.client.post("/ask", json=body, headers=good).status_code == 401
    assert "access-control-allow-origin" not in here.client.post("/ask", json=body, headers=bad).headers


@pytest.mark.parametrize(
    "origins", ["www.example.org", "https://", "https://a.example/", "*", "https://*.example", "HTTPS://A"]
)
def test_origins_that_no_browser_sends_are_refused(origins: str) -> None:
    from router.errors import Misconfigured

    with pytest.raises(Misconfigured):
        Settings.from_env({"ANSWERLOOP_WIDGET_ORIGINS": origins})


def test_every_console_route_declares_a_role() -> None:
    from tests.api.test_auth import roles_of

    routes = console_routes()
    assert len(routes) > 30
    open_to_all = {one.path for one in routes if roles_of(one)[0] is None}
    assert open_to_all == {"/console/login", "/console/prefer", "/console/static/{name}"}
    for route in routes:
        assert set(roles_of(route)) <= {None, Role.ASKER, Role.REVIEWER, Role.ADMIN}
