"""Content-addressed blobs and parts, sealed releases, their authors and their evidence.

Mirror of the `releases` part of the schema; what each column means stands in `store/migrations/sql/0001_spine.sql`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from pilotage.store.tables.metadata import metadata

blob = Table(
    "blob",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("media", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

part = Table(
    "part",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

authorship = Table(
    "authorship",
    metadata,
    Column("part_digest", Text, ForeignKey("part.digest"), primary_key=True, nullable=False),
    Column("person", Text, primary_key=True, nullable=False),
    Column("how", Text, primary_key=True, nullable=False),
    Column("ref", Text, primary_key=True, nullable=False, server_default=text("''")),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
)

release = Table(
    "release",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("parent", Text, ForeignKey("release.digest")),
    Column("parts_digest", Text, nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Column("signature", Text, nullable=False),
    Column("key_name", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=text("''")),
    Column("sealed_by", Text, nullable=False),
    Column("sealed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("state_note", Text),
    Column("prices", JSONB(none_as_null=True)),
    CheckConstraint("state IN ('sealed', 'deprecated', 'quarantined', 'revoked')"),
)

Index("release_workflow", release.c.workflow, release.c.sealed_at)

release_revocation = Table(
    "release_revocation",
    metadata,
    Column("release", Text, ForeignKey("release.digest"), primary_key=True, nullable=False),
    Column("person", Text, primary_key=True, nullable=False),
    Column("may_revoke", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
)

quarantine_lift = Table(
    "quarantine_lift",
    metadata,
    Column("release", Text, ForeignKey("release.digest"), primary_key=True, nullable=False),
    Column("space", Text, primary_key=True, nullable=False, server_default=text("''")),
    Column("person", Text, primary_key=True, nullable=False),
    Column("may_lift", Boolean, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sha256", Text, ForeignKey("blob.sha256"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject_kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("space", Text),
    Column("suite", Text, nullable=False, server_default=text("''")),
    Column("producer", Text, nullable=False),
    Column("trust", Text, nullable=False),
    Column("produced_at", TIMESTAMP(timezone=True), nullable=False),
    Column("received_at", TIMESTAMP(timezone=True), nullable=False),
    Column("claims", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", JSONB),
    Column("reader", Text, nullable=False, server_default=text("''")),
    Column("summary", Text, nullable=False, server_default=text("''")),
    Column("media", Text, nullable=False, server_default=text("'application/octet-stream'")),
    Column("size", BigInteger, nullable=False, server_default=text("0")),
    Column("space_config", Text),
    Column("attestation", Text),
    Column("reading", JSONB, nullable=False, server_default=text("'{}'")),
)

Index("evidence_subject", evidence.c.subject, evidence.c.kind, evidence.c.received_at)
Index("evidence_kind", evidence.c.subject, evidence.c.received_at.desc())

document_opening = Table(
    "document_opening",
    metadata,
    Column("person", Text, primary_key=True, nullable=False),
    Column("sha256", Text, primary_key=True, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
)
