"""Brings a database to the newest schema. Several processes may do so at once: one works, the others wait."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from router.errors import Misconfigured
from services.store.engine import IMMEDIATE, take_write_lock
from services.store.migrations import HEAD

_MIGRATIONS = Path(__file__).parent / "migrations"


def bring_to_head(engine: Engine) -> None:
    """Raises `Misconfigured` when the database was written by a newer program."""
    with engine.connect() as connection:
        if _version(connection) == HEAD:
            return
    with engine.execution_options(**{IMMEDIATE: True}).begin() as connection:
        take_write_lock(connection)
        if _version(connection) != HEAD:  # nobody was faster while we waited for the lock
            _upgrade(connection)


def _version(connection: Connection) -> str | None:
    """None: an empty database. One row in one table, so that opening needs no Alembic (100 ms of imports)."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise Misconfigured(
            f"the database's schema version is not known here (newest known: {HEAD}): {exc}. "
            "Run the program version that wrote it, or a newer one."
        ) from exc
