"""The console and the widget in real Chromium, on a real system: a small index, the real store, the real answering.

Skipped, with a message, where no Chromium is. Screenshots are in pytest's folder: pages in both languages, widths and
themes, for people to look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.api.app import create_app
from services.calibrations import packaged_calibration
from services.compose import open_system
from services.indexing import release_with, run_index
from services.server import make_server
from services.settings import Settings
from services.store.sql import SqlStore
from tests.console import audits
from tests.console.test_pages import keys_of
from tests.live import WORKER, _wait, live

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium here; on Debian: apt-get install chromium fonts-wqy-zenhei"
    ),
]

DOCS = {
    "backup.md": "# Backups\n\n## How long backups are kept\n\nBackups are kept for seven days, then deleted."
    "\n\n## Restoring\n\nRestore a backup with the command `restore`. It takes about two minutes.\n",
    "nodes.md": "# Nodes\n\n## Adding a read-only node\n\nAdd a read-only node with the command `add-node`.\n\n"
    "## Removing a node\n\nRemove a node with the command `remove-node`.\n",
    "zh.md": "# 集群\n\n## 初始化集群\n\n初始化集群需要三个节点。完成后可以添加只读节点。"
    "\n\n## 备份\n\n备份保留七天，之后会被删除。\n",
}
UNANSWERED = "Who paints the office walls on Sundays?"
UNANSWERED_ZH = "周末谁负责给办公室浇花？"


@dataclass(frozen=True, slots=True)
class Site:
    url: str
    admin: str
    asker: str
    origin: str
    home: Path


@contextlib.contextmanager
def served(home: Path, origin: str) -> Iterator[Site]:
    settings = Settings(home=home, port=0, log_level="warning", corpus_seconds=1, widget_origins=origin, audit_share=0)
    system = open_system(settings)
    server = make_server(settings, create_app(settings, lambda: system, WORKER))
    thread = threading.Thread(target=server.run)
    thread.start()
    url = _wait(home, server)
    try:
        admin = httpx.post(f"{url}/admin/keys", json={"name": "anna", "role": "admin"}).json()["key"]
        body, headers = {"name": "site", "role": "asker"}, {"x-api-key": admin}
        asker = httpx.post(f"{url}/admin/keys", json=body, headers=headers).json()["key"]
        yield Site(url, admin, asker, origin, home)
    finally:
        server.should_exit = True
        thread.join(20)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture(scope="module")
def other_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A web site of somebody's, on an origin of its own."""
    folder = tmp_path_factory.mktemp("site")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    thread.join(5)
    server.server_close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, other_site: tuple[str, Path]) -> Iterator[Site]:
    docs, home = tmp_path_factory.mktemp("docs"), tmp_path_factory.mktemp("home")
    for name, text in DOCS.items():
        (docs / name).write_text(text, "utf-8")
    run_index(Settings(home=home, corpus_seconds=1), [f"docs={docs}"], "test", lambda *_: None)
    with served(home, other_site[0]) as running:
        yield running


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Any]:  # noqa: ARG001 - after the site: an event loop stays in this thread
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


class Problems:
    """What the browser complains of: scripts that fail, and whatever breaks the policy."""

    def __init__(self, page: Any) -> None:
        self.found: list[str] = []
        page.on("pageerror", lambda error: self.found.append(str(error)))
        page.on("console", lambda said: self.found.append(said.text) if said.type == "error" else None)


@contextlib.contextmanager
def opened(browser: Any, **options: Any) -> Iterator[Any]:
    context = browser.new_context(**options)
    context.set_default_timeout(30_000)
    page = context.new_page()
    problems = Problems(page)
    yield page
    context.close()
    assert not problems.found


def sign_in(page: Any, site: Site) -> None:
    page.goto(f"{site.url}/console")
    page.wait_for_selector("#key:focus")
    page.keyboard.type(site.admin)  # the field has the focus
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/queue")


def ask(site: Site, question: str) -> dict[str, Any]:
    reply = httpx.post(f"{site.url}/ask", json={"question": question}, headers={"x-api-key": site.asker}, timeout=30)
    return dict(reply.json())


def route_of(page: Any, question: str) -> str:
    page.goto(f"{page.url.split('/console')[0]}/console/ask")
    page.keyboard.press("/")
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-route]")
    return str(page.get_attribute("[data-route]", "data-route"))


