"""A model is served only when it is what its card says, was judged on what it says, and passes every gate."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router import prompt
from router.confidence import Calibration
from router.errors import Conflict, InvalidInput, Mismatch
from router.packing import Window
from router.types import Question, Release
from services.calibration import Said, adapt
from services.calibrations import calibration_of, packaged_calibration
from services.compose import open_system
from services.indexing import run_index
from services.settings import Settings
from services.store import shadows
from services.store.sql import SqlStore
from services.training import promotion
from services.training.counting import tokenizer_of
from services.training.dataset import Budget, make
from services.training.digests import digest
from services.training.evaluation import REPORT, manifest_digest, read_data
from services.training.gates import FEWEST, Judged
from services.training.human_sheet import KEY, SHEET
from services.training.human_sheet import read as read_scores
from services.training.human_sheet import write as write_sheet
from services.training.learning_curve import CurveOptions, mislabelled, ordered_clusters
from services.training.learning_curve import run as run_curve
from services.training.merging import MERGED
from tests.store.samples import trace
from tests.training.test_dataset import NAMES, PASSAGES, inputs, parameter_page
from tests.training.tiny_models import make as make_model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(model, dataset)"""
    folder = tmp_path_factory.mktemp("made")
    base = make_model(folder / "model", "qwen3", [one.text for one in PASSAGES], words=900)
    pages = [*PASSAGES, *(parameter_page(f"{name}{at}") for name in NAMES for at in range(3))]
    budget = Budget(Window(1600, 40), tokenizer_of(str(base)), str(base))
    make(inputs(passages=pages), budget, folder / "data")
    (base / MERGED).write_text(json.dumps({"base": "tiny", "base_digest": "b"}), "utf-8")
    write_report(base, folder / "data")
    return base, folder / "data"


