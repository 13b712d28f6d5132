"""Traces and review items to store."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from router.types import Answer, Citation, Question, Release, ReviewItem, Route, Trace, Turn
from services.store.records import now

TRACE = Trace(
    id="",
    created="2026-01-02T03:04:05Z",
    question=Question("怎么改端口？", (Turn("user", "你好"),), "session-1", {"source": "docs"}),
    normalised="怎么改端口",
    language="zh",
    answer=Answer(
        text="改 `PORT`。",
        route=Route.GROUNDED,
        confidence=0.93,
        citations=(Citation("p1", "docs/zh/deploy.md", "部署 > 端口", "改 PORT", 3, 10, "r1", ("docs/old.md",)),),
        reason="two passages agree",
        model="extractive",
    ),
    candidates=({"passage": "p1", "scores": {"bm25": 7.5}, "nested": [1, None, "x"]},),
    features={"coverage": 0.1 + 0.2},
    guards=("numbers",),
    release="r1",
    timings_ms={"total": 5.0},
)


def trace(question: str = TRACE.question.text, route: Route = Route.GROUNDED) -> Trace:
    return replace(
        TRACE,
        id=uuid4().hex,
        question=replace(TRACE.question, text=question),
        normalised=question,
        answer=replace(TRACE.answer, route=route),
    )


def review(of: Trace, cause: str = "abstained") -> ReviewItem:
    return ReviewItem(uuid4().hex, of.id, of.question.text, of.language, cause, "pending", now())


def release(name: str) -> Release:
    return Release(name, now(), f"index-{name}", "0", "extractive", "prompt-1", "calibration-1", "a note")
