"""Whether a registered model is served from now on: what it is, what it was judged on, and the gates; else a refusal
that says which one failed and why. What it sends is compared with what the live release sends, on the same rows; and
every question that people ever corrected is asked again.

Promoting is one new release: index, approved answers, model, prompts and calibration move together, and `rollback`
takes all of it back.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from router import prompt
from router.confidence import Calibration
from router.errors import IndexUnavailable, InvalidInput, Mismatch
from router.packing import Window
from router.ports import Progress
from router.types import Release
from services.calibration import Adapted
from services.calibrations import calibration_of
from services.compose import System, entailment_of
from services.indexing import release_with
from services.review import rehearsal
from services.review.decisions import regressions
from services.review.rehearsal import Tell, untold
from services.review.replay import Replayed, replay
from services.settings import Settings
from services.store import shadows
from services.store.records import now
from services.store.shadows import Shadow
from services.store.sql import SqlStore
from services.training import dataset, shadow_report
from services.training.corrected import InProcess, ask_again
from services.training.digests import digest
from services.training.evaluation import (
    REPORT,
    calibrated,
    judged_quotes,
    judged_replies,
    manifest_digest,
    read_data,
)
from services.training.gates import Gate, Judged, Reasked, corrected, gates
from services.training.merging import MERGED
from services.training.registry import Card, Registry
from services.training.shadow_report import Compared
from services.version import own_version

QUOTING = "extractive"  # what a release calls its model where there is none
MOST_ASKED = 50  # past questions, the newest: each is written in this process

log = logging.getLogger("answerloop.promotion")


@dataclass(frozen=True, slots=True)
class Promotion:
    """release: the new one's id, "" when the model was refused. live: the model it was compared with. rows: how many
    were compared. gates: all of them, in order. wrong_again: corrected questions that would be wrong again.
    shadow: what it said in shadow, as `shadow_report.report`; None where it never was. confidence: how well the
    calibration fits its answers to the calibration slice, as `services.calibration.Adapted.report`. left_out: rows
    that fit into the window of one of the two only, so that nothing compares them. past: what it would answer otherwise
    of what people asked of late, as `services.review.replay.Replayed.to_json`; {} where nothing was asked."""

    model: str
    live: str
    release: str
    rows: int
    gates: tuple[Gate, ...]
    wrong_again: tuple[Reasked, ...] = ()
    shadow: Mapping[str, Any] | None = None
    confidence: Mapping[str, Any] = field(default_factory=dict)
    left_out: int = 0
    past: Mapping[str, Any] = field(default_factory=dict)

    @property
    def refused_by(self) -> tuple[str, ...]:
        return tuple(f"{gate.name}: {gate.said}" for gate in self.gates if not gate.held)


def registry_of(settings: Settings) -> Registry:
    folder = settings.home / "models" / "registry"
    folder.mkdir(parents=True, exist_ok=True)
    return Registry(folder)


def register(settings: Settings, name: str, merged: Path, data: Path) -> Card:
    """A merged model with its evaluation, as an immutable version. Raises `InvalidInput` when it was not merged or not
    evaluated, `Mismatch` when the evaluation is of other weights or of another dataset."""
    report = _read(merged / REPORT, "evaluate it first: answerloop models evaluate")
    base = _read(merged / MERGED, "`answerloop merge` makes a merged model")
    manifest = _read(data / dataset.MANIFEST, "`answerloop dataset build` makes a dataset")
    weights = digest(str(merged))
    if (report["digest"], report["dataset"]) != (weights, manifest_digest(data)):
        raise Mismatch(f"the evaluation in {merged} is of other weights or of another dataset; evaluate it again")
    card = Card(
        name=name,
        created=now(),
        base=base["base"],
        base_digest=base["base_digest"],
        digest=weights,
        dataset=report["dataset"],
        certificate=manifest["certificate"]["digest"],
        prompt_hash=report["prompt_hash"],
        code=own_version(),
        metrics={name: report[name] for name in ("differences", "perplexity", "adversarial", "memory")}
        | {"test": report["test"], "tuned": report["routes"]["tuned"]},
        window=manifest["tokens"]["window"],
    )
    registry_of(settings).add(merged, card)
    return card


def promote(
    settings: Settings,
    name: str,
    data: Path,
    who: str,
    progress: Progress,
    shadow: float = 0.0,
    tell: Tell = untold,
) -> Promotion:
    """shadow: the share of real questions that it has to answer beside the live model first. Where it did not yet, and
    every other gate holds, that begins, and nothing else changes; 0 for a promotion without. tell: is given what
    people asked of late and would be answered otherwise, before it is served; the gates have decided.

    Raises `Mismatch` when model, dataset and program do not belong together, `InvalidInput` without an index."""
    card = registry_of(settings).card(name)
    folder = registry_of(settings).path(name)
    check_identity(card, data)
    live, calibration = asyncio.run(_live(settings))
    own = calibrated(str(folder), data, calibration, progress, settings.entailment)
    ours = judged_replies(str(folder), data, own.calibration, progress, settings.entailment)
    theirs = _judged_live(settings, live.model, data, calibration, str(folder), progress)
    left_out = len({one.row for one in ours} ^ {one.row for one in theirs})
    ours, theirs = common(ours, theirs)
    window = read_data(data).window
    reasked = asyncio.run(_reasked(settings, live, folder, window, progress, own.calibration))
    found = [*gates(ours, theirs, _test_rows(data, ours)), corrected(reasked)]
    seen = asyncio.run(_in_shadow(settings, live, name, who, shadow if all(gate.held for gate in found) else 0.0))
    if seen is not None:
        found.append(shadow_report.gate(seen[1]))
    earned = all(gate.held for gate in found)
    release = ""
    past: Mapping[str, Any] = {}
    if earned:
        made = asyncio.run(_release_of(settings, live, name, who, own))
        past = _past(settings, made, window, who, progress)
        if past:
            tell(past)
        release = asyncio.run(_served(settings, live, made, who))
    again = tuple(one for one in reasked if one.again)
    tried = seen and shadow_report.report(*seen)
    return Promotion(name, live.model, release, len(ours), tuple(found), again, tried, own.report, left_out, past)


async def _in_shadow(
    settings: Settings, live: Release, name: str, who: str, share: float
) -> tuple[Shadow, list[Compared]] | None:
    """The newest shadow of this model beside this very release, begun where a share is wanted and there is none."""
    with SqlStore.open(settings.store_url) as store:
        found = await store.read(lambda c: shadows.newest(c, name))
        if found is None or found.release_id != live.id:
            if not share:
                return None
            found = await store.write(lambda c: shadows.start(c, name, live.id, share, who))
        return found, await shadow_report.compared(store, found)


def check_identity(card: Card, data: Path) -> None:
    """The dataset is certified again, and is the one of the card; prompts are rendered as they were for training.
    Raises `Mismatch`."""
    certificate = dataset.check(data)
    if (manifest_digest(data), certificate.digest) != (card.dataset, card.certificate):
        raise Mismatch(f"{data} is not the dataset that the model {card.name} was judged on")
    if card.prompt_hash != prompt.prompt_hash():
        raise Mismatch(
            f"the model {card.name} was tuned with other prompts than this server renders; build the dataset and train "
            "again"
        )


def common(ours: Iterable[Judged], theirs: Iterable[Judged]) -> tuple[list[Judged], list[Judged]]:
    """Rows that fit into both windows: two tokenizers may disagree about the last ones."""
    mine, live = {one.row: one for one in ours}, {one.row: one for one in theirs}
    rows = [row for row in mine if row in live]
    return [mine[row] for row in rows], [live[row] for row in rows]


def _test_rows(data: Path, judged: Iterable[Judged]) -> Collection[str]:
    splits = json.loads((data / "splits.json").read_text("utf-8"))
    return {one.row for one in judged if splits[one.cluster] == "test"}


def _judged_live(
    settings: Settings, model: str, data: Path, calibration: Calibration, counted_by: str, progress: Progress
) -> list[Judged]:
    folder = _folder_of(settings, model)
    if folder is None:
        return judged_quotes(data, calibration, counted_by)
    return judged_replies(str(folder), data, calibration, progress, settings.entailment)


def _folder_of(settings: Settings, model: str) -> Path | None:
    """None where the release quotes. Raises `InvalidInput`."""
    if model in (QUOTING, "none"):
        return None
    known = {card.name for card in registry_of(settings).list()}
    if model not in known and not Path(model).is_dir():
        raise InvalidInput(
            f"the live model {model} is in no folder here, so nothing can be compared with it; register it, or roll "
            "back to a release that quotes"
        )
    return registry_of(settings).path(model) if model in known else Path(model)


async def _reasked(
    settings: Settings,
    live: Release,
    candidate: Path,
    window: Window,
    progress: Progress,
    calibration: Calibration | None = None,
) -> list[Reasked]:
    """Raises `IndexUnavailable` when there are corrected questions and no index to answer them from."""
    system = System(settings, SqlStore.open(settings.store_url))
    try:
        known = await regressions(system.store)
        if not known:
            return []
        served, entails = _folder_of(settings, live.model), entailment_of(settings.entailment)
        async with system.trying(live.id) as parts:
            return await ask_again(
                known,
                parts,
                lambda bare: InProcess(candidate, window, bare.quoting, entails),
                lambda bare: InProcess(served, window, bare.quoting, entails) if served else bare.quoting,
                progress,
                calibration,
            )
    finally:
        await system.close()


async def _live(settings: Settings) -> tuple[Release, Calibration]:
    with SqlStore.open(settings.store_url) as store:
        active = await store.active_release()
        if active is None:
            raise InvalidInput("there is no release to promote a model into; make an index with `answerloop index`")
        return active, await calibration_of(store, active.calibration)


async def _release_of(settings: Settings, live: Release, name: str, who: str, own: Adapted) -> Release:
    """Not active yet."""
    with SqlStore.open(settings.store_url) as store:
        fitted = own.report["fitted"]
        kept = await store.put_calibration(own.calibration.to_json()) if fitted else live.calibration
        return await release_with(store, live, who, model=name, prompt_hash=prompt.prompt_hash(), calibration=kept)


def _past(settings: Settings, made: Release, window: Window, who: str, progress: Progress) -> Mapping[str, Any]:
    """{} where nothing was asked, or nothing can be asked here."""

    def ask(reported: Progress) -> Replayed:
        return asyncio.run(_ask_past(settings, made, window, reported))

    with SqlStore.open(settings.store_url) as store:
        if not asyncio.run(store.list_traces(1)):
            return {}
    try:
        return rehearsal.kept(settings, made.id, rehearsal.SINCE, who, progress, ask, alone=False)
    except (IndexUnavailable, Mismatch) as error:  # trained beside a database only: the gates have decided
        log.warning("past questions cannot be asked here: %s", error)
        return {}


async def _served(settings: Settings, live: Release, made: Release, who: str) -> str:
    """The id of the release, active now. Raises `Conflict` where another one than `live` is served by now."""
    with SqlStore.open(settings.store_url) as store:
        await store.activate_release(made.id, who, over=live.id)
        await store.write(lambda c: shadows.stop(c, who))  # what was compared is not served any more
        return made.id


async def _ask_past(settings: Settings, made: Release, window: Window, progress: Progress) -> Replayed:
    """Past questions, of the candidate in this process, compared with what was sent."""
    folder, entails = registry_of(settings).path(made.model), entailment_of(settings.entailment)
    system = System(settings, SqlStore.open(settings.store_url))
    try:
        async with system.trying(made.id) as parts:
            tried = replace(parts, generator=InProcess(folder, window, parts.quoting, entails))
            return await replay(system.store, tried, rehearsal.start_of(rehearsal.SINCE), MOST_ASKED, progress)
    finally:
        await system.close()


def _read(path: Path, otherwise: str) -> dict[str, Any]:
    """Raises `InvalidInput`."""
    if not path.is_file():
        raise InvalidInput(f"there is no {path}; {otherwise}")
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content
