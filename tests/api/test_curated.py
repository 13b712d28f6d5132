"""Curated answers over HTTP: edited, found again, tried out, moved in and out, and followed by a second process."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.types import How
from services.api.wire_curated import (
    CuratedExplainReply,
    EditReply,
    EntriesReply,
    EntryOut,
    HistoryReply,
    ImportReply,
    SelfTestReply,
)
from services.compose import near_embedder_of
from services.curated.embedding import TogetherEmbedder
from services.curated.live import LiveCurated
from services.curated.matcher import Matcher
from services.store.sql import SqlStore
from tests.api.conftest import Start
from tests.curated.test_store_checks import INTENTS
from tests.live import Live
from tests.store.samples import release

RESTART = {
    "id": "restart",
    "question": "如何重启集群？",
    "answer": "执行 `restart`。\n\n等两分钟。",
    "variants": ["集群怎么重启"],
    "negatives": ["如何重启节点？"],
    "citations": [{"source": "docs/ops.md", "quote": "restart", "start": 3, "end": 10, "passage_id": "p1"}],
}
REBUILD = {"id": "rebuild", "question": "如何重建集群？", "answer": "执行 `rebuild`。"}


def add(server: Live, *entries: dict[str, Any]) -> EditReply:
    for entry in entries:
        reply = server.client.post("/admin/curated", json=entry)
        assert reply.status_code == 201, reply.text
    return EditReply.model_validate_json(reply.content)


def served(server: Live, question: str) -> str:
    """What this server answers word for word, or ""."""
    match = asyncio.run(server.system.curated.match(question))
    return match.entry.answer if match.entry else ""


def ids(server: Live, **query: Any) -> list[str]:
    reply = EntriesReply.model_validate_json(server.client.get("/admin/curated", params=query).content)
    return [entry.id for entry in reply.entries]


def test_the_life_of_an_entry(here: Live) -> None:
    made = add(here, RESTART)
    assert (made.revision, made.changed, made.self_test.passed, made.entry.version) == ("1", True, True, 1)
    assert served(here, " 如何重启集群 ?") == served(here, "集群怎么重启") == RESTART["answer"]

    read = here.client.get("/admin/curated/restart")
    entry = EntryOut.model_validate_json(read.content)
    assert (entry.question, entry.updated_by, read.headers["etag"]) == (RESTART["question"], "local", '"1"')
    assert entry.citations[0].passage_id == "p1"

    body = {**RESTART, "answer": "执行 `restart --now`。"}
    body.pop("id")
    changed = here.client.put("/admin/curated/restart", json=body, headers={"If-Match": read.headers["etag"]})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert served(here, "如何重启集群") == body["answer"]
    again = EditReply.model_validate_json(
        here.client.put("/admin/curated/restart", json={**body, "version": 2}).content
    )
    assert (again.changed, again.revision, again.entry.version) == (False, "2", 2)

    assert here.client.delete("/admin/curated/restart", headers={"If-Match": '"1"'}).status_code == 409
    gone = here.client.delete("/admin/curated/restart", headers={"If-Match": '"2"'})
    assert EditReply.model_validate_json(gone.content).entry.deleted
    assert served(here, "如何重启集群") == ""
    assert here.client.get("/admin/curated/restart").status_code == 404
    history = HistoryReply.model_validate_json(here.client.get("/admin/curated/restart/history").content)
    assert [(one.version, one.deleted) for one in history.versions] == [(3, True), (2, False), (1, False)]
    assert ids(here) == []


def test_what_is_refused_says_why(here: Live) -> None:
    add(here, RESTART)

    def code(method: str, path: str, **more: Any) -> tuple[int, str]:
        reply = here.client.request(method, f"/admin/curated{path}", **more)
        assert reply.headers["content-type"] == "application/problem+json"
        return reply.status_code, reply.json()["code"]

    assert code("POST", "", json=RESTART) == (409, "conflict")
    assert code("POST", "", json={**REBUILD, "question": " \u200b\n"}) == (422, "invalid_input")
    assert code("POST", "", json={**REBUILD, "answer": "\n"}) == (422, "invalid_input")
    assert code("POST", "", json={**REBUILD, "id": "import"}) == (422, "invalid_input")
    assert code("POST", "", json={**REBUILD, "negatives": [REBUILD["question"]]}) == (422, "invalid_input")
    assert code("POST", "", json={**REBUILD, "status": "dead"}) == (422, "invalid_request")
    assert code("POST", "", json={**REBUILD, "answer": "x" * 20_001}) == (422, "invalid_input")
    change = {"question": "q", "answer": "a"}
    assert code("PUT", "/restart", json=change) == (422, "no_version")
    assert code("PUT", "/restart", json=change, headers={"If-Match": "now"}) == (422, "no_version")
    assert code("PUT", "/restart", json={**change, "version": 7}) == (409, "conflict")
    assert code("PUT", "/nobody", json={**change, "version": 1}) == (404, "not_found")
    for method, path in (("GET", "/nobody"), ("DELETE", "/nobody"), ("GET", "/nobody/history")):
        assert code(method, path) == (404, "not_found")
    assert code("POST", "/explain", json={"question": " "}) == (422, "blank_question")
    assert code("GET", "/export?revision=99") == (404, "not_found")
    assert code("POST", "/import", content=b"") == (422, "invalid_input")
    assert code("POST", "/import", files={"other": b"x"}) == (422, "no_file")
    assert ids(here) == ["restart"]


def test_an_import_is_bounded(start: Start) -> None:
    here = start(max_upload_bytes=2_000)
    big = b'{"question": "q", "answer": "' + b"x" * 2_100 + b'"}'
    for body in ({"content": big}, {"files": {"file": big}}, {"content": big * 20}):
        reply = here.client.post("/admin/curated/import", **body)
        assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")
    assert here.client.post("/admin/curated/import", content=big[:30] + b'"}').status_code == 200


def test_listing(here: Live) -> None:
    add(here, RESTART, {**REBUILD, "status": "stale"}, {"question": "What is 100 % safe?", "answer": "Nothing."})
    made_up, *known = ids(here)
    assert known == ["rebuild", "restart"] and made_up.startswith("c-")
    assert ids(here, q="怎么重启") == ids(here, q="RESTART") == ["restart"]
    assert ids(here, q="100 %") == [made_up]
    assert ids(here, status="stale") == ["rebuild"]
    page = EntriesReply.model_validate_json(here.client.get("/admin/curated?limit=1&offset=1").content)
    assert ([one.id for one in page.entries], page.total, page.revision) == (["rebuild"], 3, "3")
    assert here.client.get("/admin/curated?limit=0").status_code == 422


def test_an_edit_is_tried_out_at_once(here: Live) -> None:
    add(here, RESTART)
    shadow = add(here, {"id": "copy", "question": "如何重启集群", "answer": "另一个答案"})
    assert not shadow.self_test.passed
    (finding,) = (one for one in shadow.self_test.findings if one.problem == "shadow")
    assert {finding.entry_id, finding.other_id} == {"restart", "copy"}
    whole = SelfTestReply.model_validate_json(here.client.post("/admin/curated/self-test").content)
    assert (whole.entries, whole.counts["shadow"], whole.passed) == (2, 1, False)
    here.client.delete("/admin/curated/copy")
    whole = SelfTestReply.model_validate_json(here.client.post("/admin/curated/self-test").content)
    assert (whole.entries, whole.passed) == (1, True)


def test_explain(here: Live) -> None:
    add(here, RESTART, REBUILD)

    def explained(question: str) -> CuratedExplainReply:
        reply = here.client.post("/admin/curated/explain", json={"question": question})
        return CuratedExplainReply.model_validate_json(reply.content)

    exact = explained("如何重启集群")
    assert (exact.how, exact.entry_id, exact.revision) == (How.EXACT, "restart", "2")
    other = explained("如何停止集群？")
    assert other.entry_id == "" and {one.entry_id for one in other.candidates} == {"restart", "rebuild"}
    assert all(one.guards for one in other.candidates)


def test_explain_and_the_self_test_see_what_is_served(here: Live) -> None:
    live = here.system.curated
    live.matcher = Matcher(lambda: live.entries, TogetherEmbedder(near_embedder_of(here.settings)))
    stolen = "someone has stolen the card from me"
    add(here, *({"id": one.id, "question": one.question, "answer": "A", "variants": one.variants} for one in INTENTS))
    assert served(here, stolen) == "A"
    reply = here.client.post("/admin/curated/explain", json={"question": stolen})
    why = CuratedExplainReply.model_validate_json(reply.content)
    assert (why.how, why.entry_id, why.candidates[0].case, why.words_alone) == (How.NEAR, "card", "votes", "")

    edit = add(here, {"id": "thief", "question": stolen, "answer": "T"}).self_test
    whole = SelfTestReply.model_validate_json(here.client.post("/admin/curated/self-test").content)
    for report in (edit, whole):
        assert ("neighbour", "thief", "card") in [(one.problem, one.entry_id, one.other_id) for one in report.findings]
        assert report.words_alone == ""
    page = here.client.get("/console/curated", params={"ask": stolen + " today"})
    assert page.status_code == 200 and here.client.get("/console/curated/thief").status_code == 200


def test_files_in_and_out(here: Live) -> None:
    add(here, RESTART)
    lines = [json.dumps(REBUILD), "nonsense", json.dumps({**RESTART, "answer": "new", "owner": "me"})]
    sent = here.client.post("/admin/curated/import", files={"file": ("faq.jsonl", "\n".join(lines).encode())})
    report = ImportReply.model_validate_json(sent.content)
    assert (report.created, report.updated, report.unchanged, report.revision) == (1, 1, 0, "2")
    assert ([row.line for row in report.skipped], report.fields_left_out) == ([2], ["owner"])
    assert report.self_test is not None and report.self_test.asked > 0
    assert served(here, "如何重建集群") == REBUILD["answer"]

    out = {name: here.client.get(f"/admin/curated/export?format={name}") for name in ("jsonl", "csv")}
    assert out["csv"].headers["content-type"].startswith("text/csv")
    assert 'filename="curated-2.jsonl"' in out["jsonl"].headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(out["csv"].content.decode("utf-8-sig"), newline="")))
    assert {row["id"]: row["answer"] for row in rows} == {"restart": "new", "rebuild": REBUILD["answer"]}
    older = here.client.get("/admin/curated/export?revision=1").text
    assert json.loads(older)["answer"] == RESTART["answer"]

    for id in ("restart", "rebuild"):
        here.client.delete(f"/admin/curated/{id}")
    for name, content in out.items():
        body = ImportReply.model_validate_json(
            here.client.post("/admin/curated/import", content=content.content).content
        )
        assert body.created == (2 if name == "jsonl" else 0) and body.unchanged == (0 if name == "jsonl" else 2)
    assert here.client.get("/admin/curated/export").text == out["jsonl"].text
    refused = here.client.post("/admin/curated/import?strict=true", content="\n".join(lines).encode())
    assert refused.status_code == 422 and "line 2" in refused.json()["detail"]


def test_only_admins(start: Start) -> None:
    here = start()
    store = here.system.store
    keys = {role: asyncio.run(store.create_key(role, role))[1] for role in ("reviewer", "admin")}
    time.sleep(1.2)  # the server looks for keys once a second
    for role, status in (("reviewer", 403), ("admin", 200)):
        head = {"Authorization": f"Bearer {keys[role]}"}
        assert here.client.get("/admin/curated", headers=head).status_code == status
        assert here.client.post("/admin/curated/import", content=b"{}", headers=head).status_code == status
    made = here.client.post("/admin/curated", json=RESTART, headers={"X-API-Key": keys["admin"]})
    assert made.json()["entry"]["updated_by"] == "admin"


def test_a_second_process_follows_within_a_quarter_of_a_second(here: Live) -> None:
    """Another `SqlStore` on the same file is all that another process has. The best of five: others may be at work."""
    waits = []
    with SqlStore.open(here.settings.store_url) as elsewhere:
        follower = LiveCurated(elsewhere.curated)
        for number in range(5):
            asyncio.run(follower.refresh())
            asyncio.run(_edit_elsewhere(elsewhere, number))
            began = time.perf_counter()
            while served(here, "如何重启集群") != f"answer {number}":
                assert time.perf_counter() - began < 5
                time.sleep(0.005)
            waits.append(time.perf_counter() - began)
    assert min(waits) < 0.25, waits


async def _edit_elsewhere(store: SqlStore, number: int) -> None:
    from router.types import CuratedEntry

    entry = CuratedEntry("restart", "如何重启集群？", f"answer {number}")
    if number:
        await store.curated.update(entry, number, "ben")
    else:
        await store.curated.create(entry, "ben")


def test_going_back_a_release_takes_the_curated_answers_along(here: Live) -> None:
    for name in ("one", "two"):
        asyncio.run(here.system.store.add_release(release(name)))
    here.client.post("/admin/releases/one/activate")
    add(here, RESTART)
    here.client.post("/admin/releases/two/activate")
    add(here, REBUILD)
    back = here.client.post("/admin/releases/one/activate").json()
    assert (back["active"], back["curated_revision"]) == (True, "3")
    assert (served(here, "如何重启集群"), served(here, "如何重建集群")) == (RESTART["answer"], "")
    here.client.post("/admin/releases/two/activate", json={"keep_curated": True})
    assert served(here, "如何重建集群") == ""


def test_a_store_that_cannot_be_read_serves_what_was_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with SqlStore.open(url) as store:
        live = LiveCurated(store.curated)
        asyncio.run(_edit_elsewhere(store, 0))
        asyncio.run(live.refresh())
        assert live.status() == "ok, revision 1, 1 entries"
        asyncio.run(store.write(lambda c: c.exec_driver_sql("ALTER TABLE curated_revisions RENAME TO gone").rowcount))
        asyncio.run(live.refresh())
        assert "revision 1" in live.problem and "cannot be read" in live.status()
        match = asyncio.run(live.match("如何重启集群"))
        assert match.entry is not None and match.entry.answer == "answer 0" and match.revision == "1"
        asyncio.run(store.write(lambda c: c.exec_driver_sql("ALTER TABLE gone RENAME TO curated_revisions").rowcount))
        asyncio.run(live.refresh())
        assert live.problem == ""


def test_an_older_database_put_back_is_taken_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with SqlStore.open(url) as store:
        live = LiveCurated(store.curated)
        for number in range(3):
            asyncio.run(_edit_elsewhere(store, number))
        asyncio.run(live.refresh())
        for sql in (
            "DELETE FROM curated_versions WHERE revision > 1",
            "DELETE FROM curated_revisions WHERE revision > 1",
            "UPDATE curated_heads SET version = 1",
        ):
            asyncio.run(store.write(lambda c, sql=sql: c.exec_driver_sql(sql).rowcount))  # type: ignore[misc]
        asyncio.run(live.refresh())
        assert live.revision == 1
        match = asyncio.run(live.match("如何重启集群"))
        assert match.entry is not None and match.entry.answer == "answer 0"


def test_the_reply_to_an_edit_comes_after_it_is_served(here: Live) -> None:
    for number in range(30):
        answer = f"answer {number}"
        if number:
            body = {"question": "如何重启集群？", "answer": answer, "version": number}
            assert here.client.put("/admin/curated/restart", json=body).status_code == 200
        else:
            add(here, {**RESTART, "answer": answer})
        assert served(here, "如何重启集群") == answer
    assert httpx.get(f"{here.url}/ready").json()["parts"]["curated"] == "ok, revision 30, 1 entries"


@pytest.mark.parametrize("id", ["编号 1", "a.b:c@d", "100%", "what?", "x" * 200])
def test_ids_of_others(here: Live, id: str) -> None:
    add(here, {**RESTART, "id": id})
    path = httpx.URL(f"{here.url}/admin/curated/").copy_with(raw_path=b"/admin/curated/" + _quoted(id))
    assert here.client.get(path).json()["id"] == id


def _quoted(text: str) -> bytes:
    return "".join(f"%{byte:02X}" for byte in text.encode()).encode()
