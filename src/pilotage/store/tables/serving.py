"""Routing, keys, pseudonyms, interactions and feedback.

Mirror of the `serving` part of the schema; what each column means stands in `store/migrations/sql/0001_spine.sql`, and
of columns that were added later in the migration that added them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from pilotage.store.tables.metadata import metadata

routing = Table(
    "routing",
    metadata,
    Column("space", Text, primary_key=True, nullable=False),
    Column("workflow", Text, primary_key=True, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("stable", Text, ForeignKey("release.digest")),
    Column("candidate", Text, ForeignKey("release.digest")),
    Column("fraction_ppm", Integer, nullable=False, server_default=text("0")),
    Column("cohort", JSONB, nullable=False, server_default=text("'{}'")),
    Column("pins", JSONB, nullable=False, server_default=text("'{}'")),
    Column("salt", Text, nullable=False, server_default=text("''")),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("reason", Text, nullable=False),
    Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("shadow", Text, ForeignKey("release.digest")),
    Column("shadow_ppm", Integer, nullable=False, server_default=text("0")),
    Column("rollout", Text),
    Column("closed", Text),
    Column("drill", JSONB(none_as_null=True)),
    Column("down", Boolean, nullable=False, server_default=text("false")),
    Column("failover", Text),
    Column("written_at", TIMESTAMP(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    CheckConstraint("closed IN ('not_released', 'maintenance')"),
    CheckConstraint("failover IS NULL OR down", name="routing_failover_is_down"),
)

deployment = Table(
    "deployment",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("space", Text, nullable=False),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("basis", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("promoted_by", Text, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("previous", Text),
    Column("state", Text, nullable=False),
    Column("plan", Text),
    Column("space_config", Text),
    Column("policy", Text),
    Column("gate_reports", JSONB, nullable=False, server_default=text("'[]'")),
    Column("healthy_since", TIMESTAMP(timezone=True)),
    Column("space_change", JSONB),
)

Index("deployment_release", deployment.c.release, deployment.c.space, deployment.c.at)

service_key = Table(
    "service_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("spaces", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("workflows", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("groups", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("ips", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("delegation", Text, nullable=False, server_default=text("'optional'")),
    Column("created_by", Text, nullable=False),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    Column("revoked_at", TIMESTAMP(timezone=True)),
    CheckConstraint("kind IN ('local', 'service')"),
)

principal_pseudonym = Table(
    "principal_pseudonym",
    metadata,
    Column("principal", Text, primary_key=True),
    Column("pseudonym", Text, nullable=False, unique=True),
)

interaction = Table(
    "interaction",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("at", TIMESTAMP(timezone=True), primary_key=True, nullable=False),
    Column("space", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("release", Text),
    Column("corpus", Text),
    Column("corpus_version", Integer),
    Column("as_of", Date),
    Column("principal", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("code", Text),
    Column("refused", Boolean, nullable=False),
    Column("detail", JSONB, nullable=False),
    postgresql_partition_by="RANGE (at)",
)

Index("interaction_id", interaction.c.id)
Index("interaction_principal", interaction.c.principal, interaction.c.at)
Index("interaction_place", interaction.c.workflow, interaction.c.space, interaction.c.at)

interaction_closing = Table(
    "interaction_closing",
    metadata,
    Column("interaction", Text, primary_key=True),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("code", Text),
    Column("refused", Boolean, nullable=False),
    Column("detail", JSONB, nullable=False),
)

interaction_text = Table(
    "interaction_text",
    metadata,
    Column("id", Text, primary_key=True),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("groups", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("salt", LargeBinary, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
)

interaction_citation = Table(
    "interaction_citation",
    metadata,
    Column("interaction", Text, primary_key=True, nullable=False),
    Column("corpus", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("rev", BigInteger, nullable=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False, nullable=False),
    Column("marker", Integer, primary_key=True, autoincrement=False, nullable=False),
)

Index("interaction_citation_document", interaction_citation.c.corpus, interaction_citation.c.document)

idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", Text, primary_key=True, nullable=False),
    Column("workflow", Text, primary_key=True, nullable=False),
    Column("key_hash", Text, primary_key=True, nullable=False),
    Column("body_hash", Text, nullable=False),
    Column("interaction", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("answer", Text),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
)

rate_cell = Table(
    "rate_cell",
    metadata,
    Column("scope", Text, primary_key=True, nullable=False),
    Column("cell", BigInteger, primary_key=True, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    CheckConstraint("used >= 0"),
)

Index("rate_cell_expires", rate_cell.c.expires_at)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Text, primary_key=True),
    Column("interaction", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("rating", Text, nullable=False),
    Column("comment", Text),
    Column("correction", Text),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    CheckConstraint("rating IN ('up', 'down')"),
)

Index("feedback_interaction", feedback.c.interaction, feedback.c.at)

model_identity = Table(
    "model_identity",
    metadata,
    Column("workflow", Text, primary_key=True, nullable=False),
    Column("space", Text, primary_key=True, nullable=False),
    Column("release", Text, ForeignKey("release.digest"), primary_key=True, nullable=False),
    Column("answers", Integer, nullable=False),
    Column("reference", JSONB, nullable=False),
    Column("changes", JSONB, nullable=False),
    Column("changed_at", TIMESTAMP(timezone=True)),
)

model_look = Table(
    "model_look",
    metadata,
    Column("is_one", Boolean, primary_key=True, nullable=False, server_default=text("true")),
    Column("seq", BigInteger, nullable=False),
    Column("looked_at", TIMESTAMP(timezone=True)),
    CheckConstraint("is_one"),
)
