"""Console sessions, decision forms, and what live pages were sent.

Mirror of the `console` part of the schema; what each column means stands in `store/migrations/sql/0005_console.sql` and
`0009_sign_in.sql`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Index, Table, Text
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
    Column("leads_to", Text, nullable=False),
    Column("principal", Text),
    Column("kept_path", Text),
    Column("kept", JSONB),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Index("console_login_at", "at"),
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
