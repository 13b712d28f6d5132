"""answerloop curated …"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from router.errors import InvalidInput, Unavailable
from router.types import Citation, CuratedEntry, EntryStatus
from services import cli_output
from services.cli_manage import WHO, with_store
from services.cli_output import plain, when
from services.settings import Settings

if TYPE_CHECKING:
    from router.curated import Entries
    from services.curated.editing import Edited, Editor
    from services.curated.matcher import Matcher
    from services.store.records import CuratedVersion
    from services.store.sql import SqlStore

Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else.")]
Format = Annotated[
    Literal["jsonl", "csv"] | None, typer.Option(help="Default: by the name of the file, else by its content.")
]

curated = typer.Typer(
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="""Approved answers, sent word for word.

For example:

    answerloop curated import faq.jsonl
    answerloop curated explain "How do I restart the cluster?"
    answerloop curated self-test

A running server serves an edit within a quarter of a second. Every edit is kept: `show ID --history`.
""",
)


@curated.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines or CSV; - for standard input.")],
    format: Format = None,
    strict: Annotated[bool, typer.Option("--strict", help="Change nothing when any row cannot be read.")] = False,
    json: Json = False,
) -> None:
    """Add entries, and bring known ones (the same id) up to date, all in one edit.

    A row needs a question and an answer. Known names: id (or faq_id), question, answer, variants, negatives, status,
    citations, source, heading, url. In CSV a list is a JSON list, or lines, or parts with | between.
    What a row does not say stays as it is. Rows that cannot be read are listed and passed over; exit code 1 with
    --strict, or when no row can be read.

        answerloop curated import faq.csv
        answerloop curated import faq.jsonl --strict --json
    """
    content = _content(file)

    async def work(store: SqlStore) -> tuple[dict[str, Any], bool]:
        from services.curated.exchange import format_of

        chosen = format or format_of(file.name, content)
        report, tested = await (await _editor(store)).bring_in(content, chosen, WHO, strict, patient=True)
        nothing = bool(report.skipped) and not report.created + report.updated + report.unchanged
        return report.to_json() | {"self_test": tested.to_json() if tested else None}, nothing

    found, nothing = with_store(work)
    if json:
        cli_output.print_json(found)
    else:
        _print_import(found)
    raise typer.Exit(1 if nothing else 0)


@curated.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - for standard output.")],
    format: Annotated[Literal["jsonl", "csv"] | None, typer.Option(help="Default: by the name, else jsonl.")] = None,
    revision: Annotated[int | None, typer.Option(min=0, help="An older one; else the newest.")] = None,
) -> None:
    """Write every entry, retired ones included, so that `import` reads it without loss.

    answerloop curated export faq.csv
    answerloop curated export - --revision 12
    """
    from services.curated.exchange import to_csv, to_jsonl

    chosen = format or ("csv" if file.suffix.lower() == ".csv" else "jsonl")
    held = with_store(lambda store: store.curated.entries_at(revision))
    _write(file, to_csv(held.changed) if chosen == "csv" else to_jsonl(held.changed))
    cli_output.say(f"{len(held.changed)} entries of revision {held.revision}.")


@curated.command("self-test")
def self_test(json: Json = False) -> None:
    """Ask the whole store all its questions: does each find its own entry, and only that one?

    Lists entries that share words, that would answer each other's questions, or a negative. Exit code 1 if any.
    """
    from services.curated.trying import tried

    async def work(store: SqlStore) -> dict[str, Any]:
        entries, matcher = await _as_served(store)
        return (await tried(matcher, entries)).to_json()

    report = with_store(work)
    if json:
        cli_output.print_json(report)
    else:
        _print_self_test(report)
    raise typer.Exit(0 if report["passed"] else 1)


@curated.command("explain")
def explain(question: Annotated[str, typer.Argument()], json: Json = False) -> None:
    """Why each near entry does or does not answer a question: scores, guards, margin. Nothing is recorded.

    answerloop curated explain "How do I restart the cluster?"
    """
    from services.curated.trying import explained

    if not question.strip():
        raise InvalidInput("The question is blank.")

    async def work(store: SqlStore) -> dict[str, Any]:
        entries, matcher = await _as_served(store)
        return (await explained(matcher, entries, question, wait=True)).to_json()

    found = with_store(work)
    if json:
        return cli_output.print_json(found)
    return _print_explanation(found)


@curated.command("list")
def list_entries(
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="Only what holds this.", show_default=False)] = "",
    status: Annotated[EntryStatus | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    json: Json = False,
) -> None:
    """Entries, what was changed last first.

    answerloop curated list restart --status stale
    """
    page = with_store(lambda store: store.curated.page(text, status and status.value, limit, offset))
    if json:
        shown = {"entries": [_as_json(version) for version in page.versions]}
        return cli_output.print_json({**shown, "total": page.total, "revision": str(page.revision)})
    rows = [_row(version) for version in page.versions]
    cli_output.table("", ("id", "status", "question", "variants", "version", "changed", "by"), rows)
    return cli_output.say(f"{len(page.versions)} of {page.total} entries, revision {page.revision}.")


@curated.command("add")
def add(
    question: Annotated[str, typer.Argument()],
    answer: Annotated[str, typer.Argument(help="Sent word for word; - to read it from standard input.")],
    variant: Annotated[list[str] | None, typer.Option(help="Another way to ask it. May be repeated.")] = None,
    negative: Annotated[list[str] | None, typer.Option(help="What it must not answer. May be repeated.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="A document it comes from. May be repeated.")] = None,
    id: Annotated[str, typer.Option(help="Made up where there is none.", show_default=False)] = "",
    json: Json = False,
) -> None:
    """Add one entry, and say what it collides with. Exit code 1 when the id is taken.

    answerloop curated add "How long are backups kept?" "Seven days." --variant "backup retention"
    """
    text = sys.stdin.read() if answer == "-" else answer
    cited = tuple(Citation("", place, "", "", 0, 0, "") for place in source or ())
    entry = CuratedEntry(id, question, text, tuple(variant or ()), tuple(negative or ()), cited)

    async def work(store: SqlStore) -> Edited:
        return await (await _editor(store)).create(entry, WHO)

    _print_edited(with_store(work), json)


@curated.command("show")
def show(
    entry_id: Annotated[str, typer.Argument(metavar="ID")],
    history: Annotated[
        bool, typer.Option("--history", help="Every version, newest first; also of a deleted one.")
    ] = False,
    json: Json = False,
) -> None:
    """One entry in full, or how it came to be."""

    async def look(store: SqlStore) -> list[CuratedVersion]:
        return await store.curated.history(entry_id, 1000) if history else [await store.curated.get(entry_id)]

    found = [_as_json(version) for version in with_store(look)]
    if json:
        return cli_output.print_json(found if history else found[0])
    for version in found:
        _print_entry(version)
    return None


@curated.command("delete")
def delete(entry_id: Annotated[str, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Delete an entry. Its history stays, and `import` or `add` may bring the id back."""

    async def work(store: SqlStore) -> Edited:
        return await (await _editor(store)).delete(entry_id, WHO)

    _print_edited(with_store(work), json)


