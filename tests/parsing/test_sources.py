from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexer.parsing import ParseError
from indexer.sources import FileEntry, Limits, Scan, Source, load, open_source, parse_source, scan
from router.errors import InvalidInput


def write(root: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def scanned(root: Path, limits: Limits | None = None) -> Scan:
    return scan(open_source(Source("docs", str(root)), root / "cache"), limits or Limits())


def paths(found: Scan) -> list[str]:
    return [entry.path for entry in found.entries]


def reasons(found: Scan) -> dict[str, str]:
    return {skipped.path: skipped.reason for skipped in found.skipped}


# Names and places


@pytest.mark.parametrize(
    ("text", "source", "remote"),
    [
        ("manual=./docs", Source("manual", "./docs"), False),
        ("v1.2_a-b=/x=y", Source("v1.2_a-b", "/x=y"), False),
        ("m=https://example.org/m.git#v2", Source("m", "https://example.org/m.git", "v2"), True),
        ("m=git@example.org:team/m.git", Source("m", "git@example.org:team/m.git"), True),
        ("m=ssh://git@example.org/m", Source("m", "ssh://git@example.org/m"), True),
        ("m=/srv/repo.git", Source("m", "/srv/repo.git"), True),
    ],
)
def test_parse_source(text: str, source: Source, remote: bool) -> None:
    assert parse_source(text) == source
    assert source.is_remote is remote


@pytest.mark.parametrize(
    "text",
    "|docs|=x|a=|a/b=x|a b=x|..=x|é=x|a=ext::sh -c id|a=http://x/y|a=ftp://x|a=--upload-pack=id"
    "|a=https://x/y#-b|a=https://x/y#a..b|a=x\0y".split("|"),
)
def test_parse_source_refuses(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"source|branch"):
        parse_source(text)


def test_a_folder_is_named_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links stay, because what they lead to may be changed; what ".." follows is where the link leads."""
    (tmp_path / "releases" / "5" / "docs").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/5")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/anna")
    named = {
        "./current/docs/": tmp_path / "current/docs",
        "current/../5/docs": tmp_path / "releases/5/docs",
        "releases/../current": tmp_path / "current",
        "repo.git": tmp_path / "repo.git",
        "~/docs": "/home/anna/docs",
        "/srv/docs": "/srv/docs",
        "https://example.org/m.git": "https://example.org/m.git",
        "git@example.org:team/m.git": "git@example.org:team/m.git",
    }
    assert {name: Source("m", name).located().location for name in named} == {k: str(v) for k, v in named.items()}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no folder .*nowhere"):
        open_source(Source("docs", str(tmp_path / "nowhere")), tmp_path)


# Scanning


def test_scan_lists_documents_and_sums_up_the_rest(tmp_path: Path) -> None:
    write(
        tmp_path, b_dot_md="# B", a__c_dot_HTML="<p>x", a__x_dot_png=b"1", y_dot_png=b"2", LICENSE="l", old_dot_doc=b"d"
    )
    write(tmp_path, _dot_git__x_dot_md="hidden", node_modules__y_dot_md="no", _dot_hidden_dot_md="no")
    found = scanned(tmp_path)
    assert paths(found) == ["a/c.HTML", "b.md"]
    assert reasons(found) == {
        "docs/**/*": "not a document format: no file extension (1 file)",
        "docs/**/*.doc": "old Word format; save it as .docx (1 file)",
        "docs/**/*.png": "not a document format: .png (2 files)",
    }


def test_limits_are_reported(tmp_path: Path) -> None:
    write(tmp_path, a_dot_md="1", b_dot_md="22", big_dot_md="x" * 101, d__e__deep_dot_md="x")
    found = scanned(tmp_path, Limits(max_file_bytes=100, max_depth=1))
    assert paths(found) == ["a.md", "b.md"]
    assert reasons(found) == {
        "docs/big.md": "too large: 101 bytes, the limit is 100",
        "docs/d/e": "folders are nested deeper than 1",
    }
    assert "too many files" in reasons(scanned(tmp_path, Limits(max_files=1)))["docs/b.md"]


def test_links_are_followed_only_to_files_inside(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    write(root, a_dot_md="# A", sub__b_dot_md="# B")
    write(outside, secret_dot_md="secret")
    (root / "inside.md").symlink_to("sub/b.md")
    (root / "out.md").symlink_to(outside / "secret.md")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "gone.md").symlink_to("nothing.md")
    found = scanned(root)
    assert paths(found) == ["a.md", "inside.md", "sub/b.md"]
    assert set(reasons(found)) == {"docs/out.md", "docs/folder", "docs/loop", "docs/gone.md"}
    assert b"".join(entry.read() for entry in found.entries) == b"# A# B# B"


def test_a_file_swapped_for_a_link_after_the_scan_is_not_read(tmp_path: Path) -> None:
    root = write(tmp_path / "root", a_dot_md="# A")
    write(tmp_path, secret="secret")
    (entry,) = scanned(root).entries
    (root / "a.md").unlink()
    (root / "a.md").symlink_to(tmp_path / "secret")
    with pytest.raises(ParseError, match="cannot be read"):
        entry.read()


@pytest.mark.skipif(os.name != "posix", reason="pipes and odd names are for POSIX")
def test_pipes_and_odd_names_do_not_stop_the_scan(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / os.fsdecode(b"bad\xff.md")).write_bytes(b"x")
    write(tmp_path, a_dot_md="# A")
    found = scanned(tmp_path)
    assert paths(found) == ["a.md"]
    assert list(reasons(found).values()) == ["the file name is not valid UTF-8"]


# Loading


def test_load(tmp_path: Path) -> None:
    write(tmp_path, guide_dot_md="---\ndate: 2024-02-03\n---\n# 指南\n\n本文介绍。\n")
    document = load(scanned(tmp_path).entries[0])
    assert (document.path, document.source, document.title) == ("docs/guide.md", "docs", "指南")
    assert (document.language, document.modified) == ("zh", "2024-02-03")
    assert document.revision == f"sha256:{document.content_hash[:12]}"


def one(root: Path) -> FileEntry:
    return next(entry for entry in scanned(root).entries if entry.path == "page.md")


def test_the_hash_covers_included_files(tmp_path: Path) -> None:
    write(tmp_path, page_dot_md="{* code.py *}\n", code_dot_py="x = 1\n")
    before = one(tmp_path).content_hash
    assert "x = 1" in load(one(tmp_path)).text
    write(tmp_path, code_dot_py="x = 2\n")
    assert one(tmp_path).content_hash != before
    (tmp_path / "code.py").unlink()
    assert one(tmp_path).content_hash != before
    assert "{* code.py *}" in load(one(tmp_path)).text


def test_includes_do_not_leave_the_source(tmp_path: Path) -> None:
    root = write(tmp_path / "root", page_dot_md="{* ../secret.py *}\n{* link.py *}\n")
    write(tmp_path, secret_dot_py="password\n")
    (root / "link.py").symlink_to(tmp_path / "secret.py")
    assert "password" not in load(one(root)).text


def test_what_stands_on_every_html_page_is_left_out(tmp_path: Path) -> None:
    for number in range(6):
        page = f"<h1>Page {number}</h1><p>Own words {number}.</p><p>Copyright by us</p>"
        write(tmp_path, **{f"p{number}_dot_html": page})
    text = load(scanned(tmp_path).entries[2]).text
    assert text == "# Page 2\n\nOwn words 2.\n"


# Git


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = write(tmp_path / "repo", a_dot_md="# A", b_dot_md="# B")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "x", "--date", "2020-01-01T00:00:00Z")
    return root


def test_a_repository_names_its_commit_except_for_changed_files(repository: Path) -> None:
    write(repository, b_dot_md="# Changed", new_dot_md="# New")
    head = git(repository, "rev-parse", "HEAD")
    documents = {document.path: document for document in map(load, scanned(repository).entries)}
    assert documents["docs/a.md"].revision == head
    assert documents["docs/a.md"].modified is not None
    assert documents["docs/b.md"].revision.startswith("sha256:")
    assert documents["docs/new.md"].revision.startswith("sha256:")
    assert documents["docs/new.md"].modified is None


def test_a_folder_of_a_repository_names_its_commit_and_dates_its_pages(repository: Path) -> None:
    write(repository, pages__a_dot_md="# Same name as above", pages__deep__d_dot_md="# D")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "y")
    write(repository, pages__deep__d_dot_md="# Edited", pages__new_dot_md="# New")
    head = git(repository, "rev-parse", "HEAD")
    documents = {document.path: document for document in map(load, scanned(repository / "pages").entries)}
    assert set(documents) == {"docs/a.md", "docs/deep/d.md", "docs/new.md"}
    assert (documents["docs/a.md"].revision, documents["docs/a.md"].modified) == (
        head,
        git(repository, "log", "-1", "--format=%cI"),
    )
    assert documents["docs/deep/d.md"].revision.startswith("sha256:")
    assert documents["docs/new.md"].revision.startswith("sha256:")


def test_a_commit_is_not_named_for_what_it_does_not_hold(repository: Path) -> None:
    """What git ignores, and what belongs to a repository inside; a link says what the page says that it leads to."""
    write(repository, _dot_gitignore="made/\nown.md\n", made__c_dot_md="# C", own_dot_md="# Own", inner__d_dot_md="# D")
    git(repository / "inner", "init", "-q")
    git(repository / "inner", "add", ".")
    git(repository / "inner", "commit", "-q", "-m", "x")
    (repository / "linked.md").symlink_to("a.md")
    revisions = {entry.path: entry.revision for entry in scanned(repository).entries}
    head = git(repository, "rev-parse", "HEAD")
    assert [path for path, revision in revisions.items() if revision == head] == ["a.md", "b.md", "linked.md"]
    assert set(revisions) == {"a.md", "b.md", "linked.md", "made/c.md", "own.md", "inner/d.md"}


def test_a_broken_repository_is_read_as_a_folder(tmp_path: Path) -> None:
    write(tmp_path, a_dot_md="# A", _dot_git__HEAD="nonsense")
    assert load(scanned(tmp_path).entries[0]).revision.startswith("sha256:")


def test_a_git_url_is_cloned_and_then_updated(repository: Path, tmp_path: Path) -> None:
    source = parse_source(f"docs={repository.as_uri()}#main")
    first = open_source(source, tmp_path / "cache")
    assert paths(scan(first)) == ["a.md", "b.md"]
    write(repository, c_dot_md="# C")
    git(repository, "rm", "-q", "a.md")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "y")
    second = open_source(source, tmp_path / "cache")
    assert paths(scan(second)) == ["b.md", "c.md"]
    assert second.commit == git(repository, "rev-parse", "HEAD") != first.commit


def test_a_clone_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(InvalidInput, match=r"git clone failed"):
        open_source(parse_source(f"docs={(tmp_path / 'absent').as_uri()}"), cache)
    assert not [path for path in cache.iterdir() if path.suffix != ".part"]


def test_hooks_and_submodules_do_not_run(repository: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    hook = repository / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    git(repository, "config", "core.fsmonitor", f"touch {marker}")
    open_source(Source("docs", str(repository)), tmp_path)
    open_source(parse_source(f"docs={repository.as_uri()}"), tmp_path / "cache")
    assert not marker.exists()


def hostile(repository: Path, what: str, marker: Path) -> None:
    """A repository whose own configuration would have git run a command."""
    if what in ("clean", "process"):
        git(repository, "config", f"filter.x.{what}", f"touch {marker}")
        write(repository, _dot_gitattributes="*.md filter=x\n")
        os.utime(repository / "a.md", (0, 0))  # so that git looks whether it was edited
    elif what == "signature":
        program = repository.parent / "program"
        program.write_text(f"#!/bin/sh\ntouch {marker}\n")
        program.chmod(0o755)
        head, _, message = git(repository, "cat-file", "commit", "HEAD").partition("\n\n")
        signature = "-----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----"
        (repository.parent / "commit").write_text(f"{head}\ngpgsig {signature}\n\n{message}\n")
        signed = git(repository, "hash-object", "-t", "commit", "-w", str(repository.parent / "commit"))
        git(repository, "reset", "-q", "--hard", signed)
        git(repository, "config", "log.showSignature", "true")
        git(repository, "config", "gpg.program", str(program))
    else:
        git(repository, "config", "core.repositoryFormatVersion", "1")
        git(repository, "config", "extensions.partialClone", "origin")
        git(repository, "config", "remote.origin.promisor", "true")
        git(repository, "config", "protocol.ext.allow", "always")
        git(repository, "config", "remote.origin.url", f"ext::touch {marker}" if what == "ext" else str(repository))
        git(repository, "config", "remote.origin.uploadpack", f"touch {marker};")
        tree = git(repository, "rev-parse", "HEAD^{tree}")
        (repository / ".git/objects" / tree[:2] / tree[2:]).unlink()


@pytest.mark.parametrize("what", ["clean", "process", "signature", "fetch", "ext"])
def test_no_command_of_a_repository_is_run(repository: Path, tmp_path: Path, what: str) -> None:
    marker = tmp_path / "ran"
    hostile(repository, what, marker)
    documents = [load(entry) for entry in scanned(repository).entries]
    assert not marker.exists()
    assert [document.path for document in documents] == ["docs/a.md", "docs/b.md"]


# Speed


def test_importing_loads_no_parser() -> None:
    heavy = ["lxml", "docutils", "yaml", "numpy", "mammoth", "pypdfium2"]
    code = f"import sys, indexer.sources; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_an_unchanged_source_is_hashed_quickly(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number}.md").write_text(f"# Page {number}\n" + "text " * 2_000)
    started = time.perf_counter()
    hashes = {entry.content_hash for entry in scanned(tmp_path).entries}
    assert len(hashes) == 600
    assert time.perf_counter() - started < 1  # about 0.1 s; parsing them would take several
