"""Files and folders on the disk before anybody is told of them."""

from __future__ import annotations

import os
from pathlib import Path


def flush_tree(folder: Path) -> None:
    """Everything in the folder, and then the names of it all."""
    inside = sorted(folder.rglob("*"))
    files, folders = (path for path in inside if path.is_file()), (path for path in inside if path.is_dir())
    for path in (*files, *folders, folder):
        flush(path)


def flush(path: Path) -> None:
    """One file, or the names that stand in one folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
