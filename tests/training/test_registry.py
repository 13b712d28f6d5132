"""The registry keeps versions as they were; the gates look both ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from router.errors import Conflict, InvalidInput, Mismatch, NotFound
from services.training.digests import BASE, OWN, digest
from services.training.evaluation import REPORT
from services.training.gates import FEWEST, Judged, gates
from services.training.merging import MERGED
from services.training.registry import CARD, Card, Registry


def merged(folder: Path, weights: bytes = b"weights") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def card_of(folder: Path, name: str = "first") -> Card:
    return Card(name, "2026-11-01", "tiny", "b", digest(str(folder)), "d", "c", "p", "0.1.0", {"f1": 0.5})


def test_a_version_is_kept_whole_and_never_overwritten(tmp_path: Path) -> None:
    model, registry = merged(tmp_path / "m"), Registry(tmp_path / "models")
    (tmp_path / "models").mkdir()
    registry.add(model, card_of(model))
    assert registry.list() == [card_of(model)]
    assert (registry.path("first") / "model.safetensors").read_bytes() == b"weights"
    with pytest.raises(Conflict, match="never overwritten"):
        registry.add(model, card_of(model))


def test_changed_weights_are_not_served(tmp_path: Path) -> None:
    model, registry = merged(tmp_path / "m"), Registry(tmp_path / "models")
    with pytest.raises(Mismatch, match="not those of the card"):
        registry.add(model, replace(card_of(model), digest="other"))
    assert registry.list() == []
    target = registry.add(model, card_of(model))
    (target / "model.safetensors").write_bytes(b"poison")
    with pytest.raises(Mismatch, match="not those that were registered"):
        registry.path("first")


SERVED = ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "code/modeling.py"]


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("how", ["changed", "gone", "new"])
def test_no_file_that_serving_reads_changes_unseen(tmp_path: Path, name: str, how: str) -> None:
    model, registry = merged(tmp_path / "m"), Registry(tmp_path / "models")
    (model / "code").mkdir()
    for one in SERVED:
        if (one, how) != (name, "new"):
            (model / one).write_text("as it was", "utf-8")
    target = registry.add(model, card_of(model))
    (target / "evaluation.json").write_text("{}", "utf-8")
    assert registry.path("first") == target, "a record of ours is read by no server"
    (target / name).unlink() if how == "gone" else (target / name).write_text("as it waz", "utf-8")
    with pytest.raises(Mismatch, match="not those that were registered"):
        registry.path("first")


def test_a_card_does_not_change_unseen(tmp_path: Path) -> None:
    model, registry = merged(tmp_path / "m"), Registry(tmp_path / "models")
    card = registry.add(model, card_of(model)) / CARD
    card.write_text(card.read_text("utf-8").replace('"window": 0', '"window": 9'), "utf-8")
    for look in (registry.card, registry.path):
        with pytest.raises(Mismatch, match="card of model first"):
            look("first")
    assert [one.window for one in registry.list()] == [9]


def test_what_is_written_beside_a_model_is_no_part_of_it() -> None:
    assert {BASE, MERGED, REPORT, CARD} == OWN


@pytest.mark.parametrize("name", ["", "../x", "A", ".hidden", "a/b", "x" * 65])
def test_names_stay_inside_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a model"):
        Registry(tmp_path).path(name)


def test_an_unknown_model_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="none yet"):
        Registry(tmp_path).card("first")


def rows(score: float = 0.5, refuses: bool = True, over: bool = False, count: int = 3 * FEWEST) -> list[Judged]:
    answers = [Judged(f"a{at}", f"a{at}", True, over, score, score >= 0.5, at < 3) for at in range(count)]
    refusals = [Judged(f"r{at}", f"r{at}", False, refuses, 0.0, refuses) for at in range(count)]
    return [*answers, *refusals]


SIDES = ("answers", "missed refusals", "over-refusals")


def held(candidate: list[Judged], live: list[Judged]) -> dict[str, bool]:
    return {gate.name: gate.held for gate in gates(candidate, live)}


def worse(judged: list[Judged]) -> list[Judged]:
    """By score alone: all that was right is right."""
    return [replace(one, score=one.score * 0.8) for one in judged]


def test_better_or_equal_passes() -> None:
    assert all(held(rows(0.6), rows(0.5)).values())
    assert all(held(rows(0.5), rows(0.5)).values())


@pytest.mark.parametrize(
    ("candidate", "gate"),
    [(worse(rows()), "answers"), (rows(refuses=False), "missed refusals"), (rows(over=True), "over-refusals")],
)
def test_each_gate_shuts_alone_for_its_reason(candidate: list[Judged], gate: str) -> None:
    said = held(candidate, rows())
    assert [name for name, good in said.items() if not good] == [gate]


def test_a_loss_in_one_language_does_not_hide_behind_a_gain_in_the_other() -> None:
    def spoken(zh: float, en: float, count: int = 3 * FEWEST) -> list[Judged]:
        both = [replace(one, language="zh", score=zh if one.answerable else 0.0) for one in rows(count=count)]
        other = [replace(one, row=f"e{one.row}", cluster=f"e{one.cluster}") for one in rows()]
        return [*both, *(replace(one, language="en", score=en if one.answerable else 0.0) for one in other)]

    said = held(spoken(0.3, 0.9), spoken(0.5, 0.5))
    assert said["answers"] and said["answers, en"] and not said["answers, zh"]
    assert set(said) == {f"{side}{language}" for side in SIDES for language in ("", ", en", ", zh")} | {"no relapse"}
    few = held(spoken(0.3, 0.9, FEWEST // 2), spoken(0.5, 0.5, FEWEST // 2))
    assert "answers, zh" not in few and few["answers, en"], "too few to tell are left to the pooled gate"


def test_one_corrected_question_wrong_again_is_enough() -> None:
    candidate = rows(0.9)
    candidate[0] = replace(candidate[0], right=False)
    said = held(candidate, rows())
    assert said["answers"] and not said["no relapse"]


def test_too_few_to_tell_is_not_a_pass() -> None:
    assert not held(rows(0.9, count=5), rows(count=5))["answers"]


def test_other_rows_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="same rows"):
        gates(rows(), rows(count=5))
