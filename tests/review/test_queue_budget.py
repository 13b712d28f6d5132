"""The error budget on a real store: drawn answers, verdicts, a certificate, the line in force, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from router.types import Release, ReviewItem, Route
from services.calibrations import packaged_calibration
from services.review.budget import State, Writer
from services.review.budgeting import Budgeting
from services.review.writing import entry_of
from services.settings import Settings
from services.store.records import now
from services.store.review_records import Judgement, VerdictKind
from services.store.sql import SqlStore
from services.store.verdicts import Rules
from tests.review import pages
from tests.store.samples import trace

RIGHT, WRONG = Judgement(VerdictKind.CORRECT), Judgement(VerdictKind.WRONG)


class Place:
    def __init__(self, home: Path, settings: Settings) -> None:
        self.store = SqlStore.open(f"sqlite:///{home}/store.db")
        self.settings, self.home = settings, home
        self.writer = Writer()
        self.budget = Budgeting(settings, self.store, home, lambda _release: self.writer)
        self.number = 0

    async def release(self, name: str, version: str) -> Release:
        folder = self.home / "versions" / version
        if not folder.exists():
            pages.make_version(folder, None, [])
        calibration = await self.store.put_calibration(packaged_calibration().to_json())
        made = Release(name, now(), version, "0", "extractive", "none", calibration)
        await self.store.add_release(made)
        return await self.store.activate_release(name, "test")

    async def audited(self, count: int, release: str, judgement: Judgement | None, confidence: float = 0.97) -> None:
        """Answers that the audit drew, and what people said of them."""
        for _ in range(count):
            self.number += 1
            one = trace(f"question {self.number}", Route.GROUNDED)
            text = f"answer {self.number}"
            answer = replace(one.answer, text=text, confidence=confidence, model=self.writer.models[-1][0])
            one = replace(one, release=release, created=now(), answer=answer, prompt=self.writer.prompt)
            item = ReviewItem(f"item-{one.id}", one.id, one.question.text, "zh", "audit", "pending", one.created, 0.05)
            await self.store.record(one, item)
            if judgement is not None:
                await self.store.reviews.decide(item.id, judgement, "anna", one.id, Rules(), entry_of)


def run(home: Path, scenario: Callable[[Place], Awaitable[None]], settings: Settings | None = None) -> None:
    place = Place(home, settings or Settings())
    asyncio.run(scenario(place))  # type: ignore[arg-type]
    place.store.close()


def test_from_nothing_to_a_certificate_and_its_end(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        base = packaged_calibration().line_for("zh", "grounded")
        release = await place.release("r1", "v1")
        assert (await place.budget.calibration(release)).lines == {}
        state = await place.budget.state()
        assert (state.state, state.certificate, state.audited) == ("not_certifiable", None, 0)
        assert state.needed == 72  # 1 - 0.05 at the first look's half of 5 %, with none wrong
        await place.audited(30, "r1", RIGHT)
        few = await place.budget.refit("anna")
        assert few.state is State.NOT_CERTIFIABLE and few.needed > 0
        assert await place.budget.moved(release)
        assert (await place.budget.calibration(release)).line_for("zh", "grounded") == base
        await place.audited(130, "r1", RIGHT)
        made = await place.budget.refit("anna")
        assert (made.state, made.errors) == (State.CERTIFIED, 0)
        assert made.upper_bound <= 0.05
        assert made.budget.looks == 6  # the second look
        assert (await place.budget.calibration(release)).lines == {"/": made.line}
        assert "Certified" in place.budget.ready()["budget"]
        other = await place.release("r2", "v2")
        assert (await place.budget.calibration(other)).lines == {}
        state = await place.budget.state()
        assert state.certificate is not None
        assert (state.state, state.certificate.invalidated_by) == ("invalidated", ("index",))
        assert state.needed == 72, "the new release begins anew"
        assert "because of: index. Not certifiable yet: 72 more" in state.stated()
        assert "原因：索引。暂时无法认证：至少还需抽查 72 个" in state.stated("zh")
        assert (await place.budget.calibration(release)).lines == {"/": made.line}  # rolling back brings it back

    run(tmp_path, scenario)


MODEL = Writer((("tuned-1", 1.0),), "p1")


@pytest.mark.parametrize(
    ("before", "after", "why", "said"),
    [
        (Writer(), MODEL, ("model", "prompt"), "because of: model, prompt. Not certifiable yet: 72 more"),
        (MODEL, Writer((("tuned-2", 1.0),), "p1"), ("model",), "because of: model. Not certifiable yet: 72 more"),
        (MODEL, Writer((("tuned-1", 1.0),), "p2"), ("prompt",), "because of: prompt. Not certifiable yet: 72 more"),
        (MODEL, Writer(), ("model", "prompt"), "because of: model, prompt. Not certifiable yet: 72 more"),
    ],
)
def test_another_writer_ends_a_certificate_and_begins_anew(
    tmp_path: Path, before: Writer, after: Writer, why: tuple[str, ...], said: str
) -> None:
    """Of the same release: a model that was swapped in, prompts of a newer program, quoting while no model is there."""

    async def scenario(place: Place) -> None:
        release = await place.release("r1", "v1")
        place.writer = before
        await place.audited(100, "r1", RIGHT)
        made = await place.budget.refit("anna")
        lines = (await place.budget.calibration(release)).lines
        assert made.state is State.CERTIFIED and lines and not await place.budget.moved(release)

        place.writer = after
        assert await place.budget.moved(release)
        assert (await place.budget.calibration(release)).lines == {}
        state = await place.budget.state()
        assert state.certificate is not None
        assert (state.state, state.certificate.invalidated_by, state.audited) == ("invalidated", why, 0)
        assert said in state.stated()
        assert (await place.budget.refit("anna")).n == 0, "what another one wrote says nothing of this one"
        await place.audited(10, "r1", WRONG)
        assert (await place.budget.refit("anna")).errors > 0

        place.writer = before
        assert (await place.budget.calibration(release)).lines == lines, "its own audit still stands"
        assert (await place.budget.state()).audited == 100

    run(tmp_path, scenario)


def test_an_adapter_on_a_share_is_audited_with_the_model_beside_it(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        await place.release("r1", "v1")
        place.writer = MODEL
        await place.audited(100, "r1", RIGHT)
        assert (await place.budget.refit("anna")).state is State.CERTIFIED
        both = Writer((("tuned-1", 0.9), ("trial", 0.1)), "p1")
        place.writer = both
        state = await place.budget.state()
        assert (state.state, state.audited) == ("invalidated", 0), "the adapter has written nothing yet"
        await place.audited(1, "r1", RIGHT)
        place.writer = MODEL
        await place.audited(3, "r1", RIGHT)
        place.writer = both
        assert (await place.budget.state()).audited == 4, "since both write"

    run(tmp_path, scenario)


def test_wrong_answers_are_never_certified_and_end_a_certificate(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        await place.release("r1", "v1")
        await place.audited(160, "r1", RIGHT)
        assert (await place.budget.refit("anna")).state is State.CERTIFIED
        assert await place.budget.watch() is None
        await place.audited(25, "r1", WRONG)
        ended = await place.budget.watch()
        assert ended is not None and ended.invalidated_by == ("audit",)
        state = await place.budget.state()
        assert state.state == "invalidated"
        assert state.line == ended.conservative_line >= 0.95, "people said that the line before is too low"
        assert f"nothing uncertified below {state.line:.2f} is sent" in state.stated()
        assert (await place.budget.refit("anna")).state is State.NOT_CERTIFIABLE

    run(tmp_path, scenario)


def test_a_line_that_the_audit_speaks_against_is_left_for_the_careful_one(tmp_path: Path) -> None:
    """Before anybody judged, the calibration's line is in force, and what is said of it is true."""

    async def scenario(place: Place) -> None:
        release = await place.release("r1", "v1")
        base = packaged_calibration().line_for("", "")
        state = await place.budget.state()
        assert (state.line, state.careful) == (base, 0.95)
        assert f"conservative line is in force ({base:.2f} or above, by language)" in state.stated()
        assert f"保守界线（按语言，不低于 {base:.2f}；" in state.stated("zh")
        await place.audited(40, "r1", WRONG)
        made = await place.budget.refit("anna")
        assert made.state is State.NOT_CERTIFIABLE and any(one.refuted for one in made.lines)
        line = (await place.budget.calibration(release)).line_for("zh", "grounded")
        assert line == made.conservative_line >= 0.95

    run(tmp_path, scenario)


def test_what_nobody_has_judged_ends_the_period(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        await place.release("r1", "v1")
        await place.audited(10, "r1", RIGHT)
        await place.audited(1, "r1", None)
        await place.audited(50, "r1", RIGHT)
        state = await place.budget.state()
        assert (state.audited, state.undecided) == (10, 1)

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("judgement", "wrong"), [(RIGHT, False), (WRONG, True), (Judgement(VerdictKind.INCOMPLETE), True)]
)
def test_only_what_was_called_correct_is_right(tmp_path: Path, judgement: Judgement, wrong: bool) -> None:
    async def scenario(place: Place) -> None:
        await place.release("r1", "v1")
        await place.audited(1, "r1", judgement)
        (one,) = await place.budget.audited()
        assert (one.wrong, one.probability, one.language, one.route) == (wrong, 0.05, "zh", "grounded")

    run(tmp_path, scenario)


def test_the_careful_line_is_used_where_it_is_wanted(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        release = await place.release("r1", "v1")
        assert (await place.budget.calibration(release)).line_for("zh", "grounded") == 0.95

    run(tmp_path, scenario, Settings(uncertified_line="careful"))
