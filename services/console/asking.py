"""Ask: a question tried out, with everything that led to its answer; and the trace of an answer that was given."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from router.types import Question
from services.api.checks import check_question
from services.api.state import Shared, shared
from services.api.wire import ShortText
from services.console.evidence import Found, passages
from services.console.guard import Page, SignedIn
from services.console.view import PER_PAGE, render
from services.store.records import Role

router = APIRouter(
    prefix="/console", tags=["console"], route_class=Page, dependencies=[Depends(SignedIn(Role.REVIEWER))]
)


@router.get("", include_in_schema=False)
async def home() -> Response:
    return RedirectResponse("/console/queue", 303)


@router.get("/ask", include_in_schema=False)
async def ask(request: Request, question: Annotated[str, Query(max_length=100_000)] = "") -> Response:
    """Nothing is recorded: what is tried out is no traffic."""
    if not question.strip():
        return render(request, "ask.html", {"question": "", "trace": None, "found": {}, "recorded": False})
    here = shared(request)
    check_question(question, here.settings)
    asked = Question(question.strip())
    trace = await here.admission.run(lambda: here.system.explain(asked))
    return render(request, "ask.html", await _shown(here, trace, question.strip(), False))


@router.get("/traces/{id}", include_in_schema=False)
async def trace(request: Request, id: ShortText) -> Response:
    here = shared(request)
    desk, known = here.system.review.desk, await here.system.why(id)
    called = await desk.called_back(id)
    got = await desk.recipients(called.id, PER_PAGE) if called else []
    shown = await _shown(here, known, known["question"], True)
    return render(request, "ask.html", {**shown, "called": called, "got": got})


async def _shown(here: Shared, trace: dict[str, Any], question: str, recorded: bool) -> dict[str, Any]:
    """The passages' words come from the index as it is now; one that is gone since has none."""
    rows: list[Found] = []
    if trace["passages"]:
        rows, _ = await passages(here, trace["standalone"])
    found = {row.citation.passage_id: row.citation for row in rows}
    return {"question": question, "trace": trace, "found": found, "recorded": recorded}
