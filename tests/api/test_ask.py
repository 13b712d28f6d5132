"""POST /ask, /search, /feedback: the contract, the stream and the limits."""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import pytest

from services.api import ask
from services.api.ask import pieces
from services.api.wire import AskReply, Problem, SearchReply
from tests.api.conftest import Start
from tests.live import Live


def problem(reply: httpx.Response, status: int, code: str) -> Problem:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate_json(reply.content)
    assert (found.status, found.code) == (status, code)
    return found


def events(text: str) -> list[tuple[str, dict[str, object]]]:
    found = []
    for block in text.strip().split("\n\n"):
        if not block.startswith(":"):
            name, data = block.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_the_reply_is_the_one_that_was_promised(shared_server: Live) -> None:
    reply = AskReply.model_validate_json(shared_server.ask().content, strict=True)
    assert reply.route == "grounded"
    assert reply.citations[0].source == "docs/nodes.md"
    assert reply.citations[0].heading == "Manual > docs/nodes.md"
    assert reply.answer == reply.citations[0].quote
    assert not reply.review.queued


def test_not_knowing_is_an_answer_and_goes_to_people(here: Live) -> None:
    reply = here.ask("zzz").json()
    assert reply["route"] == "abstained"
    assert reply["review"]["queued"]
    items = here.client.get("/review/items").json()["items"]
    assert [item["id"] for item in items] == [reply["review"]["item_id"]]
    assert items[0]["asks"] == 1
    assert here.client.get("/review/items?state=decided").json()["items"] == []


def test_history_filters_and_session_reach_the_system(here: Live) -> None:
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert here.ask("read-only node?", history=history, session_id="s", filters={"source": "docs"}).status_code == 200
    asked = here.system.asked[-1]
    assert [(turn.role, turn.content) for turn in asked.history] == [("user", "a"), ("assistant", "b")]
    assert (asked.session_id, dict(asked.filters)) == ("s", {"source": "docs"})


