"""INSERT … ON CONFLICT, which both databases spell alike and SQLAlchemy keeps per dialect.

Built once, at import: building a statement costs more than running it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Insert, Table
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert


def per_dialect(table: Table, finish: Callable[[PostgresInsert | SqliteInsert], Insert]) -> Mapping[str, Insert]:
    """The statement by dialect name; `finish` adds the conflict clause."""
    return {"postgresql": finish(PostgresInsert(table)), "sqlite": finish(SqliteInsert(table))}
