"""Every test that asks for `url` or `store` runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from services.store.sql import SqlStore
from tests.store import cluster


@pytest.fixture(scope="session")
def postgres_binaries() -> Path:
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed: pip install 'psycopg[binary]'")
    folder = cluster.binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server here: install Debian's package postgresql (initdb and pg_ctl are needed)")
    return folder


@pytest.fixture(scope="session")
def postgres(postgres_binaries: Path) -> Iterator[str]:
    with cluster.running(postgres_binaries, fsync=False) as server:
        yield server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    server, name = make_url(request.getfixturevalue("postgres")), f"t{uuid4().hex}"
    engine = create_engine(server)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))  # much cheaper than a database for each test
    engine.dispose()
    return server.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    """As the server opens it; with SQLite, traces reach the disk a moment after they were acknowledged."""
    with SqlStore.open(url, flush_s=0.05) as opened:
        yield opened
