"""What would change is seen before a release is served: past questions asked again of it, as a job that is kept.

A release is activated when such a replay is there and new, or where somebody says that it must be now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from router.errors import Conflict, InvalidInput
from router.ports import Progress
from router.types import Release, Route
from services.review.bounds import lower
from services.review.replay import Change, replay
from services.settings import Settings
from services.store.records import Job, JobState, stamp
from services.store.sql import SqlStore
from services.store.traces import SENT

if TYPE_CHECKING:
    from services.review.replay import Replayed

KIND = "replay"
SINCE = "7d"
MOST = 1_000  # different questions, the newest
KEPT = 100
"""Changed questions that are kept with the job, the worst. Who wants all of them asks `answerloop replay --json`."""
FRESH_H = 24
"""Hours for which a replay speaks of what people ask now: a day has its busy and its quiet hours once."""
WORSE = (Change.WRONG_AGAIN, Change.APPROVED_LOST, Change.LOST)
QUOTES = ("", "none", "extractive")  # what a release names where no model of its own writes
_NOT_SENT = (Change.APPROVED_LOST, Change.LOST)
_LOOKED_AT = 200
_NOISE = 1e-9  # of floating point: the bound for one of one is the risk itself

Tell = Callable[[Mapping[str, Any]], None]
"""Tells whoever is there what a release changes (`Replayed.to_json`), before it is served."""


def untold(seen: Mapping[str, Any]) -> None:
    """`Tell` where nobody is there: it is kept with the release."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The newest replay against one release. fresh: done, against what is served now, and not old."""

    job: Job
    fresh: bool

    @property
    def result(self) -> Mapping[str, Any]:
        """As `Replayed.to_json`; {} while there is none."""
        return self.job.result or {}

    @property
    def worse(self) -> int:
        return worse(self.result)


def written(settings: Settings, release: Release) -> bool:
    """Whether a model writes the answers of this release, by the settings or by its own word."""
    return bool(settings.model or settings.generator_url) or release.model not in QUOTES


def worse(result: Mapping[str, Any]) -> int:
    """Questions that would be answered wrongly again, or not any more."""
    counts = result.get("counts", {})
    return sum(counts.get(change.value, 0) for change in WORSE)


def too_bad(seen: Mapping[str, Any], settings: Settings) -> str:
    """Why a release is not served without a person's word, "" where nothing speaks against it. seen: whole.

    What speaks against it: of the past questions that the documents answered, and those that would be answered wrongly
    again, the share that is answered wrongly again or not any more is above the wrong rate that is set, with the
    assurance that is set; one of a few is no proof of that. An approved answer that is not sent any more because its
    source has changed is not counted: the sooner, the better."""
    changed = seen.get("changed", ())
    wrong = [one for one in changed if one["change"] == Change.WRONG_AGAIN]
    quoted = [one for one in changed if one["before"]["route"] == Route.GROUNDED]
    lost = len(wrong) + sum(one["change"] in _NOT_SENT and one["after"]["route"] not in SENT for one in quoted)
    asked = seen.get("grounded", 0) + sum(one["before"]["route"] != Route.GROUNDED for one in wrong)
    surely = lower(lost, asked, 1 - settings.assurance) if asked else 0.0
    if surely <= settings.max_wrong_rate + _NOISE:
        return ""
    return (
        f"{lost} of {asked} past questions that had an answer from the documents would be answered wrongly again, or "
        f"not any more: surely more than {settings.max_wrong_rate:.1%}."
    )


async def params(store: SqlStore, release: str, since: str, who: str, beside: str = "") -> dict[str, Any]:
    """Of the job. beside: the release that is asked too, both by quoting, whoever writes; "" where what was sent is
    compared. Raises `NotFound` for a release that is not there, `InvalidInput` for a time that is none."""
    start_of(since)
    await store.get_release(release)
    active = await store.active_release()
    served = beside or (active.id if active else "")
    about = {"release": release, "served": served, "since": since, "who": who}
    return {**about, "quoted": True} if beside else about


