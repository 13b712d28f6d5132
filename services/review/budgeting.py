"""The error budget of one running system: verdicts on drawn answers in, the line in force out.

Every fit is a look at a growing audit. The k-th look of a release gets 1/(k(k+1)) of what may go wrong, and those parts
add up to the whole, so people may refit as often as they like and the promise still holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from indexer.build import version_folder
from indexer.version import read_manifest
from router.confidence import Calibration
from router.errors import IndexUnavailable, Mismatch, NotFound
from router.types import Release, Route
from services.calibrations import under
from services.review import budget
from services.review.audit import Audited, Budget, split
from services.review.bounds import required
from services.review.budget import Certificate, Fingerprint, State, Writer
from services.settings import Settings
from services.store.certificates import DrawnAnswer
from services.store.records import Calibration as KeptCalibration
from services.store.review_records import Verdict, VerdictKind
from services.store.sql import SqlStore
from services.store.traces import answer_key

_REMEMBERED = 50  # certificates that are looked through for one of this release
_RELEASES = 200
_RIGHT = frozenset({VerdictKind.CORRECT, VerdictKind.DUPLICATE})


@dataclass(frozen=True, slots=True)
class BudgetState:
    """certificate: the one that speaks of this release, invalidated where it is of another one; None before the first
    fit. audited: verdicts on drawn answers of this release; undecided: drawn answers that wait for one. needed: audited
    answers that are missing at least. line: in force for what has no line of its own."""

    certificate: Certificate | None
    audited: int
    undecided: int
    needed: int
    line: float
    careful: float

    @property
    def state(self) -> str:
        return self.certificate.state.value if self.certificate else State.NOT_CERTIFIABLE.value

    def stated(self, language: str = "en") -> str:
        """What is promised and, where nothing is, the line that is in force meanwhile."""
        said = language if language in _NONE_YET else "en"
        found = self.certificate
        parts = [budget.stated(found, said)] if found else []
        if found is None or (found.state is State.INVALIDATED and not _by_audit(found)):
            parts.append(_NONE_YET[said].format(needed=self.needed, audited=self.audited))
        if found is None or found.state is not State.CERTIFIED:
            meanwhile = _MEANWHILE[said][self._meanwhile()]
            parts.append(meanwhile.format(line=f"{self.line:.2f}", careful=f"{self.careful:.2f}"))
        return ("" if said == "zh" else " ").join(parts)

    def _meanwhile(self) -> str:
        if self.line >= self.careful:
            return "careful"
        return "refuted" if self.certificate and any(one.refuted for one in self.certificate.lines) else "calibrated"


_NONE_YET = {
    "en": "Not certifiable yet: {needed} more audited answers needed at least ({audited} so far).",
    "zh": "暂时无法认证：至少还需抽查 {needed} 个回答（目前 {audited} 个）。",
}
_MEANWHILE = {
    "en": {
        "careful": "Until then nothing uncertified below {line} is sent.",
        "refuted": "Until then the calibration's conservative line is in force ({line} or above, by language), found "
        "with assurance on labelled questions, which promises no rate on yours, and {careful} where the audit speaks "
        "against it.",
        "calibrated": "Until then the calibration's conservative line is in force ({line} or above, by language), "
        "found with assurance on labelled questions, which promises no rate on yours.",
    },
    "zh": {
        "careful": "在此之前，未认证且低于 {line} 的回答不会发送。",
        "refuted": "在此之前使用校准得出的保守界线（按语言，不低于 {line}；由标注的问题按置信上界求得，"
        "对您的问题不作承诺）；"
        "抽查结果与之相悖之处，界线为 {careful}。",
        "calibrated": "在此之前使用校准得出的保守界线（按语言，不低于 {line}；由标注的问题按置信上界求得，"
        "对您的问题不作承诺）。",
    },
}


WriterOf = Callable[[Release], Writer]
"""Who writes the answers of a release now."""


def quoted(_release: Release) -> Writer:
    return Writer()


class Budgeting:
    def __init__(self, settings: Settings, store: SqlStore, index_home: Path, writer: WriterOf = quoted) -> None:
        self._settings, self._store, self._home = settings, store, index_home
        self._writer = writer
        self._budget = Budget(settings.max_wrong_rate, settings.assurance)
        self._embedders: dict[str, str] = {}
        self._seen = ("", Writer())
        self.last: BudgetState | None = None

    async def calibration(self, release: Release) -> Calibration:
        """The release's, with the lines that hold now; remembers the state in `last`. Raises `NotFound`."""
        self._seen = await self._newest(release)
        fitted = await self._fitted(release)
        state = await self._state(release, fitted)
        self.last = state
        lines = lines_of(state.certificate, self._budget, self._settings.uncertified_line == "careful")
        return replace(fitted, lines=lines)

    async def moved(self, release: Release) -> bool:
        """Whether there is a certificate, or another writer, since `calibration` was asked. Cheap."""
        return await self._newest(release) != self._seen

    async def _newest(self, release: Release) -> tuple[str, Writer]:
        return await self._store.reviews.newest_certificate(), self._writer(release)

    async def state(self) -> BudgetState:
        """Of the active release, now. Raises `NotFound` where there is none."""
        await self.calibration(active_of(await self._store.active_release()))
        assert self.last is not None
        return self.last

    def ready(self) -> dict[str, str]:
        return {"budget": self.last.stated()} if self.last else {}

    async def refit(self, who: str) -> Certificate:
        """Tests the lines on all verdicts there are on drawn answers of the active release, and keeps the certificate.
        Raises `NotFound` where there is no release."""
        release = active_of(await self._store.active_release())
        prior = (await self.calibration(release)).line_for("", "")  # nothing below it was sent, so none was drawn
        fitted = await self._fitted(release)
        writer = self._writer(release)
        now = await self._fingerprint(release, fitted, writer)
        rows, _ = await self._audited(release, fitted, writer)
        looks = 1 + sum(not budget.changed(one, now) for one in await self.history())
        learning, certifying = split(rows)
        wanted = replace(self._budget, looks=looks * (looks + 1))
        made = await asyncio.to_thread(budget.certify, certifying, wanted, prior, learning, now)
        await self._store.reviews.put_certificate(who, release.id, made.to_json())
        return made

    async def watch(self) -> Certificate | None:
        """Ends a certificate that later verdicts contradict; the ended one, None where all is well."""
        release = await self._store.active_release()
        if release is None:
            return None
        state = await self._state(release, await self._fitted(release))
        self.last = state
        certificate = state.certificate
        if certificate is None or certificate.state is not State.CERTIFIED:
            return None
        later = [one for one in await self.audited() if one.created > certificate.period[1]]
        ended = await asyncio.to_thread(budget.watched, certificate, later)
        if ended.state is not State.INVALIDATED:
            return None
        await self._store.reviews.put_certificate("audit", release.id, ended.to_json())
        return ended

    async def history(self) -> list[Certificate]:
        """Newest first."""
        return [Certificate.from_json(one.payload) for one in await self._store.reviews.certificates(_REMEMBERED)]

    async def audited(self) -> list[Audited]:
        """Of the active release, for the curves of `services.review.quality`; [] where there is none."""
        release = await self._store.active_release()
        if release is None:
            return []
        return (await self._audited(release, await self._fitted(release), self._writer(release)))[0]

    async def _state(self, release: Release, fitted: Calibration) -> BudgetState:
        writer = self._writer(release)
        certificate = await self._speaks_of(release, fitted, writer)
        rows, undecided = await self._audited(release, fitted, writer)
        of_another = certificate is not None and certificate.state is State.INVALIDATED and not _by_audit(certificate)
        needed = self._missing(len(rows)) if certificate is None or of_another else certificate.needed
        lines = lines_of(certificate, self._budget, self._settings.uncertified_line == "careful")
        careful = certificate.conservative_line if certificate else 1 - self._budget.max_wrong_rate
        return BudgetState(certificate, len(rows), undecided, needed, lines.get("/", fitted.line_for("", "")), careful)

    async def _fitted(self, release: Release) -> Calibration:
        return under(self._settings, _read(await self._store.get_calibration(release.calibration)))

    async def _speaks_of(self, release: Release, calibration: Calibration, writer: Writer) -> Certificate | None:
        """The newest certificate of this very release and writer; else the newest of all, ended by what changed."""
        kept, now = await self.history(), await self._fingerprint(release, calibration, writer)
        own = next((one for one in kept if not budget.changed(one, now)), None)
        if own is not None or not kept:
            return own
        return budget.invalidated(kept[0], budget.changed(kept[0], now))

    async def _audited(self, release: Release, calibration: Calibration, writer: Writer) -> tuple[list[Audited], int]:
        """Those drawn before the oldest that nobody has judged yet (people decide easy ones first); how many wait."""
        wanted = await self._alike(release, calibration, writer)
        found, verdicts = await self._store.reviews.drawn_answers(wanted)
        rows = written_by(writer, found)
        open_since = min((row.created for row in rows if not row.decided), default="~")
        by_item = {one.item_id: one for one in verdicts}
        judged = [row for row in rows if row.created < open_since and row.item_id in by_item]
        return [audited_of(row, by_item[row.item_id]) for row in judged], sum(not row.decided for row in rows)

    async def _alike(self, release: Release, calibration: Calibration, writer: Writer) -> list[str]:
        """The releases that answer with the same certainty as this one: only lines or curated answers differ. Who wrote
        under them is told by the answers."""
        now = await self._fingerprint(release, calibration, writer)
        found = [release.id]
        known: dict[str, Calibration] = {release.calibration: calibration}
        for other in await self._store.list_releases(_RELEASES):
            if other.id == release.id or other.index_version != release.index_version:
                continue
            if other.calibration not in known:
                known[other.calibration] = await self._fitted(other)
            if await self._fingerprint(other, known[other.calibration], writer) == now:
                found.append(other.id)
        return found

    async def _fingerprint(self, release: Release, calibration: Calibration, writer: Writer) -> Fingerprint:
        version = release.index_version
        if version not in self._embedders:
            self._embedders[version] = await asyncio.to_thread(_embedder, version_folder(self._home, version))
        return budget.fingerprint(release, self._embedders[version], calibration, writer)

    def _missing(self, audited: int) -> int:
        """At the first look, if none is wrong and all of them test one line."""
        first = replace(self._budget, looks=2)
        return max(required(0, first.max_wrong_rate, first.risk()) - audited, 1)


