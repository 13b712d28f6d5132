"""Documents, reindex jobs in a child process, releases, and what operators look at."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.types import Release
from services.api.wire import JobOut
from services.generation.service import ModelService
from services.jobs import REINDEX, REPLAY
from services.settings import Settings
from services.store.records import JobState
from services.store.sql import SqlStore
from tests.api.conftest import Start
from tests.live import Live, live
from tests.serving.speaker import Speaker, speaking
from tests.tiny_system import TinySystem


def wait_for(server: Live, job: str, *states: str) -> JobOut:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found = JobOut.model_validate_json(server.client.get(f"/admin/jobs/{job}").content)
        if found.state in states:
            return found
        time.sleep(0.05)
    raise AssertionError(f"the job never became {states}: {found}")


def start_job(server: Live, steps: object, **body: Any) -> httpx.Response:
    (server.settings.home / "steps").write_text(str(steps))
    return server.client.post("/admin/reindex", json=body)


def test_a_reindex_runs_in_another_process_and_is_followed(here: Live) -> None:
    reply = start_job(here, 10, full=True)
    assert reply.status_code == 202
    assert reply.headers["location"] == reply.json()["url"] == f"/admin/jobs/{reply.json()['id']}"
    running = wait_for(here, reply.json()["id"], "running")
    assert running.params == {"full": True, "hold": False, "force": False, "who": "local"}
    assert start_job(here, 10).status_code == 409
    assert here.ask().status_code == 200
    done = wait_for(here, reply.json()["id"], "done")
    assert (done.stage, done.done, done.total, done.result) == ("embed", 10, 10, {"steps": 10, "waits": ""})
    assert [job["state"] for job in here.client.get("/admin/jobs").json()["jobs"]] == ["done"]
    assert 'answerloop_reindex_job{state="done"} 1.0' in here.client.get("/metrics").text


def test_a_release_is_held_or_forced_and_never_both(here: Live) -> None:
    assert start_job(here, 0, hold=True, force=True).status_code == 422
    for chosen in ("hold", "force"):
        done = wait_for(here, start_job(here, 0, **{chosen: True}).json()["id"], "done")
        assert [name for name, value in done.params.items() if value is True] == [chosen]


@pytest.mark.parametrize(("release", "state"), [("r9", "held"), ("r1", "done")])
def test_a_release_that_waits_is_seen_by_who_watches(here: Live, release: str, state: str) -> None:
    """Also where something else was done since; not any more once it was served (r1 was), whatever came after it."""

    async def reindexed() -> None:
        for name in ("r1", "r2"):
            await here.system.store.add_release(Release(name, "2026-11-01", "v1", "0", "none", "none", "c"))
            await here.system.store.activate_release(name, "test")
        job = await here.system.store.create_job(REINDEX, {"who": "test"})
        result = {"release": release, "waits": "4 of 8 past questions"}
        await here.system.store.update_job(job.id, state=JobState.DONE, result=result)
        await here.system.store.create_job(REPLAY, {"who": "test"})

    asyncio.run(reindexed())
    assert f'answerloop_reindex_job{{state="{state}"}} 1.0' in here.client.get("/metrics").text


def test_a_failed_job_says_why_and_the_next_may_start(here: Live) -> None:
    failed = wait_for(here, start_job(here, "nonsense").json()["id"], "failed")
    assert failed.message.startswith("The source cannot be read")
    assert wait_for(here, start_job(here, 0).json()["id"], "done").result == {"steps": 0, "waits": ""}


def test_a_killed_child_is_an_interrupted_job(here: Live) -> None:
    job = start_job(here, 200).json()["id"]
    wait_for(here, job, "running")
    stored = asyncio.run(here.system.store.get_job(job))
    assert stored.pid != os.getpid()
    os.kill(stored.pid, signal.SIGKILL)
    assert wait_for(here, job, "interrupted").finished is not None
    assert start_job(here, 0).status_code == 202


def test_a_stopping_server_ends_its_child(tmp_path: Path) -> None:
    with live(tmp_path / "other") as server:
        job = start_job(server, 200).json()["id"]
        wait_for(server, job, "running")
        pid = asyncio.run(server.system.store.get_job(job)).pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_command_line_and_the_server_do_not_build_at_the_same_time(here: Live) -> None:
    job = start_job(here, 200).json()["id"]
    wait_for(here, job, "running")
    command = [sys.executable, "-m", "tests.tiny_worker", "index"]
    tried = subprocess.run(command, env=here.settings.to_env(), capture_output=True, text=True, timeout=30)
    assert tried.returncode == 1
    assert f"error: Job {job} is already building an index" in tried.stderr


def test_documents_come_and_go(here: Live) -> None:
    post = here.client.post
    made = post("/admin/documents?path=guide/部署.md", content="# 部署\n".encode())
    assert made.status_code == 201, made.text
    assert made.json()["path"] == "uploads/guide/部署.md"
    assert (here.settings.uploads / "guide/部署.md").read_text() == "# 部署\n"
    assert post("/admin/documents?path=guide/部署.md", content=b"# two").status_code == 200
    form = post("/admin/documents", files={"file": ("a.md", b"# A")}, data={"path": "forms/a.md"})
    assert (form.status_code, form.json()["size"]) == (201, 3)
    assert post("/admin/documents", files={"file": ("b.html", b"<p>B")}).json()["path"] == "uploads/b.html"
    listed = [document["path"] for document in here.client.get("/admin/documents").json()["documents"]]
    assert listed == ["uploads/b.html", "uploads/forms/a.md", "uploads/guide/部署.md"]
    assert here.client.delete("/admin/documents/uploads/b.html").status_code == 200
    assert here.client.delete("/admin/documents/b.html").status_code == 404
    assert here.client.delete("/admin/documents/guide").status_code in {404, 422}
    audit = asyncio.run(here.system.store.list_audit())
    assert [entry.what for entry in audit].count("document.upload") == 4


def test_an_upload_may_start_the_reindex(here: Live) -> None:
    (here.settings.home / "steps").write_text("0")
    reply = here.client.post("/admin/documents?path=a.md&reindex=true", content=b"# A")
    assert wait_for(here, reply.json()["job"]["id"], "done").result == {"steps": 0, "waits": ""}


def test_what_is_deleted_is_not_answered_from_whatever_that_changes(here: Live) -> None:
    (here.settings.home / "steps").write_text("0")
    for name in ("a.md", "b.md"):
        here.client.post(f"/admin/documents?path={name}", content=b"# A")
    reply = here.client.delete("/admin/documents/uploads/a.md?reindex=true")
    assert wait_for(here, reply.json()["job"]["id"], "done").params["force"] is True


UNSAFE = ["../a.md", "/etc/a.md", "a/../../b.md", ".hidden.md", "a//b.md", "a\\b.md", "a\x00.md", "C:/a.md", "a.exe"]
UNSAFE += ["a", "x" * 300 + ".md", "/".join("abcdefghijklmnop") + ".md", "a.md/", " a.md", "a\u202egnp.md", "", "C:.md"]


@pytest.mark.parametrize("path", UNSAFE)
def test_a_name_that_is_not_safe(shared_server: Live, path: str) -> None:
    reply = shared_server.client.post("/admin/documents", params={"path": path}, content=b"# A")
    assert reply.status_code == 422, reply.text
    named = shared_server.client.post("/admin/documents", files={"file": ("a.md", b"x")}, data={"path": path or "?.md"})
    assert named.status_code == 422, named.text
    folder = shared_server.settings.uploads
    assert not folder.exists() or not list(folder.rglob("*"))


def test_a_link_does_not_lead_out(here: Live, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.md").write_text("kept")
    here.settings.uploads.mkdir()
    (here.settings.uploads / "link").symlink_to(outside)
    assert here.client.post("/admin/documents?path=link/a.md", content=b"# A").status_code == 422
    assert here.client.delete("/admin/documents/link/kept.md").status_code == 422
    assert [path.name for path in outside.iterdir()] == ["kept.md"]


def test_uploads_that_cannot_be(start: Start) -> None:
    here = start(max_upload_bytes=10_000)
    post = here.client.post
    assert post("/admin/documents?path=a.md", content=b"x" * 50_000).json()["code"] == "body_too_large"
    assert post("/admin/documents?path=a.md", content=b"x" * 10_001).json()["code"] == "body_too_large"
    assert post("/admin/documents?path=a.md", content=b" \n").json()["code"] == "empty_document"
    assert post("/admin/documents", content=b"x").json()["code"] == "no_path"
    assert post("/admin/documents", files={"other": ("a.md", b"x")}).json()["code"] == "no_file"
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert post("/admin/documents", content=b"--y\r\nnonsense", headers=broken).status_code in {400, 422}
    assert post("/admin/documents", content=b"x", headers={"content-type": "multipart/form-data"}).status_code == 400


def test_releases_go_forward_and_back(here: Live) -> None:
    store = here.system.store
    for number in (1, 2):
        release = Release(f"r{number}", f"2026-01-0{number}T00:00:00.000000Z", f"v{number}", "c", "m", "p", "k")
        asyncio.run(store.add_release(release))
        asyncio.run(store.activate_release(release.id, "test"))
    listed = here.client.get("/admin/releases").json()["releases"]
    assert [(row["id"], row["active"]) for row in listed] == [("r2", True), ("r1", False)]
    assert here.client.post("/admin/releases/r1/activate").json()["active"] is True
    assert here.ask().json()["release"] == "r1"
    assert here.client.get("/version").json()["release"] == "r1"
    assert here.client.post("/admin/releases/never/activate").status_code == 404
    metrics = here.client.get("/metrics").text
    assert 'answerloop_release_info{index_version="v1",release="r1"} 1.0' in metrics


def test_a_release_activated_elsewhere_is_noticed(here: Live) -> None:
    release = Release("r9", "2026-01-09T00:00:00.000000Z", "v9", "c", "m", "p", "k")
    asyncio.run(here.system.store.add_release(release))
    with SqlStore.open(here.settings.store_url) as elsewhere:
        asyncio.run(elsewhere.activate_release("r9", "another process"))
    until = time.monotonic() + 5
    while here.ask().json()["release"] != "r9" and time.monotonic() < until:
        time.sleep(0.1)
    assert here.ask().json()["release"] == "r9"


def test_an_adapter_is_tried_on_a_share_of_the_questions_and_ended(tmp_path: Path, start: Start) -> None:
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "adapter_model.safetensors").write_bytes(b"weights")
    wanted = {"folder": str(tmp_path / "trial"), "share": 0.25}
    with speaking(Speaker("tuned-1")) as speaker:
        model = ModelService(Settings.from_env({"ANSWERLOOP_GENERATOR_URL": speaker.endpoint.url}))
        here = start(system_options={"model": model})
        assert here.client.post("/admin/adapter", json=wanted).status_code == 503  # no model was reached yet
        asyncio.run(model.look())
        reply = here.client.post("/admin/adapter", json=wanted)
        assert reply.status_code == 201 and reply.json()["model"].startswith("trial-")
        assert speaker.adapters == [reply.json()["model"]]
        assert "25% of questions to trial-" in model.status()
        assert here.client.post("/admin/adapter", json=wanted).status_code == 409
        assert here.client.delete("/admin/adapter").status_code == 204
        assert not speaker.adapters and "trial-" not in model.status()
        no_adapter = {"folder": str(tmp_path), "share": 0.25}
        assert here.client.post("/admin/adapter", json=no_adapter).status_code == 422
        done = [one.what for one in asyncio.run(here.system.store.list_audit())]
        assert done[:2] == ["adapter.end", "adapter.try"]


def test_without_a_model_no_adapter_can_be_tried(shared_server: Live) -> None:
    reply = shared_server.client.post("/admin/adapter", json={"folder": "x", "share": 0.5})
    assert reply.status_code == 409 and "no model writes the answers" in reply.json()["detail"]


def test_metrics_count_by_template_and_not_by_path(here: Live) -> None:
    here.ask("zzz")
    for path in ("/nothing/1", "/nothing/2", "/admin/jobs/a", "/admin/jobs/b"):
        assert here.client.get(path).status_code == 404
    text = here.client.get("/metrics").text
    assert 'answerloop_http_requests_total{method="POST",path="/ask",status="200"} 1.0' in text
    assert 'answerloop_http_requests_total{method="GET",path="/admin/jobs/{id}",status="404"} 2.0' in text
    assert 'answerloop_http_requests_total{method="GET",path="unmatched",status="404"} 2.0' in text
    assert "/nothing" not in text
    assert 'answerloop_answers_total{route="abstained"} 1.0' in text
    assert "answerloop_review_pending 1.0" in text
    assert "answerloop_ready 1.0" in text


def test_what_was_put_right_in_a_models_citations_is_counted(here: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = TinySystem._trace
    counted = {"citations_invented": 2.0, "citations_mended": 1.0}
    monkeypatch.setattr(TinySystem, "_trace", lambda *of: replace(plain(*of), features=counted))
    for _ in range(2):
        here.ask("add a read-only node")
    text = here.client.get("/metrics").text
    assert "answerloop_citations_invented_total 4.0" in text and "answerloop_citations_mended_total 2.0" in text


def test_what_is_not_there(shared_server: Live) -> None:
    for method, path, status in (("GET", "/nope", 404), ("PUT", "/ask", 405), ("GET", "/docs", 404)):
        reply = shared_server.client.request(method, path)
        assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
        assert path in reply.json()["detail"]
