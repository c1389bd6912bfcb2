"""Console sessions, decision forms, and what live pages were sent.

Mirror of the `console` part of the schema; what each column means stands in `store/migrations/sql/0005_console.sql`,
`0009_sign_in.sql` and `0020_sealed_sign_ins.sql`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from pilotage.store.tables.metadata import metadata

console_session = Table(
    "console_session",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("principal", Text, nullable=False),
    Column("person", Text),
    Column("via", Text, nullable=False),
    Column("authenticated_at", TIMESTAMP(timezone=True)),
    Column("seen_at", TIMESTAMP(timezone=True), nullable=False),
    Column("ends_at", TIMESTAMP(timezone=True), nullable=False),
    Column("claimed", JSONB),
    Index("console_session_end", "ends_at"),
)

console_form = Table(
    "console_form",
    metadata,
    Column("principal", Text, primary_key=True, nullable=False),
    Column("key", Text, primary_key=True, nullable=False),
    Column("path", Text, nullable=False),
    Column("location", Text),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Index("console_form_at", "at"),
)

console_login = Table(
    "console_login",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("principal", Text),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("holder", Text),
    Index("console_login_at", "at"),
    Index("console_login_holder", "holder", postgresql_where=text("holder IS NOT NULL")),
)

live_event = Table(
    "live_event",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("stream", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Index("live_event_stream", "stream", "id"),
    Index("live_event_at", "at"),
)

inbox_snooze = Table(
    "inbox_snooze",
    metadata,
    Column("person", Text, primary_key=True, nullable=False),
    Column("task", Text, primary_key=True, nullable=False),
    Column("until", TIMESTAMP(timezone=True), nullable=False),
)

person_setting = Table(
    "person_setting",
    metadata,
    Column("principal", Text, primary_key=True, nullable=False),
    Column("zone", Text),
    Column("shortcuts", Boolean, nullable=False, server_default=text("false")),
)

inbox_handover = Table(
    "inbox_handover",
    metadata,
    Column("task", Text, primary_key=True, nullable=False),
    Column("giver", Text, primary_key=True, nullable=False),
    Column("taker", Text, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Index("inbox_handover_giver", "giver"),
    Index("inbox_handover_taker", "taker"),
)
