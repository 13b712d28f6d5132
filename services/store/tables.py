"""The tables, as SQLAlchemy Core. A change here needs a migration; a test compares the two.

Times are ISO 8601 text in UTC with microseconds, so that text order is time order on every database.
`seq` columns give the order of arrival; `id` columns are what the outside world sees.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives numbers by itself only to a column declared exactly INTEGER PRIMARY KEY.
Sequence = BigInteger().with_variant(Integer, "sqlite")

UNDECIDED = text("state <> 'decided'")
"""A question has one open review item at most. Literal text, so that both databases recognise the index by it."""

traces = Table(
    "traces",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("created", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("release_id", Text, nullable=False),
    Column("session_id", Text),
    Column("payload", Text, nullable=False),
    Column("answer_key", Text, index=True),
)

feedback = Table(
    "feedback",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("trace_id", Text, ForeignKey("traces.id"), nullable=False, index=True),
    Column("rating", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created", Text, nullable=False),
)

review_items = Table(
    "review_items",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("root", Text, nullable=False, index=True),
    Column("trace_id", Text, ForeignKey("traces.id")),
    Column("question", Text, nullable=False),
    Column("question_key", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("asks", Integer, nullable=False),
    Column("risk", Float, nullable=False),
    Column("opened", Float, nullable=False),
    Column("placed", Boolean, nullable=False),
    Column("probability", Float, nullable=False),
    Column("entry_id", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("claimed_by", Text),
    Column("lease_until", Text),
    Column("created", Text, nullable=False),
    Column("updated", Text, nullable=False),
    Index("ix_review_items_state_asks", "state", "asks"),
    Index("ix_review_items_question_key", "question_key"),
    Index(
        "uq_review_items_open_question",
        "question_key",
        unique=True,
        sqlite_where=UNDECIDED,
        postgresql_where=UNDECIDED,
    ),
)
"""One row for each wording that is or was open; rows that ask the same have the `root` of the first, which is the item.
opened: seconds since 1970. placed: whether it was looked at beside the other items."""

review_traces = Table(
    "review_traces",
    metadata,
    Column("item_id", Text, ForeignKey("review_items.id"), primary_key=True),
    Column("trace_id", Text, ForeignKey("traces.id"), primary_key=True),
    Column("added", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("probability", Float, nullable=False),
    Index("ix_review_traces_trace_id", "trace_id"),
)

review_verdicts = Table(
    "review_verdicts",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("item_id", Text, nullable=False, index=True),
    Column("request_key", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("payload", Text, nullable=False),
)

review_pairs = Table(
    "review_pairs",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("one", Text, nullable=False),
    Column("other", Text, nullable=False),
    Column("together", Boolean, nullable=False),
    Column("who", Text, nullable=False),
    Column("created", Text, nullable=False),
)

retractions = Table(
    "retractions",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("answer_key", Text, nullable=False, index=True),
    Column("created", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("lifted", Text),
    Column("payload", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("event", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try", Text),
    Column("delivered", Text),
    Column("problem", Text, nullable=False),
    Index("ix_outbox_next_try", "next_try"),
)
"""next_try: None once delivered or given up."""

certificates = Table(
    "certificates",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("created", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("release_id", Text, nullable=False),
    Column("payload", Text, nullable=False),
)

shadows = Table(
    "shadows",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("created", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("release_id", Text, nullable=False),
    Column("share", Float, nullable=False),
    Column("ended", Text),
)

shadow_answers = Table(
    "shadow_answers",
    metadata,
    Column("shadow_id", Text, ForeignKey("shadows.id"), primary_key=True),
    Column("trace_id", Text, ForeignKey("traces.id"), primary_key=True),
    Column("created", Text, nullable=False),
    Column("payload", Text, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("revoked", Text),
)

jobs = Table(
    "jobs",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("stage", Text, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("result", Text),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_started", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("updated", Text, nullable=False),
    Column("started", Text),
    Column("finished", Text),
)

releases = Table(
    "releases",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("created", Text, nullable=False),
    Column("index_version", Text, nullable=False),
    Column("curated_revision", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt_hash", Text, nullable=False),
    Column("calibration", Text, nullable=False),
    Column("note", Text, nullable=False),
)

activations = Table(
    "activations",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("release_id", Text, ForeignKey("releases.id"), nullable=False),
    Column("created", Text, nullable=False),
    Column("who", Text, nullable=False),
)

calibrations = Table(
    "calibrations",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("created", Text, nullable=False),
    Column("payload", Text, nullable=False),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("created", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("subject", Text, index=True),
)

curated_revisions = Table(
    "curated_revisions",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("created", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("changed", Integer, nullable=False),
)

curated_versions = Table(
    "curated_versions",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("entry_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("revision", BigInteger, ForeignKey("curated_revisions.revision"), nullable=False, index=True),
    Column("status", Text, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("created", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("search", Text, nullable=False),
    Column("payload", Text, nullable=False),
    UniqueConstraint("entry_id", "version"),
)

curated_heads = Table(
    "curated_heads",
    metadata,
    Column("entry_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
)
