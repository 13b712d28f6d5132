"""The HTTP application: routes, limits, error handler and the life of the system behind them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from router.errors import AnswerloopError
from services.api import admin, ask, budget, curated, documents, errors, explain, feedback, openai, ops, review
from services.api.auth import Keyring
from services.api.direct import Shortcut
from services.api.limits import Admission, BodyLimit
from services.api.metrics import Metrics, Observe
from services.api.state import Shared
from services.api.wire import PROBLEMS, Problem
from services.console import pages
from services.console.widget import WidgetOrigins
from services.curated.live import LOOK_EVERY_S
from services.jobs import WORKER, Jobs
from services.review import bounds
from services.settings import Settings
from services.version import own_version

if TYPE_CHECKING:
    from services.compose import System

REFRESH_S = 1.0
WATCH_S = 60.0  # how soon verdicts that contradict a certificate end it
FORM_OVERHEAD = 16_384  # what a multipart form adds to the bytes of its file

log = logging.getLogger("answerloop.api")


class Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """FastAPI knows only models of JSON replies; problem documents have a media type of their own."""
        if not self.openapi_schema:
            super().openapi()["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        return super().openapi()


def create_app(settings: Settings, open_system: Callable[[], System], worker: Sequence[str] = WORKER) -> FastAPI:
    """open_system: called once, on a thread, when the application starts; what it raises ends the start.

    worker: the command line that does background jobs.
    """
    metrics = Metrics()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        system = await asyncio.to_thread(open_system)
        admission = Admission(settings.max_in_flight, settings.max_queued, settings.ask_timeout_s)
        jobs = Jobs(settings, system.store, worker)
        app.state.shared = Shared(settings, system, jobs, admission, metrics)
        app.state.keyring = Keyring(system.store)
        await app.state.keyring.refresh()
        await system.store.interrupt_dead_jobs()
        await asyncio.to_thread(bounds.load)
        refreshing = [
            asyncio.create_task(_keep_looking(REFRESH_S, system.refresh, app.state.keyring.refresh)),
            asyncio.create_task(_keep_looking(LOOK_EVERY_S, system.curated.refresh)),
            asyncio.create_task(_keep_looking(REFRESH_S, system.review.work)),
            asyncio.create_task(_keep_looking(WATCH_S, system.budget.watch)),
        ]
        try:
            yield
        finally:
            for task in refreshing:
                task.cancel()
            await asyncio.gather(*refreshing, return_exceptions=True)
            await jobs.close()
            await system.close()

    app = Api(
        title="Answerloop",
        version=own_version(),
        summary="Answers from your own documents, with citations, and says when it does not know.",
        lifespan=lifespan,
        openapi_url=None,  # served by a route of our own that declares its role like every other
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=PROBLEMS,
        generate_unique_id_function=_name_of,
    )
    for router in (
        ask.router,
        feedback.router,
        openai.router,
        explain.router,
        review.router,
        budget.router,
        budget.admin,
        admin.router,
        curated.router,
        documents.router,
        ops.public,
        ops.inside,
        *pages.ROUTERS,
    ):
        app.include_router(router)
    uploads = dict.fromkeys(("/admin/documents", "/admin/curated/import"), settings.max_upload_bytes + FORM_OVERHEAD)
    app.add_middleware(Shortcut, routes=app.routes)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes, larger=uploads)
    errors.install(app)
    if settings.widget_origins:
        app.add_middleware(WidgetOrigins, origins=settings.widget_origins.split(","))
    app.add_middleware(Observe, metrics=metrics)
    return app


def _name_of(route: APIRoute) -> str:
    return route.name


async def _keep_looking(every_s: float, *looks: Callable[[], Awaitable[object]]) -> None:
    """Notices what other processes changed: a release activated, a key made or revoked, a curated answer edited."""
    while True:
        await asyncio.sleep(every_s)
        try:
            for look in looks:
                await look()
        except AnswerloopError as exc:
            log.warning("cannot look for changes: %s", exc)
        except Exception:
            log.exception("cannot look for changes")  # and looks again: a server that stopped looking would go stale
