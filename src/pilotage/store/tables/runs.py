"""Long waits as rows, the outbox, and one row per live process.

Mirror of the `runs` part of the schema; what each column means stands in `store/migrations/sql/0001_spine.sql`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from pilotage.store.tables.metadata import metadata

run = Table(
    "run",
    metadata,
    Column("kind", Text, primary_key=True, nullable=False),
    Column("key", Text, primary_key=True, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", TIMESTAMP(timezone=True), nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("lease_owner", Text),
    Column("lease_until", TIMESTAMP(timezone=True)),
    Column("generation", BigInteger, nullable=False, server_default=text("0")),
    Column("requested", BigInteger, nullable=False, server_default=text("1")),
    Column("payload", JSONB, nullable=False, server_default=text("'{}'")),
    Column("last_error", Text),
)

Index("run_due", run.c.due_at, postgresql_where=text("state = 'due'"))

outbox = Table(
    "outbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, Identity(always=True)),
    Column("kind", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("next_at", TIMESTAMP(timezone=True), nullable=False),
    Column("last_error", Text),
)

Index("outbox_next", outbox.c.next_at, postgresql_where=text("state = 'waiting'"))

Index("outbox_page", text("(payload ->> 'page')"), _table=outbox, postgresql_where=text("payload ? 'page'"))
Index("outbox_dead", outbox.c.seq, postgresql_where=text("state = 'dead'"))
Index("outbox_order", outbox.c.kind, outbox.c.target, outbox.c.seq, postgresql_where=text("state = 'waiting'"))

process = Table(
    "process",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", TIMESTAMP(timezone=True), nullable=False),
    Column("seen_at", TIMESTAMP(timezone=True), nullable=False),
    Column("clock_skew_ms", Integer, nullable=False, server_default=text("0")),
    Column("applied", JSONB, nullable=False, server_default=text("'{}'")),
)