async def _editor(store: SqlStore) -> Editor:
    from services.curated.editing import Editor
    from services.curated.live import LiveCurated

    live = LiveCurated(store.curated)
    await live.refresh()
    return Editor(store.curated, live)


async def _as_served(store: SqlStore) -> tuple[Entries, Matcher]:
    """The entries, and what a server would match them with. The embedder is loaded by the first text that it is asked
    about: not for a question or a store in Chinese alone."""
    from router.curated import Entries
    from services.compose import near_embedder_of
    from services.curated.embedding import TogetherEmbedder
    from services.curated.matcher import Matcher
    from services.curated.vocabulary import packaged_guards

    held = await store.curated.entries_at()
    entries = Entries.build(held.changed, packaged_guards(), str(held.revision))
    return entries, Matcher(lambda: entries, TogetherEmbedder(near_embedder_of(Settings.from_env())))


def _content(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as exc:
        raise InvalidInput(f"{file} cannot be read: {exc.strerror}.") from exc


def _write(file: Path, text: str) -> None:
    if str(file) == "-":
        sys.stdout.buffer.write(text.encode())
        return
    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        unfinished.write_bytes(text.encode())
        unfinished.replace(file)
    except OSError as exc:
        raise Unavailable(f"{file} cannot be written: {exc.strerror}.") from exc


def _as_json(version: CuratedVersion) -> dict[str, Any]:
    from services.api.render import curated_out

    return curated_out(version)


def _row(version: CuratedVersion) -> tuple[object, ...]:
    entry = version.entry
    status = cli_output.state(entry.status.value)
    asked = len(entry.variants)
    return entry.id, status, entry.question, asked, version.version, when(version.created), version.who


def _print_edited(edited: Edited, json: bool) -> None:
    report = edited.tested.to_json()
    if json:
        entry = _as_json(edited.version)
        return cli_output.print_json({"entry": entry, "revision": str(edited.revision), "self_test": report})
    done = "deleted" if edited.version.deleted else "kept"
    cli_output.say(
        f"{edited.version.entry.id} is {done}: version {edited.version.version}, revision {edited.revision}."
    )
    return _print_tested(report)


def _print_import(report: dict[str, Any]) -> None:
    done = ", ".join(f"{report[name]} {name}" for name in ("created", "updated", "unchanged"))
    cli_output.say(f"{done}, {report['skipped_total']} skipped; revision {report['revision']}.")
    if report["fields_left_out"]:
        cli_output.say(f"Fields that entries do not have: {', '.join(report['fields_left_out'])}.")
    for title, columns in (("skipped", ("line", "reason")), ("duplicates", ("line", "id", "question", "same_as"))):
        if report[title]:
            cli_output.table(title, columns, [[row[name] for name in columns] for row in report[title]])
    _print_tested(report["self_test"])


def _print_self_test(report: dict[str, Any]) -> None:
    cli_output.say(
        f"{report['asked']} questions of {report['entries']} entries, revision {report['revision']}, "
        f"{report['seconds']} s: {len(report['findings'])} findings."
    )
    _print_words_alone(report)
    _print_findings(report["findings"])


def _print_tested(report: dict[str, Any]) -> None:
    """An edit at the command line loads no embedder for it."""
    _print_findings(report["findings"])
    cli_output.say("Tried by words alone; as a server compares: answerloop curated self-test")


def _print_words_alone(found: dict[str, Any]) -> None:
    if found["words_alone"]:
        cli_output.say(f"Words alone decide: {found['words_alone']}.")


def _print_findings(findings: list[dict[str, Any]]) -> None:
    if findings:
        columns = ("problem", "entry_id", "wording", "other_id", "other_wording", "probability")
        cli_output.table("self-test", columns, [[finding[name] for name in columns] for finding in findings])


def _print_explanation(found: dict[str, Any]) -> None:
    cli_output.out.print(cli_output.state(found["how"]), plain(found["why"]))
    cli_output.out.print(plain(f"compared as: {found['normal']}", "dim"))
    _print_words_alone(found)
    columns = ("entry_id", "asked", "score", "probability", "line", "guards", "why")
    rows = [[_cell(candidate[name]) for name in columns] for candidate in found["candidates"]]
    if rows:
        cli_output.table("", columns, rows)


def _cell(value: Any) -> str:
    return "; ".join(value) if isinstance(value, list | tuple) else str(value)


def _print_entry(version: dict[str, Any]) -> None:
    gone = ", deleted" if version["deleted"] else ""
    cli_output.out.print(plain(version["question"], "bold"))
    facts = (
        f"{version['id']} · {version['status']} · version {version['version']}, revision {version['revision']}{gone}"
    )
    cli_output.out.print(plain(f"{facts} · {when(version['updated'])} by {version['updated_by']}", "dim"))
    cli_output.out.print(plain(version["answer"]))
    for name in ("variants", "negatives"):
        for text in version[name]:
            cli_output.out.print(plain(f"  {name[:-1]}: {text}"))
    for cited in version["citations"]:
        place = " > ".join(part for part in (cited["source"], cited["heading"]) if part)
        cli_output.out.print(plain(f"  cites {place}", "cyan"))
