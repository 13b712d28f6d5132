"""Records to the plain dictionaries that go out as JSON; `wire` has the models that document them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from router.policy import waits
from router.types import Citation, Hit, Release, ReviewItem, SearchResult, Trace
from services.store.records import CuratedVersion, Job, KeyInfo, QueuedItem


def ask_reply(trace: Trace, item: ReviewItem | None) -> dict[str, Any]:
    answer = trace.answer
    return {
        "id": trace.id,
        "answer": answer.text,
        "route": answer.route.value,
        "confidence": round(float(answer.confidence), 4),
        "citations": [citation_out(citation) for citation in answer.citations],
        "maybe_useful": [citation_out(citation) for citation in answer.maybe_useful],
        "reason": answer.reason,
        "review": {"queued": waits(item), "item_id": item.id if item and waits(item) else None},
        "release": trace.release,
        "model": answer.model,
        "timings_ms": _rounded(trace.timings_ms),
    }


def citation_out(citation: Citation) -> dict[str, Any]:
    return {
        "source": citation.source,
        "heading": citation.heading,
        "quote": citation.quote,
        "start": citation.start,
        "end": citation.end,
        "revision": citation.revision,
        "passage_id": citation.passage_id,
        "aliases": list(citation.aliases),
    }


def search_reply(found: SearchResult) -> dict[str, Any]:
    return {
        "hits": [_hit_out(hit) for hit in found.hits],
        "language": found.language,
        "index_version": found.index_version,
        "timings_ms": _rounded(found.timings_ms),
    }


def _hit_out(hit: Hit) -> dict[str, Any]:
    passage = hit.passage
    return {
        "passage_id": passage.id,
        "document": passage.document,
        "heading": " > ".join(passage.heading),
        "text": passage.text,
        "preamble": passage.preamble,
        "start": passage.start,
        "end": passage.end,
        "language": passage.language,
        "scores": {name: float(score) for name, score in hit.scores.items()},
        "fused": float(hit.fused),
        "also_at": [{"document": at.path, "start": at.start, "end": at.end} for at in passage.also_at],
    }


def release_out(release: Release, active: str | None) -> dict[str, Any]:
    return {**asdict(release), "active": release.id == active}


def review_item_out(queued: QueuedItem) -> dict[str, Any]:
    item = queued.item
    return {
        "id": item.id,
        "trace_id": item.trace_id,
        "question": item.question,
        "language": item.language,
        "cause": item.cause,
        "state": item.state,
        "created": item.created,
        "updated": queued.updated,
        "asks": queued.asks,
    }


def curated_out(version: CuratedVersion) -> dict[str, Any]:
    entry = version.entry
    return {
        "id": entry.id,
        "question": entry.question,
        "answer": entry.answer,
        "variants": list(entry.variants),
        "negatives": list(entry.negatives),
        "citations": [citation_out(citation) for citation in entry.citations],
        "status": entry.status.value,
        "version": version.version,
        "revision": str(version.revision),
        "updated": version.created,
        "updated_by": version.who,
        "deleted": version.deleted,
    }


def job_link(job: Job) -> dict[str, str]:
    return {"id": job.id, "url": f"/admin/jobs/{job.id}"}


def job_out(job: Job) -> dict[str, Any]:
    shown = asdict(job)
    return {name: value for name, value in shown.items() if name not in {"host", "pid", "updated"}}


def key_out(key: KeyInfo) -> dict[str, Any]:
    return asdict(key)


def _rounded(timings: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in timings.items()}
