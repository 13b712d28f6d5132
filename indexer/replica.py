"""A version that was made elsewhere, copied here before it is served: several machines serve one index this way, each
with the embedded engine on a disk of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from indexer.build import version_folder
from indexer.version import Lock
from router.errors import IndexUnavailable


def copy_version(origin: Path, home: Path, version: str) -> None:
    """Copy a version, whole or not at all, unless it is here. origin, home: index folders.

    A version never changes once it can be seen, so it may be copied while others serve it. Raises IndexUnavailable
    when it is not there, or cannot be read or kept, Conflict while another process of this home copies one.
    """
    source, target = version_folder(origin, version), version_folder(home, version)
    if target.is_dir():
        return
    if not source.is_dir():
        raise IndexUnavailable(f"{source}: no such version; is the folder of the server that indexes mounted here?")
    with Lock(home / "copy.lock", "copying an index version"):
        if not target.is_dir():
            _copy(source, version_folder(home, f".copying-{version}"), target)


def _copy(source: Path, unfinished: Path, target: Path) -> None:
    try:
        shutil.rmtree(unfinished, ignore_errors=True)  # what a killed copy left
        shutil.copytree(source, unfinished)
        unfinished.rename(target)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise IndexUnavailable(f"{source} cannot be copied to {target}: {error}") from error