def test_the_stream_is_deltas_and_then_the_whole_object(shared_server: Live) -> None:
    reply = shared_server.ask(stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    *deltas, (last, done) = events(reply.text)
    assert last == "done"
    assert {name for name, _ in deltas} == {"delta"}
    assert len(deltas) == 2
    assert "".join(str(data["text"]) for _, data in deltas) == done["answer"]
    AskReply.model_validate(done)


def test_an_error_after_the_stream_began_is_an_event(start: Start) -> None:
    here = start(system_options={"broken": True})
    reply = here.ask(stream=True)
    assert reply.status_code == 200
    assert [(name, data["code"]) for name, data in events(reply.text)] == [("error", "index_unavailable")]


def test_a_long_wait_is_kept_alive_by_comments(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "KEEP_ALIVE_S", 0.05)
    text = start(system_options={"delay_s": 0.4}).ask(stream=True).text
    assert text.startswith(": still working\n\n")
    assert events(text)[-1][0] == "done"


def test_who_hangs_up_frees_the_place(start: Start) -> None:
    here = start(system_options={"delay_s": 5.0}, max_in_flight=1, max_queued=0)
    with pytest.raises(httpx.ReadTimeout):
        here.client.post("/ask", json={"question": "node", "stream": True}, timeout=0.3)
    here.system.delay_s = 0.0
    time.sleep(0.3)
    assert here.ask().status_code == 200


@pytest.mark.parametrize("text", ["", "One.", "One. Two!  Three", "一。二？三", "a\n\nb", "v1.2.3 is out. Ok"])
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


def test_search_gives_every_score(shared_server: Live) -> None:
    reply = shared_server.client.post("/search", json={"question": "restore backups", "limit": 2})
    found = SearchReply.model_validate_json(reply.content, strict=True)
    assert found.hits[0].document == "docs/backup.md"
    assert len(found.hits) == 2
    assert found.hits[0].scores["bm25"] == 2.0
    only = {"question": "restore backups", "filters": {"document": "docs/zh.md"}}
    assert [hit["document"] for hit in shared_server.client.post("/search", json=only).json()["hits"]] == ["docs/zh.md"]


def test_feedback_is_kept_and_a_thumb_down_goes_to_people(here: Live) -> None:
    trace = here.ask().json()["id"]
    down = {"id": trace, "rating": "down", "comment": "wrong\x00"}
    assert here.client.post("/feedback", json=down).status_code == 204
    assert here.client.get("/review/items").json()["items"][0]["cause"] == "thumbs_down"
    problem(here.client.post("/feedback", json={"id": "never", "rating": "up"}), 404, "not_found")
    problem(here.client.post("/feedback", json={"id": trace, "rating": "meh"}), 422, "invalid_request")


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u2060", "\x00\x01"])
def test_a_blank_question(shared_server: Live, text: str) -> None:
    problem(shared_server.ask(text), 422, "blank_question")


def test_sizes(shared_server: Live) -> None:
    assert shared_server.ask("n" * 2000).status_code == 200
    assert "2001" in problem(shared_server.ask("n" * 2001), 422, "question_too_long").detail
    turn = {"role": "user", "content": "x" * 401}
    assert shared_server.ask("node", history=[turn] * 49).status_code == 200
    problem(shared_server.ask("node", history=[turn] * 50), 422, "history_too_long")
    problem(shared_server.ask("node", history=[{"role": "user", "content": ""}] * 51), 422, "history_too_long")
    problem(shared_server.ask("n" * 70_000), 413, "body_too_large")


def test_a_body_without_a_length_is_bounded_too(shared_server: Live) -> None:
    sent = 0

    def endless() -> object:
        nonlocal sent
        while sent < 200:
            sent += 1
            yield b"x" * 1024

    headers = {"content-type": "application/json"}
    problem(shared_server.client.post("/ask", content=endless(), headers=headers), 413, "body_too_large")  # type: ignore[arg-type]


def test_unknown_fields_and_wrong_types_are_named(shared_server: Live) -> None:
    found = problem(shared_server.ask(questions="x"), 422, "invalid_request")
    assert found.errors == [{"where": "body.questions", "what": "Extra inputs are not permitted"}]
    problem(shared_server.ask(7), 422, "invalid_request")
    problem(shared_server.ask(filters={"colour": "x"}), 422, "invalid_request")
    problem(shared_server.ask(history=[{"role": "system", "content": "x"}]), 422, "invalid_request")


@pytest.mark.parametrize(
    "body", [b"{", b"", b"\xff\xfe", b"[" * 60_000, b'{"question": ' + b"9" * 6_000 + b"}", b"null"]
)
def test_what_is_no_json_object(shared_server: Live, body: bytes) -> None:
    reply = shared_server.client.post("/ask", content=body, headers={"content-type": "application/json"})
    assert reply.status_code in {400, 422}, reply.text
    assert reply.headers["content-type"] == "application/problem+json"


def test_half_a_surrogate_pair_and_control_characters_are_made_harmless(here: Live) -> None:
    body = b'{"question": "read-only node \\ud83d\\u0000\\u001b[31m"}'
    reply = here.client.post("/ask", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 200, reply.text
    assert here.system.asked[-1].text == "read-only node \ufffd  [31m"
    strange = b'{"question": "node", "\\ud83d": 1}'
    problem(
        here.client.post("/ask", content=strange, headers={"content-type": "application/json"}), 422, "invalid_request"
    )


def test_too_many_askers_are_told_to_come_back(start: Start) -> None:
    here = start(system_options={"delay_s": 0.5}, max_in_flight=2, max_queued=1)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: here.ask(), range(8)))
    assert sorted(reply.status_code for reply in replies) == [200] * 3 + [429] * 5
    refused = next(reply for reply in replies if reply.status_code == 429)
    problem(refused, 429, "overloaded")
    assert refused.headers["retry-after"] == "1"
    assert here.ask().status_code == 200


def test_a_question_that_takes_too_long(start: Start) -> None:
    here = start(system_options={"delay_s": 5.0}, ask_timeout_s=0.2)
    late = here.ask()
    problem(late, 503, "deadline_passed")
    assert late.headers["retry-after"] == "1"


def test_nothing_to_serve(start: Start) -> None:
    here = start(system_options={"broken": True})
    assert "answerloop index" in problem(here.ask(), 503, "index_unavailable").detail
    ready = here.client.get("/ready")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert here.client.get("/health").status_code == 200


def test_an_unexpected_error_says_nothing_about_itself(here: Live) -> None:
    async def fail(_question: object) -> None:
        raise RuntimeError("the secret password")

    here.app.state.shared.system = SimpleNamespace(ask=fail)
    assert "secret" not in problem(here.ask(), 500, "internal").model_dump_json()
    streamed = here.ask(stream=True).text
    assert [(name, data["code"]) for name, data in events(streamed)] == [("error", "internal")]
    assert "secret" not in streamed
    here.app.state.shared.system = here.system
    assert here.ask().status_code == 200


def test_a_stopping_server_answers_what_it_has_begun(start: Start) -> None:
    here = start(system_options={"delay_s": 1.0})
    replies: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: replies.append(here.ask()))
    asking.start()
    time.sleep(0.4)
    here.server.should_exit = True
    asking.join(10)
    assert replies[0].status_code == 200


def test_raw_nonsense_on_the_wire_does_no_harm(shared_server: Live) -> None:
    host, port = shared_server.url.removeprefix("http://").split(":")
    for nonsense in (b"\x00" * 64, b"POST /ask HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"GET " + b"/" * 80_000):
        with socket.create_connection((host, int(port)), timeout=5) as wire:
            wire.sendall(nonsense)
            wire.shutdown(socket.SHUT_WR)
            wire.recv(1024)
    assert shared_server.ask().status_code == 200
