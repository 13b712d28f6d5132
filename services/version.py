"""Which Answerloop this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """The installed version, or "source" for a checkout that was not installed."""
    try:
        return version("answerloop")
    except PackageNotFoundError:
        return "source"
