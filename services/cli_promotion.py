"""answerloop models evaluate | register | list | curve | sheet | scores | shadow, answerloop promote"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.errors import InvalidInput, Misconfigured, NotFound
from services import cli_output
from services.cli_manage import with_store
from services.cli_review import telling
from services.settings import Settings

if TYPE_CHECKING:
    from services.store.sql import SqlStore

Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else.")]
Data = Annotated[Path, typer.Option(help="The dataset: a folder that `dataset build` wrote.")]
WHO = "command line"

_NEEDED = "this needs the extra 'train': pip install 'answerloop[train]'"

models = typer.Typer(no_args_is_help=True, help="Evaluate, register and compare models.")


@models.command("evaluate")
def evaluate(
    model: Annotated[str, typer.Argument(help="A merged model: its folder.")],
    data: Data,
    base: Annotated[str, typer.Option(help="What it was tuned from, to see what the tuning added.")] = "",
    previous: Annotated[
        Path | None, typer.Option(help="An older dataset: are answers remembered that have changed since?")
    ] = None,
    encoder: Annotated[str, typer.Option(help="Also BERTScore, by this local encoder: a folder. In no gate.")] = "",
    out: Annotated[Path | None, typer.Option(help="Where the report goes.", show_default="beside the model")] = None,
    json: Json = False,
) -> None:
    """Judge a model on the test rows of a dataset, beside its base, quoting and approved answers. No judge, no network.

    answerloop models evaluate var/models/first --data var/datasets/1 --base Qwen/Qwen3-0.6B
    """
    evaluation = _training("evaluation")
    from services.evaluation import served_calibration

    settings = Settings.from_env()
    options = evaluation.EvaluationOptions(
        model, data, served_calibration(settings), base, previous, encoder=encoder, entailment=settings.entailment
    )
    with cli_output.progress_bar() as show:
        found = evaluation.evaluate(options, show)
    path = evaluation.write(found, model, out)
    report = {name: value for name, value in found.report.items() if name not in ("rows", "judged")}
    if json:
        return cli_output.print_json(report)
    cli_output.print_report(_short(report), "evaluation")
    return cli_output.say(f"The whole report: {path}")


def _short(report: dict[str, Any]) -> dict[str, Any]:
    """Each figure with its interval in one cell."""
    routes = {
        name: {key: _figure(value) for key, value in route["as_written"].items() if key != "rows"}
        | {"sent_f1": _figure(route["as_sent"].get("f1")), "sent_right": _figure(route["as_sent"].get("right"))}
        | {f"sent_f1, {name}": _figure(one.get("f1")) for name, one in route["as_sent_by_language"].items()}
        for name, route in report["routes"].items()
    }
    columns = dict.fromkeys(key for route in routes.values() for key in route)
    by_figure = {key: {name: route.get(key, "") for name, route in routes.items()} for key in columns}
    return {**report, "routes": by_figure}


def _figure(value: Any) -> str:
    return f"{value['mean']:.3f} ({value['low']:.3f}–{value['high']:.3f})" if isinstance(value, dict) else ""


@models.command("register")
def register(
    name: Annotated[str, typer.Argument(help="Small letters, digits, '.', '_' and '-'. Never used twice.")],
    model: Annotated[Path, typer.Argument(help="A merged model that was evaluated.")],
    data: Data,
    json: Json = False,
) -> None:
    """Keep a model as an immutable version with all that it came from.

    answerloop models register first var/models/first --data var/datasets/1
    """
    card = asdict(_training("promotion").register(Settings.from_env(), name, model, data))
    return cli_output.print_json(card) if json else cli_output.print_report(card, "model")


@models.command("list")
def list_models(json: Json = False) -> None:
    """The registered models, oldest first."""
    cards = [asdict(one) for one in _training("promotion").registry_of(Settings.from_env()).list()]
    if json:
        return cli_output.print_json(cards)
    shown = ("name", "created", "base", "dataset", "prompt_hash", "code")
    return cli_output.table("", shown, [[str(one[key])[:40] for key in shown] for one in cards])


@models.command("curve")
def curve(
    data: Data,
    base: Annotated[str, typer.Option(help="The base model to tune: a folder or a name.")],
    out: Annotated[Path, typer.Option(help="Where trainings, curve.json and curve.svg go.")],
    sizes: Annotated[str, typer.Option(help="How many clusters, in rising order.")] = "0,25,50,100,200",
    unreviewed: Annotated[
        bool, typer.Option("--unreviewed", help="Count clusters that no person read, too; the report says so.")
    ] = False,
    epochs: Annotated[float, typer.Option(min=0.01)] = 2.0,
    learning_rate: Annotated[float, typer.Option(min=1e-6, max=1.0)] = 2e-4,
    batch: Annotated[int, typer.Option(min=1)] = 4,
    accumulation: Annotated[int, typer.Option(min=1)] = 4,
    wrong: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the clusters that are given another one's answer.")
    ] = 0.0,
    json: Json = False,
) -> None:
    """How much each further reviewed cluster brings: one training a size, judged on the same test rows.

    answerloop models curve --data var/datasets/1 --base Qwen/Qwen3-0.6B --out var/curve
    """
    learning_curve = _training("learning_curve")
    options = learning_curve.CurveOptions(
        data, base, out, _sizes(sizes), unreviewed, epochs, learning_rate, batch, accumulation, wrong
    )
    with cli_output.progress_bar() as show:
        report = learning_curve.run(options, show)
    return cli_output.print_json(report) if json else cli_output.print_report(report, "learning curve")


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput(f"--sizes {text!r}: whole numbers with commas between them, like 0,25,50") from error
    if any(one < 0 for one in sizes) or list(sizes) != sorted(set(sizes)):
        raise InvalidInput(f"--sizes {text!r}: each once, from small to large, none below 0")
    return sizes


@models.command("sheet")
def sheet(
    reports: Annotated[list[Path], typer.Argument(metavar="EVALUATION.json", help="Reports of one dataset.")],
    out: Annotated[Path, typer.Option(help="The folder for sheet.csv and key.json; must not be there yet.")],
    most: Annotated[int, typer.Option(min=1, help="Test rows on the sheet.")] = 100,
) -> None:
    """Write a sheet on which two people score answers 1 to 5 without knowing whose they are.

    answerloop models sheet var/models/first/evaluation.json var/models/second/evaluation.json --out var/sheet
    """
    from services.training.human_sheet import write

    rows = write(reports, out, most)
    cli_output.say(f"{rows} answers to score in {out}/sheet.csv, one copy a rater; keep {out}/key.json from them.")


@models.command("scores")
def scores(
    folder: Annotated[Path, typer.Argument(help="The folder of the sheet, with key.json.")],
    first: Annotated[Path, typer.Argument(help="The sheet as the first rater filled it in.")],
    second: Annotated[Path, typer.Argument(help="The second rater's.")],
    json: Json = False,
) -> None:
    """Read the scored sheets: weighted kappa of the raters, and each model's mean with its interval.

    answerloop models scores var/sheet anna.csv ben.csv
    """
    from services.training.human_sheet import read

    report = read(folder, first, second)
    return cli_output.print_json(report) if json else cli_output.print_report(report, "scores")


def promote(
    name: Annotated[str, typer.Argument(help="A registered model (answerloop models list), or a new name.")],
    data: Data,
    adapter: Annotated[
        Path | None, typer.Option(help="First merge this adapter, judge the model and register it by this name.")
    ] = None,
    base: Annotated[str, typer.Option(help="With --adapter: what it was trained on, a folder or a name.")] = "",
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Only after it has answered real questions beside the live model, unseen.")
    ] = False,
    share: Annotated[float, typer.Option(min=0.001, max=1.0, help="Of the questions, for the shadow.")] = 0.1,
    json: Json = False,
) -> None:
    """Serve a registered model from now on, if it has earned it; else say which gate failed, with exit code 1.

    What it would answer otherwise of the newest past questions is shown before it is served.
    With `--shadow` a first call, if every gate holds, begins to send a share of the real questions to it, after the
    replies have left and never shown to anybody; call again when enough are there (answerloop models shadow).
    `answerloop rollback` takes it back: index, approved answers, model, prompts and calibration move together.

        answerloop promote first --data var/datasets/1 --adapter var/training/first/adapter --base Qwen/Qwen3-0.6B
        answerloop promote first --data var/datasets/1
        answerloop promote first --data var/datasets/1 --shadow --share 0.2
    """
    if (adapter is None) != (not base):
        raise InvalidInput("--adapter and --base go together: what was trained, and what it was trained on")
    promotion, candidate = _training("promotion"), _training("candidate")
    with cli_output.progress_bar() as show:
        if adapter is not None:
            candidate.register(Settings.from_env(), candidate.Candidate(name, adapter, base, data), show)
        tell = telling(show, quiet=json)
        found = promotion.promote(Settings.from_env(), name, data, WHO, show, share if shadow else 0.0, tell)
    if json:
        cli_output.print_json(asdict(found))
    else:
        rows = [(cli_output.state("ok" if one.held else "failed"), one.name, one.said) for one in found.gates]
        cli_output.table(f"{name} against {found.live}, {found.rows} rows", ("", "gate", "found"), rows)
        if found.left_out:
            cli_output.say(f"{found.left_out} rows fit into the window of one of the two only, and are not compared.")
        again = [(one.question, one.again, one.sent) for one in found.wrong_again]
        if again:
            cli_output.table("wrong again", ("question", "what it", "would send"), again)
        cli_output.say(_said_of_confidence(found.confidence))
        if found.shadow:
            _print_shadow(found.shadow)
    if not found.release:
        cli_output.complain(f"{name} is not promoted. {'; '.join(found.refused_by)}")
        raise typer.Exit(1)
    cli_output.say(f"Release {found.release} serves {name}.")


def _said_of_confidence(found: Mapping[str, Any]) -> str:
    """One line on how far its confidence can be believed, by rows that nothing else was judged on."""
    if not found["answers"]:
        return f"Confidence: no answer to a row of the calibration slice; {found['says']}."
    figures = found["after"] if found["fitted"] else found["before"]
    return (
        f"Confidence: {found['answers']} answers to the calibration slice, {found['right']} right, calibration error "
        f"{figures['expected_calibration_error']:.3f}, Brier {figures['brier']:.3f}; {found['says']}."
    )


@models.command("shadow")
def shadow(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="A model that is or was tried.")] = "",
    stop: Annotated[bool, typer.Option("--stop", help="End the one that goes on.")] = False,
    json: Json = False,
) -> None:
    """What a model said to real questions beside the live one (promote --shadow), compared with what was sent.

    answerloop models shadow
    """
    shadow_report = _training("shadow_report")
    from services.store import shadows

    async def look(store: SqlStore) -> dict[str, Any]:
        found = await store.read(lambda c: shadows.newest(c, name))
        if stop and found and not found.ended:
            found = await store.write(lambda c: shadows.stop(c, WHO))
        if found is None:
            raise NotFound("no model was tried in shadow; answerloop promote NAME --data DATA --shadow begins that")
        report: dict[str, Any] = shadow_report.report(found, await shadow_report.compared(store, found))
        return report

    found = with_store(look)
    return cli_output.print_json(found) if json else _print_shadow(found)


def _print_shadow(found: dict[str, Any]) -> None:
    about = found["shadow"]
    state = f"ended {about['ended']}" if about["ended"] else "goes on"
    cli_output.say(f"{about['model']} beside {about['release_id']} on {about['share']:.0%} of the questions; {state}.")
    rows = [(name, _figure(found[name])) for name in ("agreement", "sent_live", "sent_candidate", "failures")]
    counts = ", ".join(f"{name} {count}" for name, count in found["counts"].items() if count)
    times = {side: one and f"{one['p50']:.0f} ms, 95 %: {one['p95']:.0f} ms" for side, one in found["ms"].items()}
    supported = f"{found['supported']:.3f}" if found["supported"] is not None else ""
    more = [("supported by its passages", supported), ("what changes", counts or "nothing")]
    timed = [(f"time to write, {side}", said or "") for side, said in times.items()]
    title = f"{found['answers']} answers, {found['questions']} different questions, {found['needed']} more needed"
    cli_output.table(title, ("what", "figure"), [*rows, *more, *timed])
    for problem in found["problems"]:
        cli_output.say(f"Failed: {problem}")
    if found["changed"]:
        changed = [
            (one["change"], one["question"], one["before"]["answer"], one["after"]["answer"])
            for one in found["changed"]
        ]
        cli_output.table("changed", ("change", "question", "live", "candidate"), changed)


def _training(module: str) -> Any:
    """Raises `Misconfigured` when the libraries for training are not installed."""
    from importlib import import_module

    try:
        return import_module(f"services.training.{module}")
    except ImportError as error:
        raise Misconfigured(f"{_NEEDED} ({error})") from error
