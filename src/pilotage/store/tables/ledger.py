"""Entries, tiles, head and checkpoints of the append-only ledger, and what opens its commitments.

Mirror of the `ledger` part of the schema; what each column means stands in `store/migrations/sql/0001_spine.sql`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

from pilotage.store.tables.metadata import metadata

ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, unique=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
    Column("inserted_at", TIMESTAMP(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    CheckConstraint("octet_length(bytes) <= 65536"),
)

Index("ledger_unnumbered", ledger_entry.c.inserted_at, ledger_entry.c.id, postgresql_where=text("seq IS NULL"))

Index("ledger_subject", ledger_entry.c.subject)

ledger_tile = Table(
    "ledger_tile",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False, nullable=False),
    Column("index", BigInteger, primary_key=True, autoincrement=False, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
)

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=text("true")),
    Column("size", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False, server_default=text("1")),
    Column("key_name", Text),
    Column("key_public", LargeBinary),
    Column("stopped", Text),
    Column("name", Text),
    CheckConstraint("singleton"),
)

ledger_checkpoint = Table(
    "ledger_checkpoint",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False, nullable=False),
    Column("origin", Text, nullable=False),
    Column("key_id", Text, primary_key=True, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("signed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("published_to", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Index("ledger_checkpoint_signed", "signed_at"),
)

ledger_disclosure = Table(
    "ledger_disclosure",
    metadata,
    Column("entry", Text, primary_key=True, nullable=False),
    Column("field", Text, primary_key=True, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("value", Text, nullable=False),
)
