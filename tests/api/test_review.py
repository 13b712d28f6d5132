"""The queue over HTTP: ask, wait, decide, and everybody is served."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from tests.api.conftest import Start
from tests.live import Live

RIGHT = {
    "kind": "corrected",
    "answer": "Run `unicorn --polish`.",
    "evidence": [{"source": "docs/horn.md", "quote": "unicorn --polish", "passage_id": "p1"}],
}


def waiting(here: Live, question: str = "How do I polish the unicorn?") -> dict[str, Any]:
    reply: dict[str, Any] = here.ask(question).json()
    assert reply["route"] == "abstained"
    return reply


def until(done: Callable[[], bool], seconds: float = 8.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_the_loop_ask_decide_and_everybody_is_served(here: Live) -> None:
    first, second = waiting(here), waiting(here)
    item_id = first["review"]["item_id"]
    assert here.client.get(f"/ask/{second['id']}").json()["state"] == "waiting"
    listed = here.client.get("/review/items").json()
    assert [(one["id"], one["asks"]) for one in listed["items"]] == [(item_id, 2)]
    assert here.client.post(f"/review/items/{item_id}/claim").json()["item"]["claimed_by"] == "local"
    view = here.client.get(f"/review/items/{item_id}").json()
    assert {one["id"] for one in view["traces"]} == {first["id"], second["id"]}
    began = time.monotonic()
    verdict = here.client.post(f"/review/items/{item_id}/verdict", json=RIGHT)
    assert verdict.status_code == 200, verdict.text
    entry = here.client.get(f"/admin/curated/{verdict.json()['entry_id']}").json()
    assert (entry["answer"], entry["citations"][0]["passage_id"]) == (RIGHT["answer"], "p1")
    assert here.system.curated.revision == 1, "this process serves the entry when the verdict returns"
    assert time.monotonic() - began < 1
    standing = here.client.get(f"/ask/{second['id']}").json()
    assert (standing["state"], standing["resolution"]["answer"]) == ("resolved", RIGHT["answer"])
    assert standing["resolution"]["current"] is True
    assert here.client.post(f"/review/items/{item_id}/verdict", json=RIGHT).status_code == 409
    assert here.client.get("/review/items").json() == {"items": [], "total": 0}
    undone = here.client.post(f"/review/items/{item_id}/undo").json()
    assert undone["state"] == "undone"
    assert here.client.get(f"/ask/{second['id']}").json()["state"] == "waiting"
    assert here.system.curated.entries.entries == {}
    history = here.client.get(f"/review/items/{item_id}").json()["history"]
    assert [line["what"] for line in history] == ["review.undo", "review.verdict", "review.claim"]


def test_a_verdict_says_what_its_answer_collides_with(here: Live) -> None:
    item_id = waiting(here)["review"]["item_id"]
    variant = {**RIGHT, "variants": ["How do I wash the unicorn?"]}
    first = here.client.post(f"/review/items/{item_id}/verdict", json=variant).json()
    assert first["collisions"] == []
    other = waiting(here, "Which brush does the unicorn stable buy?")["review"]["item_id"]
    reply = here.client.post(f"/review/items/{other}/verdict", json={**variant, "answer": "A soft one."}).json()
    (found,) = reply["collisions"]
    assert (found["problem"], {found["entry_id"], found["other_id"]}) == (
        "shadow",
        {first["entry_id"], reply["entry_id"]},
    )


def test_a_request_key_makes_a_verdict_repeatable(here: Live) -> None:
    item_id = waiting(here)["review"]["item_id"]
    key = {"Idempotency-Key": "1"}
    first = here.client.post(f"/review/items/{item_id}/verdict", json=RIGHT, headers=key)
    again = here.client.post(f"/review/items/{item_id}/verdict", json=RIGHT, headers=key)
    assert (first.status_code, again.json()) == (200, first.json())
    assert here.client.post(f"/review/items/{item_id}/verdict", json=RIGHT).status_code == 409


def test_new_questions_are_put_where_they_belong(here: Live) -> None:
    one = waiting(here, "How can I restart the unicorn stable?")
    same = waiting(here, "how do I restart the unicorn stable")
    other = waiting(here, "How can I rebuild the unicorn stable?")

    def joined() -> bool:
        return bool(here.client.get("/review/items").json()["total"] == 2)

    until(joined)
    time.sleep(1.5)  # another look changes nothing
    assert joined()
    asks = {item["question"]: item["asks"] for item in here.client.get("/review/items").json()["items"]}
    assert asks == {"How can I restart the unicorn stable?": 2, "How can I rebuild the unicorn stable?": 1}
    item_id = one["review"]["item_id"]
    view = here.client.get(f"/review/items/{same['review']['item_id']}").json()
    assert view["item"]["id"] == item_id
    assert view["suggested"]["variants"] == ["how do I restart the unicorn stable"]
    assert view["similar"][0]["item_id"] == other["review"]["item_id"]
    assert view["suggested"]["negatives"] == ["How can I rebuild the unicorn stable?"]
    here.client.post(f"/review/items/{item_id}/split", json={"wordings": [same["review"]["item_id"]]})
    time.sleep(1.5)
    assert here.client.get("/review/items").json()["total"] == 3, "what a reviewer split is not joined again"
    body = {"items": [same["review"]["item_id"]]}
    assert here.client.post(f"/review/items/{item_id}/merge", json=body).json() == {"item_id": item_id}


def test_an_answer_is_called_back(here: Live) -> None:
    sent = here.ask("add a read-only node").json()
    assert here.client.get(f"/ask/{sent['id']}").json()["state"] == "answered"
    made = here.client.post(f"/review/traces/{sent['id']}/retract", json={"reason": "outdated"}).json()
    assert (made["recipients"], made["answer"]) == (1, sent["answer"])
    assert here.client.get(f"/ask/{sent['id']}").json()["state"] == "retracted"
    assert here.system.review.desk.blocked(sent["answer"]), "it is not sent again from the moment the call returns"
    got = here.client.get(f"/review/retractions/{made['id']}/recipients").json()["recipients"]
    assert [one["trace_id"] for one in got] == [sent["id"]]
    assert here.client.post(f"/review/retractions/{made['id']}/lift").json()["lifted"]
    assert here.client.post(f"/review/retractions/{made['id']}/lift").status_code == 409
    assert not here.system.review.desk.blocked(sent["answer"])
    refused = waiting(here)
    assert here.client.post(f"/review/traces/{refused['id']}/retract").status_code == 422


class Receiver(BaseHTTPRequestHandler):
    got: ClassVar[list[tuple[str, bytes, str]]] = []
    fail_first: ClassVar[int] = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        Receiver.got.append((self.path, body, self.headers.get("x-answerloop-signature", "")))
        failing = len(Receiver.got) <= Receiver.fail_first
        self.send_response(302 if failing else 204)
        self.send_header("location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def receiver(fail_first: int = 0) -> Iterator[str]:
    Receiver.got, Receiver.fail_first = [], fail_first
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_webhooks_are_signed_and_tried_again_and_follow_nobody(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.review.webhooks.FIRST_WAIT_S", 0.2)
    with receiver(fail_first=1) as url:
        here = start(webhook_url=url, webhook_secret="secret")
        asked = waiting(here)
        here.client.post(f"/review/items/{asked['review']['item_id']}/verdict", json=RIGHT)
        until(lambda: len(Receiver.got) == 2)
        time.sleep(1.5)
        (path, body, signature), again = Receiver.got
        assert (path, again[:2]) == ("/hook", (path, body))
        stamp, _, signed = signature.removeprefix("t=").partition(",v1=")
        assert hmac.new(b"secret", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest() == signed
        told = json.loads(body)
        assert (told["event"], told["data"]["answer"]) == ("item.resolved", RIGHT["answer"])
        assert [one["id"] for one in told["data"]["traces"]] == [asked["id"]]


def test_what_cannot_be_done_says_so(here: Live) -> None:
    item_id = waiting(here)["review"]["item_id"]
    assert here.client.get("/ask/nobody").status_code == 404
    for path in ("claim", "release", "undo", "confirm"):
        assert here.client.post(f"/review/items/nobody/{path}").status_code == 404
    assert here.client.post(f"/review/items/{item_id}/verdict", json={"kind": "corrected"}).status_code == 422
    assert (
        here.client.post(f"/review/items/{item_id}/verdict", json={"kind": "duplicate", "entry_id": "x"}).status_code
        == 404
    )
    assert here.client.post(f"/review/items/{item_id}/split", json={"wordings": [item_id]}).status_code == 422
    assert here.client.get(f"/review/items/{item_id}").json()["item"]["state"] == "pending"
