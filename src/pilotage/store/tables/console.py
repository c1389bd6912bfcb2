"""Console sessions and decision forms.

Mirror of the `console` part of the schema; what each column means stands in `store/migrations/sql/0005_console.sql`.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from pilotage.store.tables.metadata import metadata

console_session = Table(
    "console_session",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("principal", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("authenticated_at", TIMESTAMP(timezone=True), nullable=False),
    Column("seen_at", TIMESTAMP(timezone=True), nullable=False),
    Column("ends_at", TIMESTAMP(timezone=True), nullable=False),
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