@dataclass(frozen=True, slots=True)
class Loop:
    """What one person does in one language: asks, searches for evidence, answers."""

    locale: str
    width: int
    question: str
    search: str
    passage: str
    source: str
    answer: str
    shown: str


LOOPS = (
    Loop("en-GB", 1280, UNANSWERED, "read-only node", "add-node", "docs/nodes.md", "**Nobody** does.",
         "<p><strong>Nobody</strong> does.</p>"),
    Loop("zh-CN", 390, "周末谁负责粉刷办公室的墙？", "初始化集群", "三个节点", "docs/zh.md", "**没有人**负责。",
         "<p><strong>没有人</strong>负责。</p>"),
)  # fmt: skip


def tab_to(page: Any, selector: str) -> None:
    """With the key alone, from wherever the focus is."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached with Tab")


@pytest.mark.parametrize("loop", LOOPS, ids=["en", "zh-phone"])
def test_the_whole_loop_by_keyboard(browser: Any, site: Site, loop: Loop) -> None:
    asked = ask(site, loop.question)
    assert asked["route"] == "abstained"
    with opened(browser, locale=loop.locale, viewport={"width": loop.width, "height": 800}) as page:
        sign_in(page, site)
        tab_to(page, "nav a[href='/console/ask']")
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/ask")
        assert route_of(page, loop.question) == "abstained"
        page.keyboard.press("Escape")
        page.keyboard.press("q")
        page.wait_for_url("**/console/queue")
        for _ in range(20):
            page.keyboard.press("j")
            if loop.question in page.evaluate("document.activeElement.textContent"):
                break
        page.keyboard.press("Enter")
        page.wait_for_selector("[data-state=pending]")
        page.keyboard.press("c")
        page.wait_for_selector("[data-state=claimed]")
        page.keyboard.press("/")
        page.keyboard.type(loop.search)
        page.keyboard.press("Enter")
        page.wait_for_selector(".pick:focus")
        while loop.passage not in page.evaluate("document.activeElement.textContent"):
            page.keyboard.press("j")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.querySelector('input').checked || document.activeElement.checked")
        page.keyboard.press("2")
        assert page.is_checked("input[value=corrected]")
        page.keyboard.press("e")
        page.keyboard.press("Control+a")
        page.keyboard.type(loop.answer)
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("[data-state=decided]")
        assert page.inner_text("#status")
        assert page.evaluate("document.documentElement.scrollWidth") <= loop.width
        assert route_of(page, loop.question) == "curated"
        assert page.inner_html(".answer-card .markdown").strip() == loop.shown
    assert ask(site, loop.question)["answer"] == loop.answer
    headers = {"x-api-key": site.asker}
    assert httpx.get(f"{site.url}/ask/{asked['id']}", headers=headers).json()["state"] == "resolved"
    entries = httpx.get(f"{site.url}/admin/curated", headers={"x-api-key": site.admin}).json()["entries"]
    (cited,) = (one["citations"] for one in entries if one["answer"] == loop.answer)
    assert [one["source"] for one in cited] == [loop.source]


def test_suggestions_are_taken_and_a_verdict_is_undone_by_keyboard(browser: Any, site: Site) -> None:
    first = ask(site, "How can I restart the unicorn stable?")
    other = ask(site, "How can I rebuild the unicorn stable?")
    ask(site, "how do I restart the unicorn stable")
    admin = {"x-api-key": site.admin}
    item = f"/items/{first['review']['item_id']}"
    with opened(browser, locale="en-GB") as page:
        sign_in(page, site)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            view = httpx.get(f"{site.url}/review{item}", headers=admin).json()
            if view["suggested"]["variants"] and view["suggested"]["negatives"]:
                break
            time.sleep(0.2)
        page.goto(f"{site.url}/console{item}")
        page.wait_for_selector("#suggested", state="attached")
        tab_to(page, "#verdict details summary")
        page.keyboard.press("Enter")
        tab_to(page, "#take-suggested")
        page.keyboard.press("Enter")
        assert page.input_value("#variants") == "how do I restart the unicorn stable"
        assert page.input_value("#negatives") == "How can I rebuild the unicorn stable?"
        page.keyboard.press("Escape")
        page.keyboard.press("2")
        page.keyboard.press("e")
        page.keyboard.type("With a broom.")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("[data-state=decided]")
        entry = httpx.get(f"{site.url}/admin/curated", params={"q": "broom"}, headers=admin).json()["entries"][0]
        assert entry["variants"] == ["how do I restart the unicorn stable"]
        assert entry["negatives"] == ["How can I rebuild the unicorn stable?"]
        page.keyboard.press("u")
        page.wait_for_selector("[data-state=pending]")
        assert "open again" in page.inner_text("#status")
    assert httpx.get(f"{site.url}/admin/curated", params={"q": "broom"}, headers=admin).json()["total"] == 0
    assert ask(site, "How can I restart the unicorn stable?")["route"] == other["route"] == "abstained"


def test_a_second_reviewer_confirms_by_keyboard(browser: Any, tmp_path: Path) -> None:
    with live(tmp_path / "home", second_review_risk=1.0) as here:
        asked = here.ask("How does one paint the moon?").json()
        keys = keys_of(here)
        first = Site(here.url, keys["reviewer"], keys["asker"], "", tmp_path)
        for reviewer, key, state in ((first, "2", "pending"), (replace(first, admin=keys["admin"]), "y", "decided")):
            with opened(browser, locale="zh-CN", viewport={"width": 390, "height": 800}) as page:
                sign_in(page, reviewer)
                page.keyboard.press("j")
                page.keyboard.press("Enter")
                page.wait_for_selector("[data-state=pending]")
                page.keyboard.press(key)
                if key == "2":
                    page.keyboard.press("e")
                    page.keyboard.type("With silver paint.")
                    page.keyboard.press("Control+Enter")
                page.wait_for_url("**?said=*")
                assert page.get_attribute("[data-state]", "data-state") == state
        headers = {"x-api-key": keys["asker"]}
        assert here.client.get(f"/ask/{asked['id']}", headers=headers).json()["state"] == "resolved"


CHANGED = "Which command adds a read-only node?"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_release_is_seen_before_it_is_served(browser: Any, site: Site, tmp_path: Path, language: str) -> None:
    """A real replay in a process of its own, followed in the page; then the release is served, and back at once."""
    before = ask(site, CHANGED)
    with ThreadPoolExecutor(1) as elsewhere:  # the browser's event loop is in this thread
        candidate = elsewhere.submit(lambda: asyncio.run(strict_release(site.home))).result()
    with opened(
        browser, locale="zh-CN" if language == "zh" else "en-GB", viewport={"width": 390, "height": 800}
    ) as page:
        sign_in(page, site)
        page.goto(f"{site.url}/console/releases")
        page.click(f"a.what:has-text('{candidate}')")
        page.wait_for_selector("input[name=force]")
        page.keyboard.press("a")  # the browser itself asks for the tick: nothing is sent without it
        assert page.url.endswith(candidate)
        page.keyboard.press("p")
        page.wait_for_selector("[data-replay=fresh]", timeout=180_000)
        assert int(page.inner_text("[data-count=lost]")) >= 1
        assert CHANGED in page.inner_text("[data-row]:has-text('read-only')")
        page.screenshot(path=tmp_path / f"replay-{language}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate(UNNAMED) == []
        page.check("input[name=seen]")
        page.click("[data-key=a]")
        page.wait_for_url("**/console/releases?said=activated")
        assert ask(site, CHANGED)["route"] == "abstained"
        page.goto(f"{site.url}/console/releases/{before['release']}")
        page.check("input[name=force]")  # in an emergency: one page, one tick
        page.click("[data-key=a]")
        page.wait_for_url("**/console/releases?said=activated")
    assert ask(site, CHANGED)["answer"] == before["answer"]


async def strict_release(home: Path) -> str:
    """One under whose calibration next to nothing is sent, made and not served."""
    with SqlStore.open(Settings(home=home).store_url) as store:
        active = await store.active_release()
        assert active is not None
        strict = replace(packaged_calibration().with_line(0.999), origin="fitted")
        kept = await store.put_calibration(strict.to_json())
        return (await release_with(store, active, "test", calibration=kept)).id


PAGES = ("queue", "item", "entry", "ask", "trace", "curated", "curated-test", "gaps", "quality", "releases", "jobs")
LOOKS = [(language, width, theme) for language in ("en", "zh") for width in (390, 1280) for theme in ("light", "dark")]


@pytest.fixture(scope="module")
def audit(site: Site) -> None:
    """Answers that were drawn and judged, in both languages, and a look at them: there is something to draw."""

    async def fill(store: SqlStore) -> None:
        active = await store.active_release()
        assert active is not None
        for language, count, confidence in (("en", 60, 0.97), ("zh", 60, 0.85), ("zh", 20, 0.72)):
            at = {"served": active.id, "confidence": confidence, "language": language}
            await audits.audited(store, count, audits.RIGHT, **at)
            await audits.audited(store, count // 15, audits.WRONG, **at)

    def work() -> None:
        with SqlStore.open(Settings(home=site.home).store_url) as store:
            asyncio.run(fill(store))  # type: ignore[arg-type]

    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(work).result()
    httpx.post(f"{site.url}/admin/budget/refit", headers={"x-api-key": site.admin}).raise_for_status()


@pytest.mark.usefixtures("audit")
@pytest.mark.parametrize(("language", "width", "theme"), LOOKS)
def test_pages_in_every_look(browser: Any, site: Site, tmp_path: Path, language: str, width: int, theme: str) -> None:
    """No page is wider than the window; every field has a name; what can be reached shows that it has the focus."""
    for question in (UNANSWERED_ZH, "Why is the moon green?", "How long are backups kept?"):
        asked = ask(site, question)
    entry = {"id": "days", "question": "备份保留多久？", "answer": "**七天**，见 [手册](https://example.org)。"}
    httpx.post(f"{site.url}/admin/curated", json=entry, headers={"x-api-key": site.admin})
    size = {"width": width, "height": 900}
    with opened(browser, locale="zh-CN" if language == "zh" else "en", viewport=size, color_scheme=theme) as page:
        page.goto(f"{site.url}/console")
        checked(page, tmp_path, "login", language, width, theme)
        sign_in(page, site)
        paths = {
            "trace": f"/console/traces/{asked['id']}",
            "item": page.get_attribute("a.what", "href"),
            "entry": "/console/curated/days",
            "ask": "/console/ask?question=How+long+are+backups+kept%3F",
        }
        for name in PAGES:
            page.goto(site.url + paths.get(name, f"/console/{name}"))
            if name == "quality":
                page.click("details:has(#looks) summary")
                assert page.locator("svg.chart .dot").count() == 3 and page.locator("svg.chart polyline").count() == 1
            checked(page, tmp_path, name, language, width, theme)
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert page.evaluate("document.activeElement.className") == "skip"


def checked(page: Any, folder: Path, name: str, language: str, width: int, theme: str) -> None:
    page.screenshot(path=folder / f"{name}-{language}-{width}-{theme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert page.evaluate(UNNAMED) == [], name
    assert page.evaluate(HEADINGS) == 1, name
    assert page.get_attribute("html", "lang") == ("zh-Hans" if language == "zh" else "en")


UNNAMED = """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a, summary, svg')]
  .filter((one) => !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim()))
  .map((one) => one.outerHTML)"""
HEADINGS = "document.querySelectorAll('h1').length"


def test_the_dialog_of_keys_opens_and_closes(browser: Any, site: Site) -> None:
    with opened(browser, locale="zh-CN") as page:
        sign_in(page, site)
        page.keyboard.press("?")
        assert page.is_visible("#help")
        assert "选择结论" in page.inner_text("#help")
        page.keyboard.press("Escape")
        assert not page.is_visible("#help")


def test_the_theme_is_switched_and_kept(browser: Any, site: Site) -> None:
    with opened(browser, locale="en", color_scheme="light") as page:
        sign_in(page, site)
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.click("#theme")
        page.wait_for_selector("html[data-theme=dark]")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert light != dark
        page.reload()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


# The widget, on a page of another origin


def page_of_other_site(other_site: tuple[str, Path], site: Site, name: str, key: str, language: str) -> str:
    origin, folder = other_site
    tag = f'<script src="{site.url}/widget.js" data-server="{site.url}" data-key="{key}" async></script>'
    policy = f"default-src 'none'; script-src {site.url}; connect-src {site.url}"
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}"><title>Shop</title>'
    (folder / name).write_text(f'<!doctype html><html lang="{language}">{head}<body><h1>Shop</h1>{tag}</body></html>')
    return f"{origin}/{name}"


def ask_the_widget(page: Any, question: str) -> None:
    page.click("[data-answerloop] >> button.open")
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-rating=up]")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_widget_answers_cites_and_takes_feedback(
    browser: Any, site: Site, other_site: tuple[str, Path], tmp_path: Path, language: str
) -> None:
    question = {"en": "How long are backups kept?", "zh": "初始化集群需要几个节点？"}[language]
    httpx.post(
        f"{site.url}/admin/curated",
        json={"question": question, "answer": f"<b>{language}</b> 7", "citations": [{"source": "docs/backup.md"}]},
        headers={"x-api-key": site.admin},
    )
    address = page_of_other_site(other_site, site, f"{language}.html", site.asker, language)
    with opened(browser, viewport={"width": 390, "height": 800}) as page:
        page.goto(address)
        ask_the_widget(page, question)
        assert page.inner_text("[data-answerloop] >> .it .text") == f"<b>{language}</b> 7", "text, not HTML"
        page.click("[data-answerloop] >> summary")
        assert "docs/backup.md" in page.inner_text("[data-answerloop] >> .it details")
        page.screenshot(path=tmp_path / f"widget-{language}.png")
        page.click("[data-rating=down]")
        page.wait_for_selector("[data-rating]", state="detached")
        page.keyboard.press("Escape")
        assert page.is_visible("[data-answerloop] >> button.open")
    queued = httpx.get(f"{site.url}/review/items", params={"cause": "thumbs_down"}, headers={"x-api-key": site.admin})
    assert question in [one["question"] for one in queued.json()["items"]]


WIDGET_SAYS = {
    "en": ("How do I remove a node?", "Who sings in the elevator?", "People will look at this question.", "Thank you."),
    "zh": ("怎么添加只读节点？", "电梯里谁在唱歌？", "已转给人工处理。", "谢谢反馈。"),
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_widget_shows_found_answers_and_says_when_people_will_look(
    browser: Any, site: Site, other_site: tuple[str, Path], tmp_path: Path, language: str
) -> None:
    known, unknown, queued, thanks = WIDGET_SAYS[language]
    address = page_of_other_site(other_site, site, f"wide-{language}.html", site.asker, language)
    with opened(browser, viewport={"width": 1280, "height": 800}) as page:
        page.goto(address)
        ask_the_widget(page, known)
        first = page.locator("[data-answerloop] >> .it").nth(0)
        assert queued not in first.inner_text() and first.locator("summary").count() == 1
        first.locator("summary").click()
        assert "docs/" in first.locator("details").inner_text()
        page.click("[data-rating=up]")
        page.wait_for_selector("[data-rating]", state="detached")
        assert thanks in first.inner_text()
        page.keyboard.type(unknown)
        page.keyboard.press("Enter")
        page.wait_for_selector("[data-rating=up]")
        second = page.locator("[data-answerloop] >> .it").nth(1)
        assert queued in second.inner_text() and second.locator("summary").count() == 0
        page.screenshot(path=tmp_path / f"widget-wide-{language}.png")
    admin = {"x-api-key": site.admin}
    waiting = httpx.get(f"{site.url}/review/items", params={"limit": 100}, headers=admin).json()["items"]
    asked = {one["question"]: one["cause"] for one in waiting}
    assert asked.get(unknown) == "abstained" and known not in asked, "a thumb up brings nothing to people"
    with contextlib.closing(sqlite3.connect(site.home / "answerloop.db")) as database:
        kept = database.execute(
            "SELECT rating FROM feedback JOIN traces ON traces.id = feedback.trace_id WHERE traces.question = ?",
            (known,),
        ).fetchall()
    assert kept == [("up",)]


def test_the_widget_with_a_strong_key_gets_no_answer(browser: Any, site: Site, other_site: tuple[str, Path]) -> None:
    address = page_of_other_site(other_site, site, "strong.html", site.admin, "en")
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    page.click("[data-answerloop] >> button.open")
    page.keyboard.type("How long are backups kept?")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=No answer is possible now.")
    context.close()
