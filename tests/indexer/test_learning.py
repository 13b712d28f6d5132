"""What a reindex learns anew: nothing, the table alone, or the table and the weights of the channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer import corpus_training
from indexer.corpus_embedder import CorpusEmbedder
from indexer.version import Manifest, read_manifest
from tests.indexer.small import Place, page


def place_of(root: Path, pages: range) -> Place:
    place = Place(root)
    add(place, pages)
    place.build()
    return place


def add(place: Place, pages: range) -> None:
    for number in pages:
        place.write(f"{number}.md", page(number))


def manifest(place: Place) -> Manifest:
    return read_manifest(place.folder)


def table(place: Place) -> np.ndarray:
    return np.asarray(CorpusEmbedder.load(place.folder / "corpus").table, np.float32)


def test_a_few_new_pages_change_nothing_that_was_learned(tmp_path: Path) -> None:
    place = place_of(tmp_path, range(40))
    first, learned = manifest(place), table(place)
    add(place, range(40, 42))
    place.build()
    assert np.array_equal(table(place), learned)
    assert manifest(place).weights == first.weights
    assert manifest(place).trained["since"] == manifest(place).trained["since_measured"] > 0


def test_more_pages_train_the_table_on_under_the_weights_that_were_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured with a table that has seen what the probes ask, every channel but this one would look worse."""
    place = place_of(tmp_path, range(40))
    first, learned, begun = manifest(place), table(place), []
    own = corpus_training.train

    def train(sections, _seconds, told, warm=None, passes=None):  # type: ignore[no-untyped-def]
        begun.append(warm)
        return own(sections, 60.0, told, warm, passes)

    monkeypatch.setattr(corpus_training, "train", train)
    add(place, range(40, 48))
    place.build()
    now = manifest(place)
    assert [warm is not None and np.array_equal(np.asarray(warm.table, np.float32), learned) for warm in begun] == [
        True
    ]
    assert not np.array_equal(table(place), learned) and now.trained["steps"] > 0
    assert (now.weights, now.measured) == (first.weights, first.measured)
    assert (now.trained["since"], now.trained["measured"]) == (0, first.passages)
    assert now.trained["since_measured"] == now.passages - first.passages


def test_an_outgrown_measurement_is_made_again_as_if_for_the_first_time(tmp_path: Path) -> None:
    """Also when the growth came in steps."""
    place = place_of(tmp_path / "grown", range(40))
    first = manifest(place)
    for end in (46, 53, 61):
        add(place, range(40, end))
        place.build()
    other = place_of(tmp_path / "new", range(61))
    assert manifest(place).measured == manifest(other).measured != first.measured
    assert np.array_equal(table(place), table(other))
    assert manifest(place).trained["since_measured"] == 0


def test_a_new_language_is_measured(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for number in (one for one in range(40) if one % 4 != 3):
        place.write(f"{number}.md", page(number))
    place.build()
    assert set(manifest(place).weights) == {"en"}
    for number in range(3, 27, 4):
        place.write(f"{number}.md", page(number))
    place.build()
    assert set(manifest(place).weights) == {"en", "zh"}
