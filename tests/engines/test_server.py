"""What only the server backend does: names of its own, retries, errors in our words, help when its library is missing.

No Qdrant server is at hand here; the HTTP side is tested against a small real HTTP server that answers as told.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from indexer.backends import qdrant_server
from indexer.backends.qdrant_server import QdrantEngines
from router.errors import IndexUnavailable
from tests.engines.test_contract import DIMENSIONS, POINTS, filled, keys, query

pytestmark = pytest.mark.filterwarnings(
    "ignore:Payload indexes have no effect", "ignore:Api key is used with an insecure"
)


class Told(ThreadingHTTPServer):
    """Answers with `script`, one (status, JSON) after the other, and then with the last; remembers what was asked."""

    script: list[tuple[int, object]]
    asked: list[tuple[str, str, str | None]]


class _Handler(BaseHTTPRequestHandler):
    server: Told

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append((self.command, self.path, self.headers.get("api-key")))
        status, body = self.server.script.pop(0) if len(self.server.script) > 1 else self.server.script[0]
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def told() -> Iterator[Told]:
    server = Told(("127.0.0.1", 0), _Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdrant_server, "_PAUSE_S", 0.001)


def ok(result: object) -> tuple[int, object]:
    return 200, {"result": result, "status": "ok", "time": 0.0}


def failed(status: int, said: str) -> tuple[int, object]:
    return status, {"status": {"error": said}, "time": 0.0}


def url(server: Told) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def folder_naming(path: Path, name: str) -> Path:
    path.mkdir()
    (path / "collection.json").write_text(json.dumps({"collection": name}))
    return path


def test_the_key_goes_with_every_request_and_a_hiccup_passes(told: Told, tmp_path: Path) -> None:
    told.script = [failed(503, "starting"), failed(500, "oh"), ok({"exists": True})]
    QdrantEngines(url(told), "secret").open(folder_naming(tmp_path / "v", "answerloop-1"), DIMENSIONS)
    assert told.asked == [("GET", "/collections/answerloop-1/exists", "secret")] * 3


def test_a_server_that_stays_down_is_given_up_after_three_attempts(told: Told, tmp_path: Path) -> None:
    told.script = [failed(500, "disk full")]
    with pytest.raises(IndexUnavailable, match="disk full") as raised:
        QdrantEngines(url(told), "secret").open(folder_naming(tmp_path / "v", "a"), DIMENSIONS)
    assert len(told.asked) == 3
    assert url(told) in str(raised.value) and "secret" not in str(raised.value)


def test_a_refused_key_is_not_tried_again(told: Told, tmp_path: Path) -> None:
    told.script = [failed(403, "Invalid API key")]
    with pytest.raises(IndexUnavailable, match="Invalid API key"):
        QdrantEngines(url(told)).open(folder_naming(tmp_path / "v", "a"), DIMENSIONS)
    assert len(told.asked) == 1


def test_too_many_requests_wait_and_pass(told: Told, tmp_path: Path) -> None:
    told.script = [failed(429, "rate limit"), ok({"exists": True})]
    QdrantEngines(url(told)).open(folder_naming(tmp_path / "v", "a"), DIMENSIONS)
    assert len(told.asked) == 2


def test_nobody_at_the_address(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable, match=r"127\.0\.0\.1:9.*look for a collection"):
        QdrantEngines("http://127.0.0.1:9").open(folder_naming(tmp_path / "v", "a"), DIMENSIONS)


def test_a_server_that_does_not_answer_is_not_waited_for(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qdrant_server, "_TIMEOUT_S", 1)
    monkeypatch.setattr(qdrant_server, "_ATTEMPTS", 1)
    monkeypatch.setattr(_Handler, "do_GET", lambda _: time.sleep(1.5))
    with pytest.raises(IndexUnavailable, match="timed out"):
        QdrantEngines(url(told)).open(folder_naming(tmp_path / "v", "a"), DIMENSIONS)


def test_what_is_created_on_the_server(told: Told, tmp_path: Path) -> None:
    told.script = [ok({"exists": False}), ok(True)]
    told.script += [ok({"operation_id": 1, "status": "completed"})]
    QdrantEngines(url(told), prefix="team").create(tmp_path / "e", DIMENSIONS)
    name = json.loads((tmp_path / "e" / "collection.json").read_text())["collection"]
    assert name.startswith("team-")
    wanted = [("GET", f"/collections/{name}/exists"), ("PUT", f"/collections/{name}")]
    assert [(verb, path.split("?")[0]) for verb, path, _ in told.asked] == wanted + [
        ("PUT", f"/collections/{name}/index")
    ] * 3


def test_a_copied_folder_cannot_write_into_the_parents_collection(tmp_path: Path) -> None:
    engines = QdrantEngines(":memory:")
    filled(engines, tmp_path / "v1")
    shutil.copytree(tmp_path / "v1", tmp_path / "v2")
    copy = engines.open(tmp_path / "v2", DIMENSIONS)
    for write in (lambda: copy.upsert(POINTS[:1]), lambda: copy.delete([12])):
        with pytest.raises(RuntimeError, match="derive"):
            write()
    assert len(keys(copy.candidates([query([2])], 10)[0], "bm25")) == 2


def test_dropping_deletes_the_collection(tmp_path: Path) -> None:
    engines = QdrantEngines(":memory:")
    filled(engines, tmp_path / "v1")
    engines.derive(tmp_path / "v1", tmp_path / "v2", DIMENSIONS)
    client = engines._server.client
    assert len(client.get_collections().collections) == 2
    engines.drop(tmp_path / "v1")
    engines.drop(tmp_path / "v1")  # a killed clean-up is done again
    assert len(client.get_collections().collections) == 1
    with pytest.raises(IndexUnavailable, match="is not on the Qdrant server"):
        engines.open(tmp_path / "v1", DIMENSIONS)


def test_without_its_library_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['qdrant_client'] = None\n"
        "from router.errors import Misconfigured\n"
        "try:\n    import indexer.backends.qdrant_server\n"
        "except Misconfigured as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'answerloop[qdrant]'" in done.stdout
