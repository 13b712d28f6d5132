"""A throw-away PostgreSQL on a unix socket, from the server's own binaries."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl: on the PATH, or where Debian puts them (newest version)."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return folders[-1].parent if folders else None


@contextmanager
def running(folder: Path, *, fsync: bool) -> Iterator[str]:
    """Yields the URL of the database `postgres`; `folder` is what `binaries` found. The server ends with the block."""
    place = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has at most 107 bytes
    user = _unprivileged(place)
    data, log = place / "data", place / "log"
    _run([folder / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N"], user)
    options = f"-k {place} -c listen_addresses='' -c fsync={'on' if fsync else 'off'}"
    try:
        _run([folder / "pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start"], user)
        yield f"postgresql+psycopg://postgres@/postgres?host={place}"
    finally:
        subprocess.run([folder / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], check=False, **user)
        shutil.rmtree(place, ignore_errors=True)


def _unprivileged(place: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: who to be instead, as arguments for `subprocess.run`."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "cwd": place}
    if os.geteuid() != 0:
        return quiet
    names = {entry.pw_name for entry in pwd.getpwall()}
    name = "postgres" if "postgres" in names else "nobody"
    entry = pwd.getpwnam(name)
    os.chown(place, entry.pw_uid, entry.pw_gid)
    return quiet | {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _run(command: list[str | Path], user: dict[str, Any]) -> None:
    subprocess.run(command, check=True, timeout=120, **user)
