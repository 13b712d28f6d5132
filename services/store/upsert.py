"""INSERT … ON CONFLICT, which both databases spell alike and SQLAlchemy keeps per dialect."""

from __future__ import annotations

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert


def insert_or(connection: Connection, table: Table) -> PostgresInsert | SqliteInsert:
    return PostgresInsert(table) if connection.dialect.name == "postgresql" else SqliteInsert(table)