def _by_audit(certificate: Certificate) -> bool:
    return "audit" in certificate.invalidated_by


def _embedder(folder: Path) -> str:
    """ "" for a version that is not here: what it was made with is not known, which is a change too."""
    try:
        return read_manifest(folder).embedder
    except (IndexUnavailable, Mismatch):
        return ""


def _read(kept: KeptCalibration) -> Calibration:
    return replace(Calibration.from_json(kept.payload), id=kept.id)


def written_by(writer: Writer, rows: Sequence[DrawnAnswer]) -> list[DrawnAnswer]:
    """Those that tell about who writes now; of several models those since all of them do, because only then each has
    its share. Approved answers are the same whoever writes."""
    mine = [row for row in rows if row.route == Route.GROUNDED and writer.wrote(row.model, row.prompt)]
    first = {row.model: row.created for row in reversed(mine)}
    begun = max(first.get(model, "~") for model, _ in writer.models)
    told = {row.trace_id for row in mine if row.created >= begun}
    return [row for row in rows if row.route != Route.GROUNDED or row.trace_id in told]


def audited_of(row: DrawnAnswer, verdict: Verdict) -> Audited:
    """Right only where a person said so of these very words; an answer that nobody spoke of counts as wrong."""
    right = verdict.judgement.kind in _RIGHT and answer_key(verdict.answer) == row.answer_key
    return Audited(row.question_key, row.language, row.route, row.confidence, not right, row.probability, row.created)


