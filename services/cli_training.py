"""answerloop train model | train embedder | merge"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from router.errors import InvalidInput, Misconfigured
from router.ports import Progress
from services import cli_output
from services.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else.")]
Folder = Annotated[Path, typer.Option(help="Where checkpoints, the adapter and the report go.")]

_NEEDED = "training needs the extra 'train': pip install 'answerloop[train]'"


class _ModelUnlessNamed(TyperGroup):
    """`answerloop train DATASET` trains a model, as `answerloop train model DATASET` does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["model", *args]
        return super().parse_args(ctx, args)


training = typer.Typer(cls=_ModelUnlessNamed, no_args_is_help=True, help="Fine-tune a LoRA, or adapt the embedder.")


@training.command("model")
def train(
    data: Annotated[Path, typer.Argument(metavar="DATASET", help="A folder with train.jsonl and valid.jsonl.")],
    base: Annotated[str, typer.Option(help="The base model: a folder, or a name that transformers can resolve.")],
    out: Folder,
    epochs: Annotated[float, typer.Option(min=0.01, help="Passes over the rows.")] = 2.0,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the adapters.")] = 16,
    alpha: Annotated[int, typer.Option(min=1, help="Their scale; twice the rank is usual.")] = 32,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="Of what goes into the adapters.")] = 0.05,
    learning_rate: Annotated[float, typer.Option(min=1e-6, max=1.0)] = 2e-4,
    batch: Annotated[int, typer.Option(min=1, help="Rows a step.")] = 4,
    accumulation: Annotated[int, typer.Option(min=1, help="Steps an update.")] = 4,
    max_tokens: Annotated[int, typer.Option(min=16, help="Longest row; longer ones are listed and left out.")] = 2048,
    order: Annotated[
        str, typer.Option(help="shuffle, or length: a curriculum from short rows to long ones.")
    ] = "shuffle",
    patience: Annotated[int, typer.Option(min=0, help="Stop after so many evaluations without gain; 0: never.")] = 3,
    text: Annotated[bool, typer.Option("--text", help="First continue pre-training on DATASET/text.jsonl.")] = False,
    replay: Annotated[
        float, typer.Option(min=0, max=1, help="Texts mixed into the second stage, for each row of it.")
    ] = 0.0,
    quantised: Annotated[
        bool, typer.Option("--quantised", help="QLoRA: the base in 4 bits (needs bitsandbytes).")
    ] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard logs.")] = False,
    seed: Annotated[int, typer.Option()] = 0,
    json: Json = False,
) -> None:
    """Fine-tune a LoRA on a dataset. Stopped or killed, the same command goes on where it was.

    answerloop train var/datasets/latest --base Qwen/Qwen3-0.6B --out var/training/first
    """
    try:
        from services.training.lora import TrainOptions
        from services.training.lora import train as run
    except ImportError as error:
        raise Misconfigured(f"{_NEEDED} ({error})") from error
    options = TrainOptions(
        base=base,
        train=_file(data, "train.jsonl"),
        valid=_file(data, "valid.jsonl"),
        out=out,
        text=_file(data, "text.jsonl") if text else None,
        replay=replay,
        rank=rank,
        alpha=alpha,
        dropout=dropout,
        learning_rate=learning_rate,
        epochs=epochs,
        batch=batch,
        accumulation=accumulation,
        max_tokens=max_tokens,
        patience=patience,
        order=order,
        quantised=quantised,
        tensorboard=tensorboard,
        seed=seed,
    )
    report = _followed({"base": base, "out": str(out)}, lambda show: run(options, show, cli_output.say).to_json())
    _print(report, json, "training")


