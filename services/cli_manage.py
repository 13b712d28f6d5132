"""answerloop keys | releases | rollback | jobs"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from router.errors import Conflict, NotFound
from router.types import Release
from services import cli_output
from services.cli_output import when
from services.pinned import served_ids
from services.settings import Settings
from services.store.records import Role

if TYPE_CHECKING:
    from services.store.sql import SqlStore

T = TypeVar("T")
WHO = "command line"

Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else.")]
KeepCurated = Annotated[
    bool, typer.Option("--keep-curated", help="Leave the curated answers as they are; else they move with the release.")
]

Force = Annotated[
    bool, typer.Option("--force", help="Serve it at once, without asking past questions of it first: for emergencies.")
]

keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
releases = typer.Typer(no_args_is_help=True, help="List releases and choose the one that is served.")


def with_store(work: Callable[[SqlStore], Awaitable[T]]) -> T:
    from services.store.sql import SqlStore  # SQLAlchemy; `--help` need not wait for it

    settings = Settings.from_env()

    async def run(store: SqlStore) -> T:
        return await work(store)

    with SqlStore.open(settings.store_url) as store:
        return asyncio.run(run(store))


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Whose key it is, for the list and the audit log.")],
    role: Annotated[Role, typer.Option(help="asker may ask; reviewer may also review; admin may do everything.")],
    json: Json = False,
) -> None:
    """Make a key. It is printed once, to stdout, and kept nowhere.

    answerloop keys create --role admin anna
    """
    key_id, key = with_store(lambda store: store.create_key(name, role, who=WHO))
    if json:
        return cli_output.print_json({"id": key_id, "name": name, "role": role, "key": key})
    typer.echo(key)
    return cli_output.say(f"Key {key_id} ({role}) for {name}. Keep it now: it cannot be shown again.")


@keys.command("list")
def list_keys(json: Json = False) -> None:
    """All keys, revoked ones included; never the keys themselves."""
    found = with_store(lambda store: store.list_keys())
    if json:
        return cli_output.print_json([asdict(key) for key in found])
    rows = [(key.id, key.name, key.role, f"{key.prefix}…", when(key.created), when(key.revoked)) for key in found]
    return cli_output.table("", ("id", "name", "role", "key", "created", "revoked"), rows)


@keys.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Revoke a key. A running server stops taking it within a few seconds."""
    with_store(lambda store: store.revoke_key(key_id, who=WHO))
    cli_output.say(f"Key {key_id} is revoked.")


@releases.command("list")
def list_releases(limit: Annotated[int, typer.Option(min=1, max=500)] = 20, json: Json = False) -> None:
    """Newest first."""

    async def look(store: SqlStore) -> list[dict[str, Any]]:
        active = await store.active_release()
        found = await store.list_releases(limit)
        return [{**asdict(release), "active": active is not None and release.id == active.id} for release in found]

    found = with_store(look)
    if json:
        return cli_output.print_json(found)
    shown = ("id", "created", "index_version", "curated_revision", "model", "calibration", "note")
    rows = [(cli_output.state("ok") if row["active"] else "", *(row[name] for name in shown)) for row in found]
    return cli_output.table("", ("active", *shown), rows)


@releases.command("activate")
def activate(
    release_id: Annotated[str, typer.Argument(metavar="ID")], keep_curated: KeepCurated = False, force: Force = False
) -> None:
    """Serve this release from now on. A running server follows within seconds.

    Unless a fresh replay is there, past questions are asked again of it first, and what would change is shown.
    """
    _serve_release(release_id, keep_curated, force)


def rollback(keep_curated: KeepCurated = False, force: Force = False) -> None:
    """Go back to the release that was served and is older than the active one. Again goes back one more.

    Index, calibration, curated answers and model go back together. Where only a promotion is taken back (the same
    index, no approved answer changed since), that is done at once. Else past questions are asked again first, as for
    `releases activate`; in an emergency:

        answerloop rollback --force
    """

    async def before(store: SqlStore) -> tuple[Release, bool]:
        active = await store.active_release()
        served = [await store.get_release(one) for one in await served_ids(store)]
        older = [one for one in served if active and one.created < active.created]
        if not older:
            raise NotFound("No release was served before the active one (answerloop releases list).")
        last = max(older, key=lambda one: one.created)
        return last, await _served_so_before(store, last)

    release, known = with_store(before)
    _serve_release(release.id, keep_curated, force or known)


async def _served_so_before(store: SqlStore, release: Release) -> bool:
    """Whether it was served with the documents and the approved answers of now: going back then loses no answer that
    people wrote, and loading its model once more to ask past questions would keep a worse one serving for minutes."""
    active = await store.active_release()
    return (
        active is not None
        and release.index_version == active.index_version
        and release.curated_revision == str(await store.curated.head())
    )


def _look_first(release_id: str) -> None:
    """Shows what would change. Raises `Conflict` where that is for the worse and nobody is there to be asked."""
    from services.cli_review import print_replay
    from services.review import rehearsal

    if with_store(lambda store: rehearsal.unseen(store, release_id)):
        cli_output.say("Past questions are asked again first; --force goes without.")
        with cli_output.progress_bar() as show:
            rehearsal.run(Settings.from_env(), release_id, rehearsal.SINCE, rehearsal.MOST, WHO, show)
    found = with_store(lambda store: rehearsal.rehearsed(store, release_id))
    if found is None or not found.fresh:  # nothing was ever asked
        return
    print_replay(found.result)
    if not found.worse:
        return
    said = f"{found.worse} questions would be answered wrongly again, or not any more."
    if not sys.stdin.isatty():
        raise Conflict(f"{said} Serve it all the same with --force.")
    typer.confirm(f"{said} Serve it all the same?", abort=True, err=True)


def _serve_release(release_id: str, keep_curated: bool, force: bool) -> None:
    if not force:
        _look_first(release_id)
    from services.compose import System  # opens the release first: one that cannot be served is not activated
    from services.store.sql import SqlStore

    settings = Settings.from_env()

    async def activate() -> Release:
        system = System(settings, SqlStore.open(settings.store_url))
        try:
            return await system.activate(release_id, WHO, keep_curated)
        finally:
            await system.close()

    release = asyncio.run(activate())
    cli_output.say(
        f"Release {release.id} (index {release.index_version}, curated revision {release.curated_revision}) is active."
    )


def jobs(
    job_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One job in full.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    json: Json = False,
) -> None:
    """Jobs (reindexing, replays, refits, datasets, training), newest first, or one of them with its result."""

    async def look(store: SqlStore) -> list[dict[str, Any]]:
        await store.interrupt_dead_jobs()
        found = [await store.get_job(job_id)] if job_id else await store.list_jobs(limit)
        return [asdict(job) for job in found]

    found = with_store(look)
    if json:
        return cli_output.print_json(found[0] if job_id else found)
    if job_id:
        return cli_output.print_report(found[0], "job")
    return cli_output.table(
        "", ("id", "kind", "state", "progress", "created", "finished", "message"), map(_job_row, found)
    )


def _job_row(job: dict[str, Any]) -> tuple[object, ...]:
    state = cli_output.state(job["state"])
    return job["id"], job["kind"], state, _how_far(job), when(job["created"]), when(job["finished"]), job["message"]


def _how_far(job: dict[str, Any]) -> str:
    return f"{job['stage']} {job['done']}/{job['total']}" if job["stage"] else ""
