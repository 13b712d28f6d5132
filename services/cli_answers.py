"""answerloop ask | search | evaluate | calibrate"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from router.errors import Conflict, InvalidInput
from services import cli_output
from services.cli_manage import Force
from services.cli_output import plain
from services.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else.")]
Server = Annotated[
    str | None, typer.Option(metavar="URL", help="Ask this server. Default: the one that runs on this home, if any.")
]
Key = Annotated[str | None, typer.Option(help="The server's API key (or ANSWERLOOP_API_KEY).")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE.jsonl", help="Question files, one JSON object per line.")]


def ask(
    question: Annotated[str, typer.Argument(help="In any language the documents are in.")],
    server: Server = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Answer one question, with citations.

    answerloop ask "How do I add a read-only node?"
    answerloop ask "怎么添加只读节点？" --json
    """
    from services import client

    reply = client.ask(_settings(server, key), question)
    if json:
        return cli_output.print_json(reply)
    return _print_answer(reply)


def search(
    question: Annotated[str, typer.Argument()],
    limit: Annotated[int, typer.Option(min=1, max=100)] = 5,
    server: Server = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """The best passages with each channel's score; no answer.

    answerloop search "read-only node" --limit 3
    """
    from services import client

    reply = client.search(_settings(server, key), question, limit)
    if json:
        return cli_output.print_json(reply)
    return _print_hits(reply)


def explain(
    question: Annotated[str, typer.Argument(help="As it would be asked.")],
    server: Server = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Why a question would be answered as it would: matches, passages, and what each feature pulls. Records nothing.

    answerloop explain "How do I add a read-only node?"
    """
    from services import client

    reply = client.explain(_settings(server, key), question)
    return cli_output.print_json(reply) if json else _print_explanation(reply)


def why(
    trace: Annotated[str, typer.Argument(help="The id of a reply.")],
    server: Server = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Why an answer that was sent is what it is.

    answerloop why 3f2a…
    """
    from services import client

    reply = client.why(_settings(server, key), trace)
    return cli_output.print_json(reply) if json else _print_explanation(reply)


def evaluate(files: Files, json: Json = False) -> None:
    """Measure answers and retrieval on question files.

    Each line: {"question": …, "answer_keys": […], "answerable": true, "doc_id": …, "history": […]}

        answerloop evaluate questions.jsonl --json
    """
    from services.evaluation import run_evaluate

    with cli_output.progress_bar() as show:
        report = run_evaluate(Settings.from_env(), _existing(files), show)
    if json:
        return cli_output.print_json(report)
    return cli_output.print_report(report, "evaluate")


def calibrate(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE.jsonl]", help="Labelled question files.")] = None,
    show_current: Annotated[bool, typer.Option("--show", help="Show the calibration in use; change nothing.")] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    """Fit confidence to labelled questions, and set the lines, one for each language, below which no answer is sent.

    answerloop calibrate labelled.jsonl
    answerloop calibrate --show
    """
    from services.calibration import show_calibration

    report = show_calibration(Settings.from_env()) if show_current else _new_calibration(files or [], force, json)
    if json:
        cli_output.print_json(report)
    else:
        cli_output.print_report(report, "calibration")
        _print_reliability(report["quality"].get("reliability", ()))
    if waits := report.get("activation", {}).get("waits"):
        raise Conflict(waits)


def _new_calibration(files: list[Path], force: bool, json: bool) -> dict[str, Any]:
    if not files:
        raise typer.BadParameter("Give at least one FILE.jsonl, or --show.")
    from services.calibration import run_calibrate
    from services.cli_review import telling

    with cli_output.progress_bar() as show:
        tell = telling(show, quiet=json)
        report: dict[str, Any] = run_calibrate(Settings.from_env(), _existing(files), show, tell, force)
    return report


_WIDE = 50  # characters from a share of 0 to one of 1


def _print_reliability(bins: Sequence[Mapping[str, Any]]) -> None:
    """One line a bin. Where the marks stand apart, the confidence says too much (o right of x) or too little."""
    rows = [(f"{row['from']:.1f}", row["answers"], _marked(row["said"], row["right"])) for row in bins]
    if rows:
        scale = f"0{'0.5'.center(_WIDE - 1)}1"
        cli_output.table("reliability: o said, x right, * both", ("from", "answers", scale), rows)


def _marked(said: float, right: float) -> str:
    line = [" "] * (_WIDE + 1)
    for share, mark in ((said, "o"), (right, "x")):
        at = round(share * _WIDE)
        line[at] = mark if line[at] == " " else "*"
    return "".join(line).rstrip()


def _settings(server: str | None, key: str | None) -> Settings:
    settings = Settings.from_env()
    return replace(settings, server=server or settings.server, api_key=key or settings.api_key)


def _existing(files: list[Path]) -> list[Path]:
    for path in files:
        if not path.is_file():
            raise InvalidInput(f"There is no file {path}.")
    return files


def _print_answer(reply: dict[str, Any]) -> None:
    cli_output.out.print(plain(reply["answer"]))
    cli_output.out.print()
    route = cli_output.state(reply["route"])
    cli_output.out.print(route, plain(f"confidence {reply['confidence']:.2f} · {reply['reason']}", "dim"))
    _print_citations("", reply["citations"])
    _print_citations("Maybe useful:", reply["maybe_useful"])


def _print_explanation(reply: dict[str, Any]) -> None:
    cli_output.out.print(plain(reply["answer"]))
    line = f", the line is {reply['line']:.2f}" if reply["line"] is not None else ""
    about = plain(f"confidence {reply['confidence']:.2f}{line} · {reply['reason']}", "dim")
    cli_output.out.print(cli_output.state(reply["route"]), about)
    if reply["standalone"] != reply["question"]:
        cli_output.out.print(plain(f"made whole: {reply['standalone']}"))
    columns = ("feature", "value", "pull", "meaning")
    rows = [[_figure(row[name]) for name in columns] for row in reply["features"]]
    if rows:
        cli_output.table("what it looked at; pull in log-odds", columns, rows)
    candidates = [
        (one["entry_id"], one["asked"], f"{one['score']:.2f}", f"{one['probability']:.2f}", "; ".join(one["guards"]))
        for one in reply["curated"].get("candidates", ())
    ]
    if candidates:
        names = ("entry", "asked as", "words", "probability", "what differs")
        cli_output.table(f"curated: {reply['curated']['how']}", names, candidates)
    found = [(one["document"], f"{one['fused']:.3f}", one["scores"]) for one in reply["passages"]]
    if found:
        cli_output.table("passages", ("document", "fused", "scores"), found)


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:+.2f}" if value < 0 else f"{value:.2f}"
    return "" if value is None else str(value)


def _print_citations(title: str, citations: list[dict[str, Any]]) -> None:
    if citations and title:
        cli_output.out.print(plain(title, "bold"))
    for (source, heading), marks in cli_output.by_place(citations).items():
        place = Text(f"{marks} ", style="bold cyan").append_text(plain(source, "cyan"))
        if heading:
            place.append_text(plain(f" > {heading}", "dim"))
        cli_output.out.print(place)


def _print_hits(reply: dict[str, Any]) -> None:
    for number, hit in enumerate(reply["hits"], 1):
        place = Text(f"[{number}] ", style="bold cyan").append_text(plain(hit["document"], "cyan"))
        cli_output.out.print(place.append_text(plain(f" > {hit['heading']}", "dim")))
        scores = "  ".join(f"{name} {score:.3f}" for name, score in hit["scores"].items())
        cli_output.out.print(plain(f"    {scores}  fused {hit['fused']:.3f}", "dim"))
        cli_output.out.print(plain(_excerpt(hit["text"])))
    cli_output.out.print(plain(f"index {reply['index_version']} · {reply['language']}", "dim"))


def _excerpt(text: str, longest: int = 300) -> str:
    flat = " ".join(text.split())
    return f"    {flat[:longest]}{'…' if len(flat) > longest else ''}"
