"""Where calibrations come from: the packaged one, and those that the store keeps. `services.calibration` fits them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from indexer.build import version_folder
from indexer.version import read_manifest
from router.confidence import Calibration
from router.errors import IndexUnavailable
from services.settings import Settings
from services.store.sql import SqlStore

_PACKAGED = Path(__file__).parent / "calibration_default.json"


def packaged_calibration() -> Calibration:
    """The one to begin with, fitted on the question files that its `data` names."""
    return replace(Calibration.from_json(json.loads(_PACKAGED.read_text("utf-8"))), origin="packaged")


async def calibration_of(store: SqlStore, identity: str) -> Calibration:
    """Raises NotFound."""
    return replace(Calibration.from_json((await store.get_calibration(identity)).payload), id=identity)


def under(settings: Settings, calibration: Calibration) -> Calibration:
    """As it holds under the settings: `running_text` may want the usual line for what words alone speak for."""
    return calibration if settings.running_text == "strict" else replace(calibration, by_words={})


def for_index(calibration: Calibration, home: Path, version: str) -> Calibration:
    """As it holds for what an index version finds; see `Calibration.for_embedder`. home: of all versions. A version
    that is gone changes nothing."""
    try:
        manifest = read_manifest(version_folder(home, version))
    except IndexUnavailable:
        return calibration
    return calibration.for_embedder(manifest.embedder)
