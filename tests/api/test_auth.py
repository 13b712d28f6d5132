"""Who may do what, on every route; and who may come in while there is no key."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from services.api.app import create_app
from services.api.auth import Requires, anyone, is_loopback
from services.settings import Settings
from services.store.records import Role
from tests.live import Live

EVIL = {"host": "evil.example"}


def roles_of(route: APIRoute) -> list[Role | None]:
    """The roles that a route declares; None stands for anyone."""
    calls = [dependency.call for dependency in route.dependant.dependencies]
    declared: list[Role | None] = [call.role for call in calls if isinstance(call, Requires)]
    return declared + [None for call in calls if call is anyone]


def all_routes() -> list[APIRoute]:
    """Those of the API; `tests/console` looks at the pages."""
    routes = create_app(Settings(), lambda: pytest.fail("not started")).routes
    assert all(isinstance(route, APIRoute) for route in routes), "a route of a kind whose role could not be looked up"
    kept = [route for route in routes if isinstance(route, APIRoute)]
    return [route for route in kept if not route.path.startswith("/console") and route.path != "/widget.js"]


def test_every_route_declares_exactly_one_role() -> None:
    routes = all_routes()
    assert len(routes) > 20
    for route in routes:
        assert len(set(roles_of(route))) == 1, f"{route.path} declares {roles_of(route)}"


def test_only_probes_are_open_to_anyone() -> None:
    assert {route.path for route in all_routes() if roles_of(route)[0] is None} == {
        "/health",
        "/ready",
        "/version",
        "/openapi.json",
    }


def test_the_role_goes_with_the_path() -> None:
    for route in all_routes():
        role = roles_of(route)[0]
        assert (role is Role.ADMIN) == route.path.startswith("/admin"), route.path
        assert (role is Role.REVIEWER) == route.path.startswith("/review"), route.path


@pytest.fixture
def keys(here: Live) -> dict[str, str]:
    made = {"admin": here.client.post("/admin/keys", json={"name": "first", "role": "admin"}).json()["key"]}
    headers = {"x-api-key": made["admin"]}
    for role in ("asker", "reviewer"):
        reply = here.client.post("/admin/keys", json={"name": role, "role": role}, headers=headers)
        made[role] = reply.json()["key"]
    return made


def test_the_matrix(here: Live, keys: dict[str, str]) -> None:
    """Every route with every key: refused exactly where the role is too low, before anything is looked at."""
    ranks = [None, Role.ASKER, Role.REVIEWER, Role.ADMIN]
    for route in all_routes():
        needed = ranks.index(roles_of(route)[0])
        path = re.sub(r"\{.*?\}", "x", route.path)
        for method in route.methods or ():
            for has, name in enumerate([None, "asker", "reviewer", "admin"]):
                headers = {"authorization": f"Bearer {keys[name]}"} if name else {}
                status = here.client.request(method, path, headers=headers).status_code
                refused = 401 if name is None else 403
                assert (status == refused) == (has < needed), f"{method} {path} as {name}: {status}"


def test_both_headers_carry_a_key_and_a_revoked_one_stops_at_once(here: Live, keys: dict[str, str]) -> None:
    admin = {"x-api-key": keys["admin"]}
    assert here.client.get("/admin/keys", headers=admin).status_code == 200
    listed = here.client.get("/admin/keys", headers={"authorization": f"bearer {keys['admin']}"}).json()["keys"]
    assert {key["role"] for key in listed} == {"admin", "reviewer", "asker"}
    assert not any(secret in str(listed) for secret in keys.values())
    asker = next(key["id"] for key in listed if key["role"] == "asker")
    question = {"question": "node"}
    assert here.client.post("/ask", json=question, headers={"x-api-key": keys["asker"]}).status_code == 200
    assert here.client.delete(f"/admin/keys/{asker}", headers=admin).status_code == 204
    assert here.client.post("/ask", json=question, headers={"x-api-key": keys["asker"]}).status_code == 401
    assert here.client.delete("/admin/keys/never", headers=admin).status_code == 404


def test_a_refusal_says_how_to_come_in(here: Live, keys: dict[str, str]) -> None:
    assert keys
    reply = here.ask()
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer" in reply.json()["detail"]
    for nonsense in ("al_wrong", "\u00e9", "x" * 5000):
        headers = {"x-api-key": nonsense.encode()}
        assert httpx.post(f"{here.url}/ask", json={"question": "a"}, headers=headers).status_code == 401


def test_the_first_key_is_an_admins(here: Live) -> None:
    reply = here.client.post("/admin/keys", json={"name": "a", "role": "asker"})
    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")


def test_a_key_made_by_another_process_closes_the_door_within_seconds(here: Live) -> None:
    command = [sys.executable, "-m", "services.cli", "keys", "create", "--role", "admin", "anna"]
    made = subprocess.run(command, env=here.settings.to_env(), capture_output=True, text=True, check=True)
    until = time.monotonic() + 5
    while here.ask().status_code == 200 and time.monotonic() < until:
        time.sleep(0.1)
    assert here.ask().status_code == 401
    key = {"x-api-key": made.stdout.strip()}
    assert here.client.post("/ask", json={"question": "node"}, headers=key).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        EVIL,
        {"host": "evil.example:80"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "localhost.evil.example"},
        {"host": "127.0.0.1@evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:1"},
        {"origin": "null"},
        {"x-forwarded-for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
    ],
)
def test_without_a_key_no_web_page_and_no_proxy_comes_in(shared_server: Live, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/ask"), ("POST", "/admin/keys"), ("GET", "/admin/keys"), ("GET", "/v1/models")):
        reply = shared_server.client.request(method, path, headers=headers, json={"question": "a"})
        assert reply.status_code == 403, (method, path, reply.text)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", "localhost:8080", "[::1]:8080"])
def test_without_a_key_this_machine_comes_in(shared_server: Live, host: str) -> None:
    headers = {"host": host, "origin": f"http://{host}"}
    assert shared_server.client.post("/ask", json={"question": "node"}, headers=headers).status_code == 200


def test_no_cross_origin_page_is_allowed_to_read_anything(shared_server: Live) -> None:
    preflight = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    reply = shared_server.client.options("/ask", headers=preflight)
    assert reply.status_code == 405
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_an_open_address_without_a_key_is_refused_at_start(tmp_path: Path) -> None:
    env = Settings(home=tmp_path, host="0.0.0.0", port=0).to_env()
    code = "from tests.api.test_auth import serve_openly; serve_openly()"
    tried = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=30)
    assert tried.returncode == 1
    assert "answerloop keys create --role admin" in tried.stderr


def serve_openly() -> None:
    from services.server import serve

    serve(Settings.from_env(), lambda: pytest.fail("opened"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "", "localhost.", "example.org", "2130706433", "0x7f.1"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
