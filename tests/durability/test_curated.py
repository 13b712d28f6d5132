"""Approved answers in the whole program: written by one process, sent by another, gone and back with a release."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from tests.durability.place import NAMES, Place
from tests.processes import call, report, serving

pytestmark = pytest.mark.slow

QUESTION = "What colour is the valve of the harbour master?"


def asked(client: httpx.Client, question: str = QUESTION) -> tuple[str, str]:
    reply = client.post("/ask", json={"question": question})
    assert reply.status_code == 200, reply.text
    return reply.json()["route"], reply.json()["answer"]


def until_asked(client: httpx.Client, route: str) -> str:
    """Other processes are followed every tenth of a second."""
    until = time.monotonic() + 5
    while (found := asked(client))[0] != route and time.monotonic() < until:
        time.sleep(0.02)
    assert found[0] == route
    return found[1]


def test_what_the_command_line_writes_a_running_server_sends(place: Place) -> None:
    with serving(place.home, log_level="warning") as served, httpx.Client(base_url=served.url, timeout=30) as client:
        assert asked(client)[0] != "curated"
        made = report(place.home, "curated", "add", QUESTION, "Sea green.\n\nSince 1912.")["entry"]
        assert until_asked(client, "curated") == "Sea green.\n\nSince 1912."
        body = {"question": QUESTION, "answer": "Red.", "version": made["version"]}
        assert client.put(f"/admin/curated/{made['id']}", json=body).status_code == 200
        assert asked(client) == ("curated", "Red.")  # the server that took the edit serves it before it replies
        reply = client.post("/ask", json={"question": f"  {QUESTION.upper()} "}).json()
        assert (reply["route"], reply["answer"]) == ("curated", "Red.")
        assert client.delete(f"/admin/curated/{made['id']}").status_code == 200
        assert asked(client)[0] != "curated"


def test_rolling_back_brings_the_answers_of_then(place: Place) -> None:
    report(place.home, "curated", "add", QUESTION, "Old.", "--id", "valve")
    place.write(NAMES[0], 2)
    place.index()  # another release takes over, and the first one keeps the answers it had
    with serving(place.home, log_level="warning") as served, httpx.Client(base_url=served.url, timeout=30) as client:
        body = {"question": QUESTION, "answer": "New.", "version": 1}
        assert client.put("/admin/curated/valve", json=body).status_code == 200
        assert asked(client) == ("curated", "New.")
        releases = client.get("/admin/releases").json()["releases"]
        back = client.post(f"/admin/releases/{releases[1]['id']}/activate", json={"force": True}).json()
        assert back["active"] and asked(client) == ("curated", "Old.")
        assert client.post(f"/admin/releases/{releases[0]['id']}/activate", json={"force": True}).status_code == 200
        assert asked(client) == ("curated", "New.")
    kept = call(place.home, "rollback", "--keep-curated", "--force")
    assert kept.returncode == 0, kept.stderr
    shown = json.loads(call(place.home, "curated", "show", "valve", "--json").stdout)
    assert shown["answer"] == "New."
    history = json.loads(call(place.home, "curated", "show", "valve", "--history", "--json").stdout)
    assert [one["answer"] for one in history] == ["New.", "Old.", "New.", "Old."]
