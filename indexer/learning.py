"""What an index learns about its own corpus: the corpus embedder, and the weight of each channel per language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer import corpus_training
from indexer.corpus_embedder import CorpusEmbedder
from indexer.corpus_training import Section
from indexer.fusion import weights_from
from indexer.material import Material
from indexer.measure import MOST_PASSAGES, Probe, measure, probe
from indexer.version import Manifest
from router.ports import Embedder, Progress

_STALE = 0.1
"""Share of passages that may have come since the last training before the table is trained on: below it, new passages
are described well enough by the n-grams of the others."""

_OUTGROWN = 0.5
"""Share of passages that may have come since the channels were measured before that is done again. It needs a table
that has not seen what the probes ask, so it begins from nothing: measured with one that is trained on, and so has seen
all of its corpus, PolarDB's Chinese channel has 0.64 in place of 0.47."""


_PASSES = 2  # over everything, what was kept back for measuring included, once the measuring is done


@dataclass(frozen=True)
class Learned:
    """weights: language → channel → share, the largest language first. anew: whether the corpus embedder's table
    differs from the parent's, so that every vector of it does."""

    corpus: CorpusEmbedder
    weights: Mapping[str, Mapping[str, float]]
    measured: Mapping[str, Any]
    trained: Mapping[str, Any]
    anew: bool

    def uses(self, channel: str, language: str | None = None) -> bool:
        """Whether any question, or one in this language, asks the channel."""
        if language is not None and language in self.weights:
            return bool(self.weights[language].get(channel))
        return any(weights.get(channel) for weights in self.weights.values())


def learn(
    material: Material,
    parent: tuple[Path, Manifest] | None,
    embedder: Callable[[], Embedder],
    seconds: float,
    progress: Progress,
) -> Learned:
    """parent: folder and manifest of the version to go on from. seconds: most time for training."""

    def told(done: int, total: int) -> None:
        progress("learn", done, total)

    before = CorpusEmbedder.load(parent[0] / "corpus") if parent else None
    if before and parent:
        gone_on = _still_good(material, before, parent[1]) or _trained_on(material, before, parent[1], seconds, told)
        if gone_on:
            return gone_on
    probes = _probes(material)
    training = corpus_training.train(_sections(material, probes), seconds, told)
    weights, measured = {}, {}
    for number, (language, chosen) in enumerate(probes.items()):
        progress("measure", number, len(probes))
        found = measure(list(chosen.values()), embedder(), training.embedder)
        weights[language] = found.weights
        measured[language] = {name: value for name, value in asdict(found).items() if name != "weights"}
    progress("measure", len(probes), len(probes))
    complete = corpus_training.train(_sections(material, {}), seconds / 4, told, training.embedder, passes=_PASSES)
    trained = {
        "seconds": round(training.seconds + complete.seconds, 1),
        "steps": training.steps + complete.steps,
        "pairs": training.pairs,
        "held_out_mrr": round(training.quality, 4),
        "passages": len(material.passages),
        "since": 0,
        "measured": len(material.passages),
        "since_measured": 0,
    }
    return Learned(complete.embedder, weights or {"en": weights_from({"bm25": 1.0})}, measured, trained, anew=True)


def _trained_on(
    material: Material, before: CorpusEmbedder, manifest: Manifest, seconds: float, told: Callable[[int, int], None]
) -> Learned | None:
    """The parent's table trained on over all there is now, under the parent's weights; None where these are outgrown:
    too much has come since they were measured, a language is new, or the n-grams need another table."""
    since = manifest.trained.get("since_measured", manifest.trained["since"]) + len(material.fresh)
    measured = manifest.trained.get("measured", manifest.trained["passages"])
    languages = {passage.language for passage in material.passages}
    if since > _OUTGROWN * measured or not languages <= manifest.measured.keys():
        return None
    sections = _sections(material, {})
    if corpus_training.bits_of(sections) != before.bits:
        return None
    went_on = corpus_training.train(sections, seconds, told, before, passes=_PASSES)
    trained = {
        **manifest.trained,
        "seconds": round(went_on.seconds, 1),
        "steps": went_on.steps,
        "pairs": went_on.pairs,
        "passages": len(material.passages),
        "since": 0,
        "measured": measured,
        "since_measured": since,
    }
    return Learned(went_on.embedder, manifest.weights, manifest.measured, trained, anew=True)


def _still_good(material: Material, before: CorpusEmbedder, manifest: Manifest) -> Learned | None:
    """The parent's, as long as few passages have come since it learned."""
    since = manifest.trained["since"] + len(material.fresh)
    if since > _STALE * manifest.trained["passages"]:
        return None
    counted = manifest.trained.get("since_measured", manifest.trained["since"]) + len(material.fresh)
    trained = {**manifest.trained, "since": since, "since_measured": counted}
    return Learned(before, manifest.weights, manifest.measured, trained, anew=False)


def _probes(material: Material) -> dict[str, dict[int, Probe]]:
    """Language → row → probe, the largest language first. The same passages for the same corpus."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, passage in enumerate(material.passages):
        rows[passage.language].append(row)
    rng = np.random.default_rng(0)
    out = {}
    for language, own in sorted(rows.items(), key=lambda item: (-len(item[1]), item[0])):
        chosen = own if len(own) <= MOST_PASSAGES else sorted(rng.choice(own, MOST_PASSAGES, replace=False).tolist())
        out[language] = {row: _probe(material, row, rng) for row in chosen}
    return out


def _probe(material: Material, row: int, rng: np.random.Generator) -> Probe:
    text, spans = material.index_text(row)
    heading = material.passages[row].heading
    units = [text[start:end] for start, end in spans]
    return probe(heading, units, rng)


def _sections(material: Material, probes: Mapping[str, Mapping[int, Probe]]) -> Sequence[Section]:
    """Training text: every passage, without what the probes will ask."""
    asked = {row: item for chosen in probes.values() for row, item in chosen.items() if item.question}
    sections = []
    for row in range(len(material.passages)):
        words, item = material.words(row), asked.get(row)
        heading = words.heading[:0] if item and item.is_heading else words.heading
        asked_unit = item.asked if item else -1
        units = tuple(unit for at, unit in enumerate(words.unit_features) if at != asked_unit)
        sections.append(Section(heading, units))
    return sections
