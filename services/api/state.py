"""What the routes of one app share. Made once in `services.api.app`, reached through `shared(request)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request
from starlette.responses import Response

from services.api.errors import dumps
from services.api.limits import Admission
from services.api.metrics import Metrics
from services.jobs import Jobs
from services.settings import Settings

if TYPE_CHECKING:  # composing a system loads engines; serving its routes does not need to
    from services.compose import System


@dataclass(slots=True)
class Shared:
    settings: Settings
    system: System
    jobs: Jobs
    admission: Admission
    metrics: Metrics


def shared(request: Request) -> Shared:
    return cast(Shared, request.app.state.shared)


class _Json(Response):
    """JSON that is bytes already. Its headers are never others, so they need not be worked out."""

    def __init__(self, body: bytes, status: int) -> None:
        self.status_code, self.body, self.background = status, body, None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]


def json_response(value: Any, status: int = 200) -> Response:
    return _Json(dumps(value), status)
