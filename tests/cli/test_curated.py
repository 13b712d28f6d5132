"""`answerloop curated …` as real processes: what it prints, how it ends, and what a running server makes of it."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.curated.test_store_checks import INTENTS
from tests.live import live
from tests.processes import COMMAND, environment

ROOT = Path(__file__).parents[2]
FAQ = [
    {"faq_id": "restart", "question": "如何重启集群？", "answer": "执行 restart。", "source": "ops.md", "lang": "zh"},
    {"faq_id": "rebuild", "question": "如何重建集群？", "answer": "=1+1", "source": "ops.md", "lang": "zh"},
]


class Line:
    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: str, given: str = "", rc: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, "curated", *words],
            env=environment(self.home),
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=ROOT,
        )
        assert done.returncode == rc, done.stderr
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture
def curated(tmp_path: Path) -> Line:
    (tmp_path / "home").mkdir()
    return Line(tmp_path / "home")


@pytest.fixture
def faq(tmp_path: Path) -> Path:
    file = tmp_path / "faq.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in FAQ), "utf-8")
    return file


def test_in_out_and_in_again(curated: Line, faq: Path, tmp_path: Path) -> None:
    report = json.loads(curated("import", str(faq), "--json").stdout)
    assert (report["created"], report["revision"], report["fields_left_out"]) == (2, "1", ["lang"])
    assert report["self_test"]["passed"]
    again = curated("import", "-", given=faq.read_text("utf-8"))
    assert "2 unchanged" in again.stderr and again.stdout == ""
    for name in ("out.csv", "out.jsonl"):
        assert "2 entries of revision 1" in curated("export", str(tmp_path / name)).stderr
        assert json.loads(curated("import", str(tmp_path / name), "--json").stdout)["unchanged"] == 2
    assert "'=1+1" in (tmp_path / "out.csv").read_text("utf-8")
    assert curated("export", "-").stdout == (tmp_path / "out.jsonl").read_text("utf-8")


def test_one_entry_from_add_to_delete(curated: Line) -> None:
    words = ["add", "How long are backups kept?", "-", "--variant", "backup retention", "--source", "backup.md"]
    made = json.loads(curated(*words, "--id", "keep", "--json", given="Seven days.\n").stdout)
    assert (made["entry"]["answer"], made["entry"]["version"]) == ("Seven days.", 1)
    assert "already" in curated(*words, "--id", "keep", given="x", rc=1).stderr
    assert "shadow" in curated("add", "how long are backups KEPT", "Ever.", "--id", "copy").stdout
    listed = json.loads(curated("list", "RETENTION", "--json").stdout)
    assert ([entry["id"] for entry in listed["entries"]], listed["total"]) == (["keep"], 1)
    assert "copy" in curated("list").stdout
    shown = curated("show", "keep").stdout
    assert "Seven days." in shown and "backup retention" in shown and "backup.md" in shown
    curated("delete", "keep")
    assert "no curated entry" in curated("show", "keep", rc=1).stderr
    history = json.loads(curated("show", "keep", "--history", "--json").stdout)
    assert [(one["version"], one["deleted"], one["updated_by"]) for one in history] == [
        (2, True, "command line"),
        (1, False, "command line"),
    ]


def test_trying_out(curated: Line, faq: Path) -> None:
    curated("import", str(faq))
    assert json.loads(curated("self-test", "--json").stdout)["asked"] == 2
    curated("add", "怎么重启集群", "别的", "--id", "other")
    failed = curated("self-test", rc=1)
    assert "shadow" in failed.stdout and "1 findings" in failed.stderr
    why = json.loads(curated("explain", "请问如何重建集群", "--json").stdout)
    assert (why["how"], why["entry_id"]) == ("exact", "rebuild")
    table = curated("explain", "如何停止集群").stdout
    assert "restart" in table and "guard" in table
    assert "blank" in curated("explain", " ", rc=1).stderr


def test_trying_out_says_what_a_server_would_answer(curated: Line) -> None:
    rows = [{"id": one.id, "question": one.question, "answer": "A", "variants": one.variants} for one in INTENTS]
    curated("import", "-", given=json.dumps(rows))
    why = json.loads(curated("explain", "someone has stolen the card from me", "--json").stdout)
    assert (why["how"], why["entry_id"], why["words_alone"]) == ("near", "card", "")
    assert "Words alone decide" in curated("explain", "卡被偷了").stderr
    assert json.loads(curated("self-test", "--json").stdout)["words_alone"] == ""


def test_what_is_refused_says_why(curated: Line, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("question,answer\nq1,a1\n,a2\n", "utf-8")
    strict = curated("import", str(bad), "--strict", rc=1)
    assert "line 3" in strict.stderr and curated("list", "--json").stdout.count('"id"') == 0
    report = curated("import", str(bad))
    assert "1 skipped" in report.stderr and "blank" in report.stdout
    bad.write_text("question,answer\n,a2\n", "utf-8")
    curated("import", str(bad), rc=1)
    assert "cannot be read" in curated("import", str(tmp_path / "none.csv"), rc=1).stderr
    assert "cannot be written" in curated("export", str(tmp_path / "none" / "x.csv"), rc=1).stderr
    assert "no curated revision 9" in curated("export", "-", "--revision", "9", rc=1).stderr
    curated("list", "--status", "dead", rc=2)


def test_a_running_server_serves_what_the_command_line_wrote(curated: Line, faq: Path) -> None:
    with live(curated.home) as server:
        curated("import", str(faq))
        until, parts = time.monotonic() + 5, ""
        while "2 entries" not in parts and time.monotonic() < until:
            parts = httpx.get(f"{server.url}/ready").json()["parts"]["curated"]
        assert parts == "ok, revision 1, 2 entries"


def test_help_says_what_keeping_means(curated: Line) -> None:
    for words in (["rollback"], ["releases", "activate"]):
        shown = subprocess.run(
            [*COMMAND, *words, "--help"], env=environment(curated.home), capture_output=True, text=True, cwd=ROOT
        )
        assert "--keep-curated" in shown.stdout


def test_an_export_of_an_older_revision(curated: Line, faq: Path) -> None:
    curated("import", str(faq))
    curated("delete", "restart")
    assert len(curated("export", "-").stdout.splitlines()) == 1
    assert len(curated("export", "-", "--revision", "1").stdout.splitlines()) == 2
