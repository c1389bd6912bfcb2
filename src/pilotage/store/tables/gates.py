"""Rosters, policies, attempts, votes, risk acceptances, delegations, packs, emergencies and sessions of a board.

Mirror of the `gates` part of the schema; what each column means stands in `store/migrations/sql/` (0002_gates.sql,
0008_emergencies.sql, 0017_standard_changes.sql, 0018_board_sessions.sql, 0033_lapses_and_streams.sql,
0040_mission.sql).
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from pilotage.store.tables.metadata import metadata


def _versions(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("digest", Text, primary_key=True),
        Column("seen_at", TIMESTAMP(timezone=True), nullable=False),
        Column("seen_by", Text, nullable=False),
        Column("body", JSONB, nullable=False),
    )


roster_version = _versions("roster_version")
Index("roster_version_seen", roster_version.c.seen_at)
policy_version = _versions("policy_version")

gate_attempt = Table(
    "gate_attempt",
    metadata,
    Column("release", Text, ForeignKey("release.digest"), primary_key=True),
    Column("gate", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("parts_digest", Text, nullable=False),
    Column("opened_at", TIMESTAMP(timezone=True), nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=sql("''")),
    Column("snapshot", JSONB),
    Column("snapshot_at", TIMESTAMP(timezone=True)),
    Column("pack", Text),
)
Index("gate_attempt_parts", gate_attempt.c.parts_digest, gate_attempt.c.gate)

gate_vote = Table(
    "gate_vote",
    metadata,
    Column("id", Text, primary_key=True),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("parts_digest", Text, nullable=False),
    Column("gate", Text, nullable=False),
    Column("half", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("role", Text, nullable=False),
    Column("is_seat", Boolean, nullable=False),
    Column("person", Text, nullable=False),
    Column("is_person", Boolean, nullable=False),
    Column("decision", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("checklist", JSONB, nullable=False),
    Column("bind", Text, nullable=False),
    Column("bound", JSONB, nullable=False),
    Column("evidence", ARRAY(Text), nullable=False),
    Column("login", JSONB, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("delegated_from", Text),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    CheckConstraint("decision IN ('approve', 'reject', 'abstain')"),
    UniqueConstraint("release", "gate", "nonce"),
)
Index("gate_vote_release", gate_vote.c.release, gate_vote.c.gate, gate_vote.c.at)
Index(
    "gate_vote_parts",
    gate_vote.c.parts_digest,
    gate_vote.c.gate,
    postgresql_where=gate_vote.c.decision == "reject",
)

risk_acceptance = Table(
    "risk_acceptance",
    metadata,
    Column("id", Text, primary_key=True),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("gate", Text, nullable=False),
    Column("body_sha256", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("approvers", JSONB, nullable=False),
    Column("created", TIMESTAMP(timezone=True), nullable=False),
    Column("expires", TIMESTAMP(timezone=True), nullable=False),
    Column("withdrawn_at", TIMESTAMP(timezone=True)),
    UniqueConstraint("release", "gate", "body_sha256"),
)
Index("risk_acceptance_release", risk_acceptance.c.release, risk_acceptance.c.gate)

gate_delegation = Table(
    "gate_delegation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("giver", Text, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("gates", ARRAY(Text), nullable=False),
    Column("starts_at", TIMESTAMP(timezone=True), nullable=False),
    Column("until", TIMESTAMP(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
    Column("revoked_at", TIMESTAMP(timezone=True)),
)

gate_recusal = Table(
    "gate_recusal",
    metadata,
    Column("release", Text, ForeignKey("release.digest"), primary_key=True),
    Column("gate", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("role", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("alternate", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
)

cab_pack = Table(
    "cab_pack",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("gate", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("facts", LargeBinary, nullable=False),
    Column("as_of", TIMESTAMP(timezone=True), nullable=False),
)
Index("cab_pack_release", cab_pack.c.release, cab_pack.c.gate, cab_pack.c.attempt)

emergency_change = Table(
    "emergency_change",
    metadata,
    Column("id", Text, primary_key=True),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("workflow", Text, nullable=False),
    Column("incident", Text, nullable=False),
    Column("spaces", ARRAY(Text), nullable=False),
    Column("reason", Text, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("opened_role", Text, nullable=False),
    Column("opened_at", TIMESTAMP(timezone=True), nullable=False),
    Column("confirmed_by", Text),
    Column("confirmed_role", Text),
    Column("confirmed_at", TIMESTAMP(timezone=True)),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    Column("reviewed_at", TIMESTAMP(timezone=True)),
    Column("reviewed_by", Text),
    Column("ended_at", TIMESTAMP(timezone=True)),
    Column("outcome", Text),
    CheckConstraint("outcome IN ('approved', 'rolled_back')"),
)
Index("emergency_change_release", emergency_change.c.release, emergency_change.c.opened_at)
Index("emergency_change_workflow", emergency_change.c.workflow, emergency_change.c.opened_at)

board_session = Table(
    "board_session",
    metadata,
    Column("id", Text, primary_key=True),
    Column("gate", Text, nullable=False),
    Column("starts_at", TIMESTAMP(timezone=True), nullable=False),
    Column("called_by", Text, nullable=False),
    Column("called_at", TIMESTAMP(timezone=True), nullable=False),
    Column("closed_at", TIMESTAMP(timezone=True)),
    Column("closed_by", Text),
    Column("minutes", LargeBinary),
    Column("minutes_digest", Text),
    CheckConstraint("(closed_at IS NULL) = (minutes IS NULL) AND (minutes IS NULL) = (minutes_digest IS NULL)"),
)
Index("board_session_start", board_session.c.starts_at)

board_item = Table(
    "board_item",
    metadata,
    Column("session", Text, ForeignKey("board_session.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("added_by", Text, nullable=False),
    Column("added_at", TIMESTAMP(timezone=True), nullable=False),
    UniqueConstraint("session", "release"),
)
Index("board_item_release", board_item.c.release)

board_question = Table(
    "board_question",
    metadata,
    Column("id", Text, primary_key=True),
    Column("session", Text, ForeignKey("board_session.id"), nullable=False),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("text", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", TIMESTAMP(timezone=True), nullable=False),
    Column("answer", Text, nullable=False, server_default=sql("''")),
    Column("answered_by", Text),
    Column("answered_at", TIMESTAMP(timezone=True)),
)
Index("board_question_session", board_question.c.session, board_question.c.asked_at)

stated_fact = Table(
    "stated_fact",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("space", Text),
    Column("workflow", Text),
    Column("by_person", Text, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("detail", JSONB, nullable=False, server_default=sql("'{}'")),
)
Index("stated_fact_kind", stated_fact.c.kind, stated_fact.c.at.desc())

standard_template = Table(
    "standard_template",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("parts", ARRAY(Text), nullable=False),
    Column("max_share", Double, nullable=False),
    Column("max_documents", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", TIMESTAMP(timezone=True), nullable=False),
    CheckConstraint("cardinality(parts) > 0"),
    CheckConstraint("max_share > 0 AND max_share <= 0.05"),
    CheckConstraint("max_documents BETWEEN 1 AND 500"),
)
Index("standard_template_workflow", standard_template.c.workflow, standard_template.c.proposed_at)

standard_vote = Table(
    "standard_vote",
    metadata,
    Column("id", Text, primary_key=True),
    Column("template", Text, ForeignKey("standard_template.id"), nullable=False),
    Column("person", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    CheckConstraint("decision IN ('approve', 'reject', 'abstain')"),
)
Index("standard_vote_template", standard_vote.c.template, standard_vote.c.at)

standard_change = Table(
    "standard_change",
    metadata,
    Column("id", Text, primary_key=True),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("template", Text, ForeignKey("standard_template.id"), nullable=False),
    Column("declared_by", Text, nullable=False),
    Column("declared_at", TIMESTAMP(timezone=True), nullable=False),
    UniqueConstraint("release", "template"),
)

gate_lapse = Table(
    "gate_lapse",
    metadata,
    Column("space", Text, primary_key=True, nullable=False),
    Column("workflow", Text, primary_key=True, nullable=False),
    Column("release", Text, ForeignKey("release.digest"), primary_key=True, nullable=False),
    Column("gate", Text, primary_key=True, nullable=False),
    Column("about", Text, primary_key=True, nullable=False),
    Column("since", TIMESTAMP(timezone=True), nullable=False),
    Column("noticed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("ended_at", TIMESTAMP(timezone=True)),
    Column("acted_at", TIMESTAMP(timezone=True)),
)

gate_change_request = Table(
    "gate_change_request",
    metadata,
    Column("id", Text, primary_key=True),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("gate", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("closed_at", TIMESTAMP(timezone=True)),
    Column("closed_reason", Text, nullable=False, server_default=sql("''")),
)
Index("gate_change_request_release", gate_change_request.c.release, gate_change_request.c.gate)
