"""Alembic's entry. The connection, and the lock that keeps other processes out, come from `services.store.schema`."""

from __future__ import annotations

from alembic import context

from services.store.tables import metadata

# transactional_ddl: SQLite's tables do roll back, because we send BEGIN ourselves.
# render_as_batch: SQLite cannot alter most things in place.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
