"""The floors and the homes of heavy libraries. There is no list of exceptions: what breaks a rule is moved."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("router", "indexer", "services")  # from the ground up
TOP = {
    "pyproject.toml", "README.md", "Makefile", "CHANGELOG.md", "LICENSE",
    "services", "indexer", "router", "tests", "deploy", "docs", "var",
}  # fmt: skip
MODEL = "indexer.backends.sentence_transformer"
NLI = "indexer.backends.entailment"
HOMES = {
    "torch": (MODEL, NLI, "indexer.corpus_training", "services.training"),
    "onnxruntime": (MODEL,),
    "onnx": (MODEL,),
    "openvino": (MODEL,),
    "sentence_transformers": (MODEL, "services.training.embedder"),
    "transformers": (MODEL, NLI, "services.training"),
    "tokenizers": (MODEL, "services.training", "services.generation.counting"),
    "safetensors": (MODEL, NLI, "services.training"),
    "qdrant_edge": ("indexer.backends.qdrant_edge",),
    "qdrant_client": ("indexer.backends.qdrant_server",),
    "vllm": ("services.generation.vllm",),
    "peft": ("services.training",),
    "trl": ("services.training",),
    "sqlalchemy": ("services.store",),
    "fastapi": ("services.api", "services.console", "services.server"),
}
MOST_LINES = 400


@dataclass(frozen=True)
class Import:
    """typing: only there for the type checker."""

    importer: str
    imported: str
    line: int
    typing: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def files() -> list[Path]:
    return sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def test_relative_imports_are_not_used() -> None:
    """The other tests read module names as they are written."""
    relative = [
        f"{module_of(path)}:{node.lineno}"
        for path in files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for path in files() for found in _imports(path))


def _imports(path: Path) -> Iterator[Import]:
    importer, tree = module_of(path), tree_of(path)
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in node.body
        for inner in ast.walk(child)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from a import b` may name the module a.b: an attribute then looks like one, which breaks no rule
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = _imported_by_name(node)
        yield from (Import(importer, name, node.lineno, node in for_types) for name in names)


def _imported_by_name(node: ast.AST) -> list[str]:
    """`import_module("x")` and `__import__("x")`."""
    if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
        return []
    called = ast.unparse(node.func).split(".")[-1]
    return [str(node.args[0].value)] if called in ("import_module", "__import__") else []


def test_the_reader_of_imports_sees_every_way_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "router" / "bad.py"
    path.parent.mkdir()
    path.write_text(
        "import torch\nfrom indexer import build\ndef f():\n    from services.api import app\n"
        "    import importlib; importlib.import_module('vllm')\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy\n"
    )
    found = {(item.imported, item.typing) for item in _imports(path)}
    assert {("torch", False), ("indexer.build", False), ("services.api.app", False), ("vllm", False)} <= found
    assert ("numpy", True) in found


def test_imports_only_point_down() -> None:
    up = [
        str(found)
        for found in imports()
        for floor, above in (("router", FLOORS[1:]), ("indexer", FLOORS[2:]))
        if within(found.importer, floor) and any(within(found.imported, higher) for higher in above)
    ]
    assert not up


def test_nothing_in_the_product_imports_tests() -> None:
    assert not [str(found) for found in imports() if within(found.imported, "tests")]


def test_the_router_needs_only_the_standard_library() -> None:
    foreign = [
        str(found)
        for found in imports()
        if within(found.importer, "router")
        and found.imported.split(".")[0] not in {"router", *sys.stdlib_module_names}
        and not (found.importer == "router.ports" and found.typing and within(found.imported, "numpy"))
    ]
    assert not foreign


def test_only_compose_imports_backends() -> None:
    foreign = [
        str(found)
        for found in imports()
        if within(found.imported, "indexer.backends")
        and not within(found.importer, "indexer.backends")
        and found.importer != "services.compose"
    ]
    assert not foreign


def backend_of(module: str) -> str:
    """indexer.backends.sentence_transformer.checkpoint → sentence_transformer"""
    return module.removeprefix("indexer.backends").lstrip(".").split(".")[0]


def test_no_backend_imports_another() -> None:
    foreign = [
        str(found)
        for found in imports()
        if within(found.importer, "indexer.backends")
        and within(found.imported, "indexer.backends")
        and backend_of(found.imported) != backend_of(found.importer)
    ]
    assert not foreign


def test_the_api_does_not_import_training() -> None:
    assert not [
        str(f) for f in imports() if within(f.importer, "services.api") and within(f.imported, "services.training")
    ]


@pytest.mark.parametrize("library", HOMES)
def test_heavy_libraries_stay_at_home(library: str) -> None:
    abroad = [
        str(found)
        for found in imports()
        if within(found.imported, library) and not any(within(found.importer, home) for home in HOMES[library])
    ]
    assert not abroad


def test_only_the_settings_read_the_environment() -> None:
    """Handing the whole environment on to a child process is not reading it."""
    readers = []
    for path in files():
        tree = tree_of(path)
        handed_on = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.keyword) and node.arg == "env" and _is_handed_on(node.value)
            for inner in ast.walk(node.value)
        }
        readers += [
            f"{module_of(path)}:{node.lineno}"
            for node in ast.walk(tree)
            if _reads_environment(node) and node not in handed_on and module_of(path) != "services.settings"
        ]
    assert not readers


def _is_handed_on(value: ast.expr) -> bool:
    """`env=os.environ`, `env={**os.environ, …}` and `env=os.environ | …`: all of it, nothing picked out."""
    picked = (ast.Subscript, ast.Call)
    return not any(
        isinstance(node, picked) and any(_reads_environment(inner) for inner in ast.walk(node))
        for node in ast.walk(value)
    )


def _reads_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return ast.unparse(node) in ("os.environ", "os.environb", "os.getenv", "os.getenvb")
    if isinstance(node, ast.ImportFrom) and node.module == "os":
        return any("environ" in alias.name or "getenv" in alias.name for alias in node.names)
    return False


def test_files_are_short() -> None:
    long = [f"{path.relative_to(ROOT)}: {lines}" for path in files() if (lines := _lines(path)) > MOST_LINES]
    assert not long


def _lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_the_top_level_holds_nothing_unexpected() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git working tree")
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert not {name for name in top if name not in TOP and not name.startswith(".")}


HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "onnxruntime",
    "qdrant_edge",
    "qdrant_client",
    "vllm",
    "peft",
    "scipy",
    "rjieba",
)
WHAT_IS_LOADED = f"import sys, json; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
ASK_FOR_HELP = """
import contextlib, io, sys
sys.argv = ["answerloop", "--help"]
from services.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as said:
    main()
assert "index" in said.getvalue()
"""


@pytest.mark.parametrize(
    "code",
    ["import services.api.app", ASK_FOR_HELP, "import services.compose", "import indexer.search"],
    ids=["api", "help", "compose", "search"],
)
def test_what_starts_often_loads_nothing_heavy(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{WHAT_IS_LOADED}"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
