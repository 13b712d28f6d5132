"""Shadows: a model that answers a share of the questions beside the one that is served, and what it said. And an index:
what people decided of a question is looked up whenever it comes back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "shadows",
        sa.Column("seq", _SEQUENCE, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("release_id", sa.Text(), nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("ended", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_shadows"),
        sa.UniqueConstraint("id", name="uq_shadows_id"),
    )
    op.create_table(
        "shadow_answers",
        sa.Column("shadow_id", sa.Text(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("shadow_id", "trace_id", name="pk_shadow_answers"),
        sa.ForeignKeyConstraint(["shadow_id"], ["shadows.id"], name="fk_shadow_answers_shadow_id"),
        sa.ForeignKeyConstraint(["trace_id"], ["traces.id"], name="fk_shadow_answers_trace_id"),
    )
    op.create_index("ix_review_items_question_key", "review_items", ["question_key"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_review_items_question_key", "review_items")
    op.drop_table("shadow_answers")
    op.drop_table("shadows")