def write_report(model: Path, data: Path, **changes: object) -> None:
    parts: dict[str, object] = {name: {} for name in ("differences", "perplexity", "adversarial", "memory", "test")}
    report = {"model": str(model), "digest": digest(str(model)), "dataset": manifest_digest(data)}
    whole = {**parts, **report, "prompt_hash": prompt.prompt_hash(), "routes": {"tuned": {}}, **changes}
    (model / REPORT).write_text(json.dumps(whole), "utf-8")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with one release, which quotes."""
    found = Settings(home=tmp_path / "home")
    found.make_home()

    async def begin() -> None:
        with SqlStore.open(found.store_url) as store:
            kept = await store.put_calibration(packaged_calibration().to_json())
            await store.add_release(Release("r-1", "2026-11-01T00:00:00", "v1", "0", "extractive", "none", kept))
            await store.activate_release("r-1", "test")

    asyncio.run(begin())
    return found


def active(settings: Settings) -> Release:
    async def look() -> Release:
        with SqlStore.open(settings.store_url) as store:
            found = await store.active_release()
            assert found
            return found

    return asyncio.run(look())


def judged(right: bool, count: int = FEWEST + 5) -> list[Judged]:
    rows = [Judged(f"a{at}", "", True, False, float(right), right, at == 0) for at in range(count)]
    return [replace(one, cluster=one.row) for one in rows] + [
        Judged(f"r{at}", f"r{at}", False, True, 0.0, True) for at in range(count)
    ]


def promoted(
    settings: Settings,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    ours: list[Judged],
    live: list[Judged],
    shadow: float = 0.0,
    of_slice: Sequence[Said] = (),
    **options: Any,
) -> promotion.Promotion:
    """With these answers of the two, and of ours to the calibration slice, in place of minutes of asking; everything
    else is real."""
    monkeypatch.setattr(promotion, "judged_replies", lambda *_: ours)
    monkeypatch.setattr(promotion, "calibrated", lambda _model, _data, served, *_: adapt(served, of_slice))
    monkeypatch.setattr(promotion, "judged_quotes", lambda *_: live)
    monkeypatch.setattr(promotion, "_test_rows", lambda _data, rows: {one.row for one in rows})
    return promotion.promote(settings, "first", data, "test", lambda *_: None, shadow, **options)


def test_a_better_model_is_a_new_release_and_can_be_taken_back(
    made: tuple[Path, Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = made
    before = active(settings)
    promotion.register(settings, "first", model, data)
    found = promoted(settings, data, monkeypatch, judged(True), judged(False))
    release = active(settings)
    assert found.release == release.id != before.id and found.refused_by == ()
    kept = ("index_version", "curated_revision", "calibration")
    assert [getattr(release, name) for name in kept] == [getattr(before, name) for name in kept]
    assert (release.index_version, release.curated_revision) == ("v1", "0")
    assert (release.model, release.prompt_hash) == ("first", prompt.prompt_hash())
    assert (before.model, before.prompt_hash) == ("extractive", "none")
    assert found.confidence["answers"] == 0 and "30 answers are needed" in found.confidence["says"]
    asyncio.run(back(settings))
    assert replace(active(settings), curated_revision="0") == before


def test_a_model_brings_the_calibration_that_fits_it_and_takes_it_along(
    made: tuple[Path, Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = made
    before = active(settings).calibration
    promotion.register(settings, "first", model, data)
    rights = [Said({"lexical": 0.5, "model_sure": 0.9 if at % 2 else 0.4}, bool(at % 2)) for at in range(200)]
    found = promoted(settings, data, monkeypatch, judged(True), judged(False), of_slice=rights)
    fitted = asyncio.run(calibration_now(settings))
    assert found.confidence["fitted"] and fitted.id == active(settings).calibration != before
    assert set(fitted.names) - set(packaged_calibration().names) == {"model_sure"}
    asyncio.run(back(settings))
    assert active(settings).calibration == before


async def calibration_now(settings: Settings) -> Calibration:
    with SqlStore.open(settings.store_url) as store:
        release = await store.active_release()
        assert release
        return await calibration_of(store, release.calibration)


async def back(settings: Settings) -> None:
    with SqlStore.open(settings.store_url) as store:
        await store.activate_release("r-1", "test")


def test_rows_that_fit_one_window_only_are_counted(
    made: tuple[Path, Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = made
    promotion.register(settings, "first", model, data)
    found = promoted(settings, data, monkeypatch, judged(True)[2:], judged(False)[:-1])
    assert (found.left_out, found.rows) == (3, len(judged(True)) - 3)


def test_a_worse_one_is_refused_with_the_gate_and_nothing_changes(
    made: tuple[Path, Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = made
    promotion.register(settings, "first", model, data)
    found = promoted(settings, data, monkeypatch, judged(False), judged(True))
    assert found.release == "" and active(settings).id == "r-1"
    assert [one.split(":")[0] for one in found.refused_by] == ["answers", "no relapse"]


@pytest.fixture
def indexed(tmp_path: Path) -> Settings:
    """A home with a real index, of one page."""
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "keep.md").write_text("# Backups\n\nBackups are kept for seven days.\n", "utf-8")
    found = Settings(home=tmp_path / "indexed", corpus_seconds=1.0)
    found.make_home()
    with SqlStore.open(found.store_url) as store:  # what is sent is not what is tested here
        asyncio.run(store.put_calibration(replace(packaged_calibration().with_line(0.2), origin="fitted").to_json()))
    run_index(found, [f"m={pages}"], "test", lambda *_: None)
    return found


@pytest.mark.parametrize("overtaken", [False, True])
def test_what_was_asked_of_late_is_shown_before_it_is_served(
    made: tuple[Path, Path], indexed: Settings, monkeypatch: pytest.MonkeyPatch, overtaken: bool
) -> None:
    """Asked of the candidate itself: random weights, of which nothing can be sent. What somebody else serves meanwhile
    is not undone."""
    (model, data), settings = made, indexed
    before = active(settings)

    system = open_system(settings)

    async def asked() -> None:
        sent = await system.ask(Question("How many days are backups kept?"))
        assert "Backups are kept for seven days" in sent.trace.answer.text
        await system.close()

    asyncio.run(asked())
    promotion.register(settings, "first", model, data)
    shown: list[tuple[str, Any]] = []

    def tell(seen: Mapping[str, Any]) -> None:
        shown.append((active(settings).id, seen))
        if overtaken:
            asyncio.run(another(settings, before))

    with pytest.raises(Conflict, match="another is served by now") if overtaken else nullcontext():
        found = promoted(settings, data, monkeypatch, judged(True), judged(False), tell=tell)
    ((served, seen),) = shown
    assert served == before.id and seen["questions"] == 1 and seen["counts"]["lost"] == 1
    assert overtaken or found.past == seen
    assert "Backups are kept" in seen["changed"][0]["before"]["answer"]
    assert active(settings).model == ("extractive" if overtaken else "first")


async def another(settings: Settings, base: Release) -> None:
    with SqlStore.open(settings.store_url) as store:
        await store.add_release(replace(base, id="another"))
        await store.activate_release("another", "somebody else")


def test_without_an_index_beside_it_the_gates_alone_decide(
    made: tuple[Path, Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that shares the database and has no documents."""
    model, data = made

    async def asked() -> None:
        with SqlStore.open(settings.store_url) as store:
            await store.record(trace("How many?"), None)

    asyncio.run(asked())
    promotion.register(settings, "first", model, data)
    found = promoted(settings, data, monkeypatch, judged(True), judged(False))
    assert found.release == active(settings).id and active(settings).model == "first"


