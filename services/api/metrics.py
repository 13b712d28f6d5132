"""What Prometheus reads, in a registry of our own, and the ASGI middleware that counts requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router import checking

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
JOB_STATES = ("none", "queued", "running", "done", "held", "failed", "interrupted")
"""Of the newest reindex. held: done, and its release waits for somebody to serve it."""


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "answerloop_http_requests", "HTTP requests", ("method", "path", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "answerloop_http_request_seconds", "Time to answer", ("path",), buckets=SECONDS, registry=self.registry
        )
        answers = Counter("answerloop_answers", "Answers sent, by route", ("route",), registry=self.registry)
        self.answered: Callable[[str], Counter] = cache(answers.labels)  # to find one by its label costs the most
        self.put_right = {
            name: Counter(f"answerloop_{name}", meaning, registry=self.registry)
            for name, meaning in checking.COUNTED.items()
        }
        self.in_flight = Gauge("answerloop_asks_in_flight", "Questions inside, also waiting", registry=self.registry)
        self.pending = Gauge("answerloop_review_pending", "Questions waiting for a reviewer", registry=self.registry)
        self.ready = Gauge("answerloop_ready", "1 if questions can be answered", registry=self.registry)
        self.release = Gauge(
            "answerloop_release_info", "The active release", ("release", "index_version"), registry=self.registry
        )
        self.certified = Gauge("answerloop_budget_certified", "1 if the rate is certified", registry=self.registry)
        self.line = Gauge("answerloop_budget_line", "Least confidence of an answer sent", registry=self.registry)
        self.needed = Gauge("answerloop_budget_needed", "Audited answers missing to certify", registry=self.registry)
        self.reindex = Gauge("answerloop_reindex_job", "State of the newest job", ("state",), registry=self.registry)


class Observe:
    """Pure ASGI: counts each request under its route's template, never under its raw path (that has no bound)."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics
        self._of: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            requests, seconds = self._metrics(_method(scope), getattr(scope.get("route"), "path", "unmatched"), status)
            requests.inc()
            seconds.observe(perf_counter() - began)

    def _metrics(self, method: str, path: str, status: int) -> tuple[Counter, Histogram]:
        """Kept, because finding them by their labels costs more than counting."""
        found = self._of.get((method, path, status))
        if found is None:
            found = self.metrics.requests.labels(method, path, status), self.metrics.seconds.labels(path)
            self._of[method, path, status] = found
        return found


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in {"GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH"} else "other"