async def rehearsed(store: SqlStore, release: str) -> Rehearsed | None:
    """The newest, or the newest fresh one where what came after it failed; None where there was none."""
    active, named = await store.active_release(), await store.get_release(release)
    served = active.id if active else ""
    jobs = await store.list_jobs(_LOOKED_AT, kind=KIND)
    mine = [Rehearsed(one, _fresh(one, served, named)) for one in jobs if one.params.get("release") == release]
    if mine and not mine[0].job.state.final:
        return mine[0]
    return next((one for one in mine if one.fresh), mine[0] if mine else None)


def _fresh(job: Job, served: str, release: Release) -> bool:
    """What a model would write is not known from quotes."""
    since = stamp(datetime.now(UTC) - timedelta(hours=FRESH_H))
    by_whom = release.model in QUOTES or not job.params.get("quoted")
    done = job.state is JobState.DONE and (job.finished or "") >= since
    return done and by_whom and job.params.get("served") == served


async def unseen(store: SqlStore, release: str) -> str:
    """Why nobody can know what activating this release changes; "" where a fresh replay says it, or there is nothing to
    ask again. Raises `NotFound`."""
    await store.get_release(release)
    active = await store.active_release()
    if active is None or active.id == release or not await store.list_traces(1):
        return ""
    found = await rehearsed(store, release)
    if found is not None and found.fresh:
        return ""
    return (
        f"no replay of past questions against {release} that is less than {FRESH_H} hours old and compares it with "
        f"{active.id}, which is served now"
    )


async def refuse_unseen(store: SqlStore, release: str) -> None:
    """Raises `Conflict` where `unseen` has a reason."""
    if reason := await unseen(store, release):
        raise Conflict(
            f"There is {reason}. Look first (answerloop replay --release {release}, or POST "
            f"/admin/releases/{release}/replay), or activate it with force where it cannot wait."
        )


async def ask_past(settings: Settings, release: str, since: str, most: int, progress: Progress) -> Replayed:
    """With the model that the release names, brought up for this where there is one, beside the one that answers."""
    from services.compose import System, model_of  # composes what this module belongs to

    system = System(
        settings, SqlStore.open(settings.store_url), model_of(settings, own=True, folder="generator-replay")
    )
    try:
        named = await system.store.get_release(release)
        if system.model and system.model.writes(named.model):
            progress("load the model", 0, 1)
            await system.model.up(named.model)
        async with system.trying(release) as parts:
            return await replay(system.store, parts, start_of(since), most, progress)
    finally:
        await system.close()


def run(
    settings: Settings, release: str, since: str, most: int, who: str, show: Progress, job_id: str | None = None
) -> dict[str, Any]:
    """By who writes the answers of that release. Raises as `kept`."""
    return kept(
        settings,
        release,
        since,
        who,
        show,
        lambda progress: asyncio.run(ask_past(settings, release, since, most, progress)),
        job_id,
    )


def kept(
    settings: Settings,
    release: str,
    since: str,
    who: str,
    show: Progress,
    ask: Callable[[Progress], Replayed],
    job_id: str | None = None,
    *,
    alone: bool = True,
    beside: str = "",
) -> dict[str, Any]:
    """As a job that everybody can follow; all that was found. beside: see `params`. Raises as `services.jobs.run_job`,
    and `NotFound`."""
    from services.jobs import run_job

    found: list[Replayed] = []

    def work(progress: Progress) -> dict[str, Any]:
        found.append(ask(progress))
        whole = found[0].to_json()
        return {**whole, "changed": whole["changed"][:KEPT]}

    with SqlStore.open(settings.store_url) as store:
        about = asyncio.run(params(store, release, since, who, beside))
    run_job(settings, KIND, about, work, show, job_id, alone=alone)
    return found[0].to_json()


def start_of(since: str) -> str:
    """ISO 8601. Raises `InvalidInput` for what is neither a date nor days."""
    if since.endswith("d") and since[:-1].isdecimal() and len(since) < 7:
        return (datetime.now(UTC) - timedelta(days=int(since[:-1]))).isoformat()
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise InvalidInput(f"{since!r} is neither a date such as 2026-01-31 nor days such as 7d") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
