"""Migrations, run by `services.store.schema`; no alembic.ini. A new one also moves HEAD (a test checks)."""

HEAD = "0004"
