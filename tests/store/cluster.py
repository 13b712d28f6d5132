"""A throw-away PostgreSQL on a unix socket, from the server's own binaries."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl: on the PATH, or where Debian puts them (newest version)."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return folders[-1].parent if folders else None


@dataclass(frozen=True, slots=True)
class Server:
    """url: of the database `postgres`."""

    url: str
    pg_ctl: tuple[str | Path, ...]
    options: str
    user: dict[str, Any]

    def start(self) -> None:
        _run([*self.pg_ctl, "-o", self.options, "start"], self.user)

    def crash(self) -> None:
        """Without a checkpoint and without a word to its clients, as when its machine goes down."""
        _run([*self.pg_ctl, "-m", "immediate", "stop"], self.user)


@contextmanager
def running(folder: Path, *, fsync: bool) -> Iterator[Server]:
    """`folder` is what `binaries` found. The server ends with the block."""
    place = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has at most 107 bytes
    user, data = _unprivileged(place), place / "data"
    server = Server(
        url=f"postgresql+psycopg://postgres@/postgres?host={place}",
        pg_ctl=(folder / "pg_ctl", "-D", data, "-l", place / "log", "-w"),
        options=f"-k {place} -c listen_addresses='' -c fsync={'on' if fsync else 'off'}",
        user=user,
    )
    try:
        _run([folder / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N"], user)
        server.start()
        try:
            yield server
        finally:
            server.crash()
    finally:
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


def _run(command: Sequence[str | Path], user: dict[str, Any]) -> None:
    subprocess.run(command, check=True, timeout=120, **user)
