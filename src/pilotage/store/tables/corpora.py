"""Governed documents, their revisions, chunks and versions, and takedowns.

Mirror of the `corpora` part of the schema; what each column means stands in `store/migrations/sql/0001_spine.sql`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from pilotage.store.tables.metadata import metadata

corpus = Table(
    "corpus",
    metadata,
    Column("name", Text, primary_key=True),
    Column("generation", BigInteger, nullable=False, server_default=text("0")),
    Column("next_rev", BigInteger, nullable=False, server_default=text("0")),
    Column("next_version", Integer, nullable=False, server_default=text("1")),
    Column("confirmations", BigInteger, nullable=False, server_default=text("0")),
)

document = Table(
    "document",
    metadata,
    Column("corpus", Text, ForeignKey("corpus.name"), primary_key=True, nullable=False),
    Column("id", Text, primary_key=True, nullable=False),
    Column("title", Text, nullable=False, server_default=text("''")),
    Column("uri", Text),
    Column("acl", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("acl_source", Text, nullable=False, server_default=text("''")),
    Column("classification", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("acl_confirmed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("tombstone", Text),
    Column("changed", BigInteger, nullable=False, server_default=text("0")),
    Index("document_changed", "corpus", "changed"),
)

revision = Table(
    "revision",
    metadata,
    Column("corpus", Text, primary_key=True, nullable=False),
    Column("rev", BigInteger, primary_key=True, autoincrement=False, nullable=False),
    Column("document", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("meta_hash", Text, nullable=False),
    Column("salt", LargeBinary),
    Column("commitment", Text, nullable=False),
    Column("title", Text, nullable=False, server_default=text("''")),
    Column("effective_from", Date),
    Column("effective_to", Date),
    Column("retained_until", Date),
    Column("lineage", JSONB, nullable=False),
    ForeignKeyConstraint(["corpus", "document"], ["document.corpus", "document.id"]),
)

Index("revision_document", revision.c.corpus, revision.c.document)

chunk = Table(
    "chunk",
    metadata,
    Column("corpus", Text, primary_key=True, nullable=False),
    Column("rev", BigInteger, primary_key=True, autoincrement=False, nullable=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("section", Text, nullable=False, server_default=text("''")),
    Column("tokens", Integer, nullable=False),
    Column("start_offset", Integer, nullable=False),
    Column("end_offset", Integer, nullable=False),
    ForeignKeyConstraint(["corpus", "rev"], ["revision.corpus", "revision.rev"]),
)

Index("chunk_content", chunk.c.corpus, chunk.c.content_hash)

chunk_text = Table(
    "chunk_text",
    metadata,
    Column("corpus", Text, primary_key=True, nullable=False),
    Column("content_hash", Text, primary_key=True, nullable=False),
    Column("heading", Text, nullable=False, server_default=text("''")),
    Column("body", Text, nullable=False),
    postgresql_partition_by="LIST (corpus)",
)

embedding = Table(
    "embedding",
    metadata,
    Column("corpus", Text, primary_key=True, nullable=False),
    Column("model", Text, primary_key=True, nullable=False),
    Column("content_hash", Text, primary_key=True, nullable=False),
    Column("vector", LargeBinary, nullable=False),
)

vector_cells = Table(
    "vector_cells",
    metadata,
    Column("corpus", Text, primary_key=True, nullable=False),
    Column("model", Text, primary_key=True, nullable=False),
    Column("digest", Text, primary_key=True, nullable=False),
    Column("public", BigInteger, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
)

corpus_version = Table(
    "corpus_version",
    metadata,
    Column("corpus", Text, ForeignKey("corpus.name"), primary_key=True, nullable=False),
    Column("number", Integer, primary_key=True, autoincrement=False, nullable=False),
    Column("state", Text, nullable=False),
    Column("parent", Integer),
    Column("bitmap", LargeBinary, nullable=False),
    Column("digest", Text, nullable=False),
    Column("commitments", LargeBinary, nullable=False),
    Column("summary", JSONB, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", TIMESTAMP(timezone=True)),
    Column("decision_note", Text),
    CheckConstraint("state IN ('building', 'proposed', 'accepted', 'rejected', 'failed', 'superseded')"),
)

takedown = Table(
    "takedown",
    metadata,
    Column("id", Text, primary_key=True),
    Column("corpus", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("document_commit", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("include_duplicates", Boolean, nullable=False, server_default=text("false")),
    Column("step", Text, nullable=False, server_default=text("'hidden'")),
    Column("also_in", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("versions_affected", ARRAY(Integer), nullable=False, server_default=text("'{}'")),
    Column("proof", JSONB),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", TIMESTAMP(timezone=True), nullable=False),
    Column("finished_at", TIMESTAMP(timezone=True)),
)

block_list = Table(
    "block_list",
    metadata,
    Column("corpus", Text, primary_key=True, nullable=False),
    Column("document", Text, primary_key=True, nullable=False),
    Column("revision_hmac", Text, primary_key=True, nullable=False),
    Column("takedown", Text, ForeignKey("takedown.id"), nullable=False),
    Column("lifted_at", TIMESTAMP(timezone=True)),
)