def lines_of(certificate: Certificate | None, wanted: Budget, careful: bool) -> dict[str, float]:
    """As `Calibration.lines`. careful: what is not certified is sent from the careful line on. Else it is sent from the
    calibration's own line on, which promises nothing, until the audit speaks against it: then from the careful one."""
    if certificate is None:
        return {"/": 1 - wanted.max_wrong_rate} if careful else {}
    careful = careful or _by_audit(certificate)
    lines: dict[str, float] = {"/": certificate.conservative_line} if careful else {}
    if certificate.state is State.INVALIDATED:
        return lines
    for one in certificate.lines:
        if one.state is State.CERTIFIED or one.refuted or careful:
            lines[f"{one.language}/{one.route}"] = one.line
    return lines


def active_of(release: Release | None) -> Release:
    """Raises `NotFound` when nothing is served."""
    if release is None:
        raise NotFound("no release yet; make one with `answerloop index`")
    return release


def report(state: BudgetState, history: Sequence[Certificate] = ()) -> dict[str, object]:
    """JSON-ready."""
    return {
        "state": state.state,
        "stated": {language: state.stated(language) for language in _NONE_YET},
        "line": state.line,
        "audited": state.audited,
        "undecided": state.undecided,
        "needed": state.needed,
        "certificate": state.certificate.to_json() if state.certificate else None,
        "history": [one.to_json() for one in history],
    }
