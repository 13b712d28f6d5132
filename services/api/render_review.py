"""The review queue's records to the plain dictionaries that go out as JSON; `wire_review` documents them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from services.api.render import citation_out, review_item_out
from services.review.desk import Opinion
from services.store.records import QueuedItem
from services.store.review_records import HeldTrace, ItemView, Retraction, Standing, Stands, Verdict


def item_out(queued: QueuedItem) -> dict[str, Any]:
    return {
        **review_item_out(queued),
        "risk": queued.risk,
        "worth": queued.worth,
        "claimed_by": queued.claimed_by,
        "lease_until": queued.lease_until,
        "probability": queued.item.probability,
        "entry_id": queued.item.entry_id,
    }


def view_out(view: ItemView, opinion: Opinion) -> dict[str, Any]:
    return {
        "item": item_out(view.item),
        "wordings": [asdict(one) for one in view.wordings],
        "traces": [_held_out(one) for one in view.traces],
        "verdicts": [verdict_out(one) for one in view.verdicts],
        "history": [asdict(one) for one in view.history],
        "similar": [asdict(one) for one in opinion.similar],
        "suggested": {"variants": list(opinion.variants), "negatives": list(opinion.negatives)},
        "detail": dict(view.detail),
    }


def _held_out(held: HeldTrace) -> dict[str, Any]:
    trace, answer = held.trace, held.trace.answer
    return {
        "id": trace.id,
        "created": trace.created,
        "question": trace.question.text,
        "session_id": trace.question.session_id,
        "cause": held.cause,
        "probability": held.probability,
        "route": answer.route.value,
        "answer": answer.text,
        "confidence": round(float(answer.confidence), 4),
        "reason": answer.reason,
        "model": answer.model,
        "release": trace.release,
        "citations": [citation_out(one) for one in answer.citations],
        "maybe_useful": [citation_out(one) for one in answer.maybe_useful],
        "passages": [dict(one) for one in trace.candidates],
    }


def verdict_out(verdict: Verdict) -> dict[str, Any]:
    return {
        "id": verdict.id,
        "item_id": verdict.item_id,
        "state": verdict.state.value,
        "kind": verdict.judgement.kind.value,
        "who": verdict.who,
        "second": verdict.second,
        "created": verdict.created,
        "question": verdict.question,
        "answer": verdict.answer or verdict.judgement.answer,
        "citations": [citation_out(one) for one in verdict.citations or verdict.judgement.evidence],
        "comment": verdict.judgement.comment,
        "entry_id": verdict.entry_id,
        "entry_version": verdict.after,
        "retractions": list(verdict.retraction_ids),
    }


_OWN = ("language", "reopened")


def retraction_out(made: Retraction) -> dict[str, Any]:
    shown = asdict(made)
    return {**{name: value for name, value in shown.items() if name not in _OWN}, "entries": list(made.entries)}


def standing_out(standing: Standing) -> dict[str, Any]:
    trace, verdict = standing.trace, standing.verdict
    decided = verdict if standing.state is Stands.RESOLVED else None
    return {
        "id": trace.id,
        "question": trace.question.text,
        "created": trace.created,
        "state": standing.state.value,
        "route": trace.answer.route.value,
        "answer": trace.answer.text,
        "citations": [citation_out(one) for one in trace.answer.citations],
        "resolution": {**_resolution(decided), "current": standing.current} if decided else None,
    }


def _resolution(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.judgement.kind.value,
        "answer": verdict.answer,
        "citations": [citation_out(one) for one in verdict.citations],
        "decided": verdict.created,
    }
