"""answerloop dataset build | check | export"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.errors import Misconfigured
from router.ports import Progress
from services import cli_output
from services.settings import Settings

if TYPE_CHECKING:
    from services.training.proposing import Writer

Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else.")]
Dataset = Annotated[Path, typer.Argument(metavar="DATASET", help="The folder that `dataset build` wrote.")]

_LONG = ("files", "certificate")

dataset = typer.Typer(no_args_is_help=True, help="Make, check and export training data.")


@dataset.command("build")
def build(
    out: Annotated[Path, typer.Option(help="The folder to make; must not be there yet.")],
    base: Annotated[str, typer.Option(help="The model whose tokenizer counts: a folder or a name.")],
    window: Annotated[int, typer.Option(min=256, help="Tokens of a row, prompt and answer together.")] = 2048,
    answer: Annotated[int, typer.Option(min=32, help="How many of them are reserved for the answer.")] = 512,
    previous: Annotated[
        Path | None, typer.Option(help="The dataset before: what it put into a split stays there.")
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="A model that proposes further questions and wordings, all unreviewed: a folder or name."),
    ] = "",
    reviewed: Annotated[
        bool, typer.Option("--reviewed", help="Only what people approved or decided, its variants and the refusals.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a dataset of the served documents, the approved answers, the verdicts and the answers that helped.

    answerloop dataset build --out var/datasets/2 --previous var/datasets/1 --base Qwen/Qwen3-0.6B
    """
    try:
        from services.training.counting import tokenizer_of
    except ImportError as error:
        raise Misconfigured(f"training needs the extra 'train': pip install 'answerloop[train]' ({error})") from error
    from router.packing import Window
    from services.jobs import DATASET, run_job
    from services.training.dataset import Budget, make
    from services.training.gathering import gather

    settings, budget = Settings.from_env(), Budget(Window(window, answer), tokenizer_of(base), base)
    settings.make_home()

    def work(progress: Progress) -> dict[str, Any]:
        progress("read documents, answers and verdicts", 0, 2)
        inputs = gather(settings, previous, _writer(model, progress) if model else None)
        progress("make rows", 1, 2)
        made = make(replace(inputs, reviewed=reviewed), budget, out)
        progress("make rows", 2, 2)
        return made

    about = {"who": "command line", "out": str(out), "base": base}
    with cli_output.progress_bar(shown=not json) as show:
        manifest = run_job(settings, DATASET, about, work, show, alone=False, unkept=_LONG)
    if json:
        return cli_output.print_json(manifest)
    return cli_output.print_report({name: manifest[name] for name in manifest if name not in _LONG}, "dataset")


def _writer(model: str, show: Progress) -> Writer:
    """Raises `Misconfigured` when the model cannot be loaded."""
    from services.training.answering_models import Asked

    asked = Asked(model)
    return lambda chats, most: asked.answers(chats, most, show)


@dataset.command("check")
def check(folder: Dataset, json: Json = False) -> None:
    """Check every file against the manifest, and that no row of one split is tied to another."""
    from services.training.dataset import check as run

    certificate = asdict(run(folder))
    return cli_output.print_json(certificate) if json else cli_output.print_report(certificate, "certificate")


@dataset.command("export")
def export(
    folder: Dataset,
    format: Annotated[str, typer.Option(help="trl, llama-factory or mlx.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    batch: Annotated[int, typer.Option(min=1, help="MLX: every file needs at least a batch of rows.")] = 4,
) -> None:
    """Write the rows as another trainer reads them.

    answerloop dataset export var/datasets/1 --format llama-factory --out ../LLaMA-Factory/data/answerloop
    """
    from services.training.exports import export as run

    for path in run(folder, format, out, batch):
        typer.echo(path)
