"""Curated answers: revisions, versions of entries, and which version of each entry is the last one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "curated_revisions",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_curated_revisions"),
    )
    op.create_table(
        "curated_versions",
        sa.Column("seq", _SEQUENCE, nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("search", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["revision"], ["curated_revisions.revision"], name="fk_curated_versions_revision"),
        sa.PrimaryKeyConstraint("seq", name="pk_curated_versions"),
        sa.UniqueConstraint("entry_id", "version", name="uq_curated_versions_entry_id"),
    )
    op.create_index("ix_curated_versions_revision", "curated_versions", ["revision"], unique=False)
    op.create_table(
        "curated_heads",
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name="pk_curated_heads"),
    )


def downgrade() -> None:
    op.drop_table("curated_heads")
    op.drop_table("curated_versions")
    op.drop_table("curated_revisions")
