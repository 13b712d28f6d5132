"""After the installation nothing goes over the network: documents are indexed and questions answered without."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.processes import environment

ROOT = Path(__file__).resolve().parents[2]
WATCHED = """
import contextlib, io, json, socket, sys
tried = []
def refused(*where, **_more):
    tried.append(repr(where[-1:]))
    raise OSError("no network here")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = socket.socket.connect_ex = refused
from services.cli import main
said = io.StringIO()
for sys.argv in json.loads(sys.argv[1]):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
        main()
json.dump({"tried": tried, "said": said.getvalue()}, sys.stdout)
"""


def test_indexing_and_asking_need_no_network(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "nodes.md").write_text("# Nodes\n\nThe default of `max_nodes` is 16.\n", "utf-8")
    (docs / "jiedian.md").write_text("# 节点\n\n集群最多有 16 个节点。\n", "utf-8")
    commands = [
        ["answerloop", "index", "--source", f"docs={docs}"],
        ["answerloop", "ask", "What is the default of max_nodes?", "--json"],
        ["answerloop", "ask", "集群最多有多少个节点？", "--json"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps(commands)],
        cwd=ROOT, env=environment(tmp_path / "home", corpus_seconds=3), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["tried"] == []
    assert found["said"].count('"route": "grounded"') + found["said"].count('"route":"grounded"') == 2
