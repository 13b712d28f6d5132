"""Explaining over HTTP: what would be answered and why, without a trace of it; and why an answer was given."""

from __future__ import annotations

from services.api.wire import ExplainReply
from tests.live import Live


def test_explaining_says_why_and_records_nothing(here: Live) -> None:
    reply = here.client.post("/review/explain", json={"question": "add a read-only node"})
    shown = ExplainReply.model_validate(reply.json())
    assert (shown.route, shown.question) == ("grounded", "add a read-only node")
    assert here.client.get(f"/review/traces/{shown.id}").status_code == 404


def test_why_an_answer_was_given(here: Live) -> None:
    given = here.ask("add a read-only node").json()
    shown = ExplainReply.model_validate(here.client.get(f"/review/traces/{given['id']}").json())
    assert (shown.answer, shown.reason, shown.release) == (given["answer"], given["reason"], given["release"])


def test_an_unknown_answer_is_said_to_be_unknown(here: Live) -> None:
    reply = here.client.get("/review/traces/nothing")
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
