"""The OpenAPI document as a promise: whatever fits it or nearly fits it is answered as it says, and never with a 500.

Each case is sent to a real server. 503 is documented; it does not occur here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.api.app import create_app
from services.settings import Settings
from tests.live import Live, live
from tests.store import cluster

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PROMISED = schemathesis.openapi.from_dict(create_app(Settings(), lambda: pytest.fail("not started")).openapi())
OPERATIONS = {operation.ok().label: operation.ok() for operation in PROMISED.get_all_operations()}
MAY_BE_WRONG = {label for label, operation in OPERATIONS.items() if operation.body or operation.query}
CLOSES_THE_DOOR = "POST /admin/keys"  # the first key made would refuse every case after it; `test_auth` covers it


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with contextlib.ExitStack() as stack:
        url = "" if request.param == "sqlite" else stack.enter_context(_postgresql())
        started = stack.enter_context(live(tmp_path_factory.mktemp("home"), database_url=url))
        (started.settings.home / "steps").write_text("0")
        yield started


@contextlib.contextmanager
def _postgresql() -> Iterator[str]:
    folder = cluster.binaries()
    if folder is None:
        pytest.skip("no PostgreSQL binaries on this machine")
    with cluster.running(folder, fsync=False) as database:
        yield database.url


def test_the_promise_covers_every_route() -> None:
    assert {"POST /ask", "POST /v1/chat/completions", "DELETE /admin/documents/{path}"} < OPERATIONS.keys()
    assert len(OPERATIONS) > 20


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("label", sorted(OPERATIONS.keys() - {CLOSES_THE_DOOR}))
def test_every_operation_keeps_its_promise(server: Live, label: str, mode: GenerationMode) -> None:
    if mode is GenerationMode.NEGATIVE and label not in MAY_BE_WRONG:
        return  # neither a body nor a query: every request fits

    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def holds(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=server.url, checks=CHECKS, timeout=20)

    holds()
