"""The command line. Heavy parts are imported by the command that needs them, so `--help` is instant."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from router.errors import AnswerloopError, Conflict
from services import cli_answers, cli_output, cli_promotion, cli_training
from services.cli_curated import curated
from services.cli_dataset import dataset
from services.cli_manage import Force, jobs, keys, releases, rollback
from services.cli_review import budget, replay, review, telling
from services.settings import Settings

if TYPE_CHECKING:
    from services.compose import System

app = typer.Typer(
    name="answerloop",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Answers product questions from your own documents, cites them, and says when it does not know.

A first run:

    answerloop index --source manual=./docs
    answerloop ask "How do I add a read-only node?"
    answerloop serve

Settings are environment variables; `answerloop doctor --settings` lists them.
Everything is kept in the folder ANSWERLOOP_HOME (./var unless set).
""",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else.")]


def _version(wanted: bool) -> None:
    if wanted:
        from services.version import own_version

        typer.echo(own_version())
        raise typer.Exit


@app.callback()
def answerloop(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """The program itself; its help is that of `app`."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port.", show_default="8080")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME_OR_PATH", help="Start a vLLM with this model and answer through it.")
    ] = None,
) -> None:
    """Answer over HTTP until told to stop.

    On 127.0.0.1 no key is needed until one exists. To serve other machines, make a key first:

        answerloop keys create --role admin me
        answerloop serve --host 0.0.0.0

    With a model, answers are written by it from the passages found, and quoted until it is loaded:

        answerloop serve --model ./models/tuned-1
    """
    from services.server import serve as run

    settings = Settings.from_env()
    settings = replace(settings, host=host or settings.host, port=settings.port if port is None else port)
    settings = replace(settings, model=model or settings.model, generator_url="" if model else settings.generator_url)

    def opened() -> System:
        from services.compose import open_system  # loads the engines, once it is clear that serving may begin

        return open_system(settings, own_model=True)

    run(settings, opened)


@app.command()
def index(
    source: Annotated[
        list[str] | None,
        typer.Option("--source", "-s", metavar="NAME=PATH_OR_GIT_URL", help="A folder or a git URL. May be repeated."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read and embed everything again.")] = False,
    hold: Annotated[
        bool, typer.Option("--hold", help="Make the release and do not serve it yet: look at it with `replay` first.")
    ] = False,
    force: Force = False,
    job: Annotated[str | None, typer.Option("--job", hidden=True)] = None,
    json: Json = False,
) -> None:
    """Build a new index version from the sources and serve it from then on.

    Without `--source`, those of the current version are read again, and only what changed is embedded.
    With it, the sources named replace those of the current version.
    The version that is served stays untouched until the new one is whole and the newest past questions were asked of
    both. Where too many answers would surely get worse, it waits for your word: exit code 1, and what to do.

        answerloop index --source manual=./docs --source faq=https://example.org/faq.git
        answerloop index
    """
    from services.jobs import build_index

    if job:
        os.nice(5)  # a background job leaves the processor to those who ask
    settings = Settings.from_env()
    settings.make_home()
    with cli_output.progress_bar(shown=job is None) as show:
        tell = telling(show, quiet=json or job is not None)
        report = build_index(settings, source or None, full, "command line", show, job, hold, force, tell)
    if json:
        cli_output.print_json(report)
    else:
        cli_output.print_report(report, "index")
    if report["waits"] and not hold:
        raise Conflict(report["waits"])


app.command()(cli_answers.ask)
app.command()(cli_answers.search)
app.command()(cli_answers.explain)
app.command()(cli_answers.why)
app.command()(cli_answers.evaluate)
app.add_typer(cli_training.training, name="train")
app.command()(cli_training.merge)
app.add_typer(cli_promotion.models, name="models")
app.command()(cli_promotion.promote)
app.command()(cli_answers.calibrate)
app.add_typer(curated, name="curated")
app.add_typer(dataset, name="dataset")
app.add_typer(review, name="review")
app.command()(replay)
app.command()(budget)
app.add_typer(keys, name="keys")
app.add_typer(releases, name="releases")
app.command()(rollback)
app.command()(jobs)


@app.command()
def doctor(
    settings: Annotated[bool, typer.Option("--settings", help="Also list every setting with its value.")] = False,
    json: Json = False,
) -> None:
    """Check that everything needed is there, and say how to get what is missing.

    Exit code 1 when something needed is missing.
    """
    from services.doctor import examine

    report = examine()
    if json:
        cli_output.print_json(report.to_json())
    else:
        rows = [(cli_output.state(check.state), check.name, check.detail, check.fix) for check in report.checks]
        cli_output.table("", ("", "what", "found", "to do"), rows)
    if settings and not json:
        rows_of = [(row.variable, row.type, row.default, row.value, row.about) for row in report.settings]
        cli_output.table("settings", ("variable", "type", "default", "now", "what it does"), rows_of)
    raise typer.Exit(0 if report.healthy else 1)


def main() -> None:
    """Exit codes: 0 fine, 1 an error (one sentence on stderr), 2 wrong usage, 130 stopped from the keyboard."""
    try:
        app()
    except AnswerloopError as exc:
        cli_output.complain(str(exc))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
