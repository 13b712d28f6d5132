"""The review queue: items of many wordings, verdicts, retractions, webhooks to send, certificates."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UNDECIDED = sa.text("state <> 'decided'")
_SENT = ("curated", "grounded")
_AT_ONCE = 500


def upgrade() -> None:
    op.add_column("traces", sa.Column("answer_key", sa.Text(), nullable=True))
    op.create_index("ix_traces_answer_key", "traces", ["answer_key"], unique=False)
    _fill_answer_keys()
    op.add_column("audit_log", sa.Column("subject", sa.Text(), nullable=True))
    op.create_index("ix_audit_log_subject", "audit_log", ["subject"], unique=False)
    items, links = _set_aside()
    _make_items(True)
    _make_links(True)
    _put_back("review_items", [_widened(row) for row in items])
    _put_back("review_traces", [{**row, "cause": "abstained", "probability": 0.0} for row in links])
    op.create_index("ix_review_traces_trace_id", "review_traces", ["trace_id"], unique=False)
    _make_verdicts()
    _make_recall()
    _make_budget()


def downgrade() -> None:
    for name in ("certificates", "outbox", "retractions", "review_pairs", "review_verdicts"):
        op.drop_table(name)
    op.drop_index("ix_review_traces_trace_id", "review_traces")
    items, links = _set_aside()
    kept = {row["id"]: _narrowed(row) for row in items if row["trace_id"] is not None}
    _make_items(False)
    _make_links(False)
    _put_back("review_items", list(kept.values()))
    narrow = [{name: row[name] for name in ("item_id", "trace_id", "added")} for row in links]
    _put_back("review_traces", [row for row in narrow if row["item_id"] in kept])
    op.drop_index("ix_audit_log_subject", "audit_log")
    op.drop_column("audit_log", "subject")
    op.drop_index("ix_traces_answer_key", "traces")
    op.drop_column("traces", "answer_key")


def _fill_answer_keys() -> None:
    connection = op.get_bind()
    traces = sa.table("traces", *(sa.column(name) for name in ("seq", "route", "payload", "answer_key")))
    last = 0
    while True:
        query = sa.select(traces.c.seq, traces.c.payload).where(traces.c.seq > last, traces.c.route.in_(_SENT))
        rows = connection.execute(query.order_by(traces.c.seq).limit(_AT_ONCE)).all()
        if not rows:
            return
        last = rows[-1].seq
        for row in rows:
            key = _answer_key(json.loads(row.payload)["answer"]["text"])
            connection.execute(sa.update(traces).where(traces.c.seq == row.seq).values(answer_key=key))


def _answer_key(text: str) -> str:
    """As `services.store.retractions.answer_key` was when this was written."""
    words = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()


def _set_aside() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """SQLite can neither drop a NOT NULL nor a table that another one points to, so both are made anew."""
    connection = op.get_bind()
    items = [dict(row._mapping) for row in connection.execute(sa.text("SELECT * FROM review_items ORDER BY seq"))]
    links = [dict(row._mapping) for row in connection.execute(sa.text("SELECT * FROM review_traces"))]
    op.drop_table("review_traces")
    op.drop_table("review_items")
    return items, links


def _put_back(table: str, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        columns = sa.table(table, *(sa.column(name) for name in rows[0]))
        for start in range(0, len(rows), _AT_ONCE):
            op.bulk_insert(columns, list(rows[start : start + _AT_ONCE]))


def _widened(row: dict[str, Any]) -> dict[str, Any]:
    opened = datetime.fromisoformat(row["created"]).timestamp()
    added = {"root": row["id"], "risk": 1.0, "opened": opened, "placed": False, "probability": 0.0}
    kept = {name: value for name, value in row.items() if name != "seq"}
    return {**kept, **added, "entry_id": "", "detail": "{}", "claimed_by": None, "lease_until": None}


def _narrowed(row: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "trace_id", "question", "question_key", "language", "cause", "asks", "created", "updated")
    state = "decided" if row["state"] == "decided" else "pending"
    return {**{name: row[name] for name in names}, "state": state}


def _make_items(wide: bool) -> None:
    added: list[sa.Column[Any]] = (
        [
            sa.Column("root", sa.Text(), nullable=False),
            sa.Column("risk", sa.Float(), nullable=False),
            sa.Column("opened", sa.Float(), nullable=False),
            sa.Column("placed", sa.Boolean(), nullable=False),
            sa.Column("probability", sa.Float(), nullable=False),
            sa.Column("entry_id", sa.Text(), nullable=False),
            sa.Column("detail", sa.Text(), nullable=False),
            sa.Column("claimed_by", sa.Text(), nullable=True),
            sa.Column("lease_until", sa.Text(), nullable=True),
        ]
        if wide
        else []
    )
    op.create_table(
        "review_items",
        sa.Column("seq", _SEQUENCE, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=wide),
        *(_texts("question", "question_key", "language", "cause")),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asks", sa.Integer(), nullable=False),
        *added,
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("updated", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["trace_id"], ["traces.id"], name="fk_review_items_trace_id"),
        sa.PrimaryKeyConstraint("seq", name="pk_review_items"),
        sa.UniqueConstraint("id", name="uq_review_items_id"),
    )
    op.create_index("ix_review_items_state_asks", "review_items", ["state", "asks"], unique=False)
    if wide:
        op.create_index("ix_review_items_root", "review_items", ["root"], unique=False)
    op.create_index(
        "uq_review_items_open_question",
        "review_items",
        ["question_key"],
        unique=True,
        sqlite_where=_UNDECIDED,
        postgresql_where=_UNDECIDED,
    )


def _make_links(wide: bool) -> None:
    added: list[sa.Column[Any]] = [*_texts("cause"), sa.Column("probability", sa.Float(), nullable=False)]
    op.create_table(
        "review_traces",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("added", sa.Text(), nullable=False),
        *(added if wide else ()),
        sa.ForeignKeyConstraint(["item_id"], ["review_items.id"], name="fk_review_traces_item_id"),
        sa.ForeignKeyConstraint(["trace_id"], ["traces.id"], name="fk_review_traces_trace_id"),
        sa.PrimaryKeyConstraint("item_id", "trace_id", name="pk_review_traces"),
    )


def _make_verdicts() -> None:
    op.create_table(
        "review_verdicts",
        sa.Column("seq", _SEQUENCE, nullable=False),
        *(_texts("id", "item_id", "request_key", "state", "kind", "who", "created", "payload")),
        sa.PrimaryKeyConstraint("seq", name="pk_review_verdicts"),
        sa.UniqueConstraint("id", name="uq_review_verdicts_id"),
        sa.UniqueConstraint("request_key", name="uq_review_verdicts_request_key"),
    )
    op.create_index("ix_review_verdicts_item_id", "review_verdicts", ["item_id"], unique=False)
    op.create_table(
        "review_pairs",
        sa.Column("seq", _SEQUENCE, nullable=False),
        *(_texts("one", "other")),
        sa.Column("together", sa.Boolean(), nullable=False),
        *(_texts("who", "created")),
        sa.PrimaryKeyConstraint("seq", name="pk_review_pairs"),
    )


def _make_recall() -> None:
    op.create_table(
        "retractions",
        sa.Column("seq", _SEQUENCE, nullable=False),
        *(_texts("id", "answer_key", "created", "who")),
        sa.Column("lifted", sa.Text(), nullable=True),
        *(_texts("payload")),
        sa.PrimaryKeyConstraint("seq", name="pk_retractions"),
        sa.UniqueConstraint("id", name="uq_retractions_id"),
    )
    op.create_index("ix_retractions_answer_key", "retractions", ["answer_key"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("seq", _SEQUENCE, nullable=False),
        *(_texts("id", "event", "payload", "created")),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try", sa.Text(), nullable=True),
        sa.Column("delivered", sa.Text(), nullable=True),
        *(_texts("problem")),
        sa.PrimaryKeyConstraint("seq", name="pk_outbox"),
        sa.UniqueConstraint("id", name="uq_outbox_id"),
    )
    op.create_index("ix_outbox_next_try", "outbox", ["next_try"], unique=False)


def _make_budget() -> None:
    op.create_table(
        "certificates",
        sa.Column("seq", _SEQUENCE, nullable=False),
        *(_texts("id", "created", "who", "release_id", "payload")),
        sa.PrimaryKeyConstraint("seq", name="pk_certificates"),
        sa.UniqueConstraint("id", name="uq_certificates_id"),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