@training.command("embedder")
def embedder(
    base: Annotated[str, typer.Option(help="A sentence-transformers model: a folder or a name.")],
    out: Annotated[Path, typer.Option(help="Where the adapted one goes, if it is better; must not be there yet.")],
    data: Annotated[Path | None, typer.Option(help="A dataset: its training questions are pairs, too.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the pairs.")] = 2,
    batch: Annotated[int, typer.Option(min=2, help="Pairs a step; each is the others' negative.")] = 32,
    learning_rate: Annotated[float, typer.Option(min=1e-7, max=1.0)] = 2e-5,
    rebuild: Annotated[bool, typer.Option(help="If it is better, build the index anew with it, to be served.")] = True,
    json: Json = False,
) -> None:
    """Adapt a text embedder to the served documents; kept only if it finds passages of unseen sections better.

    Then the index is built anew with it, as a release that is not served before you activate it, because the server
    needs the new ANSWERLOOP_EMBEDDER for it. If it is not better, all stays as it is.

    answerloop train embedder --base ../models/bge-small-zh --out var/models/embedder
    """
    try:
        from services.training.embedder import EmbedderOptions
        from services.training.embedder import train as run
        from services.training.gathering import gather
        from services.training.rows import training_examples
    except ImportError as error:
        raise Misconfigured(f"{_NEEDED} ({error})") from error
    from dataclasses import asdict

    passages = gather(Settings.from_env(), None).passages
    examples = training_examples(data) if data else []
    options = EmbedderOptions(base, out, epochs, batch, learning_rate)
    report = _followed({"base": base, "out": str(out)}, lambda show: asdict(run(options, passages, examples, show)))
    release = _indexed_with(report["saved"]) if report["saved"] and rebuild else ""
    _print({**report, "release": release}, json, "embedder")
    if not report["saved"]:
        cli_output.say("Not better on sections it had not seen: nothing was saved, and the index stays as it is.")
    elif release:
        setting = f"ANSWERLOOP_EMBEDDER={report['saved']}"
        cli_output.say(
            f"Better. To serve it, set {setting} and `answerloop releases activate {release}`; then restart."
        )
    else:
        cli_output.say(f"Better. Serve it with ANSWERLOOP_EMBEDDER={report['saved']} and `answerloop index --full`.")


def _indexed_with(embedder: str) -> str:
    """A release whose index was embedded with it, held: what serves now was told of another embedder."""
    from dataclasses import replace

    from services.jobs import build_index

    settings = replace(Settings.from_env(), embedder=embedder, embedder_url="", embedder_key="")
    with cli_output.progress_bar() as show:
        return str(build_index(settings, None, True, "train embedder", show, hold=True)["release"])


def merge(
    adapter: Annotated[Path, typer.Argument(help="The adapter's folder, as `train` wrote it.")],
    base: Annotated[str, typer.Option(help="The base it was trained on.")],
    out: Annotated[Path, typer.Option(help="Where the merged model goes; must not be there yet.")],
    data: Annotated[Path | None, typer.Option(help="A dataset whose test prompts the logits are compared on.")] = None,
    json: Json = False,
) -> None:
    """Fold an adapter into its full-precision base, and check that the logits stay the same, also from disk.

    answerloop merge var/training/first/adapter --base Qwen/Qwen3-0.6B --out var/models/first
    """
    try:
        from services.training.merging import merge as run
        from services.training.merging import prompts_of
    except ImportError as error:
        raise Misconfigured(f"{_NEEDED} ({error})") from error
    from dataclasses import asdict

    report = run(adapter, base, out, prompts_of(_file(data, "test.jsonl") if data else None))
    _print(asdict(report), json, "merge")


def _followed(about: dict[str, Any], work: Callable[[Progress], dict[str, Any]]) -> dict[str, Any]:
    """The work as a job, so that the console and `answerloop jobs` show how far it is."""
    from services.jobs import TRAINING, run_job

    settings = Settings.from_env()
    settings.make_home()
    about = {"who": "command line", **about}
    with cli_output.progress_bar() as show:
        return run_job(
            settings, TRAINING, about, work, show, alone=False, unkept=("losses", "valid_losses", "text_losses")
        )


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise InvalidInput(f"There is no {path}; `answerloop dataset build` makes one.")
    return path


def _print(report: dict[str, Any], json: bool, title: str) -> None:
    if json:
        cli_output.print_json(report)
    else:
        cli_output.print_report(report, title)
