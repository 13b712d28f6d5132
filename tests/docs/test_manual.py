"""The manual says what the program does: settings, commands, routes, error codes and metrics, in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from fastapi.routing import APIRoute

from router import errors
from services.api.app import create_app
from services.api.auth import Requires
from services.api.errors import CODES
from services.api.metrics import Metrics
from services.cli import app as cli
from services.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LANGUAGES = ("en", "zh")
EMPTY = {"en": "empty", "zh": "空"}
OPEN = {"en": "open", "zh": "开放"}
WRAPPED_CODES = {"invalid_json", "invalid_request", "internal", "http_error"}  # literals inside services.api.errors

in_both = pytest.mark.parametrize("language", LANGUAGES)


def page(language: str, name: str) -> str:
    return (DOCS / language / name).read_text("utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, headers and delimiter rows included."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def code_blocks(text: str) -> list[str]:
    return re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)


def headings(text: str) -> list[int]:
    """The levels of the headings, in order; a "#" inside a code block is none."""
    return [len(marks) for marks in re.findall(r"^(#+) ", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)]


@in_both
def test_every_setting_is_documented_with_its_default(language: str) -> None:
    documented = {
        row[0].strip("`"): row for row in rows(page(language, "settings.md")) if row[0].startswith("`ANSWERL")
    }
    known = {setting.variable: setting for setting in Settings().describe()}
    assert list(documented) == list(known)
    for name, setting in known.items():
        assert documented[name][1] == (f"`{setting.default}`" if setting.default else EMPTY[language]), name
        if language == "en":
            assert documented[name][2] == setting.about


@in_both
def test_settings_named_anywhere_exist(language: str) -> None:
    known = {setting.variable for setting in Settings().describe()}
    for path in (DOCS / language).glob("*.md"):
        assert set(re.findall(r"ANSWERLOOP_[A-Z_]+[A-Z]", path.read_text("utf-8"))) <= known, path.name


@in_both
def test_every_command_is_documented(language: str) -> None:
    listed = [row[0].strip("`") for row in rows(page(language, "command-line.md")) if row[0].startswith("`answerloop")]
    assert sorted(listed) == sorted(commands())


def commands() -> dict[str, click.Command]:
    """Every command that does something, by its full name."""
    found: dict[str, click.Command] = {}

    def walk(name: str, command: click.Command) -> None:
        parts: dict[str, click.Command] = getattr(command, "commands", {})
        for part, below in parts.items():
            walk(f"{name} {part}", below)
        if not parts:
            found[name] = command

    walk("answerloop", typer.main.get_command(cli))
    return found


@pytest.mark.parametrize("path", ["docs/en", "docs/zh", "README.md", "deploy/README.md"])
def test_commands_in_examples_exist_with_their_options(path: str) -> None:
    known = commands()
    files = [ROOT / path] if path.endswith(".md") else sorted((ROOT / path).glob("*.md"))
    lines = [line for file in files for block in code_blocks(file.read_text("utf-8")) for line in block.splitlines()]
    used = [found for line in lines if (found := re.search(r"(?:^|[ /])(answerloop (?!answerloop)[a-z].*)", line))]
    assert used
    for line in (found[1] for found in used):
        words = line.split()
        name = next((" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in known), None)
        assert name, line
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options | {"--help"}, line


@in_both
def test_every_route_is_documented_with_its_role(language: str) -> None:
    listed = {row[0].strip("`"): row[1] for row in rows(page(language, "api.md")) if re.match(r"`[A-Z]+ /", row[0])}
    assert listed == {name: role or OPEN[language] for name, role in routes()}


def routes() -> Iterator[tuple[str, str]]:
    """(method and path, role or "") of every route of the application."""

    def none() -> None:
        raise AssertionError("the application was not started")

    for route in create_app(Settings(), none).routes:  # type: ignore[arg-type]
        if isinstance(route, APIRoute) and not route.path.startswith("/console"):  # pages for people
            roles = [need.call.role for need in route.dependant.dependencies if isinstance(need.call, Requires)]
            for method in sorted(route.methods):
                yield f"{method} {route.path.replace(':path', '')}", str(max(roles, key=_rank)) if roles else ""


def _rank(role: str) -> int:
    return ["asker", "reviewer", "admin"].index(role)


@in_both
def test_every_error_code_is_documented_with_its_status(language: str) -> None:
    text = page(language, "api.md")
    listed = {row[0].strip("`") for row in rows(text) if len(row) == 3 and re.fullmatch(r"`[a-z_]+`", row[0])}
    mentioned = listed | set(re.findall(r"`([a-z_]+)`", text.rpartition("|")[2]))
    assert codes() <= mentioned
    assert listed <= codes()
    statuses = {row[0].strip("`"): row[1] for row in rows(text) if len(row) == 3}
    for status, code in refusals():
        assert statuses[code] == str(status)


def codes() -> set[str]:
    return (
        {kind.code for kind in _family(errors.AnswerloopError)}
        | {code for _, code in refusals()}
        | set(CODES.values())
        | {
            kind
            for path in _services()
            for kind in re.findall(r'^    code = "([a-z_]+)"', path.read_text("utf-8"), re.M)
        }
        | WRAPPED_CODES
    )


def _family(kind: type[errors.AnswerloopError]) -> Iterator[type[errors.AnswerloopError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == "router.errors":
            yield from _family(below)


def refusals() -> set[tuple[int, str]]:
    """(status, code) of every `Refused(…)` in the HTTP layer."""
    calls = [node for path in _services() for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    found = {
        (call.args[0].value, call.args[1].value)
        for call in calls
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Refused"
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[1], ast.Constant)
    }
    assert found
    return found  # type: ignore[return-value]


def _services() -> list[Path]:
    return sorted((ROOT / "services").rglob("*.py"))


def test_codes_built_into_the_error_page_are_still_there() -> None:
    source = (ROOT / "services" / "api" / "errors.py").read_text("utf-8")
    assert all(f'"{code}"' in source for code in WRAPPED_CODES)


@in_both
def test_every_metric_is_documented(language: str) -> None:
    listed = [row[0].strip("`") for row in rows(page(language, "operations.md")) if row[0].startswith("`answerloop_")]
    collected = list(Metrics().registry.collect())
    assert listed == [family.name + ("_total" if family.type == "counter" else "") for family in collected]


def test_both_languages_have_the_same_pages() -> None:
    english, chinese = (sorted(path.name for path in (DOCS / language).glob("*.md")) for language in LANGUAGES)
    assert english == chinese
    assert len(english) >= 10


@pytest.mark.parametrize("name", sorted(path.name for path in (DOCS / "en").glob("*.md")))
def test_both_languages_have_the_same_structure(name: str) -> None:
    english, chinese = page("en", name), page("zh", name)
    assert headings(english) == headings(chinese)
    assert [len(row) for row in rows(english)] == [len(row) for row in rows(chinese)]
    assert len(code_blocks(english)) == len(code_blocks(chinese))
    assert re.search(r"[\u4e00-\u9fff]", chinese)


@in_both
def test_the_first_page_leads_to_all_others(language: str) -> None:
    linked = set(re.findall(r"\]\(([a-z-]+\.md)\)", page(language, "index.md")))
    assert linked == {path.name for path in (DOCS / language).glob("*.md")} - {"index.md"}


@pytest.mark.parametrize(
    "path", sorted(str(path.relative_to(ROOT)) for top in (DOCS, ROOT / "deploy") for path in top.rglob("*.md"))
)
def test_links_lead_somewhere(path: str) -> None:
    check_links(ROOT / path)


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_links_of_the_front_door_lead_somewhere(name: str) -> None:
    check_links(ROOT / name)


def check_links(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if not re.match(r"[a-z]+:|#", target):
            assert (path.parent / target.partition("#")[0]).exists(), f"{path.name}: {target}"


def test_make_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    pages = [ROOT / "README.md", *DOCS.rglob("*.md"), *(ROOT / "deploy").glob("*.md")]
    for path in pages:
        text = path.read_text("utf-8")
        shown = [*code_blocks(text), *re.findall(r"`(make [^`]+)`", text)]
        used = {target for block in shown for target in re.findall(r"^make ([a-z-]+)", block, re.M)}
        assert used <= targets, path.name


def test_the_readme_shows_the_main_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert {"demo", "test", "lint", "bench"} <= set(re.findall(r"make ([a-z]+)", text))