def test_real_answers_are_compared_with_quoting(made: tuple[Path, Path], settings: Settings) -> None:
    """A model with random weights against quoting, nothing replaced: it cannot pass."""
    model, data = made
    promotion.register(settings, "first", model, data)
    found = promotion.promote(settings, "first", data, "test", lambda *_: None)
    assert found.release == "" and found.live == "extractive" and found.rows > 0
    assert not found.confidence["fitted"] and found.confidence["needed"] == 30
    assert active(settings).id == "r-1"


@pytest.mark.parametrize("what", ["dataset", "weights", "prompt"])
def test_what_does_not_belong_together_is_refused(
    made: tuple[Path, Path], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    model, data = made
    promotion.register(settings, "first", model, data)
    if what == "dataset":
        data = shutil.copytree(data, tmp_path / "other")
        with (data / "test.jsonl").open("a", encoding="utf-8") as file:
            file.write("\n")
    if what == "weights":
        path = next((settings.home / "models" / "registry" / "first").glob("*.safetensors"))
        path.write_bytes(path.read_bytes() + b"x")
    if what == "prompt":
        monkeypatch.setattr(prompt, "prompt_hash", lambda: "another")
    with pytest.raises(Mismatch):
        promotion.promote(settings, "first", data, "test", lambda *_: None)
    assert active(settings).id == "r-1"


def test_an_evaluation_of_something_else_is_not_registered(made: tuple[Path, Path], settings: Settings) -> None:
    model, data = made
    write_report(model, data, dataset="other")
    try:
        with pytest.raises(Mismatch, match="evaluate it again"):
            promotion.register(settings, "first", model, data)
    finally:
        write_report(model, data)
    promotion.register(settings, "first", model, data)
    with pytest.raises(Conflict):
        promotion.register(settings, "first", model, data)


# --- in shadow first --------------------------------------------------------------------------------------------------


async def shadow_says(settings: Settings, change: dict[str, str], count: int) -> None:
    """As a server records it, with other words of the candidate in the last one."""
    with SqlStore.open(settings.store_url) as store:
        running = await store.read(shadows.current)
        live = await store.active_release()
        assert running and running.model == "first" and live and running.release_id == live.id
        assert running.share == 0.5
        for at in range(count):
            side = {"route": "grounded", "answer": f"Answer {at}.", "confidence": 0.9, "model": "m", "ms": 1.0}
            candidate = {**side, "supported": 1.0, **(change if at == count - 1 else {})}
            said = {"question": f"q{at}", "asked": f"q{at}", "problem": "", "live": side, "candidate": candidate}
            asked = trace(f"q{at}")
            await store.record(asked, None)
            await store.write(lambda c, asked=asked, said=said: shadows.put(c, running.id, asked.id, said))  # type: ignore[misc]


def in_shadow(settings: Settings, data: Path, monkeypatch: pytest.MonkeyPatch, better: bool = True) -> Any:
    return promoted(settings, data, monkeypatch, judged(better), judged(not better), shadow=0.5)


def test_a_model_answers_real_questions_before_it_is_served(
    made: tuple[Path, Path], indexed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model, data), settings = made, indexed
    promotion.register(settings, "first", model, data)
    begun = in_shadow(settings, data, monkeypatch)
    assert begun.release == "" and begun.shadow["answers"] == 0 and begun.shadow["needed"] == FEWEST
    assert [one.split(":")[0] for one in begun.refused_by] == ["shadow"]
    asyncio.run(shadow_says(settings, {}, FEWEST))
    found = in_shadow(settings, data, monkeypatch)
    assert found.release and found.shadow["agreement"]["mean"] == 1.0 and active(settings).model == "first"

    async def over() -> None:
        with SqlStore.open(settings.store_url) as store:
            assert await store.read(shadows.current) is None

    asyncio.run(over())


def test_what_it_did_in_shadow_counts_without_asking_for_it(
    made: tuple[Path, Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = made
    promotion.register(settings, "first", model, data)
    in_shadow(settings, data, monkeypatch)

    async def called_back() -> None:
        with SqlStore.open(settings.store_url) as store:
            wrong = trace("how many?")
            await store.record(replace(wrong, answer=replace(wrong.answer, text="Nine.")), None)
            await store.reviews.retract(wrong.id, "anna", "")

    async def nothing(*_: object) -> list[Any]:
        return []

    asyncio.run(called_back())
    monkeypatch.setattr(promotion, "_reasked", nothing)  # there is no index here to ask again from
    asyncio.run(shadow_says(settings, {"answer": "Nine."}, FEWEST))
    found = promoted(settings, data, monkeypatch, judged(True), judged(False))
    assert found.release == "" and "wrong_again" in found.refused_by[-1]
    assert [one["change"] for one in found.shadow["changed"]] == ["wrong_again"]


def test_a_model_that_fails_on_its_test_rows_gets_no_real_question(
    made: tuple[Path, Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = made
    promotion.register(settings, "first", model, data)
    assert in_shadow(settings, data, monkeypatch, better=False).shadow is None


# --- the learning curve -----------------------------------------------------------------------------------------------


def test_subsets_are_nested_and_reviewed(made: tuple[Path, Path]) -> None:
    data = read_data(made[1])
    reviewed, every = ordered_clusters(data, unreviewed=False), ordered_clusters(data, unreviewed=True)
    assert set(reviewed) < set(every) and len(every) == len(set(every))
    by_cluster = {one.cluster: one for one in data.examples if one.reviewed}
    assert set(reviewed) <= set(by_cluster)


def test_label_noise_is_a_share_of_the_clusters_and_never_their_own_answer(made: tuple[Path, Path]) -> None:
    rows = read_data(made[1]).examples
    noisy = mislabelled(rows, 0.5)
    changed = {one.cluster for one, other in zip(rows, noisy, strict=True) if one.answer != other.answer}
    answered = {one.cluster for one in rows if not one.refuses}
    assert 0.2 < len(changed) / len(answered) < 0.8
    assert mislabelled(rows, 0.0) == list(rows)
    assert {one.answer for one in noisy} <= {one.answer for one in rows}


@pytest.mark.slow
def test_the_curve_has_intervals_and_says_what_it_could_not_do(made: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = made
    options = CurveOptions(data, str(model), tmp_path / "c", (0, 4, 100_000), True, epochs=0.5, batch=4, accumulation=1)
    report = run_curve(options, lambda *_: None)
    assert [one["clusters"] for one in report["points"]] == [0, 4]
    assert report["left_out_sizes"] == [100_000] and report["points"][0]["gain"] == 0
    assert all(one["low"] <= one["f1"] <= one["high"] for one in report["points"])
    assert (tmp_path / "c" / "curve.svg").read_text("utf-8").startswith("<svg")


# --- the blind sheet --------------------------------------------------------------------------------------------------


def reports(folder: Path) -> list[Path]:
    out = []
    for name in ("alpha", "beta"):
        rows = [
            {"row": f"{at}#1", "cluster": f"c{at}", "question": f"q{at}", "reference": "48MB", "written": f"=sum({at})"}
            for at in range(6)
        ]
        path = folder / f"{name}.json"
        path.write_text(json.dumps({"model": name, "digest": name, "dataset": "d", "rows": rows}), "utf-8")
        out.append(path)
    return out


def fill(sheet: Path, out: Path, grade: dict[str, int]) -> Path:
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    with out.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([lines[0], *([*line[:-1], str(grade[line[0]])] for line in lines[1:])])
    return out


def test_the_sheet_names_no_model_and_is_read_back(tmp_path: Path) -> None:
    assert write_sheet(reports(tmp_path), tmp_path / "s", most=5) == 10
    text = (tmp_path / "s" / SHEET).read_text("utf-8-sig")
    assert "alpha" not in text and "beta" not in text
    assert "'=sum(" in text, "a spreadsheet would take the answer for a formula"
    key = json.loads((tmp_path / "s" / KEY).read_text("utf-8"))
    good = {item: 5 if one["model"] == "alpha" else 2 for item, one in key.items()}
    first = fill(tmp_path / "s" / SHEET, tmp_path / "a.csv", good)
    report = read_scores(tmp_path / "s", first, fill(tmp_path / "s" / SHEET, tmp_path / "b.csv", good))
    assert report["weighted_kappa"] == 1.0 and report["answers"] == 10
    assert (report["models"]["alpha"]["mean"], report["models"]["beta"]["mean"]) == (5.0, 2.0)
    apart = {item: 7 - grade for item, grade in good.items()}
    assert (
        read_scores(tmp_path / "s", first, fill(tmp_path / "s" / SHEET, tmp_path / "c.csv", apart))["weighted_kappa"]
        < 0
    )
    with pytest.raises(InvalidInput, match="not 1 to 5"):
        read_scores(tmp_path / "s", first, fill(tmp_path / "s" / SHEET, tmp_path / "d.csv", dict.fromkeys(key, 6)))
    with pytest.raises(Conflict, match="never overwritten"):
        write_sheet(reports(tmp_path), tmp_path / "s", most=5)
