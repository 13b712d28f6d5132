"""answerloop review … | replay | budget"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from router.errors import InvalidInput
from services import cli_output
from services.cli_output import plain, when
from services.settings import Settings

if TYPE_CHECKING:
    from router.ports import Progress
    from router.types import Citation
    from services.review.desk import Desk
    from services.review.rehearsal import Tell
    from services.store.review_records import Verdict

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else.")]
Item = Annotated[str, typer.Argument(metavar="ITEM", help="The id of an item, as `list` shows it.")]
Who = Annotated[str, typer.Option("--as", help="The reviewer's name, for the audit log.")]

WHO = "command line"
_KINDS = ("correct", "corrected", "incomplete", "wrong", "stale_source", "out_of_scope", "duplicate")
_STATES = ("pending", "claimed", "decided")

review = typer.Typer(no_args_is_help=True, help="What waits for people: look, claim, decide, undo, call back.")


def with_desk(work: Callable[[Desk], Awaitable[T]]) -> T:
    from services.curated.live import LiveCurated
    from services.review.desk import Desk
    from services.store.sql import SqlStore
    from services.store.verdicts import Rules

    settings = Settings.from_env()

    async def run(store: SqlStore) -> T:
        rules = Rules(settings.claim_s, settings.second_review_risk)
        return await work(Desk(store, LiveCurated(store.curated), rules))

    settings.make_home()
    with SqlStore.open(settings.store_url) as store:
        return asyncio.run(run(store))


@review.command("list")
def list_items(
    state: Annotated[str, typer.Option(help=" | ".join(_STATES))] = "pending",
    cause: Annotated[str, typer.Option(help="Only what came for this reason, for example thumbs_down.")] = "",
    gaps: Annotated[bool, typer.Option("--gaps", help="Only what the documents did not answer.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    json: Json = False,
) -> None:
    """The queue, what is worth most first: people who wait times risk times age.

    answerloop review list --gaps
    """
    from services.api.render_review import item_out
    from services.store.review_records import ItemFilter

    page = with_desk(lambda desk: desk.items(ItemFilter(state, cause, gaps=gaps, limit=limit)))
    rows = [item_out(one) for one in page.items]
    if json:
        return cli_output.print_json({"items": rows, "total": page.total})
    shown = ("id", "worth", "asks", "risk", "cause", "claimed_by", "question")
    return cli_output.table(f"{page.total} {state}", shown, [tuple(row[name] for name in shown) for row in rows])


@review.command()
def show(item: Item, json: Json = False) -> None:
    """One item: its wordings, what was answered, what was decided, who did what."""
    from services.api.render_review import view_out

    async def look(desk: Desk) -> dict[str, Any]:
        view = await desk.item(item)
        return view_out(view, await desk.opinion(view))

    found = with_desk(look)
    if json:
        return cli_output.print_json(found)
    return _print_item(found)


@review.command()
def claim(item: Item, who: Who = WHO) -> None:
    """Take an item for a quarter of an hour; claim again to keep it."""
    claimed = with_desk(lambda desk: desk.claim(item, who))
    cli_output.say(f"Item {claimed.item.id} is {who}'s until {when(claimed.lease_until)}.")


@review.command()
def verdict(
    item: Item,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=" | ".join(_KINDS))],
    answer: Annotated[str, typer.Option(help="The right answer, with `corrected`.")] = "",
    entry: Annotated[str, typer.Option(help="The approved answer that `duplicate` names, or the one to write.")] = "",
    variant: Annotated[list[str] | None, typer.Option(help="Another way to ask it. May be repeated.")] = None,
    negative: Annotated[list[str] | None, typer.Option(help="What looks alike and is not it. May be repeated.")] = None,
    retract: Annotated[bool, typer.Option("--retract", help="Call back what was answered.")] = False,
    evidence: Annotated[
        list[str] | None, typer.Option(metavar="PASSAGE", help="A passage that holds the answer. May be repeated.")
    ] = None,
    comment: Annotated[str, typer.Option()] = "",
    who: Who = WHO,
    json: Json = False,
) -> None:
    """Decide an item: everybody who asked it has the answer, and it is approved from now on.

    answerloop review verdict item-3f2a corrected --answer "Run add-node." --evidence PASSAGE
    """
    from services.store.review_records import Judgement, VerdictKind

    if kind not in _KINDS:
        raise InvalidInput(f"the verdict {kind!r} is none of {', '.join(_KINDS)}")
    judged = Judgement(
        VerdictKind(kind),
        answer,
        _cited(evidence or ()),
        tuple(variant or ()),
        tuple(negative or ()),
        entry,
        comment,
        retract,
    )
    _tell_verdict(with_desk(lambda desk: desk.decide(item, judged, who)), json)


def _tell_verdict(made: Verdict, json: bool) -> None:
    from services.api.render_review import verdict_out

    if json:
        return cli_output.print_json(verdict_out(made))
    entry_id = f"; approved answer {made.entry_id}" if made.entry_id else ""
    return cli_output.say(f"Verdict {made.id} ({made.state}) on item {made.item_id}{entry_id}.")


def _cited(passages: Sequence[str]) -> tuple[Citation, ...]:
    """Passages of the served index as evidence. Raises `NotFound`."""
    from indexer.build import version_folder
    from services.compose import index_home
    from services.review.budgeting import active_of
    from services.review.provenance import whole
    from services.store.sql import SqlStore

    if not passages:
        return ()
    settings = Settings.from_env()
    with SqlStore.open(settings.store_url) as store:
        release = active_of(asyncio.run(store.active_release()))
    return whole(version_folder(index_home(settings), release.index_version) / "content.db", passages)


@review.command()
def confirm(item: Item, who: Who = WHO, json: Json = False) -> None:
    """Agree, as the second reviewer, with the verdict that is proposed."""
    _tell_verdict(with_desk(lambda desk: desk.confirm(item, who)), json)


@review.command()
def split(
    item: Item,
    wordings: Annotated[list[str], typer.Argument(metavar="WORDING...", help="Ids of wordings, as `show` lists them.")],
    who: Who = WHO,
) -> None:
    """Make an item of its own of wordings that ask something else; they are kept apart from now on.

    answerloop review split item-3f2a wording-71c0
    """
    made = with_desk(lambda desk: desk.split(item, wordings, who))
    cli_output.say(f"{len(wordings)} of its wordings are item {made} now.")


@review.command()
def merge(
    item: Item,
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help="Open items that ask the same.")],
    who: Who = WHO,
) -> None:
    """Take the wordings of other open items into this one; one verdict decides them all.

    answerloop review merge item-3f2a item-90bb
    """
    made = with_desk(lambda desk: desk.merge(item, others, who))
    cli_output.say(f"Item {made} holds the wordings of {len(others)} more.")


@review.command()
def undo(item: Item, who: Who = WHO) -> None:
    """Take the last verdict back: the item is open again, its approved answer what it was."""
    made = with_desk(lambda desk: desk.undo(item, who))
    cli_output.say(f"Verdict {made.id} is undone; item {made.item_id} is open again.")


@review.command()
def retract(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="The id of a reply that sent the wrong answer.")],
    reason: Annotated[str, typer.Option()] = "",
    who: Who = WHO,
    json: Json = False,
) -> None:
    """Call back a wrong answer: it is not sent again, and everybody who got it is told."""
    from services.api.render_review import retraction_out

    made = with_desk(lambda desk: desk.retract(trace, who, reason))
    if json:
        return cli_output.print_json(retraction_out(made))
    return cli_output.say(f"Retraction {made.id}: {made.recipients} replies had sent this answer.")


def _print_item(found: dict[str, Any]) -> None:
    item = found["item"]
    cli_output.out.print(plain(item["question"], "bold"))
    about = f"{item['cause']} · {item['asks']} asked · risk {item['risk']:g} · {item['state']} {item['claimed_by']}"
    cli_output.out.print(plain(about, "dim"))
    wordings = [(one["id"], one["asks"], one["question"]) for one in found["wordings"]]
    cli_output.table("asked as", ("id", "asks", "words"), wordings)
    traces = [(one["id"], one["route"], one["confidence"], one["answer"], one["reason"]) for one in found["traces"]]
    cli_output.table("answered", ("trace", "route", "confidence", "answer", "why"), traces)
    for name, columns in (("verdicts", ("state", "kind", "who", "answer")), ("history", ("created", "who", "what"))):
        rows = [tuple(one[column] for column in columns) for one in found[name]]
        if rows:
            cli_output.table(name, columns, rows)


def replay(
    release: Annotated[str, typer.Option(metavar="RELEASE", help="The release to try.")],
    since: Annotated[str, typer.Option(help="A date (2026-01-31), a time, or days back (7d).")] = "7d",
    most: Annotated[int, typer.Option("--most", min=1, help="Different questions at most, the newest.")] = 1_000,
    job: Annotated[str | None, typer.Option("--job", hidden=True)] = None,
    json: Json = False,
) -> None:
    """Ask past questions again of another release, and list the answers that change, the worst first.

    What was found is kept for a day, so that the release may be activated.

    answerloop replay --since 30d --release r-0123456789ab
    """
    from services.review import rehearsal

    settings = Settings.from_env()
    settings.make_home()
    if job:
        os.nice(5)  # a background job leaves the processor to those who ask
    with cli_output.progress_bar(shown=not json and job is None) as shown:
        found = rehearsal.run(settings, release, since, most, WHO, shown, job)
    if job:
        return None  # who waits for it reads it in the store
    return cli_output.print_json(found) if json else print_replay(found)


def telling(bars: cli_output.Bars, quiet: bool) -> Tell:
    """Prints what a release changes before it is served. quiet: nothing is printed; it is kept with the release."""

    def tell(seen: Mapping[str, Any]) -> None:
        if not quiet:
            bars.stop()
            print_replay(seen)

    return tell


def print_replay(found: Mapping[str, Any]) -> None:
    counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in found["counts"].items() if count)
    cli_output.say(f"{found['questions']} different questions ({found['asked']} asked): {counts or 'nothing changes'}.")
    rows = [
        (one["change"], one["asks"], one["question"], one["before"]["answer"], one["after"]["answer"])
        for one in found["changed"]
    ]
    if rows:
        cli_output.table("changed", ("change", "asks", "question", "before", "after"), rows)


def _refit(settings: Settings) -> None:
    """As a job, like the refits of the server: it stays in the list of what was done."""
    from services.compose import index_home
    from services.jobs import BUDGET, run_job
    from services.review.budget import Certificate
    from services.review.writers import budgeting_beside
    from services.store.sql import SqlStore

    async def refitted(store: SqlStore) -> Certificate:
        return await (await budgeting_beside(settings, store, index_home(settings))).refit(WHO)

    def work(progress: Progress) -> dict[str, Any]:
        progress("certify", 0, 1)
        with SqlStore.open(settings.store_url) as store:
            return asyncio.run(refitted(store)).to_json()

    run_job(settings, BUDGET, {"who": WHO}, work, lambda *_: None, alone=False)


def budget(
    refit: Annotated[
        bool, typer.Option("--refit", help="Test the lines on the verdicts there are, and use them.")
    ] = False,
    json: Json = False,
) -> None:
    """What is promised of the answers that are sent, and on how many verdicts it rests.

    answerloop budget --refit
    """
    from services.compose import index_home
    from services.review.budget import Certificate
    from services.review.budgeting import BudgetState, report
    from services.review.writers import budgeting_beside
    from services.store.sql import SqlStore

    settings = Settings.from_env()
    settings.make_home()

    if refit:
        _refit(settings)

    async def look(store: SqlStore) -> tuple[BudgetState, list[Certificate]]:
        budgeting = await budgeting_beside(settings, store, index_home(settings))
        return await budgeting.state(), await budgeting.history()

    with SqlStore.open(settings.store_url) as store:
        state, history = asyncio.run(look(store))
    if json:
        return cli_output.print_json(report(state, history))
    cli_output.say(state.stated())
    certificate = state.certificate
    lines = [
        (one.language or "any", one.route or "any", one.state, one.line, one.n, one.errors, round(one.upper_bound, 4))
        for one in (certificate.lines if certificate else ())
    ]
    if lines:
        cli_output.table("lines", ("language", "route", "state", "line", "n", "wrong", "at most wrong"), lines)
    return cli_output.say(f"{state.audited} audited, {state.undecided} drawn and not decided; line {state.line:.2f}.")
