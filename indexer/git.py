"""The git command line: clone, update, and what a repository says of its files. Nothing runs from the repository:
no shell, no hooks, no filters, no submodules, no file-system monitor, no signature program, no prompts, no transports
but https, ssh and files, and none at all where a repository is only read."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import subprocess
from pathlib import Path

from router.errors import InvalidInput

_log = logging.getLogger(__name__)

_URL = re.compile(r"(?:https://|ssh://|file://)\S+|git@[A-Za-z0-9.-]+:\S+")
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,200}")
_SAFE = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "submodule.recurse=false",
    "-c", "log.showSignature=false",
    "-c", "core.quotePath=false",
    "-c", "gc.auto=0",
)  # fmt: skip
_TRANSPORTS = "https:ssh:file"  # in the environment, where nothing that a repository says can add to them
_NETWORK_SECONDS = 600
_LOCAL_SECONDS = 30
_MOST_COMMITS = 20_000


def is_url(location: str) -> bool:
    return bool(_URL.fullmatch(location))


def check_branch(branch: str | None) -> None:
    if branch is not None and (not _BRANCH.fullmatch(branch) or ".." in branch):
        raise InvalidInput(f"{branch!r} is not a branch name")


def checkout(location: str, branch: str | None, cache: Path) -> Path:
    """Clone the newest commit of a branch into `cache`, or update the clone there. Raises InvalidInput."""
    url = location if is_url(location) else Path(location).expanduser().resolve().as_uri()
    folder = cache / hashlib.sha256(f"{url}#{branch or ''}".encode()).hexdigest()[:20]
    if (folder / ".git").is_dir():
        _git(folder, "fetch", "--quiet", "--depth=1", "--no-tags", "--force", "--", "origin", branch or "HEAD")
        _git(folder, "checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
        _git(folder, "clean", "--quiet", "-ffdx")
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    half = folder.with_suffix(".part")  # a clone that was killed half way is never taken for a whole one
    shutil.rmtree(half, ignore_errors=True)
    options = ["--branch", branch] if branch else []
    _git(cache, "clone", "--quiet", "--depth=1", "--no-tags", "--single-branch", *options, "--", url, str(half))
    shutil.rmtree(folder, ignore_errors=True)
    half.rename(folder)
    return folder


def is_inside(root: Path) -> bool:
    """Whether a folder is a repository, or a folder of one."""
    return any((folder / ".git").exists() for folder in (root, *root.parents))


def head(root: Path) -> str | None:
    """The commit checked out; None, with a warning in the log, where git cannot tell (no commit yet, no git)."""
    try:
        return _git(root, "rev-parse", "--verify", "HEAD").strip() or None
    except InvalidInput as error:
        _log.warning("%s is read as a plain folder: %s", root, error)
        return None


def held_files(root: Path, commit: str) -> dict[str, str]:
    """Path below `root` → blob id of every file there that the commit holds; {}, with a warning in the log, where git
    cannot tell.

    `git status` is not asked what was changed: it runs the filters that the repository names, and says nothing of what
    is ignored, nor of a repository inside.
    """
    try:
        output = _git(root, "ls-tree", "-r", "-z", commit)
    except InvalidInput as error:
        _log.warning("no file of %s is cited with its commit: %s", root, error)
        return {}
    entries = (record.partition("\t") for record in output.split("\0"))
    return {path: about.split(" ")[2] for about, tab, path in entries if tab}


def is_blob(data: bytes, blob_id: str) -> bool:
    """Whether git knows these very bytes by this id."""
    algorithm = "sha256" if len(blob_id) == 64 else "sha1"
    own = hashlib.new(algorithm, b"blob %d\0" % len(data), usedforsecurity=False)
    own.update(data)
    return own.hexdigest() == blob_id


def commit_dates(root: Path) -> dict[str, str]:
    """Path below `root` → date (ISO 8601, UTC offset kept) of the newest commit that touched it; in one pass.

    Empty for a shallow clone, whose only commit would date every file alike, and where parts of the log are elsewhere.
    """
    try:
        if _git(root, "rev-parse", "--is-shallow-repository").strip() != "false":
            return {}
        names = ("--name-only", "--no-renames", "--relative", "-z")
        output = _git(root, "log", f"-n{_MOST_COMMITS}", *names, "--format=%x01%cI", "--", ".")
    except InvalidInput as error:
        _log.warning("the pages of %s have no dates: %s", root, error)
        return {}
    dates: dict[str, str] = {}
    for commit in output.split("\x01")[1:]:
        date, *paths = re.split(r"[\0\n]+", commit)
        for path in paths:
            dates.setdefault(path, date)
    dates.pop("", None)
    return dates


def _git(folder: Path, *arguments: str) -> str:
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    fetches = arguments[0] in ("clone", "fetch")
    quiet["GIT_ALLOW_PROTOCOL"] = _TRANSPORTS if fetches else "none"  # else what is missing is fetched when it is read
    seconds = _NETWORK_SECONDS if fetches else _LOCAL_SECONDS
    try:
        done = subprocess.run(
            ["git", *_SAFE, "-C", str(folder), *arguments],
            env={**os.environ, **quiet},  # handed on to git, nothing is read from it here
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            start_new_session=True,  # no terminal to ask for a password on
        )
    except FileNotFoundError as error:
        raise InvalidInput("the git command is not installed; install it, or give a folder without .git") from error
    except subprocess.TimeoutExpired as error:
        raise InvalidInput(f"git {arguments[0]} took longer than {seconds} seconds") from error
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())[:300]
        raise InvalidInput(f"git {arguments[0]} failed: {reason or f'exit status {done.returncode}'}")
    return done.stdout.decode(errors="surrogateescape")
