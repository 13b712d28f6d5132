"""The error budget over HTTP: how it stands, and a refit as a job."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from router.errors import AnswerloopError
from services.api.auth import AdminCaller, Requires
from services.api.render import job_out
from services.api.state import Shared, json_response, shared
from services.api.wire import JobOut
from services.api.wire_review import BudgetReply
from services.jobs import BUDGET
from services.review import quality
from services.review.budgeting import report
from services.store.records import Job, JobState, Role

router = APIRouter(prefix="/review", tags=["review"], dependencies=[Depends(Requires(Role.REVIEWER))])
admin = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(Requires(Role.ADMIN))])


@router.get("/budget", responses={200: {"model": BudgetReply}}, response_class=Response)
async def budget(request: Request) -> Response:
    """What is promised of the answers sent, on which verdicts, and what the audit has seen. 404 without a release."""
    budget = shared(request).system.budget
    state, history, audited = await budget.state(), await budget.history(), await budget.audited()
    curves: dict[str, Any] = {
        "coverage_risk": [asdict(one) for one in quality.coverage_risk_curve(audited)],
        "reliability": [asdict(one) for one in quality.reliability(audited)],
    }
    return json_response({**report(state, history), **curves})


@admin.post("/budget/refit", responses={200: {"model": JobOut}}, response_class=Response)
async def refit_budget(request: Request, caller: AdminCaller) -> Response:
    """Tests the lines on all verdicts so far; what is certified is in force on return. 404 without a release."""
    return json_response(job_out(await refit_as_job(shared(request), caller.name)))


async def refit_as_job(here: Shared, who: str) -> Job:
    """Done on return; a job, so that it stays in the list of what was done. Raises `NotFound` without a release."""
    store = here.system.store
    await here.system.budget.state()
    job = await store.create_job(BUDGET, {"who": who})
    await store.update_job(job.id, state=JobState.RUNNING, stage="certify")
    try:
        made = await here.system.budget.refit(who)
    except AnswerloopError as exc:
        await store.update_job(job.id, state=JobState.FAILED, message=str(exc))
        raise
    await here.system.refresh()
    return await store.update_job(job.id, state=JobState.DONE, result=made.to_json())
